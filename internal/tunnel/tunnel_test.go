package tunnel_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
	"github.com/harkhq/hark/internal/tunnel"
)

// shelf is a store with one consumer.
type shelf struct {
	mu       sync.Mutex
	entries  []store.FeedEntry
	last     int64
	cursors  map[string]int64
	attempts []hark.Attempt
	broken   error // of Settle
}

func (s *shelf) add(n int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.last++
		id := hark.MessageID("msg_" + strconv.FormatInt(s.last, 10))
		s.entries = append(s.entries, store.FeedEntry{Seq: s.last, Message: hark.Message{Ref: 1000 + s.last, ID: id, EventType: "a.b", Payload: []byte(body)}})
	}
}

func (s *shelf) ReadFeed(_ context.Context, _ hark.Ref, after int64, limit int) (some []store.FeedEntry, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for _, e := range s.entries {
		if e.Seq > after && len(some) < limit && bytes < store.FeedBytes {
			bytes += len(e.Message.Payload)
			some = append(some, e)
		}
	}
	return some, nil
}

func (s *shelf) FeedEnds(context.Context, hark.Ref) (first, last int64, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.last + 1
	if len(s.entries) > 0 {
		first = s.entries[0].Seq
	}
	return first, s.last, nil
}

func (s *shelf) FeedLasts(context.Context, []hark.Ref) (map[hark.Ref]int64, error) { return nil, nil }

func (s *shelf) Cursor(_ context.Context, _ hark.Ref, group string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.cursors[group]
	if !ok {
		return 0, hark.ErrNotFound
	}
	return at, nil
}

func (s *shelf) MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	if at, _ := s.Cursor(ctx, consumer, group); seq <= at {
		return nil
	}
	return s.SeekCursor(ctx, consumer, group, seq, now)
}

func (s *shelf) SeekCursor(_ context.Context, _ hark.Ref, group string, seq int64, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors[group] = seq
	return nil
}

func (s *shelf) Settle(_ context.Context, settlements []store.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	for _, one := range settlements {
		if one.Told {
			s.attempts = append(s.attempts, *one.Attempt)
		}
	}
	return nil
}

func (s *shelf) kept() []hark.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// place is that of the group g.
func (s *shelf) place() int64 {
	at, _ := s.Cursor(context.Background(), 1, "g")
	return at
}

// gate serves tunnels to the shelf.
type gate struct {
	*shelf
	t      *testing.T
	hub    *stream.Hub
	server *httptest.Server
	may    atomic.Pointer[error] // what Endpoint answers, if anything
}

func newGate(t *testing.T) *gate {
	g := &gate{t: t, shelf: &shelf{cursors: map[string]int64{}}}
	g.hub = stream.New(stream.Options{Store: g.shelf})
	tunnels := tunnel.New(tunnel.Options{Store: g.shelf, Streams: g.hub})
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnels.Serve(w, r, tunnel.Listener{
			ApplicationRef: 7, ConsumerRef: 1, ConsumerID: "sink_1",
			Endpoint: func(context.Context) (*directory.Endpoint, error) {
				if err := g.may.Load(); err != nil {
					return nil, *err
				}
				return &directory.Endpoint{}, nil
			},
			Check: func(context.Context) error { return nil },
			Find: func(_ context.Context, from string) (int64, error) {
				seq, ok := stream.ParseCursor(from)
				if !ok {
					return 0, hark.Errorf(hark.Invalid, "no such place")
				}
				return seq, nil
			},
			Message: func(_ context.Context, id string) (hark.Message, error) {
				if id != "msg_1" {
					return hark.Message{}, hark.ErrNotFound
				}
				return hark.Message{Ref: 1001}, nil
			},
		})
	}))
	t.Cleanup(func() { g.hub.Stop(); g.server.Close() })
	return g
}

// said is what the server says.
type said struct {
	Type, ID, Attempt, Code, Cursor string
	Seq, From, Behind               int64
	Body                            []byte
	Headers                         [][]string
}

// client is a client that does as it is told.
type client struct {
	t     *testing.T
	conn  *websocket.Conn
	heard chan said
}

