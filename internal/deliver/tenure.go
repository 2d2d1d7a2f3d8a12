package deliver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Where several nodes share a store, each delivers for the shards whose leases it holds, and for no
// others. Tenure is the engine's part in that:
//
//	       Beat every third of the lease        not renewed for two thirds of it
//	none ───────────────────────────────▶ held ──────────────────────────────────▶ nothing starts
//	                                       │ surplus: others have too little
//	                                       ▼
//	                                    draining ── nothing out any more ──▶ given back with the next Beat
//
// What a node sends after it lost a lease without knowing (it slept) is fenced by the store: the
// settlement changes nothing, because its epoch has passed.
type tenure struct {
	cluster store.Cluster
	node    store.Node
	lease   time.Duration
	log     *slog.Logger
	mailbox *mailbox
	poke    chan struct{} // capacity one: beat now

	mu      sync.Mutex
	drained []int // to be named in the next Beat
}

// defaultLease is how long a lease lasts: the pause of a shard whose node was lost.
const defaultLease = 15 * time.Second

// leases is what a Beat answered.
type leases struct {
	store.Leases
	until time.Time // nothing is started after that, unless they are renewed
}

func newTenure(e *Engine) *tenure {
	if e.opt.Cluster == nil {
		return nil
	}
	return &tenure{
		cluster: e.opt.Cluster, node: e.opt.Node, lease: e.opt.Lease, log: e.opt.Log, mailbox: &e.mailbox,
		poke: make(chan struct{}, 1),
	}
}

// breath is the least time between two beats: what moves shards to and fro must not do so without end.
const breath = 5 * time.Millisecond

// run beats until ctx ends.
func (t *tenure) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := t.lease / 3
		if err := t.beat(ctx); err != nil && ctx.Err() == nil {
			t.log.LogAttrs(ctx, slog.LevelError, "leases not renewed", slog.Any("err", err))
			wait = t.lease / 15
		}
		select {
		case <-ctx.Done():
		case <-t.poke:
			select {
			case <-ctx.Done():
			case <-time.After(breath):
			}
		case <-time.After(wait):
		}
	}
}

func (t *tenure) beat(ctx context.Context) error {
	t.mu.Lock()
	release := t.drained
	t.drained = nil
	t.mu.Unlock()
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.lease/3)
	defer cancel()
	held, err := t.cluster.Beat(ctx, t.node, sent, t.lease, release)
	if err != nil {
		t.mu.Lock()
		t.drained = append(t.drained, release...)
		t.mu.Unlock()
		return err
	}
	// The store counts the lease from sent, so the answer's time on the way is on the safe side.
	t.mailbox.send(func(in *mail) { in.leases = append(in.leases, leases{held, sent.Add(t.lease * 2 / 3)}) })
	return nil
}

// Beat soon: something has changed that the others wait for.
func (t *tenure) soon() {
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

func (t *tenure) giveBack(shard int) {
	t.mu.Lock()
	t.drained = append(t.drained, shard)
	t.mu.Unlock()
	t.soon()
}

// leave gives everything back, so that the others need not wait for the leases to end.
func (t *tenure) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.lease/3)
	defer cancel()
	if err := t.cluster.Leave(ctx, t.node.ID); err != nil {
		t.log.LogAttrs(ctx, slog.LevelWarn, "leases not given back: the others wait for their end", slog.Any("err", err))
	}
}

// held is a shard that the node delivers for.
type held struct {
	epoch    int64
	draining bool
	out      int // attempts in flight or not yet recorded
}

// holding is what Holds answers by: the shards that are held and not about to be given back.
type holding struct {
	shards [store.Shards]bool
	until  time.Time
}

// show publishes what is held.
func (o *owner) show() {
	h := &holding{until: o.heldUntil}
	for shard, held := range o.held {
		h.shards[shard] = !held.draining
	}
	o.holding.Store(h)
}

// mine says whether the node may start attempts of an endpoint now, and under which lease.
func (o *owner) mine(endpoint hark.Ref, now time.Time) (*held, bool) {
	if o.tenure == nil {
		return nil, true
	}
	h := o.held[store.ShardOf(endpoint)]
	return h, h != nil && !h.draining && now.Before(o.heldUntil)
}

// lapsed says of a job that was claimed that it may not start any more. A process that was stopped in
// between, or waited for its message, does not notice.
func (e *Engine) lapsed(j *job, now time.Time) bool {
	return j.held != nil && !now.Before(e.holding.Load().until)
}

// hold takes in what a Beat answered.
func (o *owner) hold(in leases, now time.Time) {
	expired := !now.Before(o.heldUntil)
	o.heldUntil = in.until
	for shard, h := range o.held {
		if epoch, still := in.Held[shard]; !still || epoch != h.epoch {
			o.lose(shard)
		}
	}
	maps.DeleteFunc(o.returned, func(shard int, epoch int64) bool { return in.Held[shard] != epoch })
	var gained []int
	for shard, epoch := range in.Held {
		if _, returned := o.returned[shard]; !returned && o.held[shard] == nil {
			o.held[shard] = &held{epoch: epoch}
			gained = append(gained, shard)
		}
	}
	defer o.show()
	// What was given back since the Beat was sent is still in its count.
	drain := len(in.Surplus) - len(o.returned)
	again := expired // lanes fall out of their turns while nothing may start
	for shard, h := range o.held {
		surplus := drain > 0 && slices.Contains(in.Surplus, shard)
		again = again || h.draining && !surplus
		if h.draining = surplus; surplus {
			drain--
			o.maybeReturn(shard)
		}
	}
	if again {
		for _, l := range o.lanes {
			o.turns.add(l)
		}
	}
	if len(gained) > 0 {
		o.lookAt(gained)
	}
}

