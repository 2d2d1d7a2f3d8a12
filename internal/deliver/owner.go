package deliver

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/health"
	"github.com/harkhq/hark/internal/store"
)

// owner is the goroutine that keeps the lanes: everything here is touched by it alone.
type owner struct {
	*Engine
	lanes     map[hark.Ref]*lane
	turns     turns
	timers    timers
	limiters  map[hark.Ref]*rate.Limiter // of applications
	parked    ring[*lane]                // they have retries ready, and too many retries are in flight
	squeezed  ring[*lane]                // they use their share of the slots, which was small
	unread    ring[*lane]                // they want to read, and too many reads are under way
	wanted    []*lane                    // they are read next
	loads     map[hark.Ref]*load         // applications that are being read
	reads     int                        // under way, of queues and applications
	memory    memory
	inflight  int
	retries   int // of those in flight
	stopping  bool
	nextSweep time.Time
	spare     mail
	ctx       context.Context // for store reads; ends with Run's
	// background are reads and disablings under way.
	background sync.WaitGroup

	// Where several nodes share the store (tenure.go):
	held      map[int]*held
	returned  map[int]int64 // given back at an epoch, and not yet taken off by a Beat
	heldUntil time.Time
	nextLook  time.Time
	looking   int // looks under way
	lookFrom  int // the shard that is looked at next
	lookMost  int // how many shards are looked at together
}

const (
	sweepEvery = time.Minute
	// mostReads bounds the pages in memory that are not in a lane yet, and what the API has to wait
	// for when very many endpoints have a backlog. Where nodes share a store each read asks for many
	// lanes, so there are fewer: lanes that are woken while they are under way are the next read.
	mostReads         = 16
	mostReadsTogether = 3
)

func newOwner(e *Engine, backlogs []store.Backlog) *owner {
	o := &owner{
		Engine:   e,
		lanes:    make(map[hark.Ref]*lane, len(backlogs)),
		turns:    turns{byApp: map[hark.Ref]*appTurn{}},
		limiters: map[hark.Ref]*rate.Limiter{},
		loads:    map[hark.Ref]*load{},
		memory:   memory{mostRows: e.opt.RowsInMemory, mostBytes: e.opt.PayloadBytes},
		held:     map[int]*held{},
		returned: map[int]int64{},
		lookMost: store.Shards,
	}
	for _, b := range backlogs {
		l := newLane(b.ApplicationRef, b.EndpointRef, &o.memory)
		l.horizon = firstPlace
		o.lanes[b.EndpointRef] = l
		o.turns.add(l)
	}
	return o
}

// run is the loop. It returns when ctx has ended and nothing is in flight any more.
func (o *owner) run(ctx context.Context) {
	o.ctx = ctx
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := ctx.Done()
	for {
		now := time.Now()
		o.readMail(now)
		if !o.stopping {
			o.expire(now)
			o.dispatch(now)
			o.readWanted()
			o.sweep(now)
			o.lookAround(now)
		}
		o.metrics.inflight.Set(float64(o.inflight))
		if o.stopping && o.inflight == 0 {
			return
		}
		if o.stopping {
			timer.Stop() // nothing is started any more: only what ends is waited for
		} else {
			timer.Reset(o.untilNext(now))
		}
		select {
		case <-o.mailbox.wake:
		case <-timer.C:
		case <-ending:
			o.stopping, ending = true, nil
		}
	}
}

func (o *owner) untilNext(now time.Time) time.Duration {
	next := o.nextSweep
	if len(o.timers) > 0 && o.timers[0].wakeAt.Before(next) {
		next = o.timers[0].wakeAt
	}
	if len(o.held) > 0 && o.looking == 0 && o.nextLook.Before(next) {
		next = o.nextLook
	}
	return max(next.Sub(now), 0)
}

