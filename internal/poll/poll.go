// Package poll runs pollers: it calls APIs that have no webhooks and makes a message of every item that
// is new or has changed, and it sends scheduled messages.
//
//	due ─▶ request ─▶ page ─▶ items ─▶ new or changed? ─▶ publish ─▶ record ─┬─▶ next page
//	 ▲                                                                       ▼
//	 └────────── next time, or the end of a back-off ◀── record the run ◀────┘
//
// It promises that a content of an item becomes one message, across crashes and on however many nodes:
// which contents are new is decided by what the store knows of the items, and a message carries an
// idempotency key made of the poller, the item, and the count of its contents, so that what was
// accepted and not recorded is accepted once only, and a change to it is told as one. A poller has one run at a time, on the node that
// holds its shard. An application has a quarter of the slots at most, and turns go to the one that has the
// fewest. Times that were missed are made up for by one run, which is marked as late.
//
// It refuses to leave the host that it was sent to, by redirect or by a link to the next page, to read
// more than maxBody bytes of one answer, and to go through more than maxPages pages in one run: what is left
// is the next run's, which goes on at that page.
package poll

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	slots     = 16              // runs at once
	lookEvery = time.Second     // how often a node looks for pollers that other nodes have changed or left
	retryWait = 2 * time.Second // how long a poller rests after the store could not serve it
)

// Store is the part of the store that pollers read and write.
type Store interface {
	DuePollers(ctx context.Context, now time.Time) ([]store.DuePoller, time.Time, error)
	PollerByRef(ctx context.Context, ref hark.Ref) (hark.Poller, error)
	PollerItems(ctx context.Context, poller hark.Ref, items [][32]byte) ([]store.PollerItem, error)
	RecordPoll(ctx context.Context, progress *store.PollProgress) (kept bool, err error)
}

// Emission is a message that a poller makes.
type Emission struct {
	EventType string
	Channels  []string
	Payload   []byte
	Key       store.IdempotencyKey
}

// ErrTaken says that a message's key stands for another message.
var ErrTaken = errors.New("the key is that of another message")

// Options of a Runner; all but Metrics, Holds and UserAgent are required.
type Options struct {
	Store Store
	// Publish accepts messages of an application, in one transaction. It answers for each why it cannot be
	// a message, nil for one that is, and ErrTaken where its key is another's; after err it may be called again
	// with the same.
	Publish   func(ctx context.Context, app hark.Ref, messages []Emission) (refused []error, err error)
	Client    *http.Client // checks addresses when it dials
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	UserAgent string
	// Holds is set where several nodes share the store: it says whether this one has a shard.
	Holds func(shard int) bool
}

// Runner runs pollers. Run it once; Wake and Preview work before and while it runs.
type Runner struct {
	store     Store
	accept    func(ctx context.Context, app hark.Ref, messages []Emission) (refused []error, err error)
	client    *http.Client
	log       *slog.Logger
	userAgent string
	holds     func(shard int) bool // nil: everything is this process's
	metrics   *metrics
	tokens    tokens

	wake chan struct{}
}

// New makes a Runner that does nothing until Run.
func New(opt Options) *Runner {
	if opt.Metrics == nil {
		opt.Metrics = prometheus.NewRegistry()
	}
	client := *opt.Client
	client.CheckRedirect = sameHost
	return &Runner{
		store: opt.Store, accept: opt.Publish, client: &client, log: opt.Logger, metrics: newMetrics(opt.Metrics), userAgent: opt.UserAgent,
		holds: opt.Holds, wake: make(chan struct{}, 1), tokens: tokens{known: map[hark.PollerID]token{}},
	}
}

// Wake says that pollers were added or changed.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// turns is what runs, and what rests because the store could not serve it.
type turns struct {
	running map[hark.Ref]hark.Ref // poller: application
	perApp  map[hark.Ref]int
	resting map[hark.Ref]time.Time
}

// finished is the end of a run.
type finished struct {
	ref hark.Ref
	err error // the store's, or what stands before it
}

// Run runs pollers until ctx ends, and waits for those under way, which end with it.
func (r *Runner) Run(ctx context.Context) error {
	t := turns{running: map[hark.Ref]hark.Ref{}, perApp: map[hark.Ref]int{}, resting: map[hark.Ref]time.Time{}}
	done := make(chan finished, slots)
	var all sync.WaitGroup
	defer all.Wait()
	for {
		next := r.startDue(ctx, &t, func(ref hark.Ref) {
			all.Go(func() { done <- finished{ref, r.run(ctx, ref)} })
		})
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		case <-timer:
		case f := <-done:
			t.end(f, time.Now())
			if f.err != nil && ctx.Err() == nil {
				r.log.LogAttrs(ctx, slog.LevelWarn, "a poller could not be run", slog.Int64("poller", f.ref), slog.Any("err", f.err))
			}
		}
	}
}

func (t *turns) end(f finished, now time.Time) {
	app := t.running[f.ref]
	delete(t.running, f.ref)
	if t.perApp[app]--; t.perApp[app] == 0 {
		delete(t.perApp, app)
	}
	if f.err != nil {
		t.resting[f.ref] = now.Add(retryWait)
	}
}

// startDue starts what is due and has a slot. It answers when to look again; zero means never, but for a
// run that ends or a Wake.
func (r *Runner) startDue(ctx context.Context, t *turns, start func(hark.Ref)) (next time.Time) {
	now := time.Now()
	due, next, err := r.store.DuePollers(ctx, now)
	if err != nil {
		if ctx.Err() == nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "pollers that are due cannot be read", slog.Any("err", err))
		}
		return now.Add(retryWait)
	}
	soonest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if r.holds != nil {
		soonest(now.Add(lookEvery))
	}
	var waiting []store.DuePoller
	for _, d := range due {
		if rest, ok := t.resting[d.Ref]; ok {
			if rest.After(now) {
				soonest(rest)
				continue
			}
			delete(t.resting, d.Ref)
		}
		if _, running := t.running[d.Ref]; !running && (r.holds == nil || r.holds(store.ShardOf(d.Ref))) {
			waiting = append(waiting, d)
		}
	}
	for len(t.running) < slots {
		i := t.pick(waiting)
		if i < 0 {
			break
		}
		d := waiting[i]
		waiting = append(waiting[:i], waiting[i+1:]...)
		t.running[d.Ref] = d.ApplicationRef
		t.perApp[d.ApplicationRef]++
		start(d.Ref)
	}
	return next
}

// pick chooses whose turn it is: of the application with the fewest runs, what has waited longest.
func (t *turns) pick(waiting []store.DuePoller) int {
	best, fewest := -1, slots/4
	for i := range waiting {
		if n := t.perApp[waiting[i].ApplicationRef]; n < fewest {
			best, fewest = i, n
		}
	}
	return best
}
