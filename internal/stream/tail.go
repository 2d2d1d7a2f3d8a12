package stream

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Tail is one watcher. The functions come from the face that serves it.
type Tail struct {
	Tail store.Tail
	// Tenant is whose watcher it is: of the places on a server nobody gets all.
	Tenant string
	// Encode appends an entry's JSON, and answers the event's name.
	Encode func(ctx context.Context, dst []byte, e *store.TailEntry) (name string, text []byte)
	// Check says, now and then, whether the watcher may still watch.
	Check func(ctx context.Context) error
}

const (
	// tailEvery is how often a tail looks, and tailRests how many times longer than a look and its answer
	// have taken it rests at least: so one takes a twentieth of a core and of a connection to the store.
	tailEvery = 200 * time.Millisecond
	tailRests = 19
	tailWaits = 10 * time.Second // at most, whatever it took
	// tailEntries is the most that one look shows.
	tailEntries = 2_000
	// maxTails bounds how many there are on a server; tenants share them (seats).
	maxTails = 16
	// tailBack is how far back to begin after a broken connection: what was committed late meanwhile
	// may be that old. Entries have ids by which those that come again are known.
	tailBack = time.Minute
)

// ServeTail writes what happens as server-sent events until the client leaves, may not watch any more, or
// everything stops. Their ids are times: with Last-Event-ID nothing is missed, and some comes again.
func (h *Hub) ServeTail(w http.ResponseWriter, req *http.Request, t Tail) error {
	mine := h.seats.take(t.Tenant)
	if mine == nil {
		return &hark.Error{Code: hark.Overloaded, RetryAfter: time.Minute, Detail: "Too many are watching this server. Try again later."}
	}
	defer h.seats.give(mine)
	ctx := req.Context()
	s := &events{w: w, control: http.NewResponseController(w)}
	looked := time.Now()
	entries, skipped, err := t.Tail.Next(ctx, looked, tailEntries) // what is wrong is still an error
	if err != nil {
		return err
	}
	s.begin()
	said, checked := time.Now(), time.Now()
	for {
		s.entries(ctx, t, looked, entries, skipped)
		took := time.Since(looked)
		if time.Since(checked) >= heartbeat { // also while there is always something
			checked = time.Now()
			if t.Check(ctx) != nil {
				return nil
			}
		}
		if s.out.Len() == 0 && time.Since(said) >= heartbeat {
			s.out.WriteString(":\n\n")
		}
		if s.out.Len() > 0 {
			said = time.Now()
		}
		if s.flush() != nil {
			return nil
		}
		select {
		case <-h.ended:
			return nil
		case <-mine.lost: // the client comes back, and hears that there is no room
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(min(max(tailEvery, tailRests*took), tailWaits)):
		}
		looked = time.Now()
		if entries, skipped, err = t.Tail.Next(ctx, looked, tailEntries); err != nil {
			return nil // the client comes back, and goes on
		}
	}
}

// entries writes what one look has shown.
func (s *events) entries(ctx context.Context, t Tail, looked time.Time, entries []store.TailEntry, skipped int) {
	id := looked.Add(-tailBack).UTC().Format(time.RFC3339Nano)
	if skipped > 0 {
		s.text = append(strconv.AppendInt(append(s.text[:0], `{"kind":"skipped","skipped":`...), int64(skipped), 10), '}')
		s.event(id, "skipped")
	}
	for i := range entries {
		var name string
		if name, s.text = t.Encode(ctx, s.text[:0], &entries[i]); name != "" {
			s.event(id, name)
		}
	}
}