// readMail brings the lanes up to date.
func (o *owner) readMail(now time.Time) {
	in := o.mailbox.take(o.spare)
	for _, j := range in.ended {
		o.ended(j, now)
	}
	for _, in := range in.leases {
		o.hold(in, now)
	}
	for _, rows := range in.offered {
		for i := range rows {
			o.offered(rows[i], now)
		}
	}
	for _, j := range in.settled {
		o.settled(j, now)
	}
	for _, p := range in.pages {
		if p.last {
			o.reads--
		}
		p.lane.read(p, now)
		if p.err != nil {
			o.opt.Log.LogAttrs(o.ctx, slog.LevelError, "queue not read", slog.Any("err", p.err))
			o.wakeLane(p.lane, now.Add(time.Second))
			continue
		}
		o.turns.add(p.lane)
	}
	for _, in := range in.backlogs {
		o.looked(in, now)
	}
	for _, ref := range in.woken {
		o.woken(ref, now)
	}
	for _, app := range in.edited {
		for ref, l := range o.lanes {
			if app == 0 || l.app == app {
				in.changed = append(in.changed, ref)
			}
		}
	}
	for _, ref := range in.changed {
		if l := o.lanes[ref]; l != nil {
			l.ep, l.disabling = nil, false
			if under := o.loads[l.app]; under != nil {
				under.stale = true
			}
			o.turns.add(l)
		}
	}
	for _, ref := range in.failing {
		if l := o.lanes[ref]; l != nil {
			o.disable(l, "failing")
		}
	}
	for _, loaded := range in.loaded {
		o.loaded(loaded, now)
	}
	o.spare = in.emptied()
}

// offered takes in a committed row. A lane that is not there has no rows in the store, or it would
// have been made at the start: so a new one knows all there is. Not so where other nodes commit rows,
// too: there a new lane asks the store, and an ordered one always does, because what another node
// committed before this row stands before it.
func (o *owner) offered(d hark.Delivery, now time.Time) {
	l := o.lanes[d.EndpointRef]
	switch {
	case o.tenure != nil && o.held[store.ShardOf(d.EndpointRef)] == nil:
		return
	case l != nil:
	case o.tenure != nil:
		l = o.unknownLane(d.ApplicationRef, d.EndpointRef)
	default:
		l = newLane(d.ApplicationRef, d.EndpointRef, &o.memory)
		o.lanes[d.EndpointRef] = l
	}
	if l.app == 0 { // it was woken, and found nothing
		l.app = d.ApplicationRef
	}
	if o.tenure != nil && l.ordered() && d.Trigger == hark.Scheduled {
		l.forget()
	} else {
		l.push(d, now)
	}
	o.turns.add(l)
}

// ended notes how an attempt went; its settlement is on its way.
func (o *owner) ended(j *job, now time.Time) {
	o.inflight--
	if j.delivery.Attempts > 0 {
		o.retries--
	}
	if o.squeezed.len() > 0 {
		l := o.squeezed.pop()
		l.squeezed = false
		o.turns.add(l)
	}
	l := j.lane
	l.inflight--
	l.lastUsed = now
	if j.unsent { // the attempt did not take place: the row is where it was
		o.over(j)
		class := health.Unasked
		if j.crowded { // those that wait for a turn hold places that others could send from: fewer at once
			class = health.Overload
		}
		l.health.Ended(now, class, 0, j.endpoint.MostInFlight())
		l.unsent(j)
		o.wakeLane(l, now.Add(time.Second))
		return
	}
	l.unrecorded++
	l.health.Ended(now, j.verdict.Class, j.verdict.Pause, j.endpoint.MostInFlight())
	switch {
	case j.verdict.Disable != "":
		o.disable(l, j.verdict.Disable)
	case j.verdict.Status != hark.Succeeded && j.verdict.Class != health.Unasked:
		o.considerDisabling(l, now)
	}
	o.turns.add(l)
}

// settled notes that an attempt's end is recorded. Only now its line is free: after a crash nothing
// is sent again out of order.
func (o *owner) settled(j *job, now time.Time) {
	l := j.lane
	l.unrecorded--
	l.release(j)
	o.over(j)
	if l.gone {
		l.dismiss(place(j.delivery))
		return
	}
	l.settle(j, now)
	o.turns.add(l)
}

