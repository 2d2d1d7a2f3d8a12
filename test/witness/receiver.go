package witness

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

// Receiver takes deliveries, verifies them with the official Standard Webhooks library, and
// writes them down before it answers. It fails one delivery in twenty once, so that retries are
// under way when a fault comes, and is slow now and then, so that attempts are in flight.
type Receiver struct {
	URL string

	journal *Journal
	last    atomic.Int64 // nanoseconds of the last arrival
	busy    atomic.Int64 // requests being handled

	mu      sync.Mutex
	keys    map[string]*standardwebhooks.Webhook // by path
	failing map[string]bool                      // path and id of deliveries that have failed once
}

// NewReceiver starts a receiver on loopback for the time of a test.
func NewReceiver(t testing.TB, j *Journal) *Receiver {
	r := &Receiver{journal: j, keys: map[string]*standardwebhooks.Webhook{}, failing: map[string]bool{}}
	srv := httptest.NewServer(r)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	r.URL = srv.URL
	return r
}

// Trust sets the secret of the endpoint at path.
func (r *Receiver) Trust(path, secret string) error {
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[path] = key
	return nil
}

// Quiet waits until nothing is being handled any more, while no server runs.
func (r *Receiver) Quiet() {
	for calm := 0; calm < 5; calm++ {
		time.Sleep(10 * time.Millisecond) // what the kernel still holds needs a moment to be read
		if r.busy.Load() > 0 {
			calm = 0
		}
	}
}

// Silence waits until nothing has arrived for as long as d.
func (r *Receiver) Silence(d time.Duration) {
	r.last.Store(time.Now().UnixNano())
	for time.Since(time.Unix(0, r.last.Load())) < d {
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
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
	e := Event{Kind: Got, Seq: p.Seq, Hash: Hash(body), ID: req.Header.Get("webhook-id"), Endpoint: req.URL.Path, Status: http.StatusNoContent}
	r.mu.Lock()
	key := r.keys[req.URL.Path]
	name := e.Endpoint + " " + e.ID
	if p.Seq%20 == 0 && !r.failing[name] {
		r.failing[name] = true
		e.Status = http.StatusInternalServerError
	}
	r.mu.Unlock()
	if key == nil {
		e.Note = "nobody made this endpoint"
	} else if err := key.Verify(body, req.Header); err != nil {
		e.Note = err.Error()
	}
	if rand.IntN(10) == 0 {
		time.Sleep(rand.N(20 * time.Millisecond))
	}
	r.journal.Write(e)
	w.WriteHeader(e.Status)
}
