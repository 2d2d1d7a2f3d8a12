package outbox

import (
	"context"
	"time"

	"github.com/harkhq/hark/internal/store"
)

// window is which part of the outbox is read. Rows get their ids before they are committed, so one
// with a low id may appear late; but looking from the beginning walks over everything that was taken
// and is not cleaned up yet, and while somebody keeps an old transaction open that can be millions of
// rows. So usually only what lies behind the floor is read: what was the top some seconds ago. From
// the beginning it is read from time to time, for those whose transaction took longer.
type window struct {
	floor, mark, top int64
	marked           time.Time
	nextWhole        time.Time
}

const (
	// settle is how long a transaction may keep a row uncommitted before the row waits for a look
	// from the beginning.
	settle = 10 * time.Second
	// wholeEvery is how often there is one; where that takes long it is done less often.
	wholeEvery = time.Second
)

// read reads the first rows that wait.
func (t *Taker) read(ctx context.Context, now time.Time, limit int) ([]store.OutboxRow, error) {
	w := &t.window
	if now.Sub(w.marked) >= settle {
		w.floor, w.mark, w.marked = w.mark, w.top, now
	}
	after, whole := w.floor, !now.Before(w.nextWhole)
	if whole {
		after = 0
	}
	rows, err := t.opt.Store.ReadOutbox(ctx, after, limit, pageBytes)
	if err != nil {
		return nil, err
	}
	if whole && len(rows) == 0 { // else the next page is to be read from the beginning, too
		w.nextWhole = now.Add(max(wholeEvery, 10*time.Since(now)))
	}
	if len(rows) > 0 {
		w.top = max(w.top, rows[len(rows)-1].ID)
		t.metrics.lag.Set(max(0, now.Sub(rows[0].CreatedAt).Seconds()))
	} else if whole {
		t.metrics.lag.Set(0)
	}
	return rows, nil
}