// dispatch starts what may start, in turns, while there are slots.
func (o *owner) dispatch(now time.Time) {
	for o.inflight < o.opt.InFlight {
		o.readmit()
		l := o.turns.next()
		if l == nil {
			return
		}
		if d := o.claim(l, now); d != nil {
			o.start(l, d, now)
			o.turns.add(l)
		}
	}
}

// readmit gives a turn to a lane that waits for what all lanes share, when there is some again.
func (o *owner) readmit() {
	if o.parked.len() > 0 && o.mayRetry() {
		l := o.parked.pop()
		l.parked = false
		o.turns.add(l)
	}
	if o.unread.len() > 0 && o.isReadable() {
		l := o.unread.pop()
		l.unread = false
		o.turns.add(l)
	}
}

// mayRetry says that retries leave slots to what is sent for the first time.
func (o *owner) mayRetry() bool { return o.retries < (o.opt.InFlight+1)/2 }

// mayRead says that one more read may begin; if not, the lane gets another turn when one has ended.
func (o *owner) mayRead(l *lane) bool {
	if o.isReadable() {
		return true
	}
	if !l.unread {
		l.unread = true
		o.unread.push(l)
	}
	return false
}

// claim takes the lane's next delivery if everything allows it: the endpoint, its health, its rate
// and its application's. Otherwise it sees to it that the lane is looked at again in time.
func (o *owner) claim(l *lane, now time.Time) *hark.Delivery {
	if l.gone { // its endpoint may have another lane, under a newer lease: two would send everything twice
		return nil
	}
	if _, mine := o.mine(l.endpoint, now); !mine || !o.configure(l) {
		return nil
	}
	if l.ep.Held() && len(l.manual) == 0 {
		l.forget()
		return nil
	}
	if l.wantsPage(now) {
		o.readPage(l)
	}
	if l.ep.ID.IsPulled() {
		return o.claimFed(l, now)
	}
	share := o.share(l)
	if ok, wake := l.health.Ready(now, l.inflight, share); !ok {
		o.wakeLane(l, wake)
		if share < l.ep.MostInFlight() && len(l.rows)+len(l.fresh)+len(l.manual) > 0 && !l.squeezed {
			l.squeezed = true
			o.squeezed.push(l)
		}
		return nil
	}
	// What is not recorded would be sent again after a crash. As much of it as in flight keeps the
	// endpoint busy during a commit; more would only be more to repeat.
	if l.unrecorded >= l.health.Limit(share) {
		return nil
	}
	if wake := o.throttled(l, now); !wake.IsZero() {
		o.wakeLane(l, wake)
		return nil
	}
	d, wake, parked := l.next(now, o.mayRetry())
	if d == nil {
		if parked && !l.parked {
			l.parked = true
			o.parked.push(l)
		}
		o.lookBeyond(l, wake, now)
		return nil
	}
	o.spend(l, now)
	return d
}

// lookBeyond sees to a lane of which nothing in memory may start before wake.
func (o *owner) lookBeyond(l *lane, wake, now time.Time) {
	o.wakeLane(l, wake)
	read, wake := l.beyond(now)
	o.wakeLane(l, wake)
	if read {
		o.readPage(l)
	}
}

// share is how many slots a lane may use now: its own maximum, but never more than a quarter of
// what is free. So slow endpoints, however many take what they can get, leave slots to others.
func (o *owner) share(l *lane) int {
	return min(l.ep.MostInFlight(), max(1, (o.opt.InFlight-o.inflight)/4))
}

// start hands a delivery to a worker.
func (o *owner) start(l *lane, d *hark.Delivery, now time.Time) {
	if l.ep.ID.IsPulled() {
		o.feed(l, d, now)
		return
	}
	o.inflight++
	l.inflight++
	if d.Attempts > 0 {
		o.retries++
	}
	l.health.Started()
	o.workers.send(o.job(l, d))
}

