package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// spyStore counts what the engine reads, and fails or delays it on demand.
type spyStore struct {
	deliver.Store
	pages     atomic.Int64
	reading   atomic.Int64
	most      atomic.Int64 // pages being read at once
	delay     atomic.Int64 // of a page, in ns
	noMessage atomic.Bool  // messages cannot be read
	noSettle  atomic.Bool  // nothing can be recorded
}

func (s *spyStore) ReadQueue(ctx context.Context, ep hark.Ref, after store.Position, limit int) ([]hark.Delivery, error) {
	s.pages.Add(1)
	s.most.Store(max(s.most.Load(), s.reading.Add(1)))
	defer s.reading.Add(-1)
	rows, err := s.Store.ReadQueue(ctx, ep, after, limit)
	if d := s.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	return rows, err
}

func (s *spyStore) MessagesByRef(ctx context.Context, refs []hark.Ref) ([]hark.Message, error) {
	if s.noMessage.Load() {
		return nil, errors.New("cannot read")
	}
	return s.Store.MessagesByRef(ctx, refs)
}

func (s *spyStore) Settle(ctx context.Context, list []store.Settlement) error {
	if s.noSettle.Load() {
		return errors.New("disk full")
	}
	return s.Store.Settle(ctx, list)
}

// spied is a world whose engine goes through a spyStore.
func spied(t *testing.T, opt deliver.Options) (*world, *spyStore) {
	spy := &spyStore{}
	w := newWorld(t, opt)
	w.stop()
	w.wrap = func(s deliver.Store) deliver.Store { spy.Store = s; return spy }
	w.start()
	return w, spy
}

// publishAt accepts a message that is due later.
func (w *world) publishAt(payload string, at time.Time, ep hark.Endpoint) {
	w.t.Helper()
	now := time.Now()
	a := &store.Acceptance{EnvironmentID: w.app.EnvironmentID, Message: hark.Message{
		ID: hark.NewMessageID(now), ApplicationRef: w.app.Ref, EventType: "order.paid", Payload: []byte(payload), CreatedAt: now,
		DeliverAt: at, Matched: []hark.Ref{ep.Ref},
	}}
	a.Deliveries = []hark.Delivery{{EndpointRef: ep.Ref, ApplicationRef: w.app.Ref, Due: at.UnixMilli(), Message: &a.Message}}
	if err := w.store.Accept(context.Background(), []*store.Acceptance{a}); err != nil {
		w.t.Fatal(err)
	}
}

func TestEngine_RowsDueMuchLaterAreNotReadAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		var j journal
		ep := w.endpoint("later", j.ok, nil)
		for i := range 40 {
			w.publishAt(fmt.Sprint(i), time.Now().Add(time.Hour+time.Duration(i)*time.Second), ep)
		}
		w.stop()
		spy.delay.Store(int64(10 * time.Millisecond)) // so that time goes on here even if reading never ends
		spy.pages.Store(0)
		w.start()
		defer func() { w.stop() }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := spy.pages.Load(); n > 3 {
			t.Errorf("%d pages were read while nothing was due", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 40 {
			t.Errorf("%d of 40 were delivered", got)
		}
	})
}

func TestEngine_ALaterRowDoesNotHoldUpFreshOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("mixed", j.ok, func(e *hark.Endpoint) { e.Paused = true })
		w.publish(`{"n":0}`)
		time.Sleep(time.Second)
		spy.delay.Store(int64(time.Second)) // the horizon stays where it is for a while
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused = false })
		time.Sleep(10 * time.Millisecond)
		w.publishAt(`{"later":1}`, time.Now().Add(time.Hour), ep)
		for i := 1; i <= 5; i++ {
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(j.list()); got != 6 {
			t.Errorf("%d of 6 that are due were delivered", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 7 {
			t.Errorf("%d of 7 in the end", got)
		}
	})
}

func TestEngine_KeepsTheOrderOfWhatComesWhileTheEndpointIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		var j journal
		ep := w.endpoint("line", j.ok, func(e *hark.Endpoint) { e.Ordering, e.Paused = hark.OrderByEndpoint, true })
		w.publish(`1`)
		w.stop()
		spy.delay.Store(int64(time.Second))
		w.start()
		defer func() { w.stop() }()
		// As if it came before the endpoint was read: the engine does not know its ordering yet.
		now := time.Now()
		w.publishAt(`2`, now, ep)
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused = false })
		w.publishAt(`3`, now.Add(time.Millisecond), ep)
		time.Sleep(time.Minute)
		w.publishAt(`4`, time.Now(), ep)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := j.list(); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
			t.Errorf("order %v", got)
		}
	})
}

