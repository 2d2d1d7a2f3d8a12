package stream_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
)

// feed is a consumer's feed in memory. A message of ref 0 is one that retention has taken.
type feed struct {
	mu      sync.Mutex
	entries []store.FeedEntry
	last    int64
	reads   int
}

func (f *feed) add(seq int64, ref hark.Ref, payload string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = max(f.last, seq)
	if payload != "" {
		f.entries = append(f.entries, store.FeedEntry{Seq: seq, Message: hark.Message{Ref: ref, EventType: "a.b", Payload: []byte(payload)}})
	}
}

func (f *feed) ReadFeed(_ context.Context, _ hark.Ref, after int64, limit int) (some []store.FeedEntry, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	for _, e := range f.entries {
		if e.Seq > after && len(some) < limit {
			some = append(some, e)
		}
	}
	return some, nil
}

func (f *feed) FeedEnds(context.Context, hark.Ref) (first, last int64, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.entries) == 0 {
		return f.last + 1, f.last, nil
	}
	return f.entries[0].Seq, f.last, nil
}

func (f *feed) FeedLasts(context.Context, []hark.Ref) (map[hark.Ref]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return map[hark.Ref]int64{1: f.last}, nil
}

func TestRead_SaysEveryNumberThatIsMissing(t *testing.T) {
	f := &feed{}
	f.add(3, 1, "{}")
	f.add(4, 0, "gone")
	f.add(6, 0, "gone")
	f.add(7, 1, "{}")
	h := stream.New(stream.Options{Store: f})
	page, err := h.Read(t.Context(), 1, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got [][3]int64
	for _, item := range page.Items {
		kind := int64(0)
		if item.Message != nil {
			kind = 1
		}
		got = append(got, [3]int64{item.From, item.Seq, kind})
	}
	if diff := cmp.Diff([][3]int64{{1, 2, 0}, {3, 3, 1}, {4, 6, 0}, {7, 7, 1}}, got); diff != "" {
		t.Error(diff)
	}
	if page.Last != 7 || page.More {
		t.Errorf("last %d, more %v", page.Last, page.More)
	}
	// Everything has expired.
	all := &feed{}
	all.add(5, 1, "")
	page, err = stream.New(stream.Options{Store: all}).Read(t.Context(), 1, 2, 10)
	if err != nil || page.Last != 5 || len(page.Items) != 1 || page.Items[0].From != 3 {
		t.Errorf("nothing kept: %+v, %v", page, err)
	}
	if _, err := h.Read(t.Context(), 1, 8, 10); hark.CodeOf(err) != hark.Invalid {
		t.Errorf("behind the end: %v", err)
	}
}

func TestWait_EndsWithAMessageATimeoutOrTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := stream.New(stream.Options{Store: f})
		began := time.Now()
		page, err := h.Wait(t.Context(), 1, 0, 10, 20*time.Second)
		if err != nil || len(page.Items) != 0 || time.Since(began) != 20*time.Second {
			t.Errorf("nothing came: %+v, %v after %v", page, err, time.Since(began))
		}
		go func() {
			time.Sleep(time.Second)
			h.Fed([]hark.Ref{2}) // somebody else's
			time.Sleep(time.Second)
			f.add(1, 1, "{}")
			h.Fed([]hark.Ref{1})
		}()
		began = time.Now()
		page, err = h.Wait(t.Context(), 1, 0, 10, 20*time.Second)
		if err != nil || len(page.Items) != 1 || time.Since(began) != 2*time.Second {
			t.Errorf("one came: %+v, %v after %v", page, err, time.Since(began))
		}
		go func() { time.Sleep(time.Second); h.Stop() }()
		began = time.Now()
		if _, err = h.Wait(t.Context(), 1, 1, 10, 20*time.Second); err != nil || time.Since(began) != time.Second {
			t.Errorf("it stopped: %v after %v", err, time.Since(began))
		}
	})
}

func TestRun_FindsWhatNobodyWasToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := stream.New(stream.Options{Store: f})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		go func() { time.Sleep(time.Second); f.add(1, 1, "{}") }()
		began := time.Now()
		page, err := h.Wait(t.Context(), 1, 0, 10, 20*time.Second)
		if took := time.Since(began); err != nil || len(page.Items) != 1 || took > 1200*time.Millisecond {
			t.Errorf("%+v, %v after %v", page, err, took)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestServeEvents_BeatsAndAsksWhetherItStillMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.add(1, 1, "{\r\n\"a\":\r1,\n\"b\":2}")
		h := stream.New(stream.Options{Store: f})
		asked := 0
		w := httptest.NewRecorder()
		err := h.ServeEvents(w, httptest.NewRequest("GET", "/", nil), stream.Reader{
			Consumer: 1,
			Encode:   func(dst []byte, m *hark.Message) []byte { return append(dst, m.Payload...) },
			Check: func(context.Context) error {
				if asked++; asked == 3 {
					return hark.ErrNotFound
				}
				return nil
			},
		})
		if err != nil || w.Code != http.StatusOK {
			t.Fatal(err)
		}
		want := "retry: 2000\n\nid: at_1\nevent: a.b\ndata: {\ndata: \"a\":\ndata: 1,\ndata: \"b\":2}\n\n:\n\n:\n\n"
		if got := w.Body.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestServeEvents_OfManyWhoWaitForOneConsumerOneReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := stream.New(stream.Options{Store: f})
		const many = 200
		answers := make([]*httptest.ResponseRecorder, many)
		var all sync.WaitGroup
		for i := range many {
			answers[i] = httptest.NewRecorder()
			all.Go(func() {
				_ = h.ServeEvents(answers[i], httptest.NewRequest("GET", "/", nil), stream.Reader{
					Consumer: 1,
					Encode:   func(dst []byte, m *hark.Message) []byte { return append(dst, m.Payload...) },
					Check:    func(context.Context) error { return nil },
				})
			})
		}
		synctest.Wait()
		before := f.reads
		for seq := range int64(10) {
			f.add(seq+1, 1, "{}")
			h.Fed([]hark.Ref{1})
			synctest.Wait()
		}
		if n := f.reads - before; n > 20 {
			t.Errorf("%d reads for 10 messages", n)
		}
		h.Stop()
		all.Wait()
		for i, w := range answers {
			if n := strings.Count(w.Body.String(), "event: a.b"); n != 10 || !strings.HasSuffix(w.Body.String(), "id: at_a\nevent: a.b\ndata: {}\n\n") {
				t.Fatalf("reader %d got %d messages", i, n)
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{"at_0", "at_1z", "at_-1", "at_", "1z", "at_zzzzzzzzzzzzzzzz", "start"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seq, ok := stream.ParseCursor(text)
		if !ok {
			return
		}
		again, ok := stream.ParseCursor(stream.Cursor(seq))
		if !ok || again != seq || seq < 0 || strings.ContainsAny(stream.Cursor(seq), "\x00\r\n") {
			t.Errorf("%q is %d, and %q is %d", text, seq, stream.Cursor(seq), again)
		}
		if !json.Valid([]byte(`"` + stream.Cursor(seq) + `"`)) {
			t.Errorf("cursor %q", stream.Cursor(seq))
		}
	})
}
