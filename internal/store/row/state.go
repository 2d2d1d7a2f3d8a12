package row

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// State is what became of a message at an endpoint.
type State struct {
	Status   hark.AttemptStatus
	Next     time.Time // of the queue row; zero without one
	Attempts int64
	Queued   bool
}

// ScanState derives a delivery's state. It reads how many attempts there are, whether one succeeded,
// the next_attempt of the last (1 when that was canceled), and when the queue row is due, NULL without one.
func ScanState(r Row) (State, error) {
	st := State{Attempts: r.Int(0), Queued: !r.Null(3), Next: r.Time(3)}
	succeeded, planned := r.Bool(1), r.Int(2) != 0
	switch {
	case succeeded:
		st.Status = hark.Succeeded
	case st.Queued && st.Attempts == 0:
		st.Status = hark.Pending
	case st.Queued:
		st.Status = hark.Sending
	case st.Attempts == 0 || planned: // somebody took its row away
		st.Status = hark.Canceled
	default:
		st.Status = hark.Failed
	}
	return st, nil
}

// IsOver says that the delivery ended without success.
func (s State) IsOver() bool { return s.Status == hark.Failed || s.Status == hark.Canceled }

// IsUntouched says that the message was neither sent to the endpoint nor queued for it.
func (s State) IsUntouched() bool { return s.Attempts == 0 && !s.Queued }

// Passes says whether the state is the one that a filter wants.
func (s State) Passes(filter *store.AttemptFilter) bool {
	return filter.Status == nil || s.Status == *filter.Status
}

// OnlyFailures says that no success can pass a filter: only a 2xx is one.
func OnlyFailures(filter *store.AttemptFilter) bool {
	return filter.Status != nil && *filter.Status != hark.Succeeded ||
		filter.StatusCodeClass != nil && *filter.StatusCodeClass != 200
}

// CountAttempts reads status and count into stats.
func CountAttempts(stats *store.AttemptStats) func(Row) error {
	return func(r Row) error {
		switch n := r.Int(1); hark.AttemptStatus(r.Int(0)) {
		case hark.Succeeded:
			stats.Succeeded = n
		case hark.Failed:
			stats.Failed = n
		case hark.Sending:
			stats.Sending = n
		case hark.Canceled:
			stats.Canceled = n
		}
		return nil
	}
}

// Attempted is a part of the messages that an endpoint has attempts of, in the order of their ids.
type Attempted struct {
	Low, High []byte // exclusive
	Down      bool
	From, To  int64 // created in [From, To), milliseconds
}

// AttemptedBetween is everything that was created in a span of time, upwards.
func AttemptedBetween(since, until time.Time) Attempted {
	return Attempted{Low: []byte{}, High: LastID(), From: LowerBound(since), To: UpperBound(until)}
}

// AttemptedBy is everything that was created in a filter's time, both of whose ends are exclusive.
func AttemptedBy(filter *store.AttemptFilter) Attempted {
	a := AttemptedBetween(filter.After, filter.Before)
	a.From++
	return a
}

// PageOfAttempted is the part of it that a page begins with; the list is shown newest first.
func PageOfAttempted(filter *store.AttemptFilter, page store.Page) (Attempted, error) {
	a := AttemptedBy(filter)
	a.Down = !page.Backward && (!filter.OldestFirst || page.From != "")
	if page.From != "" {
		id, err := hark.ParseID(page.From, hark.MessagePrefix)
		if err != nil {
			return a, badIterator()
		}
		a.GoOn(id[:])
	}
	return a, nil
}

// GoOn narrows it to what is behind a message's id.
func (a *Attempted) GoOn(id []byte) {
	if a.Down {
		a.High = id
	} else {
		a.Low = id
	}
}

// AppendQueued adds the deliveries of an accepted message, as the hook of OnQueued gets them.
func AppendQueued(queued []hark.Delivery, a *store.Acceptance) []hark.Delivery {
	if a.Outcome != store.Accepted || len(a.Deliveries) == 0 {
		return queued
	}
	message := a.Message // a copy: the acceptance is the caller's to reuse
	for i, d := range a.Deliveries {
		if IsKeptBack(a, i) {
			continue
		}
		if d.Message == nil || d.Message == &a.Message {
			d.Message = &message
		}
		queued = append(queued, d)
	}
	return queued
}
