package deliver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// world is an engine over a real SQLite file and a network of pipes, inside a synctest bubble:
// three days pass in milliseconds.
type world struct {
	t     *testing.T
	path  string
	store *sqlite.Store
	dir   *directory.Directory
	net   *pipeNetwork
	stop  func()
	app   hark.Application
	opt   deliver.Options
	eng   *deliver.Engine
	slow  *slowSource                       // what the directory reads; nil: the store
	wrap  func(deliver.Store) deliver.Store // what the engine sees of the store; nil: all

	settle func() // waits until a bubble is idle; nil: there is none
}

func newWorld(t *testing.T, opt deliver.Options) *world {
	time.Sleep(time.Until(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))) // ids cannot tell the bubble's year 2000
	w := newRealWorld(t, opt)
	w.settle = synctest.Wait
	return w
}

// newRealWorld is a world outside of any bubble, whose time is everybody's.
func newRealWorld(t *testing.T, opt deliver.Options) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "hark.db"), net: &pipeNetwork{hosts: map[string]http.HandlerFunc{}}, opt: opt}
	w.start()
	now := time.Now()
	env := hark.Environment{ID: hark.NewEnvironmentID(now), Name: "test", CreatedAt: now}
	if err := w.store.InsertEnvironment(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	w.app = w.application(env.ID, "shop")
	return w
}

// start opens the store and runs an engine on it, as a process does.
func (w *world) start() {
	w.t.Helper()
	var err error
	if w.store, err = sqlite.Open(w.t.Context(), w.path, sqlite.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.dir = directory.New(w.store, directory.Options{})
	if w.slow != nil {
		w.slow.Source = w.store
		w.dir = directory.New(w.slow, directory.Options{})
	}
	client := outbound.New(outbound.Options{Dial: w.net.dial, Resolver: w.net})
	opt := w.opt
	opt.Store, opt.Directory, opt.Client = w.store, w.dir, client
	if w.wrap != nil {
		opt.Store = w.wrap(w.store)
	}
	opt.Disable = func(ctx context.Context, app, ep hark.Ref, reason string) error {
		return w.change(ep, func(e *hark.Endpoint) { e.Disabled, e.DisabledReason, e.DisabledAt = true, reason, time.Now() })
	}
	w.eng = deliver.New(opt)
	w.store.OnQueued(w.eng.Offer)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.eng.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		client.Close()
		if err := w.store.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
		if w.settle != nil {
			w.settle()
		}
	}
}

