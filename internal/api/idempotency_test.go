package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// memory remembers answers, as the store does.
type memory struct {
	mu      sync.Mutex
	answers map[[32]byte]store.Answer
	err     error
}

func (m *memory) Reserve(_ context.Context, key store.IdempotencyKey, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.answers[key.Hash]; ok && a.Key.ExpiresAt.After(now) {
		return false, nil
	}
	m.answers[key.Hash] = store.Answer{Key: key}
	return true, nil
}

func (m *memory) Release(_ context.Context, hash [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers[hash].Status == 0 {
		delete(m.answers, hash)
	}
	return nil
}

func (m *memory) Remember(_ context.Context, a store.Answer, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.answers[a.Key.Hash] = a
	}
	return m.err
}

func (m *memory) Recall(_ context.Context, hash [32]byte, _ time.Time) (store.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.answers[hash]; ok {
		return a, nil
	}
	return store.Answer{}, hark.ErrNotFound
}

// once sends a POST with a key to an operation that does serve.
func once(s *server, serve func(*call) error, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/api/v1/key", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token")
	r.Header.Set("Idempotency-Key", "k")
	w := httptest.NewRecorder()
	c := s.newCall(w, r)
	c.op = &operation{id: "test", status: []int{http.StatusCreated}, handler: handler{serve: serve}}
	defer s.end(c)
	c.status = http.StatusCreated
	if err := c.onceOnly(); err != nil {
		c.fail(err)
	}
	return w
}

func TestOnceOnly_KeepsAnswersThatOnlyTheCallerCanRead(t *testing.T) {
	m := &memory{answers: map[[32]byte]store.Answer{}}
	s := newServer(Options{Guards: m}, &accepting{})
	ran := 0
	makeKey := func(c *call) error {
		ran++
		c.encode(map[string]string{"key": "hark_live_secret"})
		return nil
	}
	first, again := once(s, makeKey, "{}"), once(s, makeKey, "{}")
	if ran != 1 || first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() {
		t.Errorf("ran %d times: %d %s, %d %s", ran, first.Code, first.Body, again.Code, again.Body)
	}
	for _, a := range m.answers {
		if bytes.Contains(a.Body, []byte("secret")) || len(a.Body) == 0 {
			t.Errorf("kept in clear: %q", a.Body)
		}
	}
	if other := once(s, makeKey, "{ }"); other.Code != 422 || ran != 1 {
		t.Errorf("another body: %d, ran %d times", other.Code, ran)
	}
}

func TestOnceOnly_TheSecondWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{Guards: &memory{answers: map[[32]byte]store.Answer{}}}, &accepting{})
		var ran atomic.Int32
		slow := func(c *call) error {
			ran.Add(1)
			time.Sleep(3 * time.Second)
			c.encode("done")
			return nil
		}
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() { done <- once(s, slow, "{}") }()
		synctest.Wait()
		second := once(s, slow, "{}")
		if first := <-done; ran.Load() != 1 || second.Code != 201 || second.Body.String() != first.Body.String() {
			t.Errorf("ran %d times; second %d %s", ran.Load(), second.Code, second.Body)
		}
	})
}

func TestOnceOnly_GivesUpWaitingAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{Guards: &memory{answers: map[[32]byte]store.Answer{}}}, &accepting{})
		stuck := func(c *call) error { time.Sleep(time.Minute); return nil }
		go once(s, stuck, "{}")
		synctest.Wait()
		began := time.Now()
		second := once(s, stuck, "{}")
		if second.Code != 409 || !strings.Contains(second.Body.String(), `"code":"in_progress"`) || time.Since(began).Round(time.Second) != idempotencyWait {
			t.Errorf("got %d %s after %v", second.Code, second.Body, time.Since(began))
		}
		time.Sleep(time.Hour)
	})
}

func TestOnceOnly_AFailureFreesTheKey(t *testing.T) {
	s := newServer(Options{Guards: &memory{answers: map[[32]byte]store.Answer{}}}, &accepting{})
	if w := once(s, func(*call) error { return hark.ErrNotFound }, "{}"); w.Code != 404 {
		t.Errorf("got %d", w.Code)
	}
	func() {
		defer func() { _ = recover() }()
		once(s, func(*call) error { panic("bug") }, "{}")
	}()
	if w := once(s, func(*call) error { return errors.New("broken") }, "{}"); w.Code != 500 || w.Body.String() != "{}\n" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := once(s, func(c *call) error { c.encode(1); return nil }, "{}"); w.Code != 201 {
		t.Errorf("got %d", w.Code)
	}
}

func TestOnceOnly_RememberingMayFail(t *testing.T) {
	s := newServer(Options{Guards: &memory{answers: map[[32]byte]store.Answer{}, err: errors.New("disk full")}}, &accepting{})
	if w := once(s, func(c *call) error { c.encode(1); return nil }, "{}"); w.Code != 201 {
		t.Errorf("it has happened, but got %d", w.Code)
	}
}

func TestDigest_SeparatesItsParts(t *testing.T) {
	digest := func(token, key string) [sha256.Size]byte {
		r := httptest.NewRequest("POST", "/x", nil)
		r.Header.Set("Authorization", token)
		return (&call{r: r}).digest("request", key)
	}
	if digest("ab", "c") == digest("a", "bc") {
		t.Error("two requests have one digest")
	}
}