func (o *owner) job(l *lane, d *hark.Delivery) *job {
	j := &job{lane: l, endpoint: l.ep, delivery: d}
	if o.tenure != nil {
		j.held = o.held[store.ShardOf(d.EndpointRef)]
		j.held.out++
		j.epoch = j.held.epoch
	}
	return j
}

// disable takes an endpoint out of service; its rows stay in the store.
func (o *owner) disable(l *lane, reason string) {
	if l.disabling || l.ep == nil || l.ep.Disabled {
		return
	}
	l.disabling = true
	o.metrics.disabled.Inc()
	// Until the change comes back through EndpointChanged nothing more is sent.
	held := *l.ep
	held.Disabled = true
	l.ep = &held
	o.background.Go(func() {
		if err := o.opt.Disable(context.WithoutCancel(o.ctx), l.app, l.endpoint, reason); err != nil {
			o.opt.Log.LogAttrs(o.ctx, slog.LevelError, "endpoint not disabled", slog.String("endpoint", string(held.ID)), slog.Any("err", err))
			o.mailbox.change(l.endpoint)
		}
	})
}

// considerDisabling asks, now and then, whether an endpoint has failed for too long.
func (o *owner) considerDisabling(l *lane, now time.Time) {
	after := o.opt.DisableAfter
	if after < 0 || l.disabling || l.ep == nil || now.Sub(l.checked) < min(10*time.Minute, after/20) {
		return
	}
	l.checked = now
	edited := l.ep.UpdatedAt // by someone who may have mended it, or has enabled it again: a new chance
	o.background.Go(func() {
		since, failing, err := o.opt.Store.FailingSince(o.ctx, l.endpoint, now.Add(-after-24*time.Hour))
		if err == nil && failing && now.Sub(since) >= after && now.Sub(edited) >= after {
			o.mailbox.send(func(in *mail) { in.failing = append(in.failing, l.endpoint) })
		}
	})
}

// wakeLane looks at a lane again at a moment; zero: when something happens to it.
func (o *owner) wakeLane(l *lane, at time.Time) {
	if at.IsZero() {
		return
	}
	if l.timer >= 0 {
		if at.Before(l.wakeAt) {
			l.wakeAt = at
			heap.Fix(&o.timers, l.timer)
		}
		return
	}
	l.wakeAt = at
	heap.Push(&o.timers, l)
}

// expire gives lanes whose time has come their turn.
func (o *owner) expire(now time.Time) {
	for len(o.timers) > 0 && !o.timers[0].wakeAt.After(now) {
		l := heap.Pop(&o.timers).(*lane)
		if !l.gone {
			o.turns.add(l)
		}
	}
}

// sweep drops lanes that have nothing to do and shows the gauges.
func (o *owner) sweep(now time.Time) {
	if now.Before(o.nextSweep) {
		return
	}
	o.nextSweep = now.Add(sweepEvery)
	limited := make(map[hark.Ref]*rate.Limiter, len(o.limiters))
	for ref, l := range o.lanes {
		if l.timer < 0 && !l.loading && l.idle(now) { // a lane that has spent its rate has a timer
			delete(o.lanes, ref)
		} else if lim := o.limiters[l.app]; lim != nil {
			limited[l.app] = lim
		}
	}
	o.limiters = limited // those of applications without lanes have filled up, and can be made again
	o.metrics.lanes.Set(float64(len(o.lanes)))
	o.metrics.rows.Set(float64(o.memory.rows))
	o.metrics.bytes.Set(float64(o.memory.bytes))
}

// timers is a heap of lanes by the moment they want to be looked at.
type timers []*lane

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].wakeAt.Before(t[j].wakeAt) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].timer, t[j].timer = i, j
}
func (t *timers) Push(x any) {
	l := x.(*lane)
	l.timer = len(*t)
	*t = append(*t, l)
}
func (t *timers) Pop() any {
	old := *t
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	l.timer = -1
	return l
}
