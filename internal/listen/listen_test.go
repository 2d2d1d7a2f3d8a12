package listen_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

func TestParseTarget_ReadsWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]string{
		"4242": "http://localhost:4242/", ":4242": "http://localhost:4242/", "4242/hook": "http://localhost:4242/hook", "/hook?a=1": "http://localhost/hook?a=1",
		"localhost:3000/x": "http://localhost:3000/x", "app.test": "http://app.test/", "https://localhost:8443/a b#c": "https://localhost:8443/a%20b",
		"[::1]:80": "http://[::1]:80/", "127.0.0.1:1": "http://127.0.0.1:1/",
		"": "", "ftp://x": "", "http://": "", "99999999": "", "70000/x": "", "0": "", "localhost:0": "", "localhost:70000": "", "http://x\n": "", "localhost:port": "",
	} {
		u, err := listen.ParseTarget(text)
		if (err != nil) != (want == "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, u, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "4242") {
			t.Errorf("%q: %v does not say what to write", text, err)
		}
	}
}

func TestMachine_IsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "hark")
	names := make([]string, 16)
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			name, err := listen.Machine(dir)
			if err != nil {
				t.Error(err)
			}
			names[i] = name
		})
	}
	all.Wait()
	if slices.Sort(names); names[0] == "" || names[0] != names[15] {
		t.Errorf("%q", names)
	}
	info, err := os.Stat(filepath.Join(dir, "machine"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".machine-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, "machine"), []byte("../../x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err := listen.Machine(dir); err == nil {
		t.Errorf("%q is taken for a name", name)
	}
}

// local is a listener that forwards to a handler, without a server behind it.
func local(t *testing.T, handler http.HandlerFunc, secure bool, change func(*listen.Options)) *listen.Listener {
	server := httptest.NewUnstartedServer(handler)
	if secure {
		server.StartTLS()
		server.Config.ErrorLog = nil
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	target, _ := url.Parse(server.URL + "/hook?a=1")
	opt := listen.Options{Server: "http://127.0.0.1:1", Machine: "m", ForwardTo: target}
	if change != nil {
		change(&opt)
	}
	l, err := listen.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestForward_SendsWhatCameAndNothingElse(t *testing.T) {
	var got *http.Request
	var body []byte
	l := local(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header()["X-Answer"] = []string{"1", "2"}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}, false, func(o *listen.Options) {
		o.Headers = []hark.HeadField{{Name: "X-Debug", Value: "1"}, {Name: "host", Value: "shop.test"}, {Name: "x-replaced", Value: "ours"}}
	})
	m := &listen.Message{ID: "msg_1", Seq: 1, Body: []byte("\x00\xff{}"), Header: []hark.HeadField{
		{Name: "X-Many", Value: "b"}, {Name: "X-Many", Value: "a"}, {Name: "X-Replaced", Value: "theirs"}, {Name: "Content-Encoding", Value: "gzip"}}}
	r, err := l.Retry(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != 302 || r.OK() || !r.Retry || !slices.Equal(r.Header["X-Answer"], []string{"1", "2"}) || !strings.HasSuffix(r.URL, "/hook?a=1") {
		t.Errorf("%+v", r)
	}
	if string(body) != "\x00\xff{}" || got.Method != "POST" || got.Host != "shop.test" || got.URL.RawQuery != "a=1" {
		t.Errorf("%q to %s%s", body, got.Host, got.URL)
	}
	h := got.Header
	if !slices.Equal(h["X-Many"], []string{"b", "a"}) || h.Get("X-Debug") != "1" || !slices.Equal(h["X-Replaced"], []string{"ours"}) || h.Get("Content-Encoding") != "gzip" || h.Get("Accept-Encoding") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestForward_VerifiesCertificatesUnlessToldNotTo(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.Version < tls.VersionTLS12 || r.ProtoMajor != 1 {
			w.WriteHeader(500)
		}
	}
	m := &listen.Message{ID: "msg_1"}
	r, err := local(t, handler, true, nil).Retry(t.Context(), m)
	if err != nil || r.Status != 0 || !strings.Contains(r.Err, "--skip-verify") {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = local(t, handler, true, func(o *listen.Options) { o.SkipVerify = true }).Retry(t.Context(), m)
	if err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestForward_TellsNobodyThereFromAnAnswerThatBrokeOff(t *testing.T) {
	m := &listen.Message{ID: "msg_1"}
	l := local(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
	}, false, nil)
	if r, err := l.Retry(t.Context(), m); err != nil || r.Status != 0 || r.Err != "the connection was closed without an answer" {
		t.Errorf("%+v, %v", r, err)
	}
	l = local(t, nil, false, func(o *listen.Options) { o.ForwardTo = &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/"} })
	if r, err := l.Retry(t.Context(), m); err == nil {
		t.Errorf("%+v", r)
	}
	l = local(t, nil, false, func(o *listen.Options) { o.ForwardTo = nil })
	if _, err := l.Retry(t.Context(), m); err != listen.ErrNowhere {
		t.Error(err)
	}
}
