// Package storetest says, as tests, what every store.Store must do. Both stores run the same
// suite; it knows the contract only, and nothing of how a store keeps its rows.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Open opens the store in a place of its own, named by a folder; it is called again with the same
// folder after the store was closed. It closes the store when the test ends; Close twice is fine.
type Open func(t *testing.T, dir string) store.Store

// tests are the suite, but for the model.
func tests() []test {
	return []test{
		{"Environments", testEnvironments},
		{"Applications", testApplications},
		{"ApplicationFilters", testApplicationFilters},
		{"Endpoints", testEndpoints},
		{"EndpointDeletion", testEndpointDeletion},
		{"Rules", testRules},
		{"Transformations", testTransformations},
		{"VersionsConcurrently", testVersionsConcurrently},
		{"Executions", testExecutions},
		{"CanceledAttempts", testCanceledAttempts},
		{"DelayedDeliveries", testDelayedDeliveries},
		{"EventTypes", testEventTypes},
		{"Keys", testKeys},
		{"Tasks", testTasks},
		{"Sources", testSources},
		{"Pollers", testPollers},
		{"DuePollers", testDuePollers},
		{"RecordPoll", testRecordPoll},
		{"Requests", testRequests},
		{"ListRequests", testListRequests},
		{"ReclaimRequests", testReclaimRequests},
		{"Accept", testAccept},
		{"AcceptGuards", testAcceptGuards},
		{"AcceptConcurrently", testAcceptConcurrently},
		{"AcceptStale", testAcceptStale},
		{"Unique", testUnique},
		{"UniqueConcurrently", testUniqueConcurrently},
		{"OnQueued", testOnQueued},
		{"MessageIsolation", testMessageIsolation},
		{"ListMessages", testListMessages},
		{"Expunge", testExpunge},
		{"Queue", testQueue},
		{"Settle", testSettle},
		{"SettleSucceeded", testSettleSucceeded},
		{"States", testStates},
		{"Consumers", testConsumers},
		{"Feed", testFeed},
		{"ToldAttempts", testToldAttempts},
		{"FeedConcurrently", testFeedConcurrently},
		{"Cursors", testCursors},
		{"ReclaimFeeds", testReclaimFeeds},
		{"Attempts", testAttempts},
		{"AttemptsWhileTheyCome", testAttemptsWhileTheyCome},
		{"AttemptedLists", testAttemptedLists},
		{"FailingSince", testFailingSince},
		{"Replays", testReplays},
		{"Tail", testTail},
		{"TailFilters", testTailFilters},
		{"TailIsComplete", testTailIsComplete},
		{"Answers", testAnswers},
		{"Reservations", testReservations},
		{"Reclaim", testReclaim},
		{"ReclaimKeepsQueued", testReclaimKeepsQueued},
		{"Reopen", testReopen},
		{"Upkeep", testUpkeep},
		{"ChangesInParallel", testChangesInParallel},
		{"Canceled", testCanceled},
		{"Transfer", testTransfer},
		{"TransferFails", testTransferFails},
	}
}

// test is one of the suite.
type test struct {
	name string
	run  func(*testing.T, *fixture)
}

// Run checks a store; where names are given, with these tests of the suite only, and the model.
func Run(t *testing.T, open Open, only ...string) {
	for _, name := range only {
		if !slices.ContainsFunc(tests(), func(test test) bool { return test.name == name }) {
			t.Errorf("the suite has no test %q", name)
		}
	}
	for _, test := range tests() {
		if len(only) > 0 && !slices.Contains(only, test.name) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newFixture(t, open))
		})
	}
	t.Run("Model", func(t *testing.T) {
		t.Parallel()
		testModel(t, open)
	})
}

// start is when every test begins; time passes only when a test says so.
var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// fixture is a store with an environment and an application.
type fixture struct {
	*testing.T
	store.Store
	ctx  context.Context
	dir  string
	open Open
	env  hark.EnvironmentID
	app  hark.Application

	mu  sync.Mutex
	now time.Time
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	f := &fixture{T: t, ctx: t.Context(), dir: t.TempDir(), open: open, now: start}
	f.Store = open(t, f.dir)
	f.env = f.newEnvironment()
	f.app = f.newApplication(f.env, "app")
	return f
}

// tick lets 10 ms pass, so that ids made one after the other sort so.
func (f *fixture) tick() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(10 * time.Millisecond)
	return f.now
}

// clock is what a tick has answered last.
func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantCode(err error, code hark.Code, what string) {
	f.Helper()
	if hark.CodeOf(err) != code {
		f.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (f *fixture) newEnvironment() hark.EnvironmentID {
	f.Helper()
	at := f.tick()
	id := hark.NewEnvironmentID(at)
	env := hark.Environment{ID: id, Name: string(id), CreatedAt: at} // a name is nobody else's
	f.ok(f.InsertEnvironment(f.ctx, env))
	return env.ID
}

func (f *fixture) newApplication(env hark.EnvironmentID, uid string) hark.Application {
	f.Helper()
	at := f.tick()
	app, err := f.InsertApplication(f.ctx, hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: env, UID: uid, Name: uid, CreatedAt: at, UpdatedAt: at})
	f.ok(err)
	return app
}

func (f *fixture) newEndpoint(app hark.Application, uid string) hark.Endpoint {
	f.Helper()
	at := f.tick()
	ep, err := f.InsertEndpoint(f.ctx, hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: app.Ref, UID: uid, URL: "https://example.com/" + uid, CreatedAt: at, UpdatedAt: at})
	f.ok(err)
	return ep
}

