package webhook_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/webhook"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("WEBHOOK_TEST_RECEIVER"); path != "" {
		receiveAndDie(path)
	}
	postgrestest.Main(m)
}

var key, _ = webhook.ParseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

func verifier(t testing.TB) *webhook.Verifier {
	v, err := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{key.Text()}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// post sends an event to a handler and answers the status.
func post(h http.Handler, id, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	r.Header = webhook.Sign([]webhook.Key{key}, id, time.Now(), []byte(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// running is a handler at work until stop, which waits for what is under way.
func running(t testing.TB, opt webhook.HandlerOptions) (h *webhook.Handler, stop func()) {
	if opt.Verifier == nil {
		opt.Verifier = verifier(t)
	}
	h, err := webhook.NewHandler(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return h, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestHandler_AnswersBeforeTheWorkAndDropsWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var worked []string
		h, stop := running(t, webhook.HandlerOptions{Work: func(_ context.Context, e *webhook.Event) error {
			time.Sleep(30 * time.Second)
			worked = append(worked, e.ID)
			return nil
		}})
		began := time.Now()
		for range 3 {
			if w := post(h, "msg_1", `{"type":"a.b"}`); w.Code/100 != 2 {
				t.Errorf("answered %d", w.Code)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the answers took %v", took)
		}
		time.Sleep(time.Minute)
		post(h, "msg_1", `{"type":"a.b"}`) // its work is done: still a duplicate
		time.Sleep(time.Minute)
		stop()
		if fmt.Sprint(worked) != "[msg_1]" {
			t.Errorf("worked on %v", worked)
		}
	})
}

func TestHandler_TriesAgainUntilTheWorkSucceedsOrIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var attempts []int
		var gaveUp error
		// soFar answers what happened since it was last called.
		soFar := func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			defer func() { attempts, gaveUp = nil, nil }()
			return fmt.Sprint(attempts), gaveUp
		}
		h, stop := running(t, webhook.HandlerOptions{
			Attempts: 4,
			Backoff:  func(n int) time.Duration { return time.Duration(n) * time.Minute },
			GaveUp: func(_ *webhook.Event, err error) {
				mu.Lock()
				defer mu.Unlock()
				gaveUp = err
			},
			Work: func(_ context.Context, e *webhook.Event) error {
				mu.Lock()
				defer mu.Unlock()
				attempts = append(attempts, e.Attempt)
				switch {
				case e.ID == "msg_panics":
					panic("bug")
				case e.Attempt < 3:
					return errors.New("not yet")
				}
				return nil
			},
		})
		post(h, "msg_1", "{}")
		time.Sleep(time.Hour)
		if attempts, gaveUp := soFar(); attempts != "[1 2 3]" || gaveUp != nil {
			t.Errorf("attempts %v, gave up: %v", attempts, gaveUp)
		}
		post(h, "msg_panics", "{}")
		time.Sleep(time.Hour)
		stop()
		if attempts, gaveUp := soFar(); attempts != "[1 2 3 4]" || gaveUp == nil || !strings.Contains(gaveUp.Error(), "bug") {
			t.Errorf("attempts %v, gave up: %v", attempts, gaveUp)
		}
	})
}

func TestHandler_RefusesWithoutKeepingAnything(t *testing.T) {
	store := webhook.NewMemory(1, time.Hour)
	h, err := webhook.NewHandler(webhook.HandlerOptions{Verifier: verifier(t), Store: store, Work: func(context.Context, *webhook.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	forged := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(`{"a":2}`))
	forged.Header = webhook.Sign([]webhook.Key{key}, "msg_1", time.Now(), []byte(`{"a":1}`))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, forged); w.Code != http.StatusUnauthorized {
		t.Errorf("a forgery got %d", w.Code)
	}
	large := httptest.NewRequest(http.MethodPost, "/hook", bytes.NewReader(make([]byte, webhook.DefaultMaxBody+1)))
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, large); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body got %d", w.Code)
	}
	if w := post(h, "msg_1", "{}"); w.Code/100 != 2 {
		t.Errorf("a good one got %d", w.Code)
	}
	if w := post(h, "msg_2", "{}"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %d %v", w.Code, w.Header())
	}
	if w := post(h, "msg_1", "{}"); w.Code/100 != 2 {
		t.Errorf("a duplicate while it is full got %d", w.Code)
	}
}