func (w *world) application(env hark.EnvironmentID, name string) hark.Application {
	w.t.Helper()
	now := time.Now()
	app, err := w.store.InsertApplication(w.t.Context(), hark.Application{
		ID: hark.NewApplicationID(now), EnvironmentID: env, Name: name, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return app
}

// endpoint adds an endpoint whose host answers by handle.
func (w *world) endpoint(host string, handle http.HandlerFunc, set func(*hark.Endpoint)) hark.Endpoint {
	w.t.Helper()
	now := time.Now()
	ep := hark.Endpoint{
		ID: hark.NewEndpointID(now), ApplicationRef: w.app.Ref, URL: "http://" + host + ".example.com/hook", CreatedAt: now, UpdatedAt: now,
		Secrets: []hark.Secret{{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", CreatedAt: now}},
	}
	if set != nil {
		set(&ep)
	}
	ep, err := w.store.InsertEndpoint(w.t.Context(), ep)
	if err != nil {
		w.t.Fatal(err)
	}
	w.net.add(host+".example.com", handle)
	w.dir.Forget(w.app.Ref)
	w.eng.EndpointChanged(ep.Ref)
	return ep
}

func (w *world) change(ref hark.Ref, change func(*hark.Endpoint)) error {
	eps, err := w.store.EndpointsByRef(context.Background(), []hark.Ref{ref})
	if err != nil || len(eps) != 1 {
		return fmt.Errorf("endpoint %d: %d found, %w", ref, len(eps), err)
	}
	_, err = w.store.UpdateEndpoint(context.Background(), eps[0].ApplicationRef, string(eps[0].ID), func(e *hark.Endpoint) error { change(e); return nil })
	w.dir.Forget(eps[0].ApplicationRef)
	w.eng.EndpointChanged(ref)
	return err
}

// publish accepts a message as the manage room does: matched, with its deliveries.
func (w *world) resend(m hark.Message, ep hark.Endpoint) {
	w.t.Helper()
	err := w.store.Enqueue(context.Background(), []hark.Delivery{{
		EndpointRef: ep.Ref, ApplicationRef: w.app.Ref, MessageRef: m.Ref, Due: time.Now().UnixMilli(), Trigger: hark.Manual,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustChange(ref hark.Ref, change func(*hark.Endpoint)) {
	w.t.Helper()
	if err := w.change(ref, change); err != nil {
		w.t.Fatal(err)
	}
}

// stored is the endpoint as the store has it now.
func (w *world) stored(ep hark.Endpoint) hark.Endpoint {
	w.t.Helper()
	eps, err := w.store.EndpointsByRef(w.t.Context(), []hark.Ref{ep.Ref})
	if err != nil || len(eps) != 1 {
		w.t.Fatalf("endpoint %s: %d rows, %v", ep.ID, len(eps), err)
	}
	return eps[0]
}

func (w *world) publish(payload string) hark.Message {
	w.t.Helper()
	a, err := w.tryPublish(w.app, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Message
}

func (w *world) tryPublish(app hark.Application, payload string) (*store.Acceptance, error) {
	now := time.Now()
	cached, err := w.dir.ByRef(context.Background(), app.Ref)
	if err != nil {
		return nil, err
	}
	a := &store.Acceptance{EnvironmentID: app.EnvironmentID, Message: hark.Message{
		ID: hark.NewMessageID(now), ApplicationRef: app.Ref, EventType: "order.paid", Payload: []byte(payload), CreatedAt: now,
	}}
	for _, ep := range cached.Match(match.NewSubject("order.paid", nil, a.Message.Payload)) {
		a.Message.Matched = append(a.Message.Matched, ep.Ref)
		d := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: app.Ref, Due: now.UnixMilli(), Message: &a.Message}
		if ep.Ordering != hark.Unordered && ep.Ordering != hark.OrderByEndpoint {
			d.Line, _ = match.Line(a.Message.Payload, string(ep.Ordering))
		}
		a.Deliveries = append(a.Deliveries, d)
	}
	return a, w.store.Accept(context.Background(), []*store.Acceptance{a})
}

func (w *world) attempts(m hark.Message) []hark.Attempt {
	w.t.Helper()
	list, err := w.store.AttemptsByMessage(context.Background(), m.Ref, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 100, Descending: true})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

func (w *world) queued() (n int) {
	w.t.Helper()
	lanes, err := w.store.Backlogs(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range lanes {
		rows, err := w.store.ReadQueue(context.Background(), l.EndpointRef, store.Position{Due: -1 << 62}, 1_000_000)
		if err != nil {
			w.t.Fatal(err)
		}
		n += len(rows)
	}
	return n
}

// pipeNetwork is an internet of its own: names, addresses, and connections that are net.Pipes.
type pipeNetwork struct {
	mu    sync.Mutex
	names []string // the n-th host has the address 203.0.112.n
	hosts map[string]http.HandlerFunc
}

func (n *pipeNetwork) add(host string, handle http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = append(n.names, host)
	n.hosts[host] = handle
}

func (n *pipeNetwork) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.names, host)
	if i < 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 112, byte(i)})}, nil
}

func (n *pipeNetwork) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	handle := n.hosts[n.names[netip.MustParseAddrPort(addr).Addr().As4()[3]]]
	client, server := net.Pipe()
	go serve(server, handle)
	return client, nil
}

// serve answers the requests of one connection with the standard library's parser.
func serve(conn net.Conn, handle http.HandlerFunc) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		req.Body = io.NopCloser(&fixed{body})
		a := &answer{header: http.Header{}, status: 200}
		handle(a, req)
		out := fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Length: %d\r\n", a.status, len(a.body))
		for k := range a.header {
			out += k + ": " + a.header.Get(k) + "\r\n"
		}
		if _, err := conn.Write(append([]byte(out+"\r\n"), a.body...)); err != nil {
			return
		}
	}
}

type fixed struct{ rest []byte }

func (f *fixed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { a.body = append(a.body, p...); return len(p), nil }

// journal is a receiver that remembers what came, when.
type journal struct {
	mu    sync.Mutex
	seen  []string
	times []time.Time
	ids   []string
}

func (j *journal) note(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen = append(j.seen, string(body))
	j.times = append(j.times, time.Now())
	j.ids = append(j.ids, r.Header.Get("webhook-id"))
	return string(body)
}

func (j *journal) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.seen)
}

