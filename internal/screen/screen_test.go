package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// colours are the sequences that the screen may use.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// stage is a model with actions that only remember that they were asked for.
type stage struct {
	*model
	asked []string
}

func newStage(t *testing.T, events ...listen.Event) *stage {
	t.Helper()
	s := &stage{}
	ask := func(what string) tea.Cmd {
		s.asked = append(s.asked, what)
		return nil
	}
	s.model = newModel(&Options{Application: "local", Dashboard: "http://hark", Invite: "hark trigger x"}, actions{
		retry: func(m *listen.Message) tea.Cmd { return ask("retry " + string(m.ID)) },
		resend: func(m *listen.Message, body []byte) tea.Cmd {
			return ask("resend " + string(m.ID) + " " + string(body))
		},
		edit: func(m *listen.Message) tea.Cmd { return ask("edit " + string(m.ID)) },
		open: func(url string) tea.Cmd { return ask("open " + url) },
	})
	s.Update(happened(events))
	return s
}

// keys presses keys by name.
func (s *stage) keys(names ...string) (last tea.Cmd) {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "down": tea.KeyDown, "up": tea.KeyUp, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
		"home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace}
	for _, name := range names {
		k := tea.Key{Text: name, Code: rune(name[0])}
		if code, ok := special[name]; ok {
			k = tea.Key{Code: code}
		}
		if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
			k = tea.Key{Code: rune(rest[0]), Mod: tea.ModCtrl}
		}
		_, last = s.Update(tea.KeyPressMsg(k))
	}
	return last
}

// draw is the screen without its colours.
func (s *stage) draw() string { return ansi.Strip(s.View().Content) }

func ready() listen.Ready {
	return listen.Ready{At: noon, ForwardTo: "http://localhost:4242/hook", Session: listen.Session{ApplicationID: "app_1", ConsumerID: "sink_1", Secret: "whsec_hush", URL: "http://hark/in/abc"}}
}

func message(n int, body string) listen.Message {
	return listen.Message{At: noon, CreatedAt: noon, Seq: int64(n), ID: hark.MessageID(fmt.Sprintf("msg_%027d", n)), EventType: fmt.Sprintf("type.%d", n),
		Header: []hark.HeadField{{Name: "Content-Type", Value: "application/json"}, {Name: "Webhook-Id", Value: "x"}}, Body: []byte(body)}
}

func response(m listen.Message, status int) listen.Response {
	return listen.Response{At: noon, Message: &m, URL: "http://localhost:4242/hook", Status: status, Took: 23 * time.Millisecond,
		Header: http.Header{"X-Answer": {"yes"}}, Body: []byte("fine")}
}

// several are messages 1 to n, each answered.
func several(n int) (events []listen.Event) {
	events = append(events, ready())
	for i := range n {
		m := message(i+1, `{"n":1}`)
		events = append(events, m, response(m, 200))
	}
	return events
}

func TestScreen_SaysWhatHappens(t *testing.T) {
	one := message(1, `{"a":1}`)
	failed := response(one, 0)
	failed.Err = "no answer within 30s"
	retried := response(one, 204)
	retried.Retry = true
	other := message(2, `{}`)
	resent := response(other, 201)
	resent.Edited = true
	for _, tc := range []struct {
		name   string
		events []listen.Event
		want   []string
	}{
		{"nothing yet", nil, []string{"○ connecting", "Connecting …"}},
		{"ready", []listen.Event{ready()}, []string{"● connected", "URL http://hark/in/abc", "To  http://localhost:4242/hook", "No messages yet", "hark trigger x"}},
		{"no address", []listen.Event{listen.Ready{At: noon}, one}, []string{"To  nowhere", "type.1"}},
		{"waited", []listen.Event{func() listen.Ready { r := ready(); r.Behind = 3; return r }()}, []string{"3 messages waited."}},
		{"not answered", []listen.Event{ready(), one}, []string{"▸ ", "… ", "type.1", "1 message"}},
		{"answered", []listen.Event{ready(), one, response(one, 200)}, []string{"200", "23 ms", "type.1", "…0000000001", "● answers"}},
		{"refused", []listen.Event{ready(), one, response(one, 500)}, []string{"500"}},
		{"failed", []listen.Event{ready(), one, failed}, []string{"error"}},
		{"retried", []listen.Event{ready(), one, response(one, 500), retried}, []string{"204", "2× type.1", "1 message"}},
		{"edited", []listen.Event{ready(), one, response(one, 500), resent}, []string{"201", "edited type.2", "2 messages"}},
		{"waits", []listen.Event{ready(), one, listen.Waiting{At: noon, Message: &one, Err: errors.New("refused")}}, []string{"waits", "○ nothing listens", "Messages wait until"}},
		{"lost", []listen.Event{ready(), one, listen.Reconnecting{At: noon, Err: errors.New("reset\x1b[2J")}}, []string{"○ reconnecting", `Reconnecting; nothing is lost (reset\x1b[2J).`}},
		{"back", []listen.Event{ready(), listen.Reconnecting{At: noon, Err: errors.New("reset")}, ready()}, []string{"● connected"}},
		{"standby", []listen.Event{ready(), listen.Standby{At: noon}}, []string{"○ standing by", "--fan-out"}},
		{"gap", []listen.Event{ready(), listen.Gap{At: noon, From: 3, To: 5}}, []string{"3 messages expired"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := newStage(t, tc.events...).draw()
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing:\n%s", want, got)
				}
			}
			if strings.Contains(got, "whsec_hush") {
				t.Errorf("the secret is shown before it is asked for:\n%s", got)
			}
		})
	}
}

