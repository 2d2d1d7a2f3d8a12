package screen

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/harkhq/hark/internal/listen"
)

// line is a line of a page that scrolls.
type line struct {
	text  string
	style style
}

// style is what a text means, and so how it looks.
type style int

const (
	plain style = iota
	heading
	faint
	good
	odd
	bad
)

// text collects lines that are no wider than there is room for.
type text struct {
	width int
	lines []line
}

func (t *text) add(s style, format string, args ...any) {
	for _, part := range wrap(cleanField(fmt.Sprintf(format, args...)), t.width) {
		t.lines = append(t.lines, line{part, s})
	}
}

// say adds a sentence, broken between words.
func (t *text) say(s style, format string, args ...any) {
	words := ansi.Wrap(cleanField(fmt.Sprintf(format, args...)), max(t.width, 2), "")
	for part := range strings.SplitSeq(words, "\n") {
		t.lines = append(t.lines, line{part, s})
	}
}

func (t *text) head(format string, args ...any) {
	if len(t.lines) > 0 {
		t.lines = append(t.lines, line{})
	}
	t.add(heading, format, args...)
}

func (t *text) body(body []byte) {
	lines, kind := show(body, t.width)
	t.head("Body: %s, %s", kind, size(len(body)))
	if kind == "empty" {
		t.lines[len(t.lines)-1].text = "Body: empty"
	}
	for _, l := range lines {
		t.lines = append(t.lines, line{l, plain})
	}
}

// refresh makes the lines of the page that is shown.
func (m *model) refresh() {
	t := &text{width: m.width}
	switch m.page {
	case pageDetails:
		m.details(t)
	case pageSession:
		m.session(t)
	case pageHelp:
		help(t)
	}
	m.lines = t.lines
}

// details says everything about a message, the answer first: it is what one looks for.
func (m *model) details(t *text) {
	e := m.selected
	msg := e.message
	t.add(heading, "%s", msg.EventType)
	t.add(faint, "%s", msg.ID)
	came := "Accepted " + msg.CreatedAt.Local().Format(moment) + ", came " + msg.At.Local().Format(clock)
	if e.edited {
		came = "Edited by hand, sent " + e.at.Local().Format(clock)
	}
	t.say(faint, "%s", came)
	if msg.Path != "" {
		t.add(faint, "%s %s", msg.SentBy(), msg.Path)
	}
	m.answer(t, e)
	t.head("Headers")
	for _, h := range msg.Header {
		t.add(plain, "%s: %s", h.Name, h.Value)
	}
	t.body(msg.Body)
	if r := e.response; r != nil && r.Err == "" {
		t.head("Answer's headers")
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			for _, v := range r.Header[name] {
				t.add(plain, "%s: %s", name, v)
			}
		}
		at := len(t.lines)
		t.body(r.Body)
		t.lines[at+1].text = "Answer's b" + strings.TrimPrefix(t.lines[at+1].text, "B")
		if len(r.Body) == listen.MostBody {
			t.say(faint, "… of a longer one no more is kept")
		}
	}
}

func (m *model) answer(t *text, e *entry) {
	t.lines = append(t.lines, line{})
	r := e.response
	switch {
	case r == nil && e.waiting:
		t.say(odd, "Nothing listens there: it waits until something does.")
	case r == nil && m.target() == "":
		t.add(faint, "Forwarded nowhere.")
	case r == nil:
		t.add(faint, "No answer yet.")
	case r.Err != "":
		t.say(bad, "Error after %s: %s", latency(r.Took), r.Err)
	default:
		t.add(statusStyle(e), "Answered %d %s in %s", r.Status, http.StatusText(r.Status), latency(r.Took))
	}
	if r != nil && r.URL != "" {
		t.add(faint, "%s %s", r.Method, r.URL)
	}
	if e.answers > 1 {
		t.say(faint, "Sent %d times; this is the last answer.", e.answers)
	}
}

// session shows what the list hides: a shared screen is no place for a secret.
func (m *model) session(t *text) {
	if m.ready == nil {
		t.say(plain, "There is no connection yet.")
		return
	}
	s := m.ready.Session
	t.head("Signing secret")
	t.add(plain, "%s", s.Secret)
	if s.URL != "" {
		t.head("Webhooks go to")
		t.add(plain, "%s", s.URL)
	}
	t.head("They are forwarded to")
	if m.target() == "" {
		t.add(plain, "nowhere; --forward-to 4242 changes that")
	} else {
		t.add(plain, "%s", m.target())
	}
	t.head("Application")
	t.add(plain, "%s  %s", m.opt.Application, s.ApplicationID)
	t.head("Consumer")
	t.add(plain, "%s", s.ConsumerID)
}

func help(t *text) {
	t.head("Move")
	t.say(plain, "j k ↓ ↑     down, up")
	t.say(plain, "PgDn PgUp   a screen down, up")
	t.say(plain, "g G         to the first; to the last, and follow what comes")
	t.say(plain, "Enter Esc   details, and back; there n and p are the next and previous")
	t.head("Do")
	t.say(plain, "r   retry: the same bytes again, signed anew")
	t.say(plain, "e   edit the body, and send it as a message of its own")
	t.say(plain, "c   copy as curl, with all headers and the exact body")
	t.say(plain, "o   open in the browser")
	t.say(plain, "s   signing secret and addresses")
	t.head("Filter")
	t.say(plain, "/   words, all of which are in the type, the id or the body")
	t.say(plain, "    404 or 5xx is a status; so are error and waits")
	t.say(plain, "    Enter keeps it, Esc takes it away")
	t.head("Leave")
	t.say(plain, "q   and ^C. Nothing is lost: what comes meanwhile waits.")
}
