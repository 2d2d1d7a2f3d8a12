package deliver_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// accept takes a message the way that everything takes it: addressed by the directory.
func (w *world) accept(payload string) hark.Message {
	w.t.Helper()
	app, err := w.dir.ByRef(w.t.Context(), w.app.Ref)
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	p := &directory.Parcel{Acceptance: store.Acceptance{
		Message: hark.Message{ID: hark.NewMessageID(now), EventType: "a.b", Payload: []byte(payload), CreatedAt: now},
	}}
	if _, err := w.dir.Accept(w.t.Context(), w.store, app, p); err != nil {
		w.t.Fatal(err)
	}
	return p.Message
}

func TestRules_ADelayHoldsOneEndpointBackAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var now, later journal
		w.endpoint("now", now.ok, nil)
		ep := w.endpoint("later", later.ok, func(e *hark.Endpoint) { e.Rules.Delay, e.Ordering = time.Hour, hark.OrderByEndpoint })
		start := time.Now()
		m := w.accept(`{"n":1}`)
		time.Sleep(time.Minute)
		w.accept(`{"n":2}`)
		synctest.Wait()
		if len(now.list()) != 2 || len(later.list()) != 0 {
			t.Fatalf("after a minute: %d and %d sent, want 2 and 0", len(now.list()), len(later.list()))
		}
		states, err := w.store.DeliveryStates(t.Context(), m.Ref, []hark.Ref{ep.Ref})
		if err != nil {
			t.Fatal(err)
		}
		if s := states[ep.Ref]; s.Status != hark.Pending || !s.NextAttempt.Equal(start.Add(time.Hour)) {
			t.Errorf("while it waits: %v, next %v", s.Status, s.NextAttempt)
		}
		w.stop()
		w.start() // it waits on across a restart
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := later.list(); !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`}) {
			t.Fatalf("after the delay: %q", got)
		}
		for i, want := range []time.Duration{time.Hour, time.Hour + time.Minute} {
			if got := later.times[i].Sub(start); got < want || got > want+time.Second {
				t.Errorf("message %d came after %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestRules_AnAnswerThatIsNotWorthARetryFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{DisableAfter: -1})
		defer func() { w.stop() }()
		var j journal
		answers := []int{503, 422}
		w.endpoint("picky", func(rw http.ResponseWriter, r *http.Request) {
			n := len(j.list())
			j.note(r)
			rw.WriteHeader(answers[min(n, 1)])
		}, func(e *hark.Endpoint) { e.Rules.RetryOn = []string{">=500", "429"} })
		m := w.accept(`{}`)
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		got := w.attempts(m)
		if len(got) != 2 || got[0].NextAttempt.IsZero() || !got[1].NextAttempt.IsZero() || w.queued() != 0 {
			t.Errorf("%d attempts, want a retry of 503 and none of 422: %+v", len(got), got)
		}
	})
}

func TestRules_ARatePerMinuteHoldsAtReleaseAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j journal
		ep := w.endpoint("slow", j.ok, func(e *hark.Endpoint) {
			e.Paused, e.Ordering = true, hark.OrderByEndpoint
			e.ThrottleRate, e.Rules.ThrottleUnit = 10, hark.PerMinute
		})
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint(i))
			w.accept(want[i])
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := j.list(); len(got) != 0 {
			t.Fatalf("%d sent while it was paused", len(got))
		}
		w.mustChange(ep.Ref, func(e *hark.Endpoint) { e.Paused = false })
		for minute := range 3 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if got, most := len(j.list()), 10*(minute+1)+1; got < most-2 || got > most {
				t.Errorf("%d sent after %d minutes at 10/m", got, minute+1)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := j.list(); !slices.Equal(got, want) {
			t.Errorf("the order at release: %q", got)
		}
	})
}

func TestRules_ARatePerHourOutlivesAnIdleLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		defer func() { w.stop() }()
		var j, other journal
		w.endpoint("hourly", j.ok, func(e *hark.Endpoint) { e.ThrottleRate, e.Rules.ThrottleUnit = 1, hark.PerHour })
		busy := w.endpoint("busy", other.ok, nil)
		w.accept(`1`)
		for range 20 { // lanes with nothing to do are dropped meanwhile
			time.Sleep(time.Minute)
			w.eng.EndpointChanged(busy.Ref)
		}
		w.accept(`2`)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := j.list(); len(got) != 1 {
			t.Errorf("%d sent within 50 minutes at 1/h", len(got))
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := j.list(); len(got) != 2 {
			t.Errorf("%d sent within 70 minutes at 1/h", len(got))
		}
	})
}