func TestScreen_KeysMoveAndFollow(t *testing.T) {
	for _, tc := range []struct {
		keys   []string
		want   hark.MessageID
		follow bool
	}{
		{nil, "100", true},
		{[]string{"k"}, "99", false},
		{[]string{"up", "up", "j"}, "99", false},
		{[]string{"k", "down"}, "100", true},
		{[]string{"g"}, "1", false},
		{[]string{"home", "k"}, "1", false},
		{[]string{"g", "G"}, "100", true},
		{[]string{"g", "end"}, "100", true},
		{[]string{"pgup"}, "82", false},
		{[]string{"g", "pgdown"}, "19", false},
		{[]string{"k", "enter", "esc"}, "99", false},
		{[]string{"k", "enter", "p", "p", "n", "esc"}, "98", false},
		{[]string{"enter", "esc"}, "100", true},
	} {
		s := newStage(t, several(100)...)
		s.keys(tc.keys...)
		if got := strings.TrimLeft(strings.TrimPrefix(string(s.selected.message.ID), "msg_"), "0"); got != string(tc.want) || s.follow != tc.follow {
			t.Errorf("%v: message %s, follow %v; want %s, %v", tc.keys, got, s.follow, tc.want, tc.follow)
		}
		if s.page == pageList && !strings.Contains(s.draw(), "▸") {
			t.Errorf("%v: the selected message is not on the screen:\n%s", tc.keys, s.draw())
		}
	}
	s := newStage(t, several(3)...)
	s.keys("k")
	next := message(4, "{}")
	s.Update(happened{next})
	if s.selected.message.Seq != 2 {
		t.Errorf("what came took the selection: %d", s.selected.message.Seq)
	}
	s.keys("G")
	last := message(5, "{}")
	s.Update(happened{last})
	if s.selected.message.Seq != 5 {
		t.Errorf("what came was not followed: %d", s.selected.message.Seq)
	}
}

func TestScreen_KeysAct(t *testing.T) {
	id := string(message(2, "").ID)
	for _, tc := range []struct {
		keys []string
		want []string
	}{
		{[]string{"r"}, []string{"retry " + id}},
		{[]string{"r", "r"}, []string{"retry " + id}}, // one at a time
		{[]string{"e"}, []string{"edit " + id}},
		{[]string{"o"}, []string{"open http://hark"}},
		{[]string{"enter", "r"}, []string{"retry " + id}},
		{[]string{"?", "r", "s", "e"}, nil},
		{[]string{"/", "r", "e", "o"}, nil},
	} {
		s := newStage(t, several(2)...)
		s.keys(tc.keys...)
		if diff := cmp.Diff(tc.want, s.asked); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.keys, diff)
		}
	}
	s := newStage(t, several(2)...)
	s.keys("e")
	s.Update(edited{message: s.selected.message, body: []byte("new")})
	s.Update(done{note: "Sent."})
	s.keys("r")
	if diff := cmp.Diff([]string{"edit " + id, "resend " + id + " new", "retry " + id}, s.asked); diff != "" {
		t.Errorf("after an edit (-want +got):\n%s", diff)
	}
	empty := newStage(t, ready())
	empty.keys("r", "e", "c", "enter", "j", "k", "g", "G")
	if empty.asked != nil || empty.page != pageList {
		t.Errorf("an empty list: %v, page %v", empty.asked, empty.page)
	}
}