func (g *gate) dial(protocols ...string) *client {
	g.t.Helper()
	conn, _, err := websocket.Dial(g.t.Context(), "ws"+strings.TrimPrefix(g.server.URL, "http"), &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		g.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 24)
	g.t.Cleanup(func() { _ = conn.CloseNow() })
	c := &client{t: g.t, conn: conn, heard: make(chan said, 1000)}
	go func() {
		defer close(c.heard)
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			var s said
			_ = json.Unmarshal(text, &s)
			c.heard <- s
		}
	}()
	return c
}

// open connects and starts.
func (g *gate) open(start string) *client {
	c := g.dial(tunnel.Protocol)
	c.say(start)
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// hear is what comes next; "end" when the connection has ended.
func (c *client) hear() said {
	c.t.Helper()
	select {
	case s, ok := <-c.heard:
		if !ok {
			return said{Type: "end"}
		}
		return s
	case <-time.After(time.Minute):
		c.t.Fatal("nothing comes")
		return said{}
	}
}

func (c *client) expect(kind string, seq int64) said {
	c.t.Helper()
	s := c.hear()
	if s.Type != kind || s.Seq != seq {
		c.t.Fatalf("heard %+v, want %s %d", s, kind, seq)
	}
	return s
}

func (c *client) silent() {
	c.t.Helper()
	select {
	case s := <-c.heard:
		c.t.Fatalf("heard %+v, want nothing", s)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestTunnel_KeepsAnswersAsAttemptsAndThePlaceBehindThem(t *testing.T) {
	g := newGate(t)
	g.add(5, `{"a": 1}`)
	c := g.open(`{"type":"start","group":"g","window":2,"url":"http://me:secret@localhost:3000/x#y"}`)
	if s := c.expect("ready", 0); s.Cursor != "at_0" || s.Behind != 5 {
		t.Errorf("%+v", s)
	}
	first := c.expect("message", 1)
	if string(first.Body) != `{"a": 1}` || first.ID != "msg_1" || first.Headers[0][0] != "Content-Type" {
		t.Errorf("%+v", first)
	}
	c.expect("message", 2)
	c.silent() // a window of two
	c.say(`{"type":"response","seq":1,"status":201,"body":"` + strings.Repeat("QUJD", 9000) + `","durationMs":1500.5}`)
	acked := c.expect("acked", 1)
	c.expect("message", 3)
	c.say(`{"type":"response","seq":2,"status":200,"error":"it broke off"}`)
	c.expect("acked", 2)
	c.expect("message", 4)
	c.say(`{"type":"ack","seq":4}`) // for those before, too
	c.expect("acked", 4)
	c.expect("message", 5)
	c.say(`{"type":"attempt","id":"msg_1","status":500}`)
	if s := c.expect("recorded", 0); s.ID != "msg_1" || s.Attempt == "" {
		t.Errorf("%+v", s)
	}
	c.say(`{"type":"attempt","id":"msg_other","status":500}`)
	if s := c.expect("recorded", 0); s.Attempt != "" {
		t.Errorf("%+v", s)
	}
	kept := g.kept()
	if len(kept) != 3 {
		t.Fatalf("%d attempts", len(kept))
	}
	a := kept[0]
	if string(a.ID) != acked.Attempt || a.URL != "http://localhost:3000/x" || a.Status != hark.Succeeded || a.StatusCode != 201 || len(a.Response) != 20_000 ||
		a.Duration != 1500500*time.Microsecond || a.MessageRef != 1001 || a.EndpointRef != 1 || a.ApplicationRef != 7 || a.Trigger != hark.Scheduled || time.Since(a.StartedAt) < time.Second {
		t.Errorf("%+v", a)
	}
	if kept[1].Status != hark.Failed || kept[1].Error != "it broke off" {
		t.Errorf("%+v", kept[1])
	}
	if kept[2].Trigger != hark.Manual || kept[2].Status != hark.Failed {
		t.Errorf("%+v", kept[2])
	}
	_ = c.conn.CloseNow()
	// It goes on behind the last answer; or where it is told to.
	c = g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	c.expect("message", 5)
	_ = c.conn.CloseNow()
	c = g.open(`{"type":"start","group":"g","from":"at_2"}`)
	c.expect("ready", 0)
	c.expect("message", 3)
}

func TestTunnel_SaysWhatIsGone(t *testing.T) {
	g := newGate(t)
	g.add(4, `{}`)
	g.entries = g.entries[1:]
	g.entries[1].Message.Expunged = true
	c := g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	if s := c.expect("gap", 1); s.From != 1 {
		t.Errorf("%+v", s)
	}
	c.expect("message", 2)
	if s := c.expect("gap", 3); s.From != 3 {
		t.Errorf("%+v", s)
	}
	c.expect("message", 4)
	c.say(`{"type":"response","seq":3,"status":200}`) // of a gap there is no attempt
	c.expect("acked", 3)
	if len(g.kept()) != 0 {
		t.Error("an attempt of nothing")
	}
}

func TestTunnel_HoldsNoMoreThanSomeBytes(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.add(12, `"`+strings.Repeat("x", 1<<20)+`"`)
	c := g.open(`{"type":"start","group":"g","window":100}`)
	c.expect("ready", 0)
	out := int64(0)
	for quiet := false; !quiet; {
		if out < 4 { // four megabytes come anyway
			out = c.hear().Seq
			continue
		}
		select {
		case s := <-c.heard:
			out = s.Seq
		case <-time.After(time.Second):
			quiet = true
		}
	}
	c.say(`{"type":"ack","seq":` + strconv.FormatInt(out, 10) + `}`)
	acked := out
	for s := c.hear(); s.Type != "acked"; s = c.hear() { // that was on its way
		out = s.Seq
	}
	if out > 8 {
		t.Errorf("%d are out behind %d", out, acked)
	}
}

func TestTunnel_RefusesNonsense(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	for name, frames := range map[string][]string{
		"no JSON":             {`hello`},
		"no start":            {`{"type":"ack","seq":1}`},
		"no group, no place":  {`{"type":"start"}`},
		"the turn's name":     {`{"type":"start","group":"g\u001fturn"}`},
		"a long group":        {`{"type":"start","group":"` + strings.Repeat("g", 101) + `"}`},
		"a large window":      {`{"type":"start","group":"g","window":101}`},
		"no place":            {`{"type":"start","group":"g","from":"nowhere"}`},
		"no address":          {`{"type":"start","group":"g","url":"file:///etc/passwd"}`},
		"a second start":      {`{"type":"start","group":"g"}`, `{"type":"start","group":"g"}`},
		"what was not sent":   {`{"type":"start","group":"g"}`, `{"type":"response","seq":99,"status":200}`},
		"an ack of it":        {`{"type":"start","group":"g"}`, `{"type":"ack","seq":99}`},
		"below the first":     {`{"type":"start","group":"g"}`, `{"type":"ack","seq":-1}`},
		"no status":           {`{"type":"start","group":"g"}`, `{"type":"response","seq":1}`},
		"a strange status":    {`{"type":"start","group":"g"}`, `{"type":"response","seq":1,"status":70000}`},
		"no base64":           {`{"type":"start","group":"g"}`, `{"type":"response","seq":1,"status":200,"body":"*"}`},
		"a frame too large":   {`{"type":"start","group":"g"}`, `{"type":"response","seq":1,"status":200,"error":"` + big + `"}`},
		"something it is not": {`{"type":"start","group":"g"}`, `{"type":"sing"}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.add(1, `{}`)
			c := g.dial(tunnel.Protocol)
			if c.say(frames[0]); len(frames) > 1 {
				c.expect("ready", 0)
				c.expect("message", 1)
				_ = c.conn.Write(t.Context(), websocket.MessageText, []byte(frames[1])) // it may be refused in the middle
			}
			for s := c.hear(); s.Type != "end"; s = c.hear() {
				if s.Type != "error" || s.Code == "" {
					t.Fatalf("heard %+v", s)
				}
			}
			if len(g.kept()) != 0 || g.place() != 0 {
				t.Errorf("%d attempts, place %d", len(g.kept()), g.place())
			}
		})
	}
	g := newGate(t)
	c := g.dial()
	if s := c.hear(); s.Type != "error" {
		t.Errorf("without the subprotocol: %+v", s)
	}
}

func TestTunnel_TheNewestHasTheTurnAndTheOthersFollow(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.add(2, `{}`)
	old := g.open(`{"type":"start","group":"g"}`)
	old.expect("ready", 0)
	old.expect("message", 1)
	old.expect("message", 2)
	fresh := g.open(`{"type":"start","group":"g"}`)
	other := g.open(`{"type":"start","group":"another"}`)
	fresh.expect("ready", 0)
	fresh.expect("message", 1)
	fresh.expect("message", 2)
	other.expect("ready", 0)
	other.expect("message", 1)
	// What the old one was doing counts still, and moves no place that is not its own.
	old.say(`{"type":"response","seq":1,"status":200}`)
	old.expect("acked", 1)
	if at := g.place(); at != 0 || len(g.kept()) != 1 {
		t.Errorf("place %d, %d attempts", at, len(g.kept()))
	}
	g.add(1, `{}`)
	g.hub.Fed([]hark.Ref{1})
	fresh.expect("message", 3)
	old.expect("standby", 0)
	old.say(`{"type":"response","seq":2,"status":200}`)
	old.expect("acked", 2)
	fresh.say(`{"type":"ack","seq":2}`)
	fresh.expect("acked", 2)
	_ = fresh.conn.CloseNow() // it gives the turn back
	if s := old.expect("ready", 0); s.Cursor != "at_2" {
		t.Errorf("%+v", s)
	}
	old.expect("message", 3)
	old.say(`{"type":"response","seq":3,"status":200}`)
	old.expect("acked", 3)
	if at := g.place(); at != 3 {
		t.Errorf("place %d", at)
	}
}

func TestTunnel_TakesLateAnswersHoweverOftenTheTurnGoesToAndFro(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.add(2, `{}`)
	old := g.open(`{"type":"start","group":"g"}`)
	old.expect("ready", 0)
	old.expect("message", 1)
	old.expect("message", 2)
	lose := func() {
		t.Helper()
		fresh := g.open(`{"type":"start","group":"g"}`)
		fresh.expect("ready", 0)
		g.hub.Fed([]hark.Ref{1})
		old.expect("standby", 0)
		_ = fresh.conn.CloseNow()
		old.expect("ready", 0)
		old.expect("message", 1)
		old.expect("message", 2)
	}
	lose()
	old.say(`{"type":"response","seq":1,"status":200}`)
	old.expect("acked", 1)
	old.say(`{"type":"response","seq":1,"status":200}`) // the one from before
	old.expect("acked", 1)
	old.say(`{"type":"response","seq":1,"status":200}`) // nobody waits for it, and nobody ends because of it
	old.say(`{"type":"response","seq":2,"status":200}`)
	old.expect("acked", 2)
	if n := len(g.kept()); n != 3 || g.place() != 2 {
		t.Errorf("%d attempts, place %d", n, g.place())
	}
	old.say(`{"type":"response","seq":3,"status":200}`) // which was never sent
	old.expect("error", 0)
}

func TestTunnel_WithoutAGroupSharesWithNobodyAndKeepsNoPlace(t *testing.T) {
	g := newGate(t)
	g.add(3, `{}`)
	for range 2 {
		c := g.open(`{"type":"start","from":"at_1","window":1}`)
		defer func() { _ = c.conn.CloseNow() }()
		c.expect("ready", 0)
		c.expect("message", 2)
		c.say(`{"type":"response","seq":2,"status":200}`)
		c.expect("acked", 2)
		c.expect("message", 3)
	}
	if len(g.cursors) != 0 || len(g.kept()) != 2 {
		t.Errorf("places %v, %d attempts", g.cursors, len(g.kept()))
	}
}

func TestTunnel_EndsWithARightTheStoreOrTheServer(t *testing.T) {
	g := newGate(t)
	g.add(1, `{}`)
	g.broken = hark.Errorf(hark.Unavailable, "the disk is full")
	c := g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	c.expect("message", 1)
	c.say(`{"type":"response","seq":1,"status":200}`)
	if s := c.hear(); s.Type != "error" || s.Code != "unavailable" || g.place() != 0 {
		t.Errorf("%+v, place %d", s, g.place())
	}
	gone, broken := error(hark.ErrNotFound), errors.New("secret of the inside")
	g.may.Store(&gone)
	c = g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	if s := c.hear(); s.Type != "error" || s.Code != "not_found" {
		t.Errorf("%+v", s)
	}
	g.may.Store(&broken)
	c = g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	if s := c.hear(); s.Type != "error" || s.Code != "" {
		t.Errorf("%+v", s)
	}
	g.may.Store(nil)
	c = g.open(`{"type":"start","group":"g"}`)
	c.expect("ready", 0)
	c.expect("message", 1)
	g.hub.Stop()
	if s := c.hear(); s.Type != "end" {
		t.Errorf("%+v", s)
	}
}
