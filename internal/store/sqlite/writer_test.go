package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

func message(payload int) *store.Acceptance {
	at := time.Now()
	return &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: 1, EventType: "t", CreatedAt: at,
		Payload: []byte(strings.Repeat("x", payload))}}
}

// block holds the writer until release is called.
func block(t *testing.T, s *Store) (release func()) {
	t.Helper()
	started, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.change(context.Background(), func(*conn) error { close(started); <-end; return nil })
	}()
	<-started
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAccept_IsRefusedWhenTooMuchWaits(t *testing.T) {
	for name, options := range map[string]Options{"messages": {MaxWaiting: 2}, "bytes": {MaxWaitingBytes: 4000}} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, t.TempDir(), options)
			release := block(t, s)
			results := make(chan error, 10)
			for range 10 {
				go func() { results <- s.Accept(context.Background(), []*store.Acceptance{message(1000)}) }()
			}
			for range 8 {
				err := <-results
				if e, ok := errors.AsType[*hark.Error](err); !ok || e.Code != hark.Overloaded || e.RetryAfter == 0 {
					t.Errorf("got %v, want Overloaded", err)
				}
			}
			release()
			for range 2 {
				if err := <-results; err != nil {
					t.Errorf("waiting message: %v", err)
				}
			}
			if err := s.Accept(t.Context(), []*store.Acceptance{message(10_000)}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestAccept_IsWithdrawnWhenItsCallerGivesUp(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	release := block(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	a := message(10)
	go func() { result <- s.Accept(ctx, []*store.Acceptance{a}) }()
	for s.writer.depth() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	release()
	if _, err := s.Message(t.Context(), 1, string(a.Message.ID), false); !errors.Is(err, hark.ErrNotFound) {
		t.Errorf("the message was kept: %v", err)
	}
}

// A full disk refuses writes and harms nothing; when there is space again, writing goes on.
func TestStore_GoesOnAfterTheDiskWasFull(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	limit := func(pages string) {
		if err := s.change(t.Context(), func(c *conn) error {
			return c.query(func(row.Row) error { return nil }, "PRAGMA max_page_count = "+pages)
		}); err != nil {
			t.Fatal(err)
		}
	}
	var kept []*store.Acceptance
	limit("100")
	full := false
	for range 100 {
		a := message(20_000)
		err := s.Accept(t.Context(), []*store.Acceptance{a})
		if err == nil {
			kept = append(kept, a)
			continue
		}
		full = true
		if e, ok := errors.AsType[*hark.Error](err); !ok || e.Code != hark.Unavailable || e.RetryAfter == 0 {
			t.Fatalf("full: %v, want Unavailable", err)
		}
		if _, err := s.Message(t.Context(), 1, string(a.Message.ID), false); !errors.Is(err, hark.ErrNotFound) {
			t.Fatalf("a refused message was kept: %v", err)
		}
	}
	if !full || len(kept) == 0 {
		t.Fatalf("%d kept, full: %v", len(kept), full)
	}
	limit("1073741823")
	a := message(20_000)
	if err := s.Accept(t.Context(), []*store.Acceptance{a}); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	for _, a := range append(kept, a) {
		if _, err := s.Message(t.Context(), 1, string(a.Message.ID), true); err != nil {
			t.Errorf("kept message: %v", err)
		}
	}
	if wrong, err := s.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
}

// Engines are tested in bubbles, over a real store: it must not keep time from passing.
func TestStore_WorksInABubble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, dir, Options{})
		before := time.Now()
		for range 2 {
			if err := s.Accept(t.Context(), []*store.Acceptance{message(100)}); err != nil {
				t.Error(err)
			}
			time.Sleep(72 * time.Hour)
		}
		if got := time.Since(before); got != 144*time.Hour {
			t.Errorf("%v passed, want 144h", got)
		}
	})
}