func TestScreen_QuitsAndGoesBack(t *testing.T) {
	for _, tc := range []struct {
		keys  []string
		quits bool
	}{
		{[]string{"q"}, true}, {[]string{"ctrl+c"}, true}, {[]string{"enter", "ctrl+c"}, true}, {[]string{"/", "ctrl+c"}, true},
		{[]string{"enter", "q"}, false}, {[]string{"?", "q"}, false}, {[]string{"/", "q"}, false},
	} {
		cmd := newStage(t, several(1)...).keys(tc.keys...)
		quits := false
		if cmd != nil {
			_, quits = cmd().(tea.QuitMsg)
		}
		if quits != tc.quits {
			t.Errorf("%v: quits %v", tc.keys, quits)
		}
	}
}

func TestScreen_SecretIsShownWhenAsked(t *testing.T) {
	s := newStage(t, ready())
	s.keys("s")
	if got := s.draw(); !strings.Contains(got, "whsec_hush") || !strings.Contains(got, "sink_1") {
		t.Errorf("s does not show the secret:\n%s", got)
	}
	s.keys("esc")
	if strings.Contains(s.draw(), "whsec_hush") {
		t.Error("Esc does not hide it")
	}
}

func TestScreen_Filters(t *testing.T) {
	cat, dog, none := message(1, `{"name":"Straße CAT"}`), message(2, `{"name":"dog","n":404}`), message(3, "{}")
	cat.EventType = "Cat.Fed"
	failed := response(none, 0)
	failed.Err = "broken"
	for _, tc := range []struct {
		query string
		want  []int64
	}{
		{"", []int64{1, 2, 3}}, {"cat", []int64{1}}, {"fed straße", []int64{1}}, {"DOG", []int64{2}}, {"cat dog", nil},
		{"404", []int64{1}}, {"2xx", []int64{2}}, {"error", []int64{3}}, {"4xx fed", []int64{1}}, {string(dog.ID), []int64{2}},
	} {
		s := newStage(t, ready(), cat, response(cat, 404), dog, response(dog, 200), none, failed)
		s.keys("/")
		for _, r := range tc.query {
			s.Update(tea.KeyPressMsg{Text: string(r), Code: r})
		}
		s.keys("enter")
		var got []int64
		for _, e := range s.shown {
			got = append(got, e.message.Seq)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("/%s (-want +got):\n%s", tc.query, diff)
		}
	}
	s := newStage(t, ready(), cat, dog)
	s.keys("/", "d", "o", "x")
	s.keys("backspace")
	if len(s.shown) != 1 {
		t.Errorf("after a backspace %d match", len(s.shown))
	}
	s.keys("enter", "esc")
	if len(s.shown) != 2 || s.query != "" {
		t.Errorf("Esc leaves the filter %q", s.query)
	}
	s.keys("/")
	s.Update(tea.PasteMsg{Content: "a\x1b[2J\nb"})
	if s.query != "a[2Jb" {
		t.Errorf("pasted: %q", s.query)
	}
}

func TestScreen_Details(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want []string
	}{
		{"JSON", `{"id":12345678901234567890,"list":[1]}`, []string{"Body: JSON, 38 bytes", `  "id": 12345678901234567890,`, `    1`}},
		{"text", "one\r\ntwo", []string{"Body: text", "one", "two"}},
		{"binary", "\x00\x01\xffABC", []string{"Body: binary", "000000  00 01 ff 41 42 43", "...ABC"}},
		{"nothing", "", []string{"Body: empty"}},
		{"deep", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), []string{"Body: text", "[[[["}},
	} {
		m := message(1, tc.body)
		r := response(m, 418)
		s := newStage(t, ready(), m, r)
		s.Update(tea.WindowSizeMsg{Width: 80, Height: 300})
		s.keys("enter")
		for _, want := range append(tc.want, "Answered 418 I'm a teapot in 23 ms", "Content-Type: application/json", "X-Answer: yes", "Answer's body", "fine") {
			if got := s.draw(); !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing:\n%s", tc.name, want, got)
			}
		}
	}
}

// hostile is what somebody sends who wants to do something to the terminal.
var hostile = []string{
	"\x1b[2J\x1b]52;c;aGk=\a\x1b]0;t\a", "\u009b2J", "\xff\xfe\x1b", "a\rb\x08\x7f", strings.Repeat("漢字", 200), strings.Repeat("e\u0301\u0301", 300),
	"x" + strings.Repeat("\u0301", 5000), "\u202egpj.exe", "👩‍👩‍👧‍👦🇩🇪", strings.Repeat("x", 1<<20), "\x00" + strings.Repeat("\x1b", 100_000), "a\nb\nc", "\t\t\t", "\u2028\u0085",
}