func (j *journal) ok(w http.ResponseWriter, r *http.Request) { j.note(r) }

func always(status int, j *journal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { j.note(r); w.WriteHeader(status) }
}

func TestEngine_RetriesForThreeDaysOnTheStandardSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{DisableAfter: -1})
		defer func() { w.stop() }()
		var j journal
		w.endpoint("down", always(500, &j), nil)
		m := w.publish(`{"n":1}`)
		time.Sleep(120 * time.Hour)
		synctest.Wait()

		if len(j.times) != 10 {
			t.Fatalf("%d attempts, want 10", len(j.times))
		}
		for i, wait := range hark.StandardSchedule {
			got := j.times[i+1].Sub(j.times[i])
			if got < wait*8/10 || got > wait*12/10+time.Second {
				t.Errorf("wait %d = %v, want %v ± 20 %%", i+1, got, wait)
			}
		}
		for _, id := range j.ids {
			if id != string(m.ID) {
				t.Errorf("webhook-id %q, want %q on every attempt", id, m.ID)
			}
		}
		list := w.attempts(m)
		if len(list) != 10 || list[9].Status != hark.Failed || list[8].Status != hark.Failed || list[8].NextAttempt.IsZero() || list[9].Number != 10 {
			t.Errorf("recorded attempts: %+v", list)
		}
		if n := w.queued(); n != 0 {
			t.Errorf("%d rows left in the queue", n)
		}
	})
}

func TestEngine_GoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		var j journal
		var up atomic.Bool
		w.endpoint("flaky", func(rw http.ResponseWriter, r *http.Request) {
			j.note(r)
			if !up.Load() {
				rw.WriteHeader(503)
			}
		}, nil)
		m := w.publish(`{"n":1}`)
		time.Sleep(30 * time.Second) // two attempts
		synctest.Wait()
		w.stop()
		before := len(j.list())
		up.Store(true)
		time.Sleep(10 * time.Minute)
		w.start()
		defer func() { w.stop() }()
		time.Sleep(time.Second)
		synctest.Wait()
		if before != 2 || len(j.list()) != 3 {
			t.Fatalf("attempts before and after the restart: %d, %d; want 2, 3", before, len(j.list()))
		}
		if list := w.attempts(m); list[2].Status != hark.Succeeded || list[2].Number != 3 {
			t.Errorf("last attempt: %+v", list[2])
		}
	})
}

func TestEngine_AHangingEndpointDoesNotDelayAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		w.endpoint("slow", func(rw http.ResponseWriter, r *http.Request) { time.Sleep(29 * time.Second) }, nil)
		var j journal
		w.endpoint("fast", j.ok, nil)
		for i := range 100 {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := len(j.list()); got != 100 {
			t.Errorf("the fast endpoint got %d of 100 messages", got)
		}
		time.Sleep(3 * time.Hour)
	})
}

func TestEngine_ManySlowEndpointsLeaveSlotsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{InFlight: 128})
		defer func() { w.stop() }()
		for i := range 30 { // 30 × 64 in flight would take all slots ten times over
			w.endpoint(fmt.Sprint("slow", i), func(rw http.ResponseWriter, r *http.Request) { time.Sleep(10 * time.Second) }, nil)
		}
		for i := range 100 {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(time.Second)
		var j journal
		w.endpoint("fast", j.ok, nil)
		for i := range 20 {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := len(j.list()); got != 20 {
			t.Errorf("the fast endpoint got %d of 20 messages", got)
		}
	})
}

