package deliver_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/deliver"
)

// consumer adds an endpoint that is pulled.
func (w *world) consumer(set func(*hark.Endpoint)) hark.Endpoint {
	return w.endpoint("nowhere", nil, func(ep *hark.Endpoint) {
		ep.ID, ep.URL, ep.Secrets = hark.NewConsumerID(time.Now()), "", nil
		if set != nil {
			set(ep)
		}
	})
}

// fed are the messages in a consumer's feed; their numbers have no holes.
func (w *world) fed(ep hark.Endpoint) (ids []hark.MessageID) {
	w.t.Helper()
	entries, err := w.store.ReadFeed(w.t.Context(), ep.Ref, 0, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, e := range entries {
		if e.Seq != int64(i+1) {
			w.t.Fatalf("number %d at place %d", e.Seq, i+1)
		}
		ids = append(ids, e.Message.ID)
	}
	return ids
}

func TestFeed_GetsWhatIsPublishedInOrderAndSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		ep := w.consumer(nil)
		var want []hark.MessageID
		for range 700 {
			want = append(want, w.publish(`{}`).ID)
			time.Sleep(5 * time.Millisecond)
		}
		synctest.Wait()
		if got := w.fed(ep); !slices.Equal(got, want) {
			t.Errorf("fed %d messages of %d, or in another order", len(got), len(want))
		}
		w.stop()
	})
}

func TestFeed_PausedWaitsAndABacklogKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deliver.Options{})
		ep := w.consumer(func(ep *hark.Endpoint) { ep.Paused = true })
		var want []hark.MessageID
		for range 900 {
			want = append(want, w.publish(`{}`).ID)
			time.Sleep(5 * time.Millisecond)
		}
		synctest.Wait()
		if got := w.fed(ep); len(got) != 0 {
			t.Errorf("%d were fed while it was paused", len(got))
		}
		w.stop()
		w.start() // the backlog outlives the process
		if err := w.change(ep.Ref, func(e *hark.Endpoint) { e.Paused = false }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.fed(ep); !slices.Equal(got, want) {
			t.Errorf("fed %d messages of %d, or in another order", len(got), len(want))
		}
		w.stop()
	})
}
