package alter

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// A run that took slowAfter of a processor's time makes its endpoint slow, for slowFor. It is not the clock's: on
// a busy machine every script takes long by that.
const (
	slowAfter = 100 * time.Millisecond
	slowFor   = time.Minute
)

// mostKnown is of how many endpoints it is remembered that their scripts are quick.
const mostKnown = 50_000

// turns says who may run a script now. Applications take turns, and so do the endpoints of one. One
// application has half of the places at most. Slow endpoints, and those of which nothing is known, have
// half of all places together, and one of an application's; so a place for what is quick is free soon,
// whatever the slow do.
type turns struct {
	mu           sync.Mutex
	most         int // places
	running      int
	runningSlow  int
	applications map[hark.Ref]*application // with something that runs or waits
	waiting      []*application            // in the order of their turns
	quick        map[lane][32]byte         // endpoints whose script was quick
	slow         map[lane]time.Time        // endpoints that are slow, until when
}

// lane is an endpoint's.
type lane struct{ app, endpoint hark.Ref }

type application struct {
	ref                  hark.Ref
	running, runningSlow int
	endpoints            []*endpoint // with something that waits, in the order of their turns
}

type endpoint struct {
	ref   hark.Ref
	queue []*turn
}

// turn is one run's.
type turn struct {
	all  *turns
	app  *application
	lane lane
	key  [32]byte
	slow bool
	came chan struct{} // closed when it has come
}

func (t *turns) init(most int) {
	t.most = most
	t.applications = map[hark.Ref]*application{}
	t.quick, t.slow = map[lane][32]byte{}, map[lane]time.Time{}
}

// half is what one application has at most, and what is slow has together.
func (t *turns) half() int { return max(1, t.most/2) }

// take waits for a turn, for as long as patience lasts: then it is ErrBusy.
func (t *turns) take(ctx context.Context, app, ep hark.Ref, key [32]byte, patience time.Duration) (*turn, error) {
	own := &turn{all: t, lane: lane{app, ep}, key: key, came: make(chan struct{})}
	t.mu.Lock()
	t.join(own)
	t.next(time.Now())
	t.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case <-own.came:
		return own, nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-own.came: // just now
		return own, nil
	default:
	}
	t.leave(own)
	return nil, err
}

// join lines a turn up behind those of its endpoint.
func (t *turns) join(own *turn) {
	app := t.applications[own.lane.app]
	if app == nil {
		app = &application{ref: own.lane.app}
		t.applications[app.ref] = app
	}
	own.app = app
	if len(app.endpoints) == 0 {
		t.waiting = append(t.waiting, app)
	}
	for _, e := range app.endpoints {
		if e.ref == own.lane.endpoint {
			e.queue = append(e.queue, own)
			return
		}
	}
	app.endpoints = append(app.endpoints, &endpoint{ref: own.lane.endpoint, queue: []*turn{own}})
}

// leave takes a turn out of its line.
func (t *turns) leave(own *turn) {
	app := own.app
	for i, e := range app.endpoints {
		if e.ref != own.lane.endpoint {
			continue
		}
		e.queue = slices.DeleteFunc(e.queue, func(other *turn) bool { return other == own })
		if len(e.queue) == 0 {
			app.endpoints = slices.Delete(app.endpoints, i, i+1)
		}
		break
	}
	t.settle(app)
}

// settle takes an application off the lists that it has no place in any more.
func (t *turns) settle(app *application) {
	if len(app.endpoints) > 0 {
		return
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(other *application) bool { return other == app })
	if app.running == 0 {
		delete(t.applications, app.ref)
	}
}

// next lets run who may.
func (t *turns) next(now time.Time) {
	for t.running < t.most && t.startOne(now) {
	}
}

// startOne lets the first one run that may, and puts its application and endpoint behind the others.
func (t *turns) startOne(now time.Time) bool {
	for i, app := range t.waiting {
		if app.running >= t.half() {
			continue
		}
		for j, e := range app.endpoints {
			own := e.queue[0]
			own.slow = t.isSlow(own, now)
			if own.slow && (app.runningSlow > 0 || t.runningSlow >= t.half()) {
				continue
			}
			e.queue = e.queue[1:]
			app.endpoints = slices.Delete(app.endpoints, j, j+1)
			if len(e.queue) > 0 {
				app.endpoints = append(app.endpoints, e)
			}
			t.waiting = append(slices.Delete(t.waiting, i, i+1), app)
			t.count(own, 1)
			t.settle(app)
			close(own.came)
			return true
		}
	}
	return false
}

func (t *turns) count(own *turn, by int) {
	t.running += by
	own.app.running += by
	if own.slow {
		t.runningSlow += by
		own.app.runningSlow += by
	}
}

// isSlow says whether an endpoint's script may take long, for all that is known.
func (t *turns) isSlow(own *turn, now time.Time) bool {
	if now.Before(t.slow[own.lane]) {
		return true
	}
	key, known := t.quick[own.lane]
	return !known || key != own.key
}

// done gives the place back. took is the processor's time that the script took; 0 says that it did not run.
func (own *turn) done(took time.Duration) {
	t := own.all
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(own, -1)
	t.settle(own.app)
	switch {
	case took >= slowAfter:
		t.remember(now)
		t.slow[own.lane] = now.Add(slowFor)
		delete(t.quick, own.lane)
	case took > 0 && !now.Before(t.slow[own.lane]):
		t.remember(now)
		t.quick[own.lane] = own.key
	}
	t.next(now)
}

// remember makes room for one more endpoint. To be forgotten costs a run among the slow.
func (t *turns) remember(now time.Time) {
	if len(t.quick) >= mostKnown {
		clear(t.quick)
	}
	if len(t.slow) < mostKnown {
		return
	}
	for l, until := range t.slow {
		if !now.Before(until) {
			delete(t.slow, l)
		}
	}
	if len(t.slow) >= mostKnown {
		clear(t.slow) // they are unknown then, which is as slow
	}
}
