package stream_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
)

// script is a tail that answers what it is told to, one answer a look, and then fails.
type script struct {
	looks []look
	took  time.Duration
	at    []time.Time
}

type look struct{ entries, skipped int }

func (s *script) Next(_ context.Context, now time.Time, limit int) ([]store.TailEntry, int, error) {
	time.Sleep(s.took)
	s.at = append(s.at, now)
	if len(s.at) > len(s.looks) {
		return nil, 0, errors.New("the store is away")
	}
	l := s.looks[len(s.at)-1]
	return make([]store.TailEntry, l.entries), l.skipped, nil
}

// watch is what a watcher of the tail sees.
func watch(t *testing.T, h *stream.Hub, s *script, check func() error) string {
	t.Helper()
	rec := httptest.NewRecorder()
	err := h.ServeTail(rec, httptest.NewRequest("GET", "/", nil), stream.Tail{
		Tail: s,
		Encode: func(_ context.Context, dst []byte, _ *store.TailEntry) (string, []byte) {
			return "message", append(dst, "{}"...)
		},
		Check: func(context.Context) error { return check() },
	})
	if err != nil {
		t.Error(err)
	}
	return rec.Body.String()
}

func always() error { return nil }

func TestTail_WritesWhatHappensAndWhatItLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return time.Now().Add(d - time.Minute).UTC().Format(time.RFC3339Nano) }
		first, third := at(0), at(400*time.Millisecond)
		got := watch(t, stream.New(stream.Options{}), &script{looks: []look{{1, 0}, {0, 0}, {2, 7}}}, always)
		want := "retry: 2000\n\n" +
			"id: " + first + "\nevent: message\ndata: {}\n\n" +
			"id: " + third + "\nevent: skipped\ndata: {\"kind\":\"skipped\",\"skipped\":7}\n\n" +
			strings.Repeat("id: "+third+"\nevent: message\ndata: {}\n\n", 2)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTail_RestsLongerThanTheStoreWasBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{looks: make([]look, 5), took: 100 * time.Millisecond}
		watch(t, stream.New(stream.Options{}), s, always)
		for i := 1; i < len(s.at); i++ {
			if rest := s.at[i].Sub(s.at[i-1]); rest != 20*s.took {
				t.Errorf("looked again after %s", rest)
			}
		}
	})
}

func TestTail_EndsWhenItMayNotBeWatchedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		busy := make([]look, 1000)
		for i := range busy {
			busy[i].entries = 1
		}
		asked := 0
		got := watch(t, stream.New(stream.Options{}), &script{looks: busy}, func() error {
			if asked++; asked == 3 {
				return errors.New("the key was revoked")
			}
			return nil
		})
		if took := time.Since(began); took < 44*time.Second || took > 47*time.Second {
			t.Errorf("it ended after %s", took)
		}
		if strings.Contains(got, "\n:\n") {
			t.Error("a heartbeat beside events")
		}
	})
}

func TestTail_BoundsHowManyWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := stream.New(stream.Options{})
		for range 16 {
			go watch(t, h, &script{looks: make([]look, 100)}, always)
		}
		synctest.Wait()
		one := func() error {
			return h.ServeTail(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), stream.Tail{Tail: &script{}})
		}
		if err := one(); hark.CodeOf(err) != hark.Overloaded {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute) // they have all ended
		if err := one(); err == nil || hark.CodeOf(err) == hark.Overloaded {
			t.Errorf("got %v", err)
		}
		h.Stop()
	})
}