func TestScreen_HostilePayloadsStayWithinTheScreen(t *testing.T) {
	sizes := [][2]int{{80, 24}, {40, 12}, {200, 60}, {20, 5}, {7, 3}, {1, 1}}
	for i, evil := range hostile {
		m := message(1, evil)
		m.EventType, m.Path = evil, evil
		m.Header = append(m.Header, hark.HeadField{Name: evil, Value: evil})
		r := response(m, 200)
		r.Header, r.Body = http.Header{"X": {evil}}, []byte(evil)
		failed := r
		failed.Err = evil
		s := newStage(t, ready(), m, r, listen.Waiting{Message: &m, Err: errors.New(evil)}, listen.Reconnecting{Err: errors.New(evil)})
		for _, page := range [][]string{{"g"}, {"enter"}, {"G"}, {"esc", "s"}, {"?"}, {"esc", "/", "a"}, {"enter"}} {
			s.keys(page...)
			for _, size := range sizes {
				s.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				checkFits(t, fmt.Sprintf("payload %d, %v, %v", i, page, size), s.View().Content, size[0], size[1])
			}
			s.Update(happened{failed})
		}
	}
}

// checkFits fails if there is anything on the screen but text and colours, or more than there is room for.
func checkFits(t *testing.T, what, content string, width, height int) {
	t.Helper()
	lines := strings.Split(content, "\n")
	if len(lines) > height {
		t.Errorf("%s: %d lines", what, len(lines))
	}
	for _, l := range lines {
		if w := ansi.StringWidth(l); w > width {
			t.Errorf("%s: %d columns: %.100q", what, w, l)
		}
		for _, r := range colours.ReplaceAllString(l, "") {
			if !unicode.IsPrint(r) {
				t.Fatalf("%s: %q is on the screen: %.100q", what, r, l)
			}
		}
	}
}

func TestScreen_RemembersSoMuch(t *testing.T) {
	s := newStage(t, several(3000)...)
	if n := len(s.history.entries); n != maxMessages || len(s.history.byKey) != n {
		t.Errorf("%d messages, %d keys are remembered", n, len(s.history.byKey))
	}
	s.keys("g", "enter")
	big := strings.Repeat("x", 1<<20)
	for i := range 40 {
		m := message(5000+i, big)
		s.Update(happened{m, response(m, 200)})
	}
	if s.history.bytes > maxBytes || len(s.history.entries) > 16 {
		t.Errorf("%d bytes, %d messages are remembered", s.history.bytes, len(s.history.entries))
	}
	if got := s.draw(); !strings.Contains(got, "type.2001") {
		t.Errorf("details of what is forgotten were taken away:\n%s", got)
	}
	s.keys("n", "esc")
	if s.index() < 0 {
		t.Error("nothing is selected afterwards")
	}
	huge := message(9000, strings.Repeat("x", 20<<20))
	s.Update(happened{huge})
	if len(s.history.entries) != 1 {
		t.Errorf("a huge message leaves %d", len(s.history.entries))
	}
}

func TestScreen_EmitDoesNotWait(t *testing.T) {
	s := New(Options{})
	s.Emit(listen.Ready{Again: true})
	for i := range 10_000 {
		s.Emit(message(i, strings.Repeat("x", 10_000)))
	}
	if len(s.waiting) > 2*maxMessages || s.bytes > maxBytes {
		t.Errorf("%d events, %d bytes wait", len(s.waiting), s.bytes)
	}
	ctx, stop := context.WithCancel(t.Context())
	s.tell(ctx, func(msg tea.Msg) {
		events := msg.(happened)
		if _, ok := events[0].(listen.Ready); !ok {
			t.Errorf("that there is a connection was forgotten: %T", events[0])
		}
		if last := events[len(events)-1].(listen.Message); last.Seq != 9_999 {
			t.Errorf("the newest is %d", last.Seq)
		}
		stop()
	})
}

