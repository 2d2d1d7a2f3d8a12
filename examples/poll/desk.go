// Package poll is an API without webhooks: a help desk whose tickets one has to ask for. Hark's pollers
// are tried against it, and it shows what such an API can do to make asking cheap.
//
// GET /tickets answers the tickets that have changed, oldest change first: updated_since leaves out older
// ones, pages follow each other by Link headers, an ETag says when nothing has changed, and more than
// Limit requests per second are answered 429 with Retry-After. Every request needs the bearer token.
// It promises no more than most: a ticket may come twice, and its fields change in any order.
package poll

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Ticket is one question of a customer.
type Ticket struct {
	ID        int    `json:"id"`
	Subject   string `json:"subject"`
	State     string `json:"state"` // open or closed
	UpdatedAt int64  `json:"updated_at"`
	Views     int    `json:"views"` // how often it was looked at: nobody wants to hear of that
}

// Desk serves tickets. Its zero value has none.
type Desk struct {
	Token    string // that every request must bring
	PageSize int    // default 2
	Limit    int    // requests in one second; 0 is no limit

	mu       sync.Mutex
	tickets  []Ticket
	changes  int64 // also the clock by which tickets are updated
	second   int64
	requests int // in that second
	down     bool
	counts   map[int]int // answers by status
}

// Open opens a ticket and answers its id.
func (d *Desk) Open(subject string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	d.tickets = append(d.tickets, Ticket{ID: len(d.tickets) + 1, Subject: subject, State: "open", UpdatedAt: d.changes})
	return len(d.tickets)
}

// Change changes a ticket.
func (d *Desk) Change(id int, change func(*Ticket)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	change(&d.tickets[id-1])
	d.tickets[id-1].UpdatedAt = d.changes
}

// Break makes the desk answer 503 until it is mended.
func (d *Desk) Break(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

// Answers says how many answers had a status.
func (d *Desk) Answers(status int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[status]
}

// ServeHTTP answers GET /tickets.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := d.serve(w, r, time.Now())
	if d.counts == nil {
		d.counts = map[int]int{}
	}
	d.counts[status]++
}

func (d *Desk) refuse(w http.ResponseWriter, status int) int {
	http.Error(w, http.StatusText(status), status)
	return status
}

func (d *Desk) serve(w http.ResponseWriter, r *http.Request, now time.Time) int {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+d.Token)) != 1 {
		return d.refuse(w, http.StatusUnauthorized)
	}
	if second := now.Unix(); second != d.second {
		d.second, d.requests = second, 0
	}
	if d.requests++; d.Limit > 0 && d.requests > d.Limit {
		w.Header().Set("Retry-After", "1")
		return d.refuse(w, http.StatusTooManyRequests)
	}
	if d.down {
		return d.refuse(w, http.StatusServiceUnavailable)
	}
	if r.Method != http.MethodGet || r.URL.Path != "/tickets" {
		return d.refuse(w, http.StatusNotFound)
	}
	return d.page(w, r)
}

// page answers one page of the tickets that were changed at updated_since or later.
func (d *Desk) page(w http.ResponseWriter, r *http.Request) int {
	query := r.URL.Query()
	since, _ := strconv.ParseInt(query.Get("updated_since"), 10, 64) // nothing is 0
	after, _ := strconv.ParseInt(query.Get("after"), 10, 64)
	found := []Ticket{}
	for _, t := range d.tickets {
		if t.UpdatedAt >= since && t.UpdatedAt > after {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b Ticket) int { return int(a.UpdatedAt - b.UpdatedAt) })
	size := min(max(d.PageSize, 2), len(found))
	body, err := json.Marshal(map[string]any{"tickets": found[:size]})
	if err != nil {
		return d.refuse(w, http.StatusInternalServerError)
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", etag)
	if size < len(found) {
		// Not the page's number: a ticket that changes meanwhile moves to the end, and all behind it up.
		query.Set("after", strconv.FormatInt(found[size-1].UpdatedAt, 10))
		w.Header().Set("Link", fmt.Sprintf(`</tickets?%s>; rel="next"`, query.Encode()))
	}
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // who has hung up is not there to be told
	return http.StatusOK
}
