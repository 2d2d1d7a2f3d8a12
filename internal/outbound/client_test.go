package outbound

import (
	stdcmp "cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPost_WritesFieldsInOrder(t *testing.T) {
	got := make(chan string, 1)
	s := startSinkFunc(t, func(nc net.Conn) {
		buf := make([]byte, 4096)
		n, _ := nc.Read(buf)
		got <- string(buf[:n])
		_, _ = io.WriteString(nc, okAnswer)
	})
	opts := local()
	opts.UserAgent = "Hark/1"
	client := newClient(t, opts)
	for _, tt := range []struct {
		name   string
		fields []Field
		want   string
	}{
		{"userinfo becomes Basic", []Field{{"Content-Type", "application/json"}, {"x-CASE", "Kept"}},
			"Content-Type: application/json\r\nx-CASE: Kept\r\nAuthorization: Basic dTpw\r\n"},
		{"Authorization wins over userinfo", []Field{{"authorization", "Bearer x"}}, "authorization: Bearer x\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := mustTarget(t, "http://u:p@"+s.addr+"/hook?a=b")
			resp, err := client.Post(t.Context(), &Request{Target: target, Header: tt.fields, Body: []byte(`{"a":1}`)})
			if err != nil || resp.Status != 200 || string(resp.Body) != "ok" {
				t.Fatalf("got %+v, %v", resp, err)
			}
			want := "POST /hook?a=b HTTP/1.1\r\nHost: " + s.addr + "\r\n" + tt.want +
				"Accept: */*\r\nUser-Agent: Hark/1\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
			if diff := cmp.Diff(want, <-got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPost_SendsOtherMethods(t *testing.T) {
	got := make(chan string, 1)
	s := startSinkFunc(t, func(nc net.Conn) {
		buf := make([]byte, 4096)
		n, _ := nc.Read(buf)
		line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
		got <- line
		_, _ = io.WriteString(nc, okAnswer)
	})
	client := newClient(t, local())
	for _, method := range []string{"", "POST", "PUT", "PATCH", "DELETE"} {
		if _, err := client.Post(t.Context(), &Request{Method: method, Target: mustTarget(t, "http://"+s.addr+"/POST?a=b")}); err != nil {
			t.Fatal(err)
		}
		if line := <-got; line != stdcmp.Or(method, "POST")+" /POST?a=b HTTP/1.1" {
			t.Errorf("%q: %q", method, line)
		}
	}
	for _, method := range []string{"get", "GET /", "PUT\r\nX: y", "PÜT", " "} {
		if _, err := client.Post(t.Context(), &Request{Method: method, Target: mustTarget(t, "http://"+s.addr+"/")}); kindOf(err) != Invalid {
			t.Errorf("%q: got %v, want Invalid", method, err)
		}
	}
}

func TestPost_RefusesInjectedFields(t *testing.T) {
	client := newClient(t, Options{Policy: Policy{AllowPrivate: true}, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, net.ErrClosed
	}})
	for _, field := range []Field{{"X", "a\r\nY: b"}, {"X", "a\nb"}, {"X", "a\rb"}, {"X\n", "a"}, {"X", "a\x00"}} {
		_, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://127.0.0.1:8080/"), Header: []Field{field}})
		if kindOf(err) != Invalid {
			t.Errorf("%q: got %v, want Invalid", field, err)
		}
	}
}

func TestPost_CarriesLargeBodies(t *testing.T) {
	var mu sync.Mutex
	var got int
	s := startSinkFunc(t, func(nc net.Conn) {
		for {
			body, err := readRequest(nc)
			if err != nil {
				return
			}
			mu.Lock()
			got = len(body)
			mu.Unlock()
			_, _ = io.WriteString(nc, okAnswer)
		}
	})
	client := newClient(t, local())
	for _, size := range []int{0, 1, coalesce - 300, coalesce, coalesce + 1, 1 << 20} {
		resp, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://"+s.addr), Body: []byte(long(size))})
		if err != nil || resp.Status != 200 {
			t.Fatalf("%d bytes: %v", size, err)
		}
		mu.Lock()
		if got != size {
			t.Errorf("got %d bytes, want %d", got, size)
		}
		mu.Unlock()
	}
	if n := s.accepted.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

func TestPost_ReusesConnections(t *testing.T) {
	s := startSinkFunc(t, answerEach(okAnswer))
	client := newClient(t, local())
	req := &Request{Target: mustTarget(t, "http://"+s.addr), Body: []byte("x"), Into: new(Response)}
	for i := range 20 {
		resp, err := client.Post(t.Context(), req)
		if err != nil || resp.Reused != (i > 0) {
			t.Fatalf("request %d: got %+v, %v", i, resp, err)
		}
		if i == 0 && resp.Phases.Connect <= 0 || i > 0 && resp.Phases.Connect != 0 || resp.Phases.FirstByte <= 0 || resp.Duration <= 0 {
			t.Errorf("request %d: phases %+v in %v", i, resp.Phases, resp.Duration)
		}
	}
	if s.accepted.Load() != 1 || client.Idle() != 1 {
		t.Errorf("got %d connections, %d idle, want 1 and 1", s.accepted.Load(), client.Idle())
	}
}

func TestPost_TriesAgainWhenAnIdleConnectionIsDead(t *testing.T) {
	for _, how := range []string{"closed", "reset", "closed on the next request"} {
		t.Run(how, func(t *testing.T) {
			s := startSinkFunc(t, func(nc net.Conn) {
				_, _ = readRequest(nc)
				_, _ = io.WriteString(nc, okAnswer)
				switch how {
				case "reset":
					time.Sleep(5 * time.Millisecond) // let the answer out first
					reset(nc)
				case "closed on the next request":
					_, _ = nc.Read(make([]byte, 10))
				}
			})
			client := newClient(t, local())
			req := &Request{Target: mustTarget(t, "http://"+s.addr), Body: []byte("x")}
			for range 5 {
				if resp, err := client.Post(t.Context(), req); err != nil || resp.Status != 200 || resp.Reused {
					t.Fatalf("got %+v, %v", resp, err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if n := s.accepted.Load(); n != 5 {
				t.Errorf("got %d connections, want 5", n)
			}
		})
	}
}

func TestPost_DoesNotTryAgainOnAFreshConnection(t *testing.T) {
	s := startSinkFunc(t, func(nc net.Conn) { _, _ = readRequest(nc) })
	_, err := newClient(t, local()).Post(t.Context(), &Request{Target: mustTarget(t, "http://"+s.addr)})
	if kindOf(err) != Closed || s.accepted.Load() != 1 {
		t.Errorf("got %v after %d connections", err, s.accepted.Load())
	}
}

func TestConn_AliveSeesGoodbyesAndUnaskedBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(nc net.Conn)
		want bool
	}{
		{"quiet", func(net.Conn) {}, true},
		{"closed", func(nc net.Conn) { _ = nc.Close() }, false},
		{"reset", reset, false},
		{"talking", func(nc net.Conn) { _, _ = io.WriteString(nc, okAnswer) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dialled, done, release := make(chan bool), make(chan bool), make(chan bool)
			s := startSinkFunc(t, func(nc net.Conn) { <-dialled; tt.then(nc); close(done); <-release })
			defer close(release)
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			close(dialled)
			<-done
			time.Sleep(5 * time.Millisecond)
			if got := (&conn{raw: nc}).alive(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPost_ReturnsSoonAfterCancel(t *testing.T) {
	reached := make(chan bool, 8)
	s := startSinkFunc(t, func(nc net.Conn) {
		_, _ = readRequest(nc)
		reached <- true
		_, _ = nc.Read(make([]byte, 1)) // until the client hangs up
	})
	for _, how := range []string{"cancel", "close"} {
		client := New(local())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := client.Post(ctx, &Request{Target: mustTarget(t, "http://"+s.addr)})
				if kindOf(err) != Canceled {
					t.Errorf("%s: got %v, want Canceled", how, err)
				}
			})
		}
		for range 4 {
			<-reached
		}
		start := time.Now()
		if how == "cancel" {
			cancel()
		} else {
			client.Close()
		}
		wg.Wait()
		if took := time.Since(start); took > 10*time.Second { // it could wait for thirty
			t.Errorf("%s took %v", how, took)
		}
		cancel()
		if _, err := client.Post(ctx, &Request{Target: mustTarget(t, "http://"+s.addr)}); kindOf(err) != Canceled {
			t.Errorf("%s: afterwards got %v, want Canceled", how, err)
		}
		client.Close()
	}
}

func TestPost_CancelsWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for _, how := range []string{"cancel", "close"} {
			client := New(Options{Dial: hang, Resolver: resolveTo("1.1.1.1", "2606:4700::1111", "1.0.0.1")})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, map[string]func(){"cancel": cancel, "close": client.Close}[how])
			start := time.Now()
			_, err := client.Post(ctx, &Request{Target: mustTarget(t, "http://example.com")})
			if kindOf(err) != Canceled || time.Since(start) != time.Second {
				t.Errorf("%s: got %v after %v", how, err, time.Since(start))
			}
			cancel()
			client.Close()
		}
	})
}

// pipeServer is an http.Server over net.Pipe, for bubbles.
func pipeServer(t *testing.T, handler http.HandlerFunc) func(context.Context, string, string) (net.Conn, error) {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		wg.Wait()
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestPost_KeepsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan bool)
		defer close(hang)
		dial := pipeServer(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			switch r.URL.Path {
			case "/late":
				time.Sleep(29900 * time.Millisecond)
				_, _ = io.WriteString(w, "ok")
			case "/silent":
				select {
				case <-hang:
				case <-r.Context().Done():
				}
			case "/trickle":
				for range 1000 {
					_, _ = io.WriteString(w, "x")
					if err := http.NewResponseController(w).Flush(); err != nil {
						return
					}
					time.Sleep(1100 * time.Millisecond)
				}
			}
		})
		defer time.Sleep(2 * time.Second) // until the handlers have seen that nobody reads
		client := New(Options{Dial: dial, Resolver: resolveTo("1.1.1.1")})
		defer client.Close()
		for _, tt := range []struct {
			path      string
			timeout   time.Duration
			took      time.Duration
			kind      Kind
			body      string
			truncated bool
		}{
			{"/now", 0, 0, "", "", false},
			{"/late", 0, 29900 * time.Millisecond, "", "ok", false},
			{"/late", 15 * time.Second, 15 * time.Second, Timeout, "", false},
			{"/silent", 0, 30 * time.Second, Timeout, "", false},
			{"/trickle", 0, 5 * time.Second, "", "xxxxx", true},
			{"/trickle", 2500 * time.Millisecond, 2500 * time.Millisecond, "", "xxx", true},
		} {
			start := time.Now()
			resp, err := client.Post(t.Context(), &Request{
				Target: mustTarget(t, "http://example.com"+tt.path), Timeout: tt.timeout, Body: []byte(long(10000))})
			if took := time.Since(start); took != tt.took || kindOf(err) != tt.kind {
				t.Errorf("%s: got %v after %v, want kind %q after %v", tt.path, err, took, tt.kind, tt.took)
			}
			if err != nil {
				if e, _ := errors.AsType[*Error](err); e.Duration != tt.took {
					t.Errorf("%s: the error says %v, want %v", tt.path, e.Duration, tt.took)
				}
				continue
			}
			if resp.Status != 200 || string(resp.Body) != tt.body || resp.Truncated != tt.truncated || resp.Duration != tt.took {
				t.Errorf("%s: got %+v", tt.path, resp)
			}
		}
	})
}