// lose drops a shard's lanes. What is in flight goes on, and is fenced when it is settled.
func (o *owner) lose(shard int) {
	delete(o.held, shard)
	o.show()
	for ref, l := range o.lanes {
		if store.ShardOf(ref) == shard {
			l.end()
			delete(o.lanes, ref)
		}
	}
}

// maybeReturn gives a draining shard back when nothing of it is out any more.
func (o *owner) maybeReturn(shard int) {
	h := o.held[shard]
	if h == nil || !h.draining || h.out > 0 {
		return
	}
	o.lose(shard)
	o.returned[shard] = h.epoch
	o.tenure.giveBack(shard)
}

// over notes that an attempt is over and recorded, or did not take place.
func (o *owner) over(j *job) {
	if j.held == nil {
		return
	}
	j.held.out--
	shard := store.ShardOf(j.delivery.EndpointRef)
	if o.held[shard] == j.held {
		if j.settlement.Fenced { // another node delivers for it, and has read the row
			o.lose(shard)
			o.tenure.soon()
			return
		}
		o.maybeReturn(shard)
	}
}

// A node looks for rows whose wake-up was lost, at all of its shards every lookEvery. Where that takes
// long, because very many endpoints have a backlog or the database cannot clean up what is gone, it looks
// at fewer shards together, and less often: at most a tenth of the time.
const (
	lookEvery    = time.Second
	lookSlow     = 100 * time.Millisecond
	fewestLooked = 8
)

// lookAt finds the backlogs of shards.
func (o *owner) lookAt(shards []int) {
	o.looking++
	o.background.Go(func() {
		began := time.Now()
		backlogs, err := o.tenure.cluster.BacklogsOf(o.ctx, shards)
		if err != nil && o.ctx.Err() == nil {
			o.opt.Log.LogAttrs(o.ctx, slog.LevelError, "backlogs not read", slog.Any("err", err))
		}
		took := time.Since(began)
		o.mailbox.send(func(in *mail) { in.backlogs = append(in.backlogs, look{len(shards), backlogs, took, err}) })
	})
}

// look is what lookAt found.
type look struct {
	shards   int
	backlogs []store.Backlog
	took     time.Duration
	err      error
}

// looked takes in backlogs: lanes that did not know of them read their queue anew.
func (o *owner) looked(in look, now time.Time) {
	o.looking--
	switch {
	case in.took > lookSlow:
		o.lookMost = max(o.lookMost/4, fewestLooked)
	case in.took < lookSlow/4:
		o.lookMost = min(o.lookMost*2, store.Shards)
	}
	part := lookEvery * time.Duration(in.shards) / time.Duration(max(len(o.held), in.shards))
	o.nextLook = now.Add(max(part, 10*in.took))
	if in.err != nil {
		return
	}
	for _, b := range in.backlogs {
		if o.held[store.ShardOf(b.EndpointRef)] == nil {
			continue
		}
		l := o.lanes[b.EndpointRef]
		if l == nil {
			l = o.unknownLane(b.ApplicationRef, b.EndpointRef)
		} else if l.app == 0 {
			l.app = b.ApplicationRef
			l.forget()
		} else if _, known := l.known[b.First]; known && !l.stale(now) || compare(b.First, l.horizon) > 0 || l.reading != nil {
			continue
		} else {
			l.forget()
		}
		o.turns.add(l)
	}
}

// staleAfter is how long an ordered lane goes on with what it has read. Its first row keeps its place
// while it fails, so that looking at the first row says nothing of those behind it.
const staleAfter = 10 * time.Second

func (l *lane) stale(now time.Time) bool { return l.ordered() && now.Sub(l.readAt) > staleAfter }

// lookAround looks at the held shards in turn, because a wake-up can be lost.
func (o *owner) lookAround(now time.Time) {
	if o.tenure == nil || o.looking > 0 || now.Before(o.nextLook) || len(o.held) == 0 {
		return
	}
	var shards []int
	for range store.Shards {
		if o.held[o.lookFrom] != nil {
			shards = append(shards, o.lookFrom)
		}
		o.lookFrom = (o.lookFrom + 1) % store.Shards
		if len(shards) == o.lookMost {
			break
		}
	}
	o.lookAt(shards)
}

// unknownLane is a lane of which the store may have rows.
func (o *owner) unknownLane(app, endpoint hark.Ref) *lane {
	l := newLane(app, endpoint, &o.memory)
	l.horizon = firstPlace
	l.lastUsed = time.Now()
	o.lanes[endpoint] = l
	return l
}

// woken looks for rows that another node has committed.
func (o *owner) woken(endpoint hark.Ref, now time.Time) {
	if _, mine := o.mine(endpoint, now); !mine {
		return
	}
	l := o.lanes[endpoint]
	if l == nil {
		l = o.unknownLane(0, endpoint)
	} else {
		l.lookAgain(now)
	}
	o.turns.add(l)
}