func TestEngine_AProbeThatCouldNotTakePlaceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		var up atomic.Bool
		w.endpoint("down", func(rw http.ResponseWriter, r *http.Request) {
			j.note(r)
			if !up.Load() {
				rw.WriteHeader(500)
			}
		}, nil)
		for i := range 21 { // opens the breaker, and is the first probe
			w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(2 * time.Second)
		spy.noMessage.Store(true) // retries read their message: now none takes place
		time.Sleep(5 * time.Minute)
		spy.noMessage.Store(false)
		up.Store(true)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := w.queued(); n != 0 {
			t.Errorf("%d rows are stuck behind a probe that never was", n)
		}
	})
}

func TestEngine_StopsThoughTheStoreCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{DrainTimeout: 10 * time.Second})
		var j journal
		w.endpoint("fine", j.ok, nil)
		w.publish(`{}`)
		spy.noSettle.Store(true)
		w.publish(`{}`)
		time.Sleep(time.Second)
		ended := make(chan struct{})
		go func() { w.stop(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("it does not stop")
			spy.noSettle.Store(false)
			<-ended
		}
	})
}

func TestEngine_DrainsWithoutTurningInCircles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		var j journal
		w.endpoint("down", always(500, &j), nil)
		w.endpoint("slow", func(http.ResponseWriter, *http.Request) { time.Sleep(8 * time.Second) }, nil)
		w.publish(`{}`)
		time.Sleep(time.Second)
		began := time.Now() // a retry gets due while the slow one ends: in a bubble a busy loop would stop the time
		w.stop()
		if took := time.Since(began); took < 6*time.Second || took > 8*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestEngine_AResendThatWorksFreesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		var up atomic.Bool
		ep := w.endpoint("line", func(rw http.ResponseWriter, r *http.Request) {
			if !up.Load() {
				rw.WriteHeader(500)
				return
			}
			j.note(r)
		}, func(e *hark.Endpoint) {
			e.Ordering, e.RetrySchedule = hark.OrderByEndpoint, hark.Schedule{5 * time.Hour}
		})
		first := w.publish(`1`)
		w.publish(`2`)
		time.Sleep(time.Second)
		up.Store(true)
		w.resend(first, ep)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := j.list(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("after the resend %v, want 1 and then 2", got)
		}
	})
}

func TestEngine_AnOrderedRetryIsNotLateWhenOrderingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		var j journal
		ep := w.endpoint("line", func(rw http.ResponseWriter, r *http.Request) {
			if j.note(r); len(j.list()) == 1 {
				rw.WriteHeader(500)
			}
		}, func(e *hark.Endpoint) { e.Ordering, e.RetrySchedule = hark.OrderByEndpoint, hark.Schedule{time.Minute} })
		w.publish(`1`)
		w.publishAt(`later`, time.Now().Add(5*time.Hour), ep)
		time.Sleep(time.Second)
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Ordering = hark.Unordered })
		w.stop()
		w.start()
		defer func() { w.stop() }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := j.list(); !slices.Equal(got, []string{"1", "1"}) {
			t.Errorf("after two minutes %v, want the retry", got)
		}
	})
}

func TestEngine_OrderingSwitchedOnLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("line", j.ok, func(e *hark.Endpoint) { e.Paused = true })
		w.publish(`0`)
		time.Sleep(time.Second)
		spy.delay.Store(int64(time.Second))
		// Resumed at one per ten seconds: what comes now waits as fresh while the page is read.
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused, e.Concurrency, e.ThrottleRate = false, 1, 1 })
		time.Sleep(10 * time.Millisecond)
		for i := 1; i <= 20; i++ {
			w.publish(fmt.Sprint(i))
		}
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Ordering, e.ThrottleRate = hark.OrderByEndpoint, 0 })
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(j.list()); got != 21 || w.queued() != 0 {
			t.Errorf("%d of 21 delivered, %d queued", got, w.queued())
		}
	})
}

