package deliver

import (
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
)

// load is an application being read, for the lanes that wait for it.
type load struct {
	lanes []*lane
	stale bool // it changed meanwhile: read it again
}

// configure finds the lane's endpoint; false while it is being loaded.
func (o *owner) configure(l *lane) bool {
	if l.ep != nil {
		return true
	}
	if l.loading {
		return false
	}
	if l.app == 0 { // another node made its rows: they say whose it is
		if l.reading == nil && compare(l.horizon, lastPlace) < 0 {
			o.readPage(l)
		}
		return false
	}
	app := o.opt.Directory.Cached(l.app)
	if app != nil && app.Endpoint(l.endpoint) != nil {
		return o.use(l, app)
	}
	under := o.loads[l.app]
	if under == nil && !o.mayRead(l) {
		return false
	}
	if app != nil { // it may have been read before the endpoint was made: ask the store
		o.opt.Directory.Forget(l.app)
	}
	l.loading = true
	if under != nil {
		under.lanes, under.stale = append(under.lanes, l), under.stale || app != nil
		return false
	}
	o.loads[l.app] = &load{lanes: []*lane{l}}
	o.load(l.app)
	return false
}

// load reads an application, once for all of its lanes.
func (o *owner) load(ref hark.Ref) {
	o.reads++
	o.background.Go(func() {
		app, err := o.opt.Directory.ByRef(o.ctx, ref)
		if hark.CodeOf(err) == hark.NotFound {
			app, err = nil, nil
		}
		o.mailbox.send(func(in *mail) {
			in.loaded = append(in.loaded, loadedApplication{ref: ref, app: app, err: err})
		})
	})
}

func (o *owner) loaded(in loadedApplication, now time.Time) {
	o.reads--
	under := o.loads[in.ref]
	if under.stale && in.err == nil {
		under.stale = false
		o.load(in.ref)
		return
	}
	delete(o.loads, in.ref)
	if in.err != nil {
		o.opt.Log.LogAttrs(o.ctx, slog.LevelError, "endpoints not loaded", slog.Any("err", in.err))
	}
	for _, l := range under.lanes {
		l.loading = false
		if l.gone { // its endpoint may have another lane by now
			continue
		}
		if in.err != nil {
			o.wakeLane(l, now.Add(time.Second))
		} else if o.use(l, in.app) {
			o.turns.add(l)
		}
	}
}

// use takes the lane's endpoint from its application; if it is not there any more, the lane ends.
func (o *owner) use(l *lane, app *directory.Application) bool {
	var ep *directory.Endpoint
	if app != nil {
		ep = app.Endpoint(l.endpoint)
	}
	if ep == nil {
		l.end()
		delete(o.lanes, l.endpoint)
		return false
	}
	l.use(ep)
	l.limiter = limiter(l.limiter, ep.ThrottleRate, ep.Rules.ThrottleUnit)
	if lim := limiter(o.limiters[l.app], app.ThrottleRate, hark.PerSecond); lim != nil {
		o.limiters[l.app] = lim
	} else {
		delete(o.limiters, l.app)
	}
	return true
}

// limiter lets n through in a unit of time, evenly: at once no more than a tenth of what a second takes.
// One of that rate goes on as it is: what was spent stays spent.
func limiter(was *rate.Limiter, n int, unit hark.ThrottleUnit) *rate.Limiter {
	limit := rate.Limit(float64(n) / unit.Period().Seconds())
	switch {
	case n <= 0:
		return nil
	case was != nil && was.Limit() == limit:
		return was
	}
	return rate.NewLimiter(limit, max(1, int(limit/10)))
}

// throttled says when the lane's next attempt may start, or zero: now.
func (o *owner) throttled(l *lane, now time.Time) (wake time.Time) {
	for _, limiter := range [2]*rate.Limiter{l.limiter, o.limiters[l.app]} {
		if limiter == nil {
			continue
		}
		if missing := 1 - limiter.TokensAt(now); missing > 0 {
			at := now.Add(time.Duration(missing / float64(limiter.Limit()) * float64(time.Second)))
			if at.After(wake) {
				wake = at
			}
		}
	}
	return wake
}

func (o *owner) spend(l *lane, now time.Time) {
	for _, limiter := range [2]*rate.Limiter{l.limiter, o.limiters[l.app]} {
		if limiter != nil {
			limiter.AllowN(now, 1)
		}
	}
}
