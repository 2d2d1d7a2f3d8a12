package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func (f *fixture) newPoller(app hark.Application, uid string, due time.Time) hark.Poller {
	f.Helper()
	at := f.tick()
	p, err := f.InsertPoller(f.ctx, hark.Poller{
		ID: hark.NewPollerID(at), ApplicationRef: app.Ref, UID: uid, Due: due,
		PollerSettings: hark.PollerSettings{Name: uid, URL: "https://api.example/tickets", Every: time.Minute},
		Secret:         hark.SecretKey("secret of " + uid), CreatedAt: at, UpdatedAt: at,
	})
	f.ok(err)
	return p
}

func samePoller(f *fixture, what string, got, want hark.Poller) {
	f.Helper()
	reveal := cmp.Transformer("reveal", func(k hark.SecretKey) string { return k.Reveal() })
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testPollers(t *testing.T, f *fixture) {
	at := f.tick()
	full := hark.Poller{
		ID: hark.NewPollerID(at), EnvironmentID: f.env, ApplicationRef: f.app.Ref, ApplicationID: f.app.ID, UID: "full",
		PollerSettings: hark.PollerSettings{
			Name: "n", Every: time.Minute, Cron: "0 * * * *", TimeZone: "Europe/Berlin", URL: "https://a.example/x", Method: "POST", Body: "{}", ContentType: "a/b",
			Auth:   hark.PollerAuth{Type: "oauth2", Name: "n", Username: "u", TokenURL: "https://a.example/t", ClientID: "c", Scope: "s", ClientAuth: "body"},
			Paging: hark.PollerPaging{Type: "page", Path: "/next", Param: "page", First: 3},
			Since:  hark.PollerSince{Param: "since", Path: "/at", Initial: "0"}, ItemsPath: "/data", IDPath: "/id", Changed: []string{"/state"},
			Backfill: true, EventType: "ticket.{{change}}", Payload: json.RawMessage(`{"now":"{{now}}"}`), Channels: []string{"eu"},
		},
		Headers: map[string]string{"X-Tenant": "secret"}, Secret: "secret", State: hark.PollerState{Since: "7", ETag: `"a"`, Failures: 2, Rest: &hark.PollerRest{URL: "https://a.example/x?page=9", Number: 9, Since: "8"},
			Runs: []hark.PollerRun{{StartedAt: at, Outcome: hark.PollFailed, Error: "no", Took: time.Second}}},
		Revision: 4, Due: at.Add(time.Hour), Paused: true, CreatedAt: at, UpdatedAt: at,
	}
	got, err := f.InsertPoller(f.ctx, full)
	f.ok(err)
	if full.Ref = got.Ref; full.Ref == 0 {
		t.Error("no ref")
	}
	samePoller(f, "inserted", got, full)
	got, err = f.PollerByRef(f.ctx, full.Ref)
	f.ok(err)
	samePoller(f, "by ref", got, full)

	plain := f.newPoller(f.app, "plain", time.Time{})
	_, err = f.InsertPoller(f.ctx, hark.Poller{ID: hark.NewPollerID(f.tick()), ApplicationRef: f.app.Ref, UID: "plain"})
	f.wantCode(err, hark.Conflict, "the uid twice")
	changed, err := f.UpdatePoller(f.ctx, f.app.Ref, "plain", func(p *hark.Poller) error {
		p.UID, p.Name, p.Secret, p.Ref = "renamed", "new", "other", 0
		return nil
	})
	f.ok(err)
	if changed.Ref != plain.Ref || changed.Name != "new" || changed.Revision != plain.Revision+1 {
		t.Errorf("changed: %+v", changed)
	}
	_, err = f.UpdatePoller(f.ctx, f.app.Ref, "renamed", func(*hark.Poller) error { return errAbort })
	if err != errAbort {
		t.Errorf("abort: %v", err)
	}

	other := f.newApplication(f.env, "other")
	theirs := f.newPoller(other, "renamed", time.Time{}) // another application's uid
	_, err = f.Poller(f.ctx, f.app.Ref, string(theirs.ID))
	f.wantCode(err, hark.NotFound, "by way of another application")
	list := func(page store.Page) (ids []hark.PollerID) {
		all, err := f.ListPollers(f.ctx, f.app.Ref, page)
		f.ok(err)
		for _, p := range all {
			ids = append(ids, p.ID)
		}
		return ids
	}
	f.same("list", list(store.Page{Limit: 10}), []hark.PollerID{full.ID, plain.ID})
	f.same("newest first", list(store.Page{Limit: 1, Descending: true}), []hark.PollerID{plain.ID})
	if sealing, ok := f.Store.(interface {
		Reseal(context.Context) (int, error)
	}); ok {
		n, err := sealing.Reseal(f.ctx)
		f.ok(err)
		if n < 3 {
			t.Errorf("resealed %d", n)
		}
		got, err := f.Poller(f.ctx, f.app.Ref, "renamed")
		f.ok(err)
		samePoller(f, "resealed", got, changed)
	}

	f.ok(f.DeletePoller(f.ctx, f.app.Ref, "renamed"))
	f.ok(f.DeleteApplication(f.ctx, f.env, "other", f.tick()))
	_, err = f.Poller(f.ctx, f.app.Ref, string(plain.ID))
	f.wantCode(err, hark.NotFound, "deleted")
	_, err = f.PollerByRef(f.ctx, theirs.Ref)
	f.wantCode(err, hark.NotFound, "of a deleted application")
	f.wantCode(f.DeletePoller(f.ctx, f.app.Ref, "renamed"), hark.NotFound, "twice")
	f.newPoller(f.app, "renamed", time.Time{}) // free again
}

func testDuePollers(t *testing.T, f *fixture) {
	now := f.tick()
	f.newPoller(f.app, "never", time.Time{})
	late := f.newPoller(f.app, "late", now.Add(-time.Hour))
	exact := f.newPoller(f.app, "now", now)
	soon := f.newPoller(f.app, "soon", now.Add(time.Minute))
	due, next, err := f.DuePollers(f.ctx, now)
	f.ok(err)
	f.same("due", due, []store.DuePoller{{Ref: late.Ref, ApplicationRef: f.app.Ref, Due: late.Due}, {Ref: exact.Ref, ApplicationRef: f.app.Ref, Due: exact.Due}})
	if !next.Equal(soon.Due) {
		t.Errorf("next: %v, want %v", next, soon.Due)
	}
	for _, uid := range []string{"soon", "late"} {
		_, err := f.UpdatePoller(f.ctx, f.app.Ref, uid, func(p *hark.Poller) error { p.Paused = true; return nil })
		f.ok(err)
	}
	due, next, err = f.DuePollers(f.ctx, now)
	f.ok(err)
	if len(due) != 1 || due[0].Ref != exact.Ref || !next.IsZero() {
		t.Errorf("with paused ones: %v, %v", due, next)
	}
}

func testRecordPoll(t *testing.T, f *fixture) {
	p := f.newPoller(f.app, "a", f.tick())
	other := f.newPoller(f.app, "b", f.now)
	item := func(i int, content string, version int64) store.PollerItem {
		return store.PollerItem{Item: key(fmt.Sprint("item ", i)), Content: key(content), Version: version, SeenAt: f.now}
	}
	record := func(what string, want bool, progress store.PollProgress) {
		t.Helper()
		kept, err := f.RecordPoll(f.ctx, &progress)
		f.ok(err)
		if kept != want {
			t.Errorf("%s: kept %v", what, kept)
		}
	}
	known := func(ref hark.Ref) map[[32]byte]store.PollerItem {
		t.Helper()
		items, err := f.PollerItems(f.ctx, ref, [][32]byte{key("item 1"), key("item 2"), key("item 3")})
		f.ok(err)
		byItem := map[[32]byte]store.PollerItem{}
		for _, it := range items {
			byItem[it.Item] = it
		}
		return byItem
	}
	first, second := item(1, "x", 1), item(2, "y", 1)
	record("a page", true, store.PollProgress{PollerRef: p.Ref, Revision: p.Revision, Items: []store.PollerItem{first, second}})
	f.same("items", known(p.Ref), map[[32]byte]store.PollerItem{first.Item: first, second.Item: second})
	if n := len(known(other.Ref)); n != 0 {
		t.Errorf("another poller knows %d", n)
	}
	f.tick()
	first = item(1, "z", 2)
	state := hark.PollerState{Learned: true, Since: "9", Runs: []hark.PollerRun{{StartedAt: f.now, Due: p.Due, Outcome: hark.PollDone, Seen: 2}}}
	due := f.now.Add(time.Hour)
	record("the end", true, store.PollProgress{PollerRef: p.Ref, Revision: p.Revision, Items: []store.PollerItem{first}, State: &state, Due: due, ForgetBefore: f.now})
	f.same("items at the end", known(p.Ref), map[[32]byte]store.PollerItem{first.Item: first})
	got, err := f.PollerByRef(f.ctx, p.Ref)
	f.ok(err)
	want := p
	want.State, want.Due, want.Revision = state, due, p.Revision+1
	samePoller(f, "at the end", got, want)
	record("another's run", false, store.PollProgress{PollerRef: p.Ref, Revision: p.Revision, Items: []store.PollerItem{item(3, "x", 1)}, State: &hark.PollerState{}})
	if n := len(known(p.Ref)); n != 1 {
		t.Errorf("a run that was overtaken left %d items", n)
	}
	f.ok(f.DeletePoller(f.ctx, f.app.Ref, "a"))
	record("a poller that is gone", false, store.PollProgress{PollerRef: p.Ref, Revision: p.Revision + 1, Items: []store.PollerItem{first}})
	if n := len(known(p.Ref)); n != 0 {
		t.Errorf("%d items left behind", n)
	}
}
