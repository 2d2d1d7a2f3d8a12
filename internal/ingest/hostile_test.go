package ingest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// listen serves the world over TCP; it answers the address.
func (w *world) listen() string {
	w.Helper()
	s := httptest.NewServer(w.Ingest)
	w.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw sends bytes and answers the status line, "" when the connection was closed without one.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, text)
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestHostile_BytesThatAreNoRequest(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.ReadTimeout = 300 * time.Millisecond })
	src := w.source(func(s *hark.Source) { s.Provider, s.Unverified, s.MaxBytes = "", true, 64 })
	addr, target := w.listen(), path(src)
	head := "POST " + target + " HTTP/1.1\r\nHost: x\r\n"
	for name, test := range map[string]struct{ text, want string }{
		"a slow body":             {head + "Content-Length: 10\r\n\r\n{", "408"},
		"a body that never comes": {head + "Content-Length: 64\r\n\r\n", "408"},
		"a length that lies":      {head + "Content-Length: 99999999999\r\n\r\nx", "413"},
		"a chunk that lies":       {head + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\nx", "4"},
		"chunks of nonsense":      {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		"two lengths":             {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"},
		"both framings":           {head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "200"},
		"another encoding":        {head + "Transfer-Encoding: gzip\r\n\r\n", "501"},
		"a header bomb":           {head + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 1200) + "\r\n", "431"},
		"a header with a NUL":     {head + "X-A: a\x00b\r\nContent-Length: 0\r\n\r\n", "400"},
		"an odd path":             {"POST /in/../in/" + strings.TrimPrefix(target, Prefix) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "404"},
		"a bad escape":            {"POST /in/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"a bad query":             {"POST " + target + "?a=%zz&%=; HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "200"},
		"a strange method":        {"PROPFIND " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"},
	} {
		if got := raw(t, addr, test.text); !strings.HasPrefix(strings.TrimPrefix(got, "HTTP/1.1 "), test.want) {
			t.Errorf("%s: got %q, want %s", name, got, test.want)
		}
	}
	for _, q := range w.requests(src) {
		if q.Outcome == hark.RequestRejected && q.Cause == "" {
			t.Errorf("no cause: %+v", q)
		}
	}
	if n := w.reading.Load(); n != 0 {
		t.Errorf("%d bytes are still reserved", n)
	}
}

func TestHostile_ManySlowBodiesTakeNoMoreThanTheirShare(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxReading, o.ReadTimeout = 4*firstRead, 500*time.Millisecond })
	src := w.source(nil)
	addr := w.listen()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			raw(t, addr, "POST "+path(src)+" HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n{")
		})
	}
	most := int64(0)
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		most = max(most, w.reading.Load())
	}
	wg.Wait()
	if most > 4*firstRead+32*firstRead { // those that are being turned away have asked first
		t.Errorf("%d bytes were reserved", most)
	}
	w.want(signed(t, "stripe", secret, path(src), []byte("{}")), 200)
}

// In a process of its own that is killed in the middle: what was answered 2xx is there, once.
func TestKill_WhatWasAnsweredIsKept(t *testing.T) {
	dir := os.Getenv("HARK_INGEST_CHILD")
	if dir != "" {
		serveUntilKilled(t, dir)
		return
	}
	dir = t.TempDir()
	for round := range 3 {
		answered := killOnce(t, dir, round)
		s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		envs, err := s.ListEnvironments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		src, err := s.Source(t.Context(), envs[0].ID, "killed")
		if err != nil {
			t.Fatal(err)
		}
		for from := ""; ; {
			list, err := s.ListRequests(t.Context(), []hark.Ref{src.Ref}, store.RequestFilter{}, store.Page{Limit: 1000, From: from})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range list {
				if q.Outcome == hark.RequestAccepted {
					if _, err := s.Message(t.Context(), src.ApplicationRef, string(q.MessageID), true); err != nil {
						t.Errorf("%s has no message: %v", q.ID, err)
					}
					count[q.EventID]++
				}
				from = string(q.ID)
			}
			if len(list) < 1000 {
				break
			}
		}
		for _, id := range answered {
			if count[id] != 1 {
				t.Errorf("round %d: %s was answered 2xx and is there %d times", round, id, count[id])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// serveUntilKilled is the child.
func serveUntilKilled(t *testing.T, dir string) {
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.OnQueued(func([]hark.Delivery) {})
	w := &world{TB: t, store: s, ctx: t.Context(), log: &bytes.Buffer{}}
	envs, err := s.ListEnvironments(w.ctx)
	w.ok(err)
	var src hark.Source
	now := time.Now()
	if len(envs) == 0 {
		env := hark.Environment{ID: hark.NewEnvironmentID(now), Name: "live", CreatedAt: now}
		w.ok(s.InsertEnvironment(w.ctx, env))
		w.app, err = s.InsertApplication(w.ctx, hark.Application{ID: hark.NewApplicationID(now), EnvironmentID: env.ID, Name: "a", CreatedAt: now, UpdatedAt: now})
		w.ok(err)
		src = w.source(func(s *hark.Source) { s.UID = "killed" })
	} else {
		src, err = s.Source(w.ctx, envs[0].ID, "killed")
		w.ok(err)
	}
	w.Ingest = New(Options{Store: s, Directory: directory.New(s, directory.Options{}), URL: "https://hark.example"})
	server := httptest.NewServer(w.Ingest)
	fmt.Printf("LISTENING %s %s\n", server.URL, path(src))
	select {} // until killed
}

// killOnce starts the child, sends from several clients, each event twice, and kills it. It answers the
// events that were answered 2xx.
func killOnce(t *testing.T, dir string, round int) (answered []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill_WhatWasAnsweredIsKept$")
	cmd.Env = append(os.Environ(), "HARK_INGEST_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url, target string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if n, _ := fmt.Sscanf(scanner.Text(), "LISTENING %s %s", &url, &target); n == 2 {
			break
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	time.AfterFunc(300*time.Millisecond, func() { _ = cmd.Process.Kill() })
	for client := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("evt_%d_%d_%d", round, client, n/2)
				r := signed(t, "stripe", secret, target, fmt.Appendf(nil, `{"id":"%s","type":"a.b"}`, id))
				send, err := http.NewRequest("POST", url+target, r.Body)
				if err != nil {
					return
				}
				send.Header = r.Header
				res, err := http.DefaultClient.Do(send)
				if err != nil {
					return
				}
				_ = res.Body.Close()
				if res.StatusCode == 200 {
					mu.Lock()
					answered = append(answered, id)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	_ = cmd.Wait() // it was killed
	if len(answered) == 0 {
		t.Fatal("nothing was answered before the kill")
	}
	return answered
}
