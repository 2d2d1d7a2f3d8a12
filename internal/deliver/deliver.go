// Package deliver is the delivery engine: it takes what is due from the queue, sends it, judges
// the answer and settles it.
//
//	  store ──OnQueued──▶ mailbox ─▶ owner ─▶ worker ─▶ settler ─▶ store
//	(committed rows)      claim, gate     transform,     one transaction
//	                                      build, send,   per batch
//	                                      judge
//
// One owner goroutine keeps every endpoint's lane: its rows in memory, its health, its limits and
// its timers. It never polls: it sleeps until the earliest due time or a wake-up. Workers send;
// the settler records what they found out, as many at a time as have come together.
//
// The promises, and where they are kept:
//
//   - Every queued row is attempted until it is settled (lane.go: memory is complete up to a
//     horizon, the store has the rest; an endpoint without a lane has no rows).
//   - Memory is bounded: rows per lane and in all, payload bytes, attempts in flight, results not
//     yet settled.
//   - Nobody else's trouble: applications take turns, and so do the endpoints of one application
//     (turns.go); a slow endpoint holds only its own slots (package health), and retries never
//     take the last half of all slots.
//   - After a crash only what was not recorded yet is repeated: per endpoint at most what may be in
//     flight, and as much again that was answered during the last commit.
//   - Order when asked: a line sends its next delivery only after the one before it is settled.
//
// It refuses to follow redirects, to retry what a person sent by hand, and to keep anything that
// it cannot find in the store again.
package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/store"
)

// Store is the part of the store that the engine uses.
type Store interface {
	store.Queue
	MessagesByRef(ctx context.Context, refs []hark.Ref) ([]hark.Message, error)
	FailingSince(ctx context.Context, endpoint hark.Ref, floor time.Time) (since time.Time, ok bool, err error)
	LogExecutions(ctx context.Context, executions []hark.Execution) error
}

// Poster sends one request; *outbound.Client does.
type Poster interface {
	Post(ctx context.Context, req *outbound.Request) (*outbound.Response, error)
}

// Alterer applies an endpoint's transformation; *alter.Runner does.
type Alterer interface {
	Apply(ctx context.Context, job alter.Job) (alter.Altered, error)
}

// Options of an Engine. The zero value of a field that is not said to be required is useful.
type Options struct {
	Store     Store                // required
	Directory *directory.Directory // required
	Client    Poster               // required
	Alterer   Alterer              // required where endpoints have transformations
	Log       *slog.Logger
	Metrics   prometheus.Registerer

	// Disable takes an endpoint out of service, durably; reason is "gone" or "failing".
	Disable func(ctx context.Context, app, endpoint hark.Ref, reason string) error
	// DisableAfter is how long an endpoint may do nothing but fail before it is disabled;
	// negative: for ever. 0 means five days.
	DisableAfter time.Duration
	// Watch is told of every attempt, for traces; it must not block.
	Watch func(hark.Attempt)

	InFlight     int           // most attempts in flight over all endpoints; 0 means 2048
	RowsInMemory int           // most queue rows in memory, about; 0 means 50,000
	PayloadBytes int64         // most payload bytes in memory, about; 0 means 32 MiB
	DrainTimeout time.Duration // how long attempts in flight may go on at the end; 0 means 10 s

	// Cluster is set where several nodes share the store; then Node says who this one is, and Lease
	// how long its leases last: the pause of what it delivers for when it is lost. 0 means 15 s.
	Cluster store.Cluster
	Node    store.Node
	Lease   time.Duration
	// HeaderPrefixes name the signature headers: "webhook-" of Standard Webhooks, "svix-" of Svix's
	// receivers. Nil means both.
	HeaderPrefixes []string
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Disable == nil {
		o.Disable = func(context.Context, hark.Ref, hark.Ref, string) error { return nil }
	}
	if o.DisableAfter == 0 {
		o.DisableAfter = 5 * 24 * time.Hour
	}
	if o.InFlight <= 0 {
		o.InFlight = 2048
	}
	if o.RowsInMemory <= 0 {
		o.RowsInMemory = 50_000
	}
	if o.PayloadBytes <= 0 {
		o.PayloadBytes = 32 << 20
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = 10 * time.Second
	}
	if o.Lease <= 0 {
		o.Lease = defaultLease
	}
	if o.HeaderPrefixes == nil {
		o.HeaderPrefixes = directory.SignaturePrefixes()
	}
	return o
}

// Engine delivers. Make it with New, give Offer to the store's OnQueued, then Run it once.
type Engine struct {
	opt     Options
	metrics *metrics
	mailbox mailbox
	settler settler
	journal journal
	workers workers
	tenure  *tenure // nil: the store is this process's own
	holding atomic.Pointer[holding]
}

// New makes an engine that does nothing until Run.
func New(opt Options) *Engine {
	opt = opt.withDefaults()
	e := &Engine{opt: opt, metrics: newMetrics(opt.Metrics)}
	e.mailbox.wake = make(chan struct{}, 1)
	e.settler.init(e)
	e.journal.init(e)
	e.workers.init(e)
	e.tenure = newTenure(e)
	return e
}

// Offer tells the engine of committed queue rows. It does not block.
func (e *Engine) Offer(rows []hark.Delivery) { e.mailbox.offer(rows) }

// EndpointChanged tells the engine that an endpoint, or its application, was changed or deleted.
// Call it after directory.Forget.
func (e *Engine) EndpointChanged(endpoint hark.Ref) { e.mailbox.change(endpoint) }

// ApplicationsChanged is EndpointChanged for all endpoints of applications; nil stands for all.
func (e *Engine) ApplicationsChanged(apps []hark.Ref) {
	if apps == nil {
		apps = []hark.Ref{0}
	}
	e.mailbox.send(func(in *mail) { in.edited = append(in.edited, apps...) })
}

// Holds says whether this node delivers for a shard now. Others may use it to share work among nodes
// that would only be wasted, not wrong, if two did it at once.
func (e *Engine) Holds(shard int) bool {
	if e.tenure == nil {
		return true
	}
	h := e.holding.Load()
	return h != nil && h.shards[shard] && time.Now().Before(h.until)
}

// Wake tells the engine of endpoints for which another node has committed rows.
func (e *Engine) Wake(endpoints []hark.Ref) {
	e.mailbox.send(func(in *mail) { in.woken = append(in.woken, endpoints...) })
}

// LeasesFree tells the engine that another node has given leases back.
func (e *Engine) LeasesFree() {
	if e.tenure != nil {
		e.tenure.soon()
	}
}

// Run delivers until ctx ends; then it starts nothing new, lets the attempts in flight finish
// within DrainTimeout, settles them, and returns. What was not sent is still in the queue.
func (e *Engine) Run(ctx context.Context) error {
	var backlogs []store.Backlog // in a cluster they come with the leases
	if e.tenure == nil {
		var err error
		if backlogs, err = e.opt.Store.Backlogs(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("find what is queued: %w", err)
		}
	}
	// Attempts in flight outlive ctx, up to the drain timeout.
	sending, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(e.opt.DrainTimeout, abort) })()
	e.workers.ctx = sending

	stopJournal := e.journal.start(sending)
	stopSettler := e.settler.start(sending)
	o := newOwner(e, backlogs)
	if e.tenure != nil {
		o.background.Go(func() { e.tenure.run(sending) })
	}
	o.run(ctx)
	e.workers.stop()
	stopSettler()
	stopJournal()
	abort()
	o.background.Wait()
	if e.tenure != nil {
		e.tenure.leave(ctx)
	}
	return nil
}
