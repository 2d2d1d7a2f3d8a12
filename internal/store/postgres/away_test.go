package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

// proxy stands between a store and its server, and loses things.
type proxy struct {
	listener net.Listener
	target   string
	// cutAnswers drops the next n answers of more than some bytes that the server gives, and the
	// connection with them: the server did what it was told, and nobody hears of it.
	cutAnswers atomic.Int32
	// kept, when not nil, keeps the next such answer back until it is closed.
	kept atomic.Pointer[chan struct{}]
	// silent swallows everything, as a network does that is cut.
	silent atomic.Bool
	// silentAfterCut is silent from the next cut on.
	silentAfterCut atomic.Bool

	mu   sync.Mutex
	ends []net.Conn // of all connections
}

func newProxy(t *testing.T, port int) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.ends = append(p.ends, client, server)
	p.mu.Unlock()
	go func() {
		defer client.Close()
		defer server.Close()
		_ = p.copy(server, client, false)
	}()
	_ = p.copy(client, server, true)
}

func (p *proxy) copy(to, from net.Conn, answers bool) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return err
		}
		for p.silent.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if answers && strings.Contains(string(buf[:n]), "INSERT 0 1") {
			if p.cutAnswers.Add(-1) >= 0 {
				if p.silentAfterCut.Swap(false) {
					p.silent.Store(true)
				}
				return io.EOF
			}
			if kept := p.kept.Swap(nil); kept != nil {
				<-*kept
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// lose ends all connections, with whatever is on its way. A server that is waiting for something does not
// notice.
func (p *proxy) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, end := range p.ends {
		end.Close()
	}
	p.ends = nil
}

// keep keeps the next answer to a write back until release is called.
func (p *proxy) keep() (release func()) {
	kept := make(chan struct{})
	p.kept.Store(&kept)
	return sync.OnceFunc(func() { close(kept) })
}

func (p *proxy) url(database string) string {
	return "postgres://postgres@" + p.listener.Addr().String() + "/" + database + "?sslmode=disable"
}

// away is a store behind a proxy, with an application.
func openAway(t *testing.T, server *postgrestest.Server, options Options) (*Store, *proxy) {
	t.Helper()
	url := server.Database(t, "partitioned", func(url string) error { return Migrate(t.Context(), url, Options{}) })
	p := newProxy(t, server.Port())
	return openTest(t, p.url(postgrestest.Name(url)), options), p
}

func fresh(endpoint hark.Ref) *store.Acceptance {
	at := time.Now()
	return &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: 1, EventType: "t", Payload: []byte(`{}`), CreatedAt: at,
		Matched: []hark.Ref{endpoint}}, Deliveries: []hark.Delivery{{EndpointRef: endpoint, Due: at.UnixMilli()}}}
}

// The answer to a commit gets lost. The write is not repeated, and its caller hears that it worked.
func TestAccept_AsksWhatBecameOfACommit(t *testing.T) {
	s, p := openAway(t, postgrestest.Shared(t), Options{})
	var queued atomic.Int32
	s.OnQueued(func(ds []hark.Delivery) { queued.Add(int32(len(ds))) })
	if err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)}); err != nil { // the day's tables are there now
		t.Fatal(err)
	}
	for round := range 3 {
		p.cutAnswers.Store(1)
		a := fresh(1)
		a.Message.EventID = [...]string{"", "event", ""}[round] // in one go, and in a transaction of several
		if err := s.Accept(t.Context(), []*store.Acceptance{a}); err != nil || a.Outcome != store.Accepted {
			t.Fatalf("%v, outcome %d", err, a.Outcome)
		}
		settle := []store.Settlement{success(a.Deliveries[0], 0)}
		p.cutAnswers.Store(1)
		if err := s.Settle(t.Context(), settle); err != nil {
			t.Fatal(err)
		}
	}
	if p.cutAnswers.Load() > 0 {
		t.Error("no answer was cut")
	}
	all, err := s.ListMessages(t.Context(), 1, store.MessageFilter{}, store.Page{Limit: 100})
	if err != nil || len(all) != 4 || queued.Load() != 4 {
		t.Errorf("%d messages are kept, %d deliveries told of, want 4: %v", len(all), queued.Load(), err)
	}
	if wrong, err := s.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
}

// The answer gets lost, and then the network is away for longer than anybody waits. The caller is told
// no; what was committed nevertheless is delivered as soon as that is known.
func TestAccept_DeliversWhatWasCommittedInDoubt(t *testing.T) {
	t.Parallel()
	s, p := openAway(t, postgrestest.Shared(t), Options{})
	var queued atomic.Int32
	s.OnQueued(func(ds []hark.Delivery) { queued.Add(int32(len(ds))) })
	if err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)}); err != nil {
		t.Fatal(err)
	}
	p.cutAnswers.Store(1)
	p.silentAfterCut.Store(true)
	if err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)}); hark.CodeOf(err) != hark.Unavailable {
		t.Fatalf("while nobody knows: %v, want Unavailable", err)
	}
	p.silent.Store(false)
	soon(t, func() bool { return queued.Load() == 2 })
	if err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)}); err != nil {
		t.Fatal(err)
	}
	all, err := s.ListMessages(t.Context(), 1, store.MessageFilter{}, store.Page{Limit: 100})
	if err != nil || len(all) != 3 {
		t.Errorf("%d messages, want 3: %v", len(all), err)
	}
}

