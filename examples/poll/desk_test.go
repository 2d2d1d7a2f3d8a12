package poll_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/examples/poll"
	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

const key = "poll-test-key-0123456789abcdef01234567"

// server is a Hark that can be started again on the same folder.
type server struct {
	t    *testing.T
	data string
	url  string
	stop func()
}

func (s *server) start() {
	s.t.Helper()
	a, err := app.New(s.t.Context(), app.Options{Config: config.Config{
		Data: s.data, Addr: "127.0.0.1:0", AllowPrivateEndpoints: true, Drain: 5 * time.Second, BootstrapKey: key,
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s.url = a.URL()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("Run: %v", err)
			}
		})
	}
	s.t.Cleanup(s.stop)
}

func (s *server) call(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			s.t.Fatal(err)
		}
	}
}

type pollerOut struct {
	State    string
	Failures int
	Runs     []struct {
		Outcome string
		Status  int
		Limited int
		Seen    int
	}
}

func (s *server) poller(uid string) (p pollerOut) {
	s.t.Helper()
	s.call("GET", "/app/desk/api-poller/"+uid, nil, &p)
	return p
}

// inbox notes what is delivered.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var ticket poll.Ticket
	_ = json.NewDecoder(r.Body).Decode(&ticket) // what cannot be read shows in the list
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, fmt.Sprintf("%d %s", ticket.ID, ticket.State))
}

func (b *inbox) sorted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.got))
}

// until waits for what must become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// Each content of a ticket is delivered once: through pages, a limit on requests, a restart, and a desk that
// is down.
func TestDesk_EachChangeIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	desk := &poll.Desk{Token: "hush", Limit: 2} // a run needs three requests
	api := httptest.NewServer(desk)
	defer api.Close()
	received := &inbox{}
	sink := httptest.NewServer(received)
	defer sink.Close()
	var want []string
	open := func(n int) {
		for range n {
			want = append(want, fmt.Sprintf("%d open", desk.Open("Help!")))
		}
	}
	set := func(id int, state string) {
		desk.Change(id, func(t *poll.Ticket) { t.State = state })
		want = append(want, fmt.Sprintf("%d %s", id, state))
	}
	delivered := func(what string) {
		t.Helper()
		slices.Sort(want)
		until(t, what, func() bool { return len(received.sorted()) >= len(want) })
		if got := received.sorted(); !slices.Equal(got, want) {
			t.Fatalf("%s: got %q, want %q", what, got, want)
		}
	}

	s := &server{t: t, data: t.TempDir()}
	s.start()
	s.call("POST", "/app", map[string]any{"name": "Desk", "uid": "desk"}, nil)
	s.call("POST", "/app/desk/endpoint", map[string]any{"url": sink.URL}, nil)
	open(5)
	poller := map[string]any{
		"uid": "tickets", "everySeconds": 1, "url": api.URL + "/tickets", "auth": map[string]any{"type": "bearer"}, "secret": "hush",
		"itemsPath": "/tickets", "changedPaths": []string{"/state", "/subject"}, "paging": map[string]any{"type": "link"},
		"since": map[string]any{"param": "updated_since", "path": "/updated_at"}, "backfill": true, "eventType": "ticket.{{change}}",
	}
	var preview struct{ Messages []any }
	s.call("POST", "/app/desk/api-poller/preview", poller, &preview)
	if len(preview.Messages) != 5 || len(received.sorted()) != 0 {
		t.Errorf("the dry run shows %d messages, and %d were delivered", len(preview.Messages), len(received.sorted()))
	}
	s.call("POST", "/app/desk/api-poller", poller, nil)
	delivered("the backlog")
	until(t, "the desk limits", func() bool { // a slow machine may have asked less than three times in each second
		if desk.Answers(http.StatusTooManyRequests) > 0 {
			return true
		}
		s.call("POST", "/app/desk/api-poller/preview", poller, &preview)
		return false
	})

	set(2, "closed")
	open(1)
	desk.Change(4, func(t *poll.Ticket) { t.Views++ }) // which nobody wants to hear of
	delivered("changes")

	s.stop()
	set(2, "open") // as it was once
	set(5, "closed")
	s.start()
	delivered("what changed while nobody ran")

	desk.Break(true)
	var p pollerOut
	until(t, "failing", func() bool { p = s.poller("tickets"); return p.State == "failing" })
	if p.Runs[0].Outcome != "failed" || p.Runs[0].Status != http.StatusServiceUnavailable || p.Failures != 1 {
		t.Errorf("while the desk is down: %+v", p)
	}
	set(1, "closed")
	desk.Break(false)
	s.call("POST", "/app/desk/api-poller/tickets/run", nil, nil) // and not only after the back-off
	delivered("after the trouble")
	until(t, "well again", func() bool { return s.poller("tickets").Failures == 0 })
	time.Sleep(1500 * time.Millisecond) // more runs find nothing
	delivered("in the end")
}

// Asking again for what has not changed costs an answer without a body.
func TestDesk_SaysThatNothingHasChanged(t *testing.T) {
	t.Parallel()
	desk := &poll.Desk{Token: "hush", PageSize: 100}
	api := httptest.NewServer(desk)
	defer api.Close()
	s := &server{t: t, data: t.TempDir()}
	s.start()
	s.call("POST", "/app", map[string]any{"name": "Desk", "uid": "desk"}, nil)
	desk.Open("Help!")
	s.call("POST", "/app/desk/api-poller", map[string]any{
		"uid": "tickets", "everySeconds": 1, "url": api.URL + "/tickets", "auth": map[string]any{"type": "bearer"}, "secret": "hush",
		"itemsPath": "/tickets", "eventType": "ticket.{{change}}",
	}, nil)
	until(t, "unchanged", func() bool { p := s.poller("tickets"); return len(p.Runs) > 1 && p.Runs[0].Outcome == "unchanged" })
	if p := s.poller("tickets"); p.Runs[len(p.Runs)-1].Outcome != "learned" || desk.Answers(http.StatusNotModified) == 0 {
		t.Errorf("%+v", p)
	}
}
