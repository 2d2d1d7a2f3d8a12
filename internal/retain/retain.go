// Package retain keeps the store small: it deletes what has outlived its retention, a little at a
// time.
//
// It promises that expired payloads, messages and guards go within Interval of their time as long
// as the store works. It refuses to hurry: between two pieces it leaves the store to others for as
// long as the piece took.
package retain

import (
	"context"
	"log/slog"
	"time"
)

// DefaultInterval is how long it rests when there is nothing more to delete.
const DefaultInterval = time.Hour

const (
	// pieceRows is how much one transaction deletes: some milliseconds of the writer.
	pieceRows = 500
	// leastBreath and mostBreath bound the pause between two pieces.
	leastBreath = 10 * time.Millisecond
	mostBreath  = 10 * time.Second
	// firstRest lets a server start before it is swept.
	firstRest = 30 * time.Second
	// retryRest is how long it rests when the store failed.
	retryRest = time.Minute
)

// Store is the part of the store that retention needs.
type Store interface {
	Reclaim(ctx context.Context, now time.Time, limit int) (more bool, err error)
}

// Options of a Keeper.
type Options struct {
	Store    Store
	Logger   *slog.Logger
	Interval time.Duration // 0 means DefaultInterval
	// Mine says whether it is this node's turn, where several share a store; nil means always.
	Mine func() bool
}

// Keeper reclaims. Run it once.
type Keeper struct {
	store    Store
	log      *slog.Logger
	interval time.Duration
	mine     func() bool
}

// New makes a Keeper that does nothing until Run.
func New(opt Options) *Keeper {
	if opt.Interval <= 0 {
		opt.Interval = DefaultInterval
	}
	if opt.Mine == nil {
		opt.Mine = func() bool { return true }
	}
	return &Keeper{store: opt.Store, log: opt.Logger, interval: opt.Interval, mine: opt.Mine}
}

// Run reclaims until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(min(firstRest, k.interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(k.piece(ctx))
	}
}

// piece reclaims one piece and says how long to rest.
func (k *Keeper) piece(ctx context.Context) time.Duration {
	if !k.mine() {
		return min(retryRest, k.interval)
	}
	start := time.Now()
	more, err := k.store.Reclaim(ctx, start, pieceRows)
	switch {
	case ctx.Err() != nil:
		return k.interval
	case err != nil:
		k.log.LogAttrs(ctx, slog.LevelWarn, "reclaim", slog.Any("err", err))
		return min(retryRest, k.interval)
	case more:
		return min(max(time.Since(start), leastBreath), mostBreath)
	}
	return k.interval
}