func TestEngine_KeepsTheOrderOfAnEndpointThroughFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		var j journal
		fails := map[string]int{`{"n":2}`: 2, `{"n":5}`: 1}
		w.endpoint("line", func(rw http.ResponseWriter, r *http.Request) {
			if body := j.note(r); fails[body] > 0 {
				fails[body]--
				rw.WriteHeader(500)
			}
		}, func(e *hark.Endpoint) {
			e.Ordering = hark.OrderByEndpoint
			e.RetrySchedule = hark.Schedule{time.Second, time.Minute}
		})
		for i := 1; i <= 6; i++ {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(500 * time.Millisecond)
		w.stop() // the line must hold across a restart
		w.start()
		defer func() { w.stop() }()
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{`{"n":1}`, `{"n":2}`, `{"n":2}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`, `{"n":5}`, `{"n":6}`}
		if got := j.list(); !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestEngine_OrderByKeyBlocksOnlyItsOwnLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		var up atomic.Bool
		w.endpoint("line", func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if string(body) == `{"c":"a","n":0}` && !up.Load() {
				rw.WriteHeader(500)
				return
			}
			j.mu.Lock()
			j.seen = append(j.seen, string(body))
			j.mu.Unlock()
		}, func(e *hark.Endpoint) { e.Ordering = "/c"; e.RetrySchedule = hark.Schedule{time.Minute} })
		for i := range 5 {
			w.publish(fmt.Sprintf(`{"c":"a","n":%d}`, i))
			w.publish(fmt.Sprintf(`{"c":"b","n":%d}`, i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var wantB []string
		for i := range 5 {
			wantB = append(wantB, fmt.Sprintf(`{"c":"b","n":%d}`, i))
		}
		if got := j.list(); !slices.Equal(got, wantB) {
			t.Errorf("while line a is blocked: %v, want %v", got, wantB)
		}
		up.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var wantA []string
		for i := range 5 {
			wantA = append(wantA, fmt.Sprintf(`{"c":"a","n":%d}`, i))
		}
		if got := j.list()[5:]; !slices.Equal(got, wantA) {
			t.Errorf("after it: %v, want %v", got, wantA)
		}
	})
}

func TestEngine_GoneDisablesTheEndpointAndKeepsItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("gone", always(410, &j), func(e *hark.Endpoint) { e.Ordering = hark.OrderByEndpoint })
		m := w.publish(`{"n":1}`)
		w.publish(`{"n":2}`)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 1 {
			t.Errorf("%d attempts, want 1", got)
		}
		if got := w.stored(ep); !got.Disabled || got.DisabledReason != "gone" {
			t.Errorf("endpoint disabled %v, reason %q", got.Disabled, got.DisabledReason)
		}
		if list := w.attempts(m); len(list) != 1 || list[0].Status != hark.Failed {
			t.Errorf("attempts: %+v", list)
		}
		if n := w.queued(); n != 1 {
			t.Errorf("%d rows are held, want 1", n)
		}
	})
}

func TestEngine_PauseHoldsAndResumeReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("paused", j.ok, func(e *hark.Endpoint) { e.Paused = true })
		for i := range 500 {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 0 {
			t.Errorf("%d attempts while paused", got)
		}
		if err := w.change(ep.Ref, func(e *hark.Endpoint) { e.Paused = false }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(j.list()); got != 500 {
			t.Errorf("%d of 500 after resume", got)
		}
	})
}

func TestEngine_ThrottleRateIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		w.endpoint("slowly", j.ok, func(e *hark.Endpoint) { e.ThrottleRate = 2 })
		for i := range 21 {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(5*time.Second + 10*time.Millisecond)
		synctest.Wait()
		if got := len(j.list()); got != 11 {
			t.Errorf("%d attempts in five seconds at 2/s, want 11", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(j.list()); got != 21 {
			t.Errorf("%d attempts in the end, want 21", got)
		}
	})
}

func TestEngine_DrainsABacklogFarLargerThanMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{RowsInMemory: 50, PayloadBytes: 100})
		defer func() { w.stop() }()
		var j journal
		var eps []hark.Endpoint
		for i := range 4 {
			eps = append(eps, w.endpoint(fmt.Sprint("e", i), j.ok, func(e *hark.Endpoint) { e.Paused = true }))
		}
		const n = 1200
		for i := range n {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		for _, ep := range eps {
			if err := w.change(ep.Ref, func(e *hark.Endpoint) { e.Paused = false }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := j.list()
		slices.Sort(got)
		if len(got) != 4*n || len(slices.Compact(got)) != n {
			t.Errorf("%d deliveries, want %d, each message four times", len(j.list()), 4*n)
		}
		if n := w.queued(); n != 0 {
			t.Errorf("%d rows left in the queue", n)
		}
	})
}

func TestEngine_AResendThatWorksCancelsTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		var up atomic.Bool
		ep := w.endpoint("flaky", func(rw http.ResponseWriter, r *http.Request) {
			j.note(r)
			if !up.Load() {
				rw.WriteHeader(500)
			}
		}, func(e *hark.Endpoint) { e.RetrySchedule = hark.Schedule{time.Hour} })
		m := w.publish(`{"n":1}`)
		time.Sleep(time.Second)
		up.Store(true)
		w.resend(m, ep)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 2 {
			t.Errorf("%d attempts, want 2: the first and the resend", got)
		}
		if n := w.queued(); n != 0 {
			t.Errorf("%d rows left in the queue", n)
		}
	})
}

func TestEngine_ResendsGoOutEvenWhenTheEndpointIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("paused", j.ok, func(e *hark.Endpoint) { e.Paused = true })
		m := w.publish(`{"n":1}`)
		time.Sleep(time.Second)
		w.resend(m, ep)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(j.list()); got != 1 {
			t.Errorf("%d attempts, want the resend", got)
		}
	})
}

func TestEngine_DisablesAnEndpointThatFailsForFiveDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("down", always(500, &j), nil)
		for day := range 7 {
			if day < 5 && w.stored(ep).Disabled {
				t.Fatalf("disabled on day %d", day)
			}
			w.publish(`{"n":1}`)
			time.Sleep(24 * time.Hour)
		}
		if got := w.stored(ep); !got.Disabled || got.DisabledReason != "failing" {
			t.Errorf("after a week: disabled %v, reason %q", got.Disabled, got.DisabledReason)
		}
	})
}

func TestEngine_AnEndedRunLetsAttemptsInFlightFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{DrainTimeout: 10 * time.Second})
		var j journal
		w.endpoint("slowish", func(rw http.ResponseWriter, r *http.Request) { time.Sleep(5 * time.Second); j.note(r) }, nil)
		w.endpoint("stuck", func(rw http.ResponseWriter, r *http.Request) { time.Sleep(25 * time.Second); j.note(r) }, nil)
		m := w.publish(`{"n":1}`)
		time.Sleep(time.Second)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("stopping took %v", took)
		}
		w.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		list := w.attempts(m)
		w.stop()
		if len(list) != 2 || list[0].Status != hark.Succeeded || list[1].Status != hark.Succeeded {
			t.Errorf("attempts: %+v", list)
		}
	})
}

// brokenStore fails to settle until it is mended.
type brokenStore struct {
	deliver.Store
	broken atomic.Bool
}

func (b *brokenStore) Settle(ctx context.Context, s []store.Settlement) error {
	if b.broken.Load() {
		return errors.New("disk full")
	}
	return b.Store.Settle(ctx, s)
}

func TestEngine_AStoreThatCannotWriteDelaysTheRecordAndRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		w.stop()
		broken := &brokenStore{}
		// The same world, with a store in between.
		var err error
		if w.store, err = sqlite.Open(t.Context(), w.path, sqlite.Options{}); err != nil {
			t.Fatal(err)
		}
		broken.Store = w.store
		w.dir = directory.New(w.store, directory.Options{})
		client := outbound.New(outbound.Options{Dial: w.net.dial, Resolver: w.net})
		w.eng = deliver.New(deliver.Options{Store: broken, Directory: w.dir, Client: client})
		w.store.OnQueued(w.eng.Offer)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.eng.Run(ctx) }()

		var j journal
		w.endpoint("fine", j.ok, nil)
		broken.broken.Store(true)
		var last hark.Message
		for i := range 50 {
			last = w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(57 * time.Second)
		synctest.Wait()
		if got := len(w.attempts(last)); got != 0 {
			t.Errorf("%d attempts recorded by a broken store", got)
		}
		broken.broken.Store(false)
		time.Sleep(2 * time.Second) // the endpoint stands still until a first result is recorded
		synctest.Wait()
		if got := len(j.list()); got != 50 {
			t.Errorf("%d requests, want 50: none twice", got)
		}
		if got := len(w.attempts(last)); got != 1 {
			t.Errorf("%d attempts recorded, want 1", got)
		}
		cancel()
		<-done
		client.Close()
		w.store.Close()
		synctest.Wait()
	})
}