// message makes an acceptance for the fixture's application to endpoints.
func (f *fixture) message(eventType string, endpoints ...hark.Endpoint) *store.Acceptance {
	at := f.tick()
	a := &store.Acceptance{EnvironmentID: f.env, Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: f.app.Ref,
		EventType: eventType, Payload: []byte(`{"n":1}`), CreatedAt: at}}
	for _, ep := range endpoints {
		a.Message.Matched = append(a.Message.Matched, ep.Ref)
		a.Deliveries = append(a.Deliveries, hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: f.app.Ref, Due: at.UnixMilli()})
	}
	return a
}

func (f *fixture) accept(eventType string, endpoints ...hark.Endpoint) *store.Acceptance {
	f.Helper()
	a := f.message(eventType, endpoints...)
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	if a.Outcome != store.Accepted {
		f.Fatalf("outcome %d", a.Outcome)
	}
	return a
}

// attempt makes an attempt that ended with a status code; retry is the wait until the next.
func (f *fixture) attempt(d hark.Delivery, code int, retry time.Duration) store.Settlement {
	at := f.tick()
	a := &hark.Attempt{ID: hark.NewAttemptID(at), ApplicationRef: d.ApplicationRef, MessageRef: d.MessageRef, EndpointRef: d.EndpointRef,
		URL: "https://example.com/hook", Number: d.Attempts + 1, Trigger: d.Trigger, Status: hark.Succeeded, StatusCode: code,
		Response: fmt.Appendf(nil, "answer %d", code), StartedAt: at, Duration: 25 * time.Millisecond,
		Phases: hark.Phases{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 4 * time.Millisecond}}
	s := store.Settlement{Delivery: d, Attempt: a}
	switch {
	case code >= 200 && code < 300:
		s.Succeeded = true
	case retry > 0:
		a.Status, a.NextAttempt = hark.Sending, at.Add(retry)
		next := d
		next.Attempts, next.Due = d.Attempts+1, a.NextAttempt.UnixMilli()
		s.Retry = &next
	default:
		a.Status, a.Error = hark.Failed, "said no"
	}
	if code != 200 {
		a.ResponseHeader = []hark.HeadField{{Name: "Content-Type", Value: "text/plain"}, {Name: "X-Odd", Value: "\xff\x00"}}
	}
	return s
}

// try settles one attempt, and answers the delivery's next state.
func (f *fixture) try(d hark.Delivery, code int, retry time.Duration) hark.Delivery {
	f.Helper()
	s := f.attempt(d, code, retry)
	f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	if s.Retry != nil {
		return *s.Retry
	}
	return hark.Delivery{}
}

// queue reads the whole queue of an endpoint.
func (f *fixture) queue(ep hark.Endpoint) []hark.Delivery {
	f.Helper()
	all, err := f.ReadQueue(f.ctx, ep.Ref, store.Position{}, 1000)
	f.ok(err)
	return all
}

func (f *fixture) state(message hark.Ref, ep hark.Endpoint) (hark.AttemptStatus, bool) {
	f.Helper()
	states, err := f.DeliveryStates(f.ctx, message, []hark.Ref{ep.Ref})
	f.ok(err)
	st, ok := states[ep.Ref]
	return st.Status, ok
}

func (f *fixture) reopen() {
	f.Helper()
	f.ok(f.Close())
	f.Store = f.open(f.T, f.dir)
}

func key(text string) [32]byte { return sha256.Sum256([]byte(text)) }

var errAbort = errors.New("abort")

// pages walks a list forwards, then backwards, with pages of size, and checks that both show want.
func pages[T any](f *fixture, what string, size int, descending bool, want []string, id func(T) string, list func(store.Page) ([]T, error)) {
	f.Helper()
	var got []string
	page := store.Page{Limit: size, Descending: descending}
	for range len(want) + 1 {
		some, err := list(page)
		f.ok(err)
		for _, v := range some {
			got = append(got, id(v))
		}
		if len(some) < size {
			break
		}
		page.From = id(some[len(some)-1])
	}
	f.same(what+" forwards", got, want)
	if len(want) < 2 {
		return
	}
	got = nil
	page = store.Page{Limit: size, Descending: descending, From: want[len(want)-1], Backward: true}
	for range len(want) + 1 {
		some, err := list(page)
		f.ok(err)
		var ids []string
		for _, v := range some {
			ids = append(ids, id(v))
		}
		got = append(ids, got...)
		if len(some) < size {
			break
		}
		page.From = ids[0]
	}
	f.same(what+" backwards", got, want[:len(want)-1])
}
