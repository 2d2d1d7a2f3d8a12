package laptop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/harkhq/hark/test/harness"
	"github.com/harkhq/hark/test/witness"
)

// hook is the path of the receiver.
const hook = "/hook"

// receiver is the program on the laptop: at one address for ever, but not always there.
type receiver struct {
	addr    string
	journal *witness.Journal
	github  string // what GitHub signs with

	mu       sync.Mutex
	server   *http.Server
	key      *standardwebhooks.Webhook
	status   int           // that it answers with
	slow     time.Duration // how long that takes
	first    []string      // ids, as they came for the first time
	came     map[string]int
	answered map[string][]int // what was not cut off
	arrivals int
}

func newReceiver(t *testing.T, j *witness.Journal) *receiver {
	t.Helper()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{addr: addr, journal: j, status: http.StatusNoContent, came: map[string]int{}, answered: map[string][]int{}}
	if err := r.up(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.down)
	return r
}

// up makes it listen.
func (r *receiver) up() error {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r}
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() { _ = server.Serve(l) }() // until down
	return nil
}

// down makes it end as a program that is killed: nothing listens, and what is under way is cut off.
func (r *receiver) down() {
	r.mu.Lock()
	server := r.server
	r.mu.Unlock()
	_ = server.Close() // it is gone, however that went
}

// mood sets how it answers.
func (r *receiver) mood(status int, slow time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.slow = status, slow
}

// trust sets the secret that messages are signed with.
func (r *receiver) trust(secret string) error {
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key = key
	return nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the listener died while it was sending
	}
	var p struct{ Seq int64 }
	if err := json.Unmarshal(body, &p); err != nil {
		p.Seq = -1 // a phantom for the checker
	}
	// To the checker it is delivered, whatever the answer.
	e := witness.Event{Kind: witness.Got, Seq: p.Seq, Hash: witness.Hash(body), ID: req.Header.Get("webhook-id"), Endpoint: req.URL.Path, Status: http.StatusNoContent}
	r.mu.Lock()
	e.Note = r.forged(req.Header, body)
	if r.came[e.ID]++; r.came[e.ID] == 1 {
		r.first = append(r.first, e.ID)
	}
	r.arrivals++
	status, slow := r.status, r.slow
	r.journal.Write(e)
	r.mu.Unlock()
	select {
	case <-req.Context().Done():
		return // cut off: by down, or because the listener was killed
	case <-time.After(slow):
	}
	r.mu.Lock()
	r.answered[e.ID] = append(r.answered[e.ID], status)
	r.mu.Unlock()
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"for":"` + e.ID + `"}`))
}

// forged says why a signature does not verify: Hark's, and GitHub's where there is one.
func (r *receiver) forged(header http.Header, body []byte) string {
	if err := r.key.Verify(body, header); err != nil {
		return err.Error()
	}
	if text := header.Get("X-Hub-Signature-256"); text != "" {
		mac := hmac.New(sha256.New, []byte(r.github))
		mac.Write(body)
		if text != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			return "GitHub's signature does not fit the body"
		}
	}
	return ""
}

// seen is how many messages have arrived.
func (r *receiver) seen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.first)
}

// story is what became of one message here.
type story struct {
	came     int
	answered []int // fewer, where something was cut off
}

// stories are all messages in the order in which they came first.
func (r *receiver) stories() (first []string, all map[string]story, arrivals int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = map[string]story{}
	for id, n := range r.came {
		all[id] = story{n, slices.Clone(r.answered[id])}
	}
	return slices.Clone(r.first), all, r.arrivals
}
