package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func (f *fixture) newSource(app hark.Application, uid string) hark.Source {
	f.Helper()
	at := f.tick()
	src, err := f.InsertSource(f.ctx, hark.Source{
		ID: hark.NewSourceID(at), EnvironmentID: app.EnvironmentID, ApplicationRef: app.Ref, UID: uid,
		SourceSettings: hark.SourceSettings{Name: uid, Provider: "stripe"},
		Tokens:         []hark.Secret{{Key: hark.SecretKey("token of " + string(app.ID) + uid), CreatedAt: at}},
		Secrets:        []hark.Secret{{Key: "whsec_1", CreatedAt: at}}, CreatedAt: at, UpdatedAt: at,
	})
	f.ok(err)
	return src
}

func tokenHash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

func sameSource(f *fixture, what string, got, want hark.Source) {
	f.Helper()
	reveal := cmp.Transformer("reveal", func(k hark.SecretKey) string { return k.Reveal() })
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testSources(t *testing.T, f *fixture) {
	at := f.tick()
	full := hark.Source{
		ID: hark.NewSourceID(at), EnvironmentID: f.env, ApplicationRef: f.app.Ref, ApplicationID: f.app.ID, UID: "full",
		SourceSettings: hark.SourceSettings{
			Name: "n", Description: "d", Metadata: map[string]string{"a": "b"}, Scheme: json.RawMessage(`{"algorithm":"hmac-sha256"}`),
			Unverified: true, Tolerance: time.Minute, URL: "https://a.example/x", Confirm: true, Methods: []string{"GET"}, AllowIPs: []string{"192.0.2.0/24"},
			MaxBytes: 7, RateLimit: 8, DailyQuota: 9, Deduplicate: hark.Deduplication{By: []string{"header:X"}, Window: time.Hour},
			EventType: "/type", Credentials: true, Answer: &hark.SourceAnswer{Status: 201, Headers: map[string]string{"X": "y"}, Body: "ok"},
		},
		Tokens:  []hark.Secret{{Key: "new token", CreatedAt: at}, {Key: "old token", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}},
		Secrets: []hark.Secret{{Key: "s1", CreatedAt: at}}, Params: map[string]string{"webhook_id": "w"},
		Disabled: true, FailingSince: at, FailingCause: "no", CreatedAt: at, UpdatedAt: at,
	}
	got, err := f.InsertSource(f.ctx, full)
	f.ok(err)
	if full.Ref = got.Ref; full.Ref == 0 {
		t.Error("no ref")
	}
	sameSource(f, "inserted", got, full)
	for _, token := range []string{"new token", "old token"} {
		got, err = f.SourceByToken(f.ctx, tokenHash(token))
		f.ok(err)
		sameSource(f, "by "+token, got, full)
	}
	_, err = f.SourceByToken(f.ctx, tokenHash("no token"))
	f.wantCode(err, hark.NotFound, "an unknown token")

	plain := f.newSource(f.app, "plain")
	_, err = f.InsertSource(f.ctx, hark.Source{ID: hark.NewSourceID(f.tick()), EnvironmentID: f.env, ApplicationRef: f.app.Ref, UID: "plain"})
	f.wantCode(err, hark.Conflict, "the uid twice")
	before := f.version()
	changed, err := f.UpdateSource(f.ctx, f.env, "plain", func(s *hark.Source) error {
		s.UID, s.Name, s.Tokens, s.Ref = "renamed", "new", []hark.Secret{{Key: "rotated"}}, 0
		return nil
	})
	f.ok(err)
	if f.version() <= before {
		t.Error("the application's version did not rise")
	}
	if changed.Ref != plain.Ref || changed.Name != "new" {
		t.Errorf("changed: %+v", changed)
	}
	_, err = f.SourceByToken(f.ctx, tokenHash("token of "+string(f.app.ID)+"plain"))
	f.wantCode(err, hark.NotFound, "a token that was taken away")
	_, err = f.UpdateSource(f.ctx, f.env, "renamed", func(*hark.Source) error { return errAbort })
	if err != errAbort {
		t.Errorf("abort: %v", err)
	}

	other := f.newApplication(f.env, "other")
	theirs := f.newSource(other, "theirs")
	foreign := f.newApplication(f.newEnvironment(), "foreign")
	f.newSource(foreign, "renamed") // another environment's uid
	list := func(app hark.Ref, page store.Page) (ids []hark.SourceID) {
		all, err := f.ListSources(f.ctx, f.env, app, page)
		f.ok(err)
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		return ids
	}
	f.same("list", list(0, store.Page{Limit: 10}), []hark.SourceID{full.ID, plain.ID, theirs.ID})
	f.same("newest first", list(0, store.Page{Limit: 2, Descending: true}), []hark.SourceID{theirs.ID, plain.ID})
	f.same("of an application", list(f.app.Ref, store.Page{Limit: 10}), []hark.SourceID{full.ID, plain.ID})

	f.ok(f.DeleteSource(f.ctx, f.env, "renamed", f.tick()))
	f.ok(f.DeleteApplication(f.ctx, f.env, "other", f.tick()))
	for _, name := range []string{"renamed", string(plain.ID), string(theirs.ID), "theirs"} {
		_, err = f.Source(f.ctx, f.env, name)
		f.wantCode(err, hark.NotFound, name)
	}
	for _, token := range []string{"rotated", "token of " + string(other.ID) + "theirs"} {
		_, err = f.SourceByToken(f.ctx, tokenHash(token))
		f.wantCode(err, hark.NotFound, "the token of what is deleted")
	}
	f.newSource(f.app, "theirs") // free again
	if sealing, ok := f.Store.(interface {
		Reseal(context.Context) (int, error)
	}); ok {
		_, err := sealing.Reseal(f.ctx)
		f.ok(err)
	}
	got, err = f.Source(f.ctx, f.env, "full")
	f.ok(err)
	sameSource(f, "at last", got, full)
}

// version is the application's.
func (f *fixture) version() int64 {
	f.Helper()
	app, err := f.ApplicationByRef(f.ctx, f.app.Ref)
	f.ok(err)
	return app.Version
}

// request makes a request of a source.
func (f *fixture) request(src hark.Source, outcome hark.RequestOutcome) hark.Request {
	at := f.tick()
	q := hark.Request{SourceRef: src.Ref, SourceID: src.ID, ID: hark.NewRequestID(at), ReceivedAt: at, Outcome: outcome, EventID: "evt_1", EventType: "a.b",
		Status: 200, Took: 3 * time.Millisecond, Size: 4, Method: "POST", Remote: "192.0.2.1"}
	if outcome != hark.RequestAccepted {
		q.Head, q.Body = []byte{1, 0, 7}, []byte("bo\x00dy")
	}
	if outcome == hark.RequestRejected {
		q.Cause, q.Detail, q.Status = hark.VerificationFailed, "no", 401
	}
	return q
}

// receive accepts a request.
func (f *fixture) receive(src hark.Source, key *store.IdempotencyKey) *store.Acceptance {
	f.Helper()
	q := f.request(src, hark.RequestAccepted)
	a := f.message("a.b")
	a.Message.RawBody, a.Message.Payload, a.Message.Head, a.Request, a.Key = []byte("raw"), nil, []byte{1, 0}, &q, key
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	return a
}

func testRequests(t *testing.T, f *fixture) {
	src := f.newSource(f.app, "s")
	once := &store.IdempotencyKey{Hash: key("evt_1"), ExpiresAt: start.Add(time.Hour)}
	a := f.receive(src, once)
	accepted := *a.Request
	got, err := f.Request(f.ctx, src.Ref, accepted.ID)
	f.ok(err)
	accepted.MessageID, accepted.Head, accepted.Body = a.Message.ID, a.Message.Head, a.Message.RawBody
	f.same("accepted", got, accepted)
	m, err := f.Message(f.ctx, f.app.Ref, string(a.Message.ID), true)
	f.ok(err)
	f.same("its message", m, a.Message)

	again := f.receive(src, once)
	if again.Outcome != store.Repeated || again.Existing != a.Message.ID {
		t.Fatalf("again: outcome %d, existing %s", again.Outcome, again.Existing)
	}
	_, err = f.Request(f.ctx, src.Ref, again.Request.ID)
	f.wantCode(err, hark.NotFound, "a request whose message was not kept")

	duplicate, rejected, empty := f.request(src, hark.RequestDuplicate), f.request(src, hark.RequestRejected), f.request(src, hark.RequestRejected)
	duplicate.MessageID, empty.Head, empty.Body, empty.Cause, empty.EventType = a.Message.ID, nil, nil, hark.RequestTooLarge, ""
	f.ok(f.InsertRequests(f.ctx, []hark.Request{duplicate, rejected, empty}))
	for _, want := range []hark.Request{duplicate, rejected, empty} {
		got, err := f.Request(f.ctx, src.Ref, want.ID)
		f.ok(err)
		f.same("kept", got, want)
	}
	other := f.newSource(f.app, "other")
	_, err = f.Request(f.ctx, other.Ref, rejected.ID)
	f.wantCode(err, hark.NotFound, "another source's request")
	found, err := f.SourceOfRequest(f.ctx, f.env, rejected.ID)
	f.ok(err)
	f.same("whose request it is", found, src.ID)
	_, err = f.SourceOfRequest(f.ctx, "env_other", rejected.ID)
	f.wantCode(err, hark.NotFound, "another environment's request")
	_, err = f.SourceOfRequest(f.ctx, f.env, hark.RequestID(src.ID))
	f.wantCode(err, hark.NotFound, "what is no request's id")
	if n, err := f.CountRequests(f.ctx, src.Ref, start, 3); err != nil || n != 3 {
		t.Errorf("count: %d, %v", n, err)
	}

	// By hand: from then on it is the message's.
	byHand := f.message("a.b")
	f.ok(f.Accept(f.ctx, []*store.Acceptance{byHand}))
	f.ok(f.AdoptRequest(f.ctx, src.Ref, rejected.ID, byHand.Message.ID))
	got, err = f.Request(f.ctx, src.Ref, rejected.ID)
	f.ok(err)
	if got.Outcome != hark.RequestAccepted || got.MessageID != byHand.Message.ID || !bytes.Equal(got.Body, byHand.Message.Payload) || got.Cause == "" {
		t.Errorf("by hand: %+v", got)
	}
	f.wantCode(f.AdoptRequest(f.ctx, other.Ref, rejected.ID, byHand.Message.ID), hark.NotFound, "adopt another source's request")

	f.ok(f.ExpungeRequest(f.ctx, src.Ref, duplicate.ID))
	f.wantCode(f.ExpungeRequest(f.ctx, src.Ref, accepted.ID), hark.NotFound, "expunge what is the message's")
	f.ok(f.ExpungePayload(f.ctx, f.app.Ref, string(a.Message.ID)))
	for _, id := range []hark.RequestID{duplicate.ID, accepted.ID} {
		got, err := f.Request(f.ctx, src.Ref, id)
		f.ok(err)
		if !got.Expunged || got.Body != nil || got.Head != nil {
			t.Errorf("expunged: %+v", got)
		}
	}
}

func testListRequests(t *testing.T, f *fixture) {
	one, two := f.newSource(f.app, "one"), f.newSource(f.app, "two")
	var all []hark.Request
	for i := range 12 {
		src := []hark.Source{one, two}[i%2]
		if i%3 == 0 {
			all = append(all, *f.receive(src, nil).Request)
			continue
		}
		q := f.request(src, hark.RequestOutcome(i%3))
		q.EventType = fmt.Sprint("type.", i%4)
		f.ok(f.InsertRequests(f.ctx, []hark.Request{q}))
		q.Head, q.Body = nil, nil
		all = append(all, q)
	}
	list := func(what string, sources []hark.Ref, filter store.RequestFilter, page store.Page, want func(int, hark.Request) bool) {
		t.Helper()
		var wanted []hark.RequestID
		for i := len(all) - 1; i >= 0; i-- {
			if want(i, all[i]) {
				wanted = append(wanted, all[i].ID)
			}
		}
		rows, err := f.ListRequests(f.ctx, sources, filter, page)
		f.ok(err)
		var got []hark.RequestID
		for _, q := range rows {
			got = append(got, q.ID)
		}
		f.same(what, got, wanted)
	}
	both, page := []hark.Ref{one.Ref, two.Ref}, store.Page{Limit: 100}
	rejected, accepted := hark.RequestRejected, hark.RequestAccepted
	list("all", both, store.RequestFilter{}, page, func(int, hark.Request) bool { return true })
	list("of a source", both[:1], store.RequestFilter{}, page, func(i int, _ hark.Request) bool { return i%2 == 0 })
	list("rejected", both, store.RequestFilter{Outcome: &rejected}, page, func(i int, _ hark.Request) bool { return i%3 == 1 })
	list("accepted", both, store.RequestFilter{Outcome: &accepted}, page, func(i int, _ hark.Request) bool { return i%3 == 0 })
	list("by cause", both, store.RequestFilter{Cause: hark.VerificationFailed}, page, func(i int, _ hark.Request) bool { return i%3 == 1 })
	list("by type", both, store.RequestFilter{EventTypes: []string{"type.1", "type.2"}}, page,
		func(_ int, q hark.Request) bool { return q.EventType == "type.1" || q.EventType == "type.2" })
	list("by time", both, store.RequestFilter{After: all[3].ReceivedAt, Before: all[9].ReceivedAt}, page, func(i int, _ hark.Request) bool { return i > 3 && i < 9 })
	list("a page", both, store.RequestFilter{}, store.Page{Limit: 4, From: string(all[9].ID)}, func(i int, _ hark.Request) bool { return i >= 5 && i < 9 })
	list("the page before", both, store.RequestFilter{}, store.Page{Limit: 4, From: string(all[3].ID), Backward: true}, func(i int, _ hark.Request) bool { return i > 3 && i <= 7 })
	list("the oldest", both, store.RequestFilter{OldestFirst: true}, store.Page{Limit: 3}, func(i int, _ hark.Request) bool { return i < 3 })
	list("of none", nil, store.RequestFilter{}, page, func(int, hark.Request) bool { return false })
	_, err := f.ListRequests(f.ctx, both, store.RequestFilter{}, store.Page{Limit: 4, From: "nonsense"})
	f.wantCode(err, hark.Invalid, "nonsense")
}

func testReclaimRequests(t *testing.T, f *fixture) {
	src, gone := f.newSource(f.app, "s"), f.newSource(f.app, "gone")
	var old []hark.Request
	for range 250 {
		old = append(old, f.request(src, hark.RequestRejected))
	}
	f.ok(f.InsertRequests(f.ctx, old))
	ofGone := f.request(gone, hark.RequestDuplicate)
	f.ok(f.InsertRequests(f.ctx, []hark.Request{ofGone}))
	f.ok(f.DeleteSource(f.ctx, f.env, "gone", f.tick()))
	f.mu.Lock()
	f.now = start.Add(hark.DefaultRetention)
	f.mu.Unlock()
	fresh := f.request(src, hark.RequestRejected)
	f.ok(f.InsertRequests(f.ctx, []hark.Request{fresh}))
	now := start.Add(hark.DefaultRetention + time.Hour)
	for more, pieces := true, 0; more; pieces++ {
		var err error
		more, err = f.Reclaim(f.ctx, now, 60)
		f.ok(err)
		if pieces > 50 {
			t.Fatal("retention does not end")
		}
	}
	for _, q := range []hark.Request{old[0], old[249], ofGone} {
		_, err := f.Request(f.ctx, q.SourceRef, q.ID)
		f.wantCode(err, hark.NotFound, "an old request")
	}
	got, err := f.Request(f.ctx, src.Ref, fresh.ID)
	f.ok(err)
	f.same("a fresh one", got, fresh)
}
