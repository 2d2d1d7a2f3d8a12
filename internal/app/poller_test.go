package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/examples/poll"
)

// Nodes come and go, and each content of an item is delivered once.
func TestPollers_MakeEachMessageOnceOnNodesThatComeAndGo(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]int{}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[string(body)]++
	}))
	defer sink.Close()
	desk := &poll.Desk{Token: "hush", PageSize: 3}
	api := httptest.NewServer(desk)
	defer api.Close()
	c := database(t)
	a, b := start(t, c), start(t, c)
	shared(t, a, b)
	a.call("POST", "/app", map[string]any{"name": "Desk", "uid": "desk"})
	a.call("POST", "/app/desk/endpoint", map[string]any{"url": sink.URL})
	for i := range 4 {
		a.call("POST", "/app/desk/api-poller", map[string]any{
			"uid": fmt.Sprint("p", i), "everySeconds": 1, "url": api.URL + "/tickets", "auth": map[string]any{"type": "bearer"}, "secret": "hush",
			"itemsPath": "/tickets", "paging": map[string]any{"type": "link"}, "backfill": true, "eventType": fmt.Sprintf("p%d.{{change}}", i),
		})
	}
	want := 0
	settle := func(what string) {
		t.Helper()
		until(t, what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for _, k := range got {
				n += k
			}
			return n >= want*4
		})
	}
	for range 7 {
		desk.Open("Help!")
		want++
	}
	settle("the first")
	a.end() // b takes its pollers over
	for range 5 {
		desk.Open("More!")
		want++
	}
	settle("after a node has left")
	e := start(t, c)
	shared(t, b, e)
	desk.Change(3, func(t *poll.Ticket) { t.State = "closed" })
	want++
	settle("with a new node")
	time.Sleep(1500 * time.Millisecond) // more runs find nothing
	mu.Lock()
	defer mu.Unlock()
	for body, n := range got {
		if n != 4 { // once from each poller
			t.Errorf("%d times: %s", n, body)
		}
	}
	if len(got) != want {
		t.Errorf("%d messages, want %d", len(got), want)
	}
}