func TestEngine_DeletingAnEndpointKeepsTheApplicationsThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		if _, err := w.store.UpdateApplication(t.Context(), w.app.EnvironmentID, string(w.app.ID), func(a *hark.Application) error {
			a.ThrottleRate = 1
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var j, k journal
		w.endpoint("kept", j.ok, nil)
		ep := w.endpoint("deleted", k.ok, nil)
		for i := range 30 {
			w.publish(fmt.Sprint(i))
		}
		time.Sleep(2 * time.Second)
		if err := w.store.DeleteEndpoint(t.Context(), w.app.Ref, string(ep.ID), time.Now()); err != nil {
			t.Fatal(err)
		}
		w.dir.Forget(w.app.Ref)
		w.eng.EndpointChanged(ep.Ref)
		before := len(j.list())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(j.list()) - before; got < 9 || got > 11 {
			t.Errorf("%d deliveries in ten seconds at 1/s", got)
		}
	})
}

func TestEngine_AThrottleChangedWhileNothingHappensIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		throttle := func(rate int) {
			if _, err := w.store.UpdateApplication(t.Context(), w.app.EnvironmentID, string(w.app.ID), func(a *hark.Application) error {
				a.ThrottleRate = rate
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			w.dir.Forget(w.app.Ref)
		}
		throttle(1)
		var j journal
		ep := w.endpoint("one", j.ok, nil)
		w.publish(`0`)
		time.Sleep(time.Hour) // its lane is gone
		throttle(1000)
		w.eng.EndpointChanged(ep.Ref)
		for i := range 50 {
			w.publish(fmt.Sprint(i))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := len(j.list()); got != 51 {
			t.Errorf("%d of 51 delivered in two seconds at 1000/s", got)
		}
	})
}

func TestEngine_AnEnabledEndpointGetsANewChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("down", always(500, &j), nil)
		for range 7 {
			if !w.stored(ep).Disabled {
				w.publish(`{"n":1}`)
			}
			time.Sleep(24 * time.Hour)
		}
		if !w.stored(ep).Disabled {
			t.Fatal("it was not disabled after a week")
		}
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Disabled, e.UpdatedAt = false, time.Now() })
		w.publish(`{"n":2}`)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if w.stored(ep).Disabled {
			t.Error("a day after a person enabled it, it is disabled again")
		}
		for range 6 {
			if !w.stored(ep).Disabled {
				w.publish(`{"n":1}`)
			}
			time.Sleep(24 * time.Hour)
		}
		if !w.stored(ep).Disabled {
			t.Error("it failed for another week and is not disabled")
		}
	})
}

func TestEngine_ReadsFewQueuesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, spy := spied(t, deliver.Options{})
		var j journal
		var eps []hark.Endpoint
		const n = 100
		for i := range n {
			eps = append(eps, w.endpoint(fmt.Sprint("e", i), j.ok, func(e *hark.Endpoint) { e.Paused = true }))
		}
		for range 3 {
			w.publish(`{}`)
		}
		for _, ep := range eps { // the engine does not hear of it
			if _, err := w.store.UpdateEndpoint(t.Context(), w.app.Ref, string(ep.ID), func(e *hark.Endpoint) error {
				e.Paused = false
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		w.stop()
		spy.most.Store(0)
		spy.delay.Store(int64(10 * time.Millisecond))
		w.start()
		defer func() { w.stop() }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(j.list()); got != 3*n {
			t.Errorf("%d of %d delivered", got, 3*n)
		}
		if most := spy.most.Load(); most > 16 {
			t.Errorf("%d queues were read at once", most)
		}
	})
}

func TestEngine_AMessageThatIsGoneLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("fine", j.ok, nil)
		w.resend(hark.Message{Ref: 4711}, ep) // dropped by retention meanwhile
		time.Sleep(time.Minute)
		synctest.Wait()
		list, err := w.store.AttemptsByEndpoint(t.Context(), ep.Ref, store.AttemptFilter{}, store.Page{Limit: 10})
		if err != nil || len(list) != 0 || w.queued() != 0 {
			t.Errorf("attempts %v (%v), %d queued; want none", list, err, w.queued())
		}
		stats, err := w.store.AttemptStats(t.Context(), ep.Ref, time.Now().Add(-time.Hour), time.Now())
		if err != nil || stats != (store.AttemptStats{}) {
			t.Errorf("stats %+v (%v), want none", stats, err)
		}
	})
}

func TestEngine_DeletedPayloadsDoNotCountAgainstTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("fine", j.ok, func(e *hark.Endpoint) { e.Paused = true })
		for i := range 40 {
			m := w.publish(fmt.Sprint(i))
			if err := w.store.ExpungePayload(t.Context(), w.app.Ref, string(m.ID)); err != nil {
				t.Fatal(err)
			}
		}
		w.publish(`last`)
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused = false })
		time.Sleep(500 * time.Millisecond) // less than a breaker stays open
		synctest.Wait()
		if got := j.list(); !slices.Equal(got, []string{"last"}) {
			t.Errorf("delivered %v, want the one that has a payload", got)
		}
	})
}