// A configuration change whose answer gets lost is not made twice.
func TestChange_AsksWhatBecameOfACommit(t *testing.T) {
	s, p := openAway(t, postgrestest.Shared(t), Options{})
	at := time.Now()
	app, err := s.InsertApplication(t.Context(), hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: "e"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		p.cutAnswers.Store(1) // somewhere in the middle
		if _, err := s.UpdateApplication(t.Context(), "e", string(app.ID), func(a *hark.Application) error { a.ThrottleRate++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	app, err = s.ApplicationByRef(t.Context(), app.Ref)
	if err != nil || app.ThrottleRate != 5 {
		t.Errorf("changed %d times, want 5: %v", app.ThrottleRate, err)
	}
}

// While the database cannot be reached every call says so within some seconds, and afterwards all is
// well by itself.
func TestStore_SaysThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t, postgrestest.Options{})
	s, p := openAway(t, server, Options{})
	for what, away := range map[string]struct{ cut, mend func() }{
		"network": {func() { p.silent.Store(true) }, func() { p.silent.Store(false) }},
		"server": {server.Crash, func() {
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)}); err != nil {
			t.Fatal(err)
		}
		away.cut()
		var calls sync.WaitGroup
		for name, call := range map[string]func() error{
			"accept": func() error { return s.Accept(t.Context(), []*store.Acceptance{fresh(1)}) },
			"settle": func() error {
				return s.Settle(t.Context(), []store.Settlement{{Delivery: hark.Delivery{EndpointRef: 1}}})
			},
			"read":   func() error { _, err := s.ReadQueue(t.Context(), 1, store.Position{}, 1); return err },
			"change": func() error { return s.Ping(t.Context()) },
		} {
			for range 3 {
				calls.Go(func() {
					start := time.Now()
					err := call()
					if e, ok := errors.AsType[*hark.Error](err); !ok || e.Code != hark.Unavailable || e.RetryAfter == 0 {
						t.Errorf("%s, no %s: %v", name, what, err)
					}
					if took := time.Since(start); took > 30*time.Second {
						t.Errorf("%s, no %s: it took %v to say so", name, what, took)
					}
				})
			}
		}
		calls.Wait()
		away.mend()
		healed := time.Now()
		soon(t, func() bool { // a writer may just be trying an old connection
			err := s.Accept(t.Context(), []*store.Acceptance{fresh(1)})
			if err != nil && time.Since(healed) > time.Minute/2 {
				t.Fatalf("after the %s came back: %v", what, err)
			}
			return err == nil
		})
		if _, err := s.Stats(t.Context()); err != nil {
			t.Errorf("after the %s came back: %v", what, err)
		}
		t.Logf("%s: healed after %v", what, time.Since(healed))
	}
}

// The server crashes under load, again and again. What was acknowledged is there, once.
func TestStore_KeepsWhatItAcknowledgedThroughCrashes(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t, postgrestest.Options{Fsync: true})
	s, _ := openAway(t, server, Options{})
	const workers = 16
	for range workers { // their refs are 1 to 16
		at := time.Now()
		if _, err := s.InsertEndpoint(t.Context(), hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: 1}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	accepted, settled := make(map[hark.MessageID]hark.Ref), make(map[hark.Ref]bool)
	var mu sync.Mutex
	var working sync.WaitGroup
	var refused atomic.Int32
	for worker := range workers {
		working.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a := fresh(hark.Ref(worker + 1))
				if worker%4 == 0 {
					a.Message.EventID = string(a.Message.ID)
				}
				if err := s.Accept(context.Background(), []*store.Acceptance{a}); err != nil {
					refused.Add(1)
					time.Sleep(10 * time.Millisecond)
					continue
				}
				mu.Lock()
				accepted[a.Message.ID] = a.Message.Ref
				mu.Unlock()
				if i%2 == 0 {
					continue
				}
				if err := s.Settle(context.Background(), []store.Settlement{success(a.Deliveries[0], 0)}); err == nil {
					mu.Lock()
					settled[a.Message.Ref] = true
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		server.Crash()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	cancel()
	working.Wait()
	if wrong, err := s.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
	lost := 0
	for id, ref := range accepted {
		m, err := s.Message(t.Context(), 1, string(id), true)
		if err != nil || m.Ref != ref || m.Payload == nil {
			lost++
			t.Logf("%s: %v", id, err)
		}
	}
	for ref := range settled {
		all, err := s.AttemptsByMessage(t.Context(), ref, store.AttemptFilter{}, store.Page{Limit: 10})
		if err != nil || len(all) != 1 {
			t.Fatalf("message %d has %d attempts: %v", ref, len(all), err)
		}
	}
	t.Logf("%d accepted, %d settled, %d refused", len(accepted), len(settled), refused.Load())
	if lost > 0 {
		t.Errorf("%d of %d acknowledged messages are lost", lost, len(accepted))
	}
}