func TestClient_ForgetsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := pipeServer(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) })
		client := New(Options{Dial: dial, Resolver: resolveTo("1.1.1.1"), IdlePerTarget: 2, IdleTotal: 3, IdleTimeout: time.Minute})
		defer client.Close()
		burst := func(host string, n int) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if _, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://"+host)}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		for _, tt := range []struct {
			host string
			n    int
			want int
		}{{"a.example", 5, 2}, {"b.example", 1, 3}, {"c.example", 2, 3}} {
			burst(tt.host, tt.n)
			if client.Idle() != tt.want {
				t.Errorf("after %s: %d idle, want %d", tt.host, client.Idle(), tt.want)
			}
		}
		time.Sleep(40 * time.Second)
		burst("c.example", 1)
		time.Sleep(30 * time.Second)
		if client.Idle() != 1 {
			t.Errorf("%d idle, want the one that was used", client.Idle())
		}
		time.Sleep(31 * time.Second)
		if client.Idle() != 0 {
			t.Errorf("%d idle after the idle timeout", client.Idle())
		}
	})
}

func TestClient_LeavesNothingBehind(t *testing.T) {
	client := New(local())
	goroutines, files := count(t)
	s := startSinkFunc(t, answerEach(okAnswer))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				body := strings.Repeat("x", i)
				if _, err := client.Post(ctx, &Request{Target: mustTarget(t, "http://"+s.addr), Body: []byte(body)}); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if n := s.accepted.Load(); n > 16 {
		t.Errorf("16 senders made %d connections", n)
	}
	client.Close()
	if len(client.conns.busy) != 0 || len(client.conns.dials) != 0 {
		t.Errorf("%d groups and %d dials left", len(client.conns.busy), len(client.conns.dials))
	}
	for wait := time.Millisecond; ; wait *= 2 {
		g, f := count(t)
		if g <= goroutines+1 && f <= files+1 { // the listener and its accept loop
			return
		}
		if wait > 10*time.Second {
			t.Fatalf("from %d goroutines and %d files to %d and %d", goroutines, files, g, f)
		}
		time.Sleep(wait)
	}
}
