package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark/examples/poll"
	"github.com/harkhq/hark/test/harness"
)

// TestCrash_EveryItemBecomesItsMessagesAndNoMore kills the server at random while it polls an API whose
// tickets are opened and closed meanwhile. A ticket has at most two states, so what must have come of it is
// known: its last state, once, and the one before it, once, if anybody asked in between.
func TestCrash_EveryItemBecomesItsMessagesAndNoMore(t *testing.T) {
	t.Parallel()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{
		options: harness.Options{Binary: harness.Binary(t), Dir: filepath.Join(t.TempDir(), "data"), Addr: addr, Args: []string{"--log-level", "warn"}},
		desk:    &poll.Desk{Token: "desk token"},
		sink:    harness.NewSink(t, nil),
		client:  harness.NewClient("http://"+addr, harness.Key),
	}
	// Each page takes a while, so that most kills fall into a run.
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Store(time.Now().UnixNano())
		time.Sleep(askTime)
		w.desk.ServeHTTP(rw, r)
	}))
	t.Cleanup(api.Close)
	began := time.Now()
	for i := range *rounds {
		s := w.start(t)
		if i == 0 {
			w.setup(t, api.URL)
		}
		w.disturb(time.Duration(100+rand.IntN(1200)) * time.Millisecond)
		s.Kill()
		if time.Since(time.Unix(0, w.asked.Load())) < 2*askTime {
			w.hits++
		}
	}
	w.start(t)
	for _, poller := range w.pollers {
		w.settle(t, poller)
	}
	both := 0
	for _, poller := range w.pollers {
		both += w.check(t, poller)
	}
	t.Logf("%d rounds in %.0f s, %d of the kills in the middle of a run: %d tickets, %d answers of the API, %d messages of a second state",
		*rounds, time.Since(began).Seconds(), w.hits, len(w.closed), w.desk.Answers(http.StatusOK), both)
}

// watch is a campaign in which an API is polled.
type watch struct {
	options harness.Options
	desk    *poll.Desk
	sink    *harness.Sink
	client  *harness.Client
	pollers []watched
	closed  []bool // by ticket

	asked atomic.Int64 // when the API was asked last
	hits  int          // kills while it was being asked
}

// askTime is how long the API takes for a page.
const askTime = 4 * time.Millisecond

// watched is a poller, with the application and the path at the sink of its messages.
type watched struct{ app, id, path string }

func (w *watch) start(t *testing.T) *harness.Server {
	t.Helper()
	s, err := harness.Start(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", s.Tail())
		}
	})
	return s
}

// setup makes a poller that asks for everything each time, and one that asks for what is new.
func (w *watch) setup(t *testing.T, api string) {
	for name, further := range map[string]map[string]any{
		"all":  {},
		"news": {"since": map[string]any{"param": "updated_since", "path": "/updated_at"}},
	} {
		in := map[string]any{
			"url": api + "/tickets", "everySeconds": 1, "auth": map[string]any{"type": "bearer"}, "secret": w.desk.Token,
			"itemsPath": "/tickets", "paging": map[string]any{"type": "link"}, "changedPaths": []string{"/state"}, "backfill": true,
			"eventType": "ticket.{{change}}",
		}
		for k, v := range further {
			in[k] = v
		}
		p := watched{app: w.client.Application(t, name), path: "/" + name}
		w.client.Endpoint(t, p.app, w.sink.URL+p.path, nil)
		var out struct{ ID string }
		w.client.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/app/"+p.app+"/api-poller", in, &out)
		p.id = out.ID
		w.pollers = append(w.pollers, p)
	}
}

// disturb opens and closes tickets for a time.
func (w *watch) disturb(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) {
		if n := len(w.closed); n > 0 && rand.IntN(2) == 0 {
			if i := rand.IntN(n); !w.closed[i] {
				w.closed[i] = true
				w.desk.Change(i+1, func(ticket *poll.Ticket) { ticket.State = "closed" })
				continue
			}
		}
		w.desk.Open(fmt.Sprint("question ", len(w.closed)))
		w.closed = append(w.closed, false)
	}
}

// settle waits until two runs have found nothing that is new.
func (w *watch) settle(t *testing.T, p watched) {
	t.Helper()
	from := time.Now()
	harness.Eventually(t, 2*time.Minute, func() error {
		var out struct {
			Runs []struct {
				StartedAt    time.Time
				Outcome      string
				New, Changed int
				Error        *string
			}
		}
		w.client.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+p.app+"/api-poller/"+p.id, nil, &out)
		idle := 0
		for _, r := range out.Runs {
			if r.StartedAt.After(from) && r.Outcome == "done" && r.New+r.Changed == 0 {
				idle++
			}
		}
		if idle < 2 {
			return fmt.Errorf("%s: runs %+v", p.path, out.Runs)
		}
		return nil
	})
}

// report is a message that a poller has made.
type report struct {
	ID, EventType string
	Payload       poll.Ticket
}

// check compares a poller's messages with the tickets; it answers how many had both states.
func (w *watch) check(t *testing.T, p watched) (both int) {
	t.Helper()
	made := make(map[int][]report)
	ids := make(map[string]bool)
	for iterator := ""; ; {
		var page struct {
			Data     []json.RawMessage
			Iterator string
			Done     bool
		}
		w.client.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+p.app+"/msg?limit=100&iterator="+url.QueryEscape(iterator), nil, &page)
		for _, raw := range page.Data {
			var r report
			if err := json.Unmarshal(raw, &r); err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			made[r.Payload.ID] = append(made[r.Payload.ID], r)
			ids[r.ID] = true
		}
		if iterator = page.Iterator; page.Done {
			break
		}
	}
	for i, closed := range w.closed {
		got := made[i+1]
		slices.SortFunc(got, func(a, b report) int { return strings.Compare(a.EventType, b.EventType) }) // created before updated
		var story []string
		for _, r := range got {
			story = append(story, r.EventType+" "+r.Payload.State)
		}
		text := strings.Join(story, ", ")
		switch {
		case !closed && text == "ticket.created open", closed && text == "ticket.created closed":
		case closed && text == "ticket.created open, ticket.updated closed":
			both++
		default:
			t.Errorf("%s: ticket %d (closed: %v) became %q", p.path, i+1, closed, text)
		}
	}
	if len(made) != len(w.closed) {
		t.Errorf("%s: messages of %d tickets, and there are %d", p.path, len(made), len(w.closed))
	}
	harness.Eventually(t, 2*time.Minute, func() error {
		missing := len(ids)
		seen := make(map[string]bool)
		for _, a := range w.sink.Arrivals(p.path) {
			if !ids[a.ID] {
				t.Fatalf("%s: delivered %s, which is not there", p.path, a.ID)
			}
			if !seen[a.ID] {
				seen[a.ID] = true
				missing--
			}
		}
		if missing > 0 {
			return fmt.Errorf("%s: %d of %d messages were not delivered", p.path, missing, len(ids))
		}
		return nil
	})
	return both
}