func TestHandler_AnswersHandshakes(t *testing.T) {
	v, err := webhook.NewVerifier("slack", webhook.Options{Secrets: []string{"8f742231b10e8888abcd99yyyzzz85a5"}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhook.NewHandler(webhook.HandlerOptions{Verifier: v, Work: func(context.Context, *webhook.Event) error {
		t.Error("a handshake was worked on")
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","token":"t"}`)
	signer, err := webhook.NewSigner("slack", webhook.Options{Secrets: []string{"8f742231b10e8888abcd99yyyzzz85a5"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/slack", bytes.NewReader(body))
	signed, err := signer.Sign(webhook.Request{Method: http.MethodPost, URL: "https://example.com/slack", Body: body}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.Header = signed.Header
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P") {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

// stores opens each kind of Store for a test.
func stores(t *testing.T, test func(*testing.T, webhook.Store)) {
	t.Run("Memory", func(t *testing.T) { test(t, webhook.NewMemory(1000, time.Hour)) })
	t.Run("SQLite", func(t *testing.T) {
		db := openSQLite(t, filepath.Join(t.TempDir(), "events.db"))
		defer db.Close()
		test(t, newSQLStore(t, db, false, "BLOB"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgrestest.Shared(t).Database(t, "nothing", func(string) error { return nil })
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, newSQLStore(t, db, true, "BYTEA"))
	})
}

func openSQLite(t testing.TB, path string) *sql.DB {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newSQLStore(t testing.TB, db *sql.DB, dollar bool, kind string) *webhook.SQLStore {
	create, index := webhook.SQLSchema("webhook_event", kind)
	for _, statement := range []string{create, index} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	s, err := webhook.NewSQLStore(db, webhook.SQLOptions{Dollar: dollar})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore_OfManyAtOnceOneIsFreshAndOneIsWorkedOn(t *testing.T) {
	stores(t, func(t *testing.T, s webhook.Store) {
		var worked atomic.Int32
		work := func(context.Context, *webhook.Event) error { worked.Add(1); return nil }
		a, stopA := running(t, webhook.HandlerOptions{Store: s, Work: work})
		b, stopB := running(t, webhook.HandlerOptions{Store: s, Work: work}) // another process
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				h := []*webhook.Handler{a, b}[i%2]
				if w := post(h, fmt.Sprint("msg_", i/10), `{"n":1}`); w.Code/100 != 2 {
					t.Errorf("answered %d", w.Code)
				}
			})
		}
		wg.Wait()
		for deadline := time.Now().Add(time.Minute); worked.Load() < 4 && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		stopA()
		stopB()
		if n := worked.Load(); n != 4 {
			t.Errorf("worked %d times on 4 events", n)
		}
	})
}

func TestStore_KeepsEventsUntilTheirWorkIsDone(t *testing.T) {
	stores(t, func(t *testing.T, s webhook.Store) {
		ctx, now := t.Context(), time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
		e := &webhook.Event{Key: "p:1", Provider: "p", ID: "1", Type: "a", ReceivedAt: now, Timestamp: now.Add(-time.Second),
			Header: http.Header{"X": {"1", "2"}}, Body: []byte{0, 0xff, '{'}}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		accept := func(want bool) {
			t.Helper()
			fresh, err := s.Accept(ctx, e)
			if ok(err); fresh != want {
				t.Errorf("Accept = %v, want %v", fresh, want)
			}
		}
		claim := func(at time.Time, want int) *webhook.Event {
			t.Helper()
			events, _, err := s.Claim(ctx, at, time.Minute, 10)
			if ok(err); len(events) != want {
				t.Fatalf("claimed %d, want %d", len(events), want)
			}
			if want == 0 {
				return nil
			}
			return events[0]
		}
		accept(true)
		accept(false)
		got := claim(now, 1)
		if got.Attempt != 1 || !bytes.Equal(got.Body, e.Body) || fmt.Sprint(got.Header) != fmt.Sprint(e.Header) || !got.Timestamp.Equal(e.Timestamp) || got.Type != "a" {
			t.Errorf("claimed %+v", got)
		}
		claim(now.Add(59*time.Second), 0) // leased
		if again := claim(now.Add(time.Minute), 1); again.Attempt != 2 {
			t.Errorf("after the lease: attempt %d", again.Attempt)
		}
		ok(s.Retry(ctx, e.Key, now.Add(time.Hour), "not yet"))
		claim(now.Add(59*time.Minute), 0)
		_, next, err := s.Claim(ctx, now, time.Minute, 10)
		if ok(err); !next.Equal(now.Add(time.Hour)) {
			t.Errorf("next is %v", next)
		}
		claim(now.Add(time.Hour), 1)
		ok(s.Finish(ctx, e.Key, now.Add(time.Hour)))
		ok(s.Retry(ctx, e.Key, now, "too late")) // somebody whose lease had ended
		claim(now.Add(2*time.Hour), 0)
		accept(false)
		failing := *e
		failing.Key, failing.ID = "p:2", "2"
		e = &failing
		accept(true)
		claim(now, 1)
		ok(s.Fail(ctx, e.Key, now, "never"))
		claim(now.Add(24*time.Hour), 0)
		accept(false)
	})
}

// receiveAndDie is a process that answers 2xx and is killed before it works.
func receiveAndDie(path string) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err == nil {
		var s *webhook.SQLStore
		if s, err = webhook.NewSQLStore(db, webhook.SQLOptions{}); err == nil {
			v, _ := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{key.Text()}})
			h, _ := webhook.NewHandler(webhook.HandlerOptions{Verifier: v, Store: s, Work: func(ctx context.Context, _ *webhook.Event) error {
				<-ctx.Done() // never gets anything done
				return ctx.Err()
			}})
			go func() { _ = h.Run(context.Background()) }()
			for i := range 20 {
				if w := post(h, fmt.Sprint("msg_", i), `{}`); w.Code/100 == 2 {
					fmt.Println("acknowledged", i)
				}
			}
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestSQLStore_WhatWasAcknowledgedIsWorkedOnAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	db := openSQLite(t, path)
	s := newSQLStore(t, db, false, "BLOB")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEBHOOK_TEST_RECEIVER="+path)
	out, err := cmd.Output()
	if n := strings.Count(string(out), "acknowledged"); n != 20 || err == nil {
		t.Fatalf("%d acknowledged (%v): %s", n, err, out)
	}
	var mu sync.Mutex
	worked := map[string]bool{}
	_, stop := running(t, webhook.HandlerOptions{Store: expired{s}, Work: func(_ context.Context, e *webhook.Event) error {
		mu.Lock()
		defer mu.Unlock()
		worked[e.ID] = true
		return nil
	}})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		n := len(worked)
		mu.Unlock()
		if n == 20 {
			break
		}
	}
	stop()
	if len(worked) != 20 {
		t.Errorf("%d of 20 were worked on", len(worked))
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// expired lets the leases of the process that died end at once.
type expired struct{ *webhook.SQLStore }

func (s expired) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*webhook.Event, time.Time, error) {
	return s.SQLStore.Claim(ctx, now.Add(time.Hour), lease, limit)
}

func BenchmarkHandler_Accept(b *testing.B) {
	h, err := webhook.NewHandler(webhook.HandlerOptions{Verifier: verifier(b), Store: webhook.NewMemory(1<<30, time.Hour),
		Work: func(context.Context, *webhook.Event) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 2048)
	for i := range b.N {
		r := httptest.NewRequest(http.MethodPost, "/hook", bytes.NewReader(body))
		r.Header = webhook.Sign([]webhook.Key{key}, fmt.Sprint("msg_", i), time.Now(), body)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