func TestEngine_SlotsThatGetFreeAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{InFlight: 16})
		defer func() { w.stop() }()
		var once sync.Map
		hang := func(rw http.ResponseWriter, r *http.Request) { time.Sleep(2 * time.Second) }
		for i := range 14 {
			w.endpoint(fmt.Sprint("slow", i), hang, nil)
		}
		w.publish(`{}`)
		time.Sleep(100 * time.Millisecond)
		var j journal
		w.app = w.application(w.app.EnvironmentID, "other")
		w.endpoint("fast", func(rw http.ResponseWriter, r *http.Request) {
			if _, was := once.LoadOrStore("first", true); !was {
				time.Sleep(25 * time.Second) // the first hangs and holds the share of one
			}
			j.note(r)
		}, nil)
		for i := range 4 {
			w.publish(fmt.Sprint(i))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(j.list()); got != 3 {
			t.Errorf("%d of 3 went around the one that hangs, though all slots are free", got)
		}
		time.Sleep(time.Minute)
	})
}

func TestEngine_OneSlotIsEnoughForRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{InFlight: 1})
		defer func() { w.stop() }()
		var j journal
		w.endpoint("down", always(500, &j), func(e *hark.Endpoint) { e.RetrySchedule = hark.Schedule{time.Second} })
		w.publish(`{}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(j.list()); got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
	})
}

func TestEngine_AResendThatWorksCancelsTheAttemptThatIsOut(t *testing.T) {
	for _, ordering := range []hark.Ordering{hark.Unordered, hark.OrderByEndpoint} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, deliver.Options{})
			defer func() { w.stop() }()
			var j journal
			ep := w.endpoint("slow", func(rw http.ResponseWriter, r *http.Request) {
				if j.note(r); len(j.list()) == 1 {
					time.Sleep(10 * time.Second)
					rw.WriteHeader(500)
				}
			}, func(e *hark.Endpoint) { e.Ordering = ordering })
			m := w.publish(`1`)
			time.Sleep(time.Second)
			w.resend(m, ep)
			time.Sleep(time.Second)
			w.publish(`2`)
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := j.list(); len(got) != 3 || got[0] != `1` || got[1] != `1` || got[2] != `2` {
				t.Errorf("ordering %q: %v, want no third attempt of a message that was delivered", ordering, got)
			}
		})
	}
}

// slowSource answers what it read a while ago.
type slowSource struct {
	directory.Source
	delay atomic.Int64
}

func (s *slowSource) AllEndpoints(ctx context.Context, app hark.Ref) ([]hark.Endpoint, error) {
	eps, err := s.Source.AllEndpoints(ctx, app)
	time.Sleep(time.Duration(s.delay.Load()))
	return eps, err
}

func TestEngine_AChangeDuringTheReadOfAnEndpointIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &slowSource{}
		w := newWorld(t, deliver.Options{})
		w.stop()
		w.slow = source
		w.start()
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("fine", j.ok, nil)
		source.delay.Store(int64(time.Second))
		w.publishAt(`1`, time.Now().Add(2*time.Second), ep) // the engine begins to read the endpoint
		time.Sleep(500 * time.Millisecond)
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused = true })
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := j.list(); len(got) != 0 {
			t.Errorf("%v was sent to a paused endpoint", got)
		}
	})
}

func TestDeliver_AFailedAttemptKeepsTheHeaderOfItsResponseAndASuccessNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		tries := 0
		w.endpoint("flaky", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Reason", "busy")
			rw.Header().Set("Set-Cookie", "sid=s3cr3t; Path=/")
			if tries++; tries == 1 {
				rw.WriteHeader(http.StatusBadGateway)
			}
		}, nil)
		m := w.publish(`{}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := w.attempts(m)
		if len(got) != 2 || got[1].ResponseHeader != nil {
			t.Fatalf("%+v", got)
		}
		for _, want := range []hark.HeadField{{Name: "X-Reason", Value: "busy"}, {Name: "Set-Cookie", Value: "sid=•••; Path=/"}, {Name: "Content-Length", Value: "0"}} {
			if !slices.Contains(got[0].ResponseHeader, want) {
				t.Errorf("%v does not have %v", got[0].ResponseHeader, want)
			}
		}
	})
}
