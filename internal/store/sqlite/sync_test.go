package sqlite

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// withSync opens a store whose syncs are done by sync.
func withSync(t *testing.T, dir string, sync func(*os.File) error) *Store {
	t.Helper()
	s := openTest(t, dir, Options{})
	if err := s.Ping(t.Context()); err != nil { // nothing is on its way any more
		t.Fatal(err)
	}
	s.writer.disk.wait()
	s.writer.disk.datasync = sync
	return s
}

func TestAccept_AnswersAndTellsOnlyWhenTheLogIsSynced(t *testing.T) {
	syncing, goOn := make(chan struct{}), make(chan struct{})
	s := withSync(t, t.TempDir(), func(f *os.File) error {
		syncing <- struct{}{}
		<-goOn
		return f.Sync()
	})
	told := make(chan int, 10)
	s.OnQueued(func(rows []hark.Delivery) { told <- len(rows) })
	answered := make(chan error, 1)
	m := message(10)
	m.Deliveries = []hark.Delivery{{EndpointRef: 1, Due: 1}}
	go func() { answered <- s.Accept(t.Context(), []*store.Acceptance{m}) }()
	<-syncing
	select {
	case err := <-answered:
		t.Fatalf("answered %v before the sync was over", err)
	case <-told:
		t.Fatal("the engine was told before the sync was over")
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if n := <-told; n != 1 {
		t.Errorf("told of %d rows, want 1", n)
	}
	go func() { // for the writes of Close
		for range syncing {
		}
	}()
}

func TestStore_WritesNothingMoreAfterASyncFailed(t *testing.T) {
	dir := t.TempDir()
	fail := true
	s := withSync(t, dir, func(f *os.File) error {
		if fail {
			return errors.New("input/output error")
		}
		return f.Sync()
	})
	if err := s.Accept(t.Context(), []*store.Acceptance{message(10)}); hark.CodeOf(err) != hark.Unavailable {
		t.Errorf("a write that was not synced: %v, want Unavailable", err)
	}
	fail = false // a later sync that works says nothing about the one that did not
	if err := s.Accept(t.Context(), []*store.Acceptance{message(10)}); hark.CodeOf(err) != hark.Unavailable {
		t.Errorf("a write after it: %v, want Unavailable", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, dir, Options{})
	if err := again.Accept(t.Context(), []*store.Acceptance{message(10)}); err != nil {
		t.Errorf("a write after a restart: %v", err)
	}
}