// A long queue goes in the background, also when the store is closed meanwhile.
func TestDeleteEndpoint_RemovesALongQueueAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	ep, err := s.InsertEndpoint(t.Context(), hark.Endpoint{ID: "ep_1", ApplicationRef: 1})
	if err != nil {
		t.Fatal(err)
	}
	var batch []*store.Acceptance
	for range 5 * row.SweepRows {
		a := message(1)
		a.Message.Matched = []hark.Ref{ep.Ref}
		a.Deliveries = []hark.Delivery{{EndpointRef: ep.Ref, Due: a.Message.CreatedAt.UnixMilli()}}
		batch = append(batch, a)
	}
	if err := s.Accept(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteEndpoint(t.Context(), 1, "ep_1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Options{})
	for range 12_000 { // a minute
		left := int64(0)
		if err := s.read(t.Context(), func(c *conn) (err error) {
			left, err = c.int("SELECT count(*) FROM queue")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("rows of a deleted endpoint are still there")
}

// A change that listed rows and then failed took the listing back; the rows must be listed again.
func TestChange_ThatFailsTakesItsListingBack(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	if err := s.Accept(t.Context(), []*store.Acceptance{message(10)}); err != nil {
		t.Fatal(err)
	}
	abort := errors.New("abort")
	err := s.change(t.Context(), func(*conn) error { return errors.Join(s.writer.list(), abort) })
	if !errors.Is(err, abort) {
		t.Fatalf("got %v, want abort", err)
	}
	list, err := s.ListMessages(t.Context(), 1, store.MessageFilter{}, store.Page{Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages are listed, %v; want 1", len(list), err)
	}
}

// reverser is a sealer that can be recognised.
type reverser struct{ mark string }

func (r reverser) Seal(plain, about []byte) []byte {
	return append([]byte(r.mark+string(about)+"|"), plain...)
}

func (r reverser) Open(sealed, about []byte) ([]byte, error) {
	if _, plain, ok := strings.Cut(string(sealed), string(about)+"|"); ok {
		return []byte(plain), nil
	}
	return nil, errors.New("another place")
}

func TestReseal_SealsEverythingWithTheNewKey(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{Sealer: reverser{"one:"}})
	insert := func(id hark.EndpointID) {
		if _, err := s.InsertEndpoint(t.Context(), hark.Endpoint{ID: id, ApplicationRef: 1, Headers: map[string]string{"a": "b"},
			Secrets: []hark.Secret{{Key: "whsec_x"}}}); err != nil {
			t.Fatal(err)
		}
	}
	insert("ep_1")
	insert("ep_2")
	app, err := s.InsertApplication(t.Context(), hark.Application{ID: "app_1", EnvironmentID: "org_1"})
	if err != nil {
		t.Fatal(err)
	}
	src := hark.Source{ID: "src_1", EnvironmentID: "org_1", ApplicationRef: app.Ref, Secrets: []hark.Secret{{Key: "whsec_s"}}}
	if _, err := s.InsertSource(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InsertPoller(t.Context(), hark.Poller{ID: "poll_1", ApplicationRef: app.Ref, Secret: "whsec_p"}); err != nil {
		t.Fatal(err)
	}
	column := func(query string) (text string) {
		if err := s.read(t.Context(), func(c *conn) error {
			return c.query(func(r row.Row) error { text = string(r.Blob(0)); return nil }, query)
		}); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := column("SELECT secrets FROM endpoint WHERE id = 'ep_1'"); !strings.HasPrefix(got, "\x01one:") {
		t.Errorf("not sealed: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Options{Sealer: reverser{"two:"}})
	if n, err := s.Reseal(t.Context()); n != 4 || err != nil {
		t.Errorf("reseal: %d, %v", n, err)
	}
	for _, query := range []string{"SELECT headers FROM endpoint WHERE id = 'ep_2'", "SELECT sealed FROM source", "SELECT sealed FROM poller"} {
		if got := column(query); !strings.HasPrefix(got, "\x01two:") {
			t.Errorf("not sealed again: %q is %q", query, got)
		}
	}
	ep, err := s.Endpoint(t.Context(), 1, "ep_2")
	if err != nil || ep.Secrets[0].Key.Reveal() != "whsec_x" || ep.Headers["a"] != "b" {
		t.Errorf("after resealing: %+v, %v", ep, err)
	}
}
