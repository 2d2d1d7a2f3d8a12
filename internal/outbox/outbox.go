// Package outbox takes the messages that applications put into the store's outbox in their own
// transactions, and has them published.
//
// It promises that a row is taken at once after its commit, in the order of the rows, that a row which
// cannot be accepted is marked with the reason and keeps nobody else back, and that rows wait no longer
// than it takes the store to accept them. That each becomes a message exactly once is the store's
// promise, and holds whoever takes. It refuses to hurry a store that is overloaded or away.
//
// One node takes; the others watch that it does, and help when a row stays:
//
//	          rung, or every so often                rows
//	waiting ──────────────────────────▶ read a page ──────▶ publish, mark the refused ──▶ read again
//	   ▲                                     │ none, or another node's turn
//	   └─────────────────────────────────────┘
package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark/internal/store"
)

// Store is the part of the store that the engine needs.
type Store interface {
	ReadOutbox(ctx context.Context, after int64, limit, maxBytes int) ([]store.OutboxRow, error)
	RefuseOutbox(ctx context.Context, refusals []store.OutboxRefusal, now time.Time) error
}

// Publisher makes messages of rows; *manage.Manager does. What it answers neither as accepted nor as
// refused was another node's; after an error it is to be tried again.
type Publisher interface {
	PublishFromOutbox(ctx context.Context, rows []store.OutboxRow) (accepted int, refused []store.OutboxRefusal, err error)
}

// Options of a Taker. Store and Publisher are required.
type Options struct {
	Store     Store
	Publisher Publisher
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	// Mine says whether it is this node's turn, where several share a store; nil means always.
	Mine func() bool
}

// How often it looks when nobody rings. A look costs the database one walk of an index that is empty.
const (
	busyRest  = 25 * time.Millisecond  // while rows came lately: for what was committed without ringing
	idleRest  = 250 * time.Millisecond // else
	busyFor   = 2 * time.Second
	watchRest = 2 * time.Second // when it is another node's turn
	leastRest = 250 * time.Millisecond
	mostRest  = 4 * time.Second // after errors
)

// Bounds of a page: what one transaction accepts.
const (
	pageRows  = 500
	pageBytes = 8 << 20 // more than any message has
)

// Taker takes. Make it with New, give Ring to the store's OnOutbox, then Run it once.
type Taker struct {
	opt     Options
	metrics *metrics
	rung    chan struct{} // capacity one

	// The rest is Run's own.
	window
	lately  time.Time // when rows came last
	failed  int       // turns in a row that ended with an error
	vain    int       // turns in a row that moved nothing
	first   int64     // of the rows that waited, when it was another node's turn
	helping bool      // nobody else takes
}

// New makes a Taker that does nothing until Run.
func New(opt Options) *Taker {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics == nil {
		opt.Metrics = prometheus.NewRegistry()
	}
	if opt.Mine == nil {
		opt.Mine = func() bool { return true }
	}
	return &Taker{opt: opt, metrics: newMetrics(opt.Metrics), rung: make(chan struct{}, 1)}
}

// Ring says that rows were committed. It does not block.
func (t *Taker) Ring() {
	select {
	case t.rung <- struct{}{}:
	default:
	}
}

// Run takes until ctx ends.
func (t *Taker) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-t.rung:
			if t.failed > 0 || !t.opt.Mine() { // it is no reason to hurry
				continue
			}
		}
		timer.Reset(t.turn(ctx))
	}
}

// turn takes a page, and says how long to rest.
func (t *Taker) turn(ctx context.Context) time.Duration {
	now, mine := time.Now(), t.opt.Mine()
	rows, done, err := t.page(ctx, now, mine)
	if err != nil {
		if ctx.Err() == nil {
			t.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "messages stay in the outbox", slog.Any("err", err))
		}
		t.failed++
		return min(leastRest<<min(t.failed-1, 10), mostRest)
	}
	t.failed = 0
	if rows > 0 {
		t.lately = time.Now()
	}
	switch {
	case done > 0:
		t.vain = 0
		return 0
	case rows > 0: // they are another node's, or somebody has locked them
		t.vain++
		return min(busyRest<<min(t.vain-1, 10), idleRest)
	case !mine:
		return watchRest
	case now.Sub(t.lately) < busyFor:
		return busyRest
	}
	return idleRest
}

// page takes a page; it answers how many rows it tried, and how many of them it moved.
func (t *Taker) page(ctx context.Context, now time.Time, mine bool) (tried, done int, err error) {
	if mine {
		t.first, t.helping = 0, false
	} else if !t.helping {
		if t.helping, err = t.isDeserted(ctx, now); err != nil || !t.helping {
			return 0, 0, err
		}
	}
	rows, err := t.read(ctx, now, pageRows)
	if err != nil || len(rows) == 0 {
		t.helping = false
		return 0, 0, err
	}
	done, err = t.take(ctx, rows)
	t.helping = t.helping && done == len(rows) // else somebody else is at it again
	return len(rows), done, err
}

// isDeserted says whether the first row that waits is the one that it was the last time: then whoever's
// turn it is does not take it.
func (t *Taker) isDeserted(ctx context.Context, now time.Time) (bool, error) {
	rows, err := t.read(ctx, now, 1)
	if err != nil || len(rows) == 0 {
		t.first = 0
		return false, err
	}
	deserted := t.first == rows[0].ID
	t.first = rows[0].ID
	return deserted, nil
}

// take publishes rows and marks those that are refused; it answers how many rows that moved.
func (t *Taker) take(ctx context.Context, rows []store.OutboxRow) (done int, err error) {
	accepted, refused, err := t.opt.Publisher.PublishFromOutbox(ctx, rows)
	t.metrics.taken.Add(float64(accepted))
	if len(refused) == 0 {
		return accepted, err
	}
	// One line for all: they may be many.
	t.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "messages in the outbox are refused", slog.Int("rows", len(refused)),
		slog.Int64("first", refused[0].ID), slog.String("reason", refused[0].Reason))
	if marked := t.opt.Store.RefuseOutbox(ctx, refused, time.Now()); marked != nil {
		return accepted, marked
	}
	t.metrics.refused.Add(float64(len(refused)))
	return accepted + len(refused), err
}
