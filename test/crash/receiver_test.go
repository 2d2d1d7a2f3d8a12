package crash

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiver takes deliveries, verifies them with the official Standard Webhooks library, and
// writes them down before it answers. It fails one delivery in twenty once, so that retries are
// under way when the server is killed, and is slow now and then, so that attempts are in flight.
type receiver struct {
	journal *journal
	url     string
	last    atomic.Int64 // nanoseconds of the last arrival
	busy    atomic.Int64 // requests being handled

	mu      sync.Mutex
	keys    map[string]*standardwebhooks.Webhook // by path
	failing map[string]bool                      // path and seq of deliveries that have failed once
}

func newReceiver(t *testing.T, j *journal) *receiver {
	r := &receiver{journal: j, keys: map[string]*standardwebhooks.Webhook{}, failing: map[string]bool{}}
	srv := httptest.NewServer(r)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	r.url = srv.URL
	return r
}

// trust sets the secret of the endpoint at path.
func (r *receiver) trust(t *testing.T, path, secret string) {
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatalf("secret of %s: %v", path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[path] = key
}

// quiet waits until nothing is being handled any more, while no server runs.
func (r *receiver) quiet() {
	for calm := 0; calm < 5; calm++ {
		time.Sleep(10 * time.Millisecond) // what the kernel still holds needs a moment to be read
		if r.busy.Load() > 0 {
			calm = 0
		}
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.busy.Add(1)
	defer r.busy.Add(-1)
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server died while it was sending
	}
	r.last.Store(time.Now().UnixNano())
	var p struct{ Seq int64 }
	if err := json.Unmarshal(body, &p); err != nil {
		p.Seq = -1 // a phantom for the checker
	}
	e := event{Kind: got, Seq: p.Seq, Hash: hashOf(body), ID: req.Header.Get("webhook-id"), Endpoint: req.URL.Path, Status: http.StatusNoContent}
	r.mu.Lock()
	key := r.keys[req.URL.Path]
	name := e.Endpoint + " " + e.ID
	if p.Seq%20 == 0 && !r.failing[name] {
		r.failing[name] = true
		e.Status = http.StatusInternalServerError
	}
	r.mu.Unlock()
	if key == nil {
		e.Forged = "nobody made this endpoint"
	} else if err := key.Verify(body, req.Header); err != nil {
		e.Forged = err.Error()
	}
	if rand.IntN(10) == 0 {
		time.Sleep(rand.N(20 * time.Millisecond))
	}
	r.journal.write(e)
	w.WriteHeader(e.Status)
}