func TestCurl_SendsTheSameBytes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	dir := t.TempDir()
	// In place of curl, a script that keeps its arguments and its input.
	fake := "#!/bin/bash\nprintf '%s\\0' \"$@\" >" + dir + "/args\n[ \"${*: -1}\" = @- ] && cat >" + dir + "/in\nexit 0\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, body := range append(hostile, `{"it's":"$HOME \"quoted\" \\ `+"`id`"+`"}`, "@/etc/passwd", "", "line\nline\n") {
		m := message(1, body)
		m.Header = append(m.Header, hark.HeadField{Name: "X-Quote", Value: "it's\xe9"}, hark.HeadField{Name: "X-Empty"}, hark.HeadField{Name: "X-Two", Value: "1"}, hark.HeadField{Name: "X-Two", Value: "2"})
		_ = os.Remove(dir + "/in")
		cmd := exec.Command("bash")
		cmd.Stdin = strings.NewReader(curl(&m, "http://localhost/x?a=b&c", []hark.HeadField{{Name: "Webhook-Id", Value: "mine"}}, true))
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%.80q: %v: %s", body, err, out)
		}
		raw, err := os.ReadFile(dir + "/args")
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
		got := []byte(args[len(args)-1])
		if string(got) == "@-" {
			got, _ = os.ReadFile(dir + "/in")
		}
		if !bytes.Equal(got, []byte(body)) {
			t.Errorf("%.80q became %.80q", body, got)
		}
		want := []string{"-X", "POST", "-k", "http://localhost/x?a=b&c", "-H", "Content-Type: application/json", "-H", "X-Quote: it's\xe9",
			"-H", "X-Empty;", "-H", "X-Two: 1", "-H", "X-Two: 2", "-H", "Webhook-Id: mine", "-H", "Accept:", "-H", "Expect:"}
		if diff := cmp.Diff(want, args[:len(args)-2]); diff != "" {
			t.Errorf("%.80q (-want +got):\n%s", body, diff)
		}
	}
}

func TestCurl_GoesWhereTheMessageWent(t *testing.T) {
	for _, tc := range []struct{ method, path, want string }{
		{"", "", "curl -X POST 'http://localhost/hook' -H"},
		{"PUT", "/a?b=c", "curl -X PUT -g --path-as-is 'http://localhost/hook/a?b=c' -H"},
		{"HEAD", "", "curl -I 'http://localhost/hook' -H"},
		{"TRACE", "", "curl -X POST 'http://localhost/hook' -H"},
	} {
		m := message(1, "")
		m.Method, m.Path = tc.method, tc.path
		got := curl(&m, m.SentTo("http://localhost/hook"), nil, false)
		if !strings.HasPrefix(got, tc.want) || strings.Contains(got, "--data") == (tc.method == "HEAD") {
			t.Errorf("%s %s: %s", tc.method, tc.path, got)
		}
	}
}

func TestEdit_SendsOnlyWhatAnEditorChanged(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		body         string
		want         tea.Msg
	}{
		{"changed", "#!/bin/sh\nprintf new >\"$1\"\n", "old", edited{body: []byte("new")}},
		{"unchanged", "#!/bin/sh\n", "old", done{note: "Nothing was changed, and nothing sent."}},
		{"a newline of the editor's own", "#!/bin/sh\necho >>\"$1\"\n", "old", done{note: "Nothing was changed, and nothing sent."}},
		{"a newline that was there", "#!/bin/sh\n", "old\n", done{note: "Nothing was changed, and nothing sent."}},
	} {
		a := &actor{opt: &Options{}}
		m := message(1, tc.body)
		file, err := a.file(&m)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := os.Stat(file); err != nil || s.Mode().Perm() != 0o600 {
			t.Errorf("%s: others can read the file: %v %v", tc.name, s.Mode(), err)
		}
		script := filepath.Join(t.TempDir(), "editor")
		if err := os.WriteFile(script, []byte(tc.script), 0o700); err != nil {
			t.Fatal(err)
		}
		got := afterEdit(&m, file, "editor", exec.Command(script, file).Run())
		if e, ok := got.(edited); ok {
			e.message = nil
			got = e
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(edited{}, done{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if _, err := os.Stat(filepath.Dir(file)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is left: %v", tc.name, err)
		}
	}
	if got, ok := afterEdit(nil, t.TempDir()+"/body.txt", "vi", errors.New("exit status 1")).(done); !ok || !got.failed || !strings.Contains(got.note, "Nothing was sent") {
		t.Errorf("an editor that failed: %+v", got)
	}
}

func TestClean_EscapesWhatIsNotSeen(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "Grüße 漢字": "Grüße 漢字", "\x1b[31m": `\x1b[31m`, "\u009b": `\x9b`, "\xff": `\xff`, "\u202e": `\u202e`, "\U000e0041": `\U000e0041`,
		"a\r\n\tb": `a\r\n    b`, "\x7f": `\x7f`,
	} {
		if got := clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
