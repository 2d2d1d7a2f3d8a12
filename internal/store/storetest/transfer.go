package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Records are all records of a store.
func Records(t *testing.T, s store.Store) []store.Record {
	t.Helper()
	mover, ok := s.(store.Mover)
	if !ok {
		t.Fatalf("%T cannot be moved", s)
	}
	var all []store.Record
	if err := mover.Export(t.Context(), func(r *store.Record) error { all = append(all, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// SameRecords compares the records of two stores, secrets included.
func SameRecords(t *testing.T, what string, got, want []store.Record) {
	t.Helper()
	reveal := cmp.Transformer("reveal", func(k hark.SecretKey) string { return k.Reveal() })
	inline := cmp.Transformer("text", func(raw json.RawMessage) []byte { return raw })
	if diff := cmp.Diff(want, got, reveal, inline); diff != "" {
		t.Errorf("%s (-want +got):\n%.4000s", what, diff)
	}
}

// Import puts records into an empty store, some at a time.
func Import(t *testing.T, s store.Store, records []store.Record, some int) {
	t.Helper()
	importer, err := s.(store.Mover).BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(records, some) {
		if err := importer.Add(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := importer.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// newEmpty opens a second store, with nothing in it.
func (f *fixture) newEmpty() *fixture {
	f.Helper()
	dir := f.TempDir()
	return &fixture{T: f.T, Store: f.open(f.T, dir), ctx: f.ctx, dir: dir, open: f.open, now: start.Add(24 * time.Hour)}
}

func testTransfer(t *testing.T, f *fixture) {
	from := f.newEmpty()
	Furnish(t, from.Store, 200)
	records := Records(t, from.Store)
	to := f.newEmpty()
	Import(t, to.Store, records, 37)
	SameRecords(t, "moved", Records(t, to.Store), records)
	to.reopen()
	SameRecords(t, "moved and opened again", Records(t, to.Store), records)

	if n, err := to.Store.(store.Mover).CountMessages(f.ctx); err != nil || n != 216 {
		t.Errorf("count: %d, %v", n, err)
	}
	for _, mover := range []store.Store{f.Store, to.Store} {
		_, err := mover.(store.Mover).BeginImport(f.ctx)
		f.wantCode(err, hark.Conflict, "import into a store that keeps something")
	}
	testMovedStore(f, from, to)
}

// testMovedStore checks that a store which was moved behaves like the one that it came from.
func testMovedStore(f, from, to *fixture) {
	var apps [2]hark.Application
	var lists [2][]string
	var queues [2][]string
	for i, s := range []*fixture{from, to} {
		envs, err := s.ListEnvironments(f.ctx)
		f.ok(err)
		s.env = envs[0].ID
		s.app, err = s.Application(f.ctx, s.env, "app")
		f.ok(err)
		apps[i] = s.app
		messages, err := s.ListMessages(f.ctx, s.app.Ref, store.MessageFilter{EventTypes: []string{"invoice.paid"}}, store.Page{Limit: 1000})
		f.ok(err)
		for _, m := range messages {
			lists[i] = append(lists[i], string(m.ID))
		}
		endpoints, err := s.AllEndpoints(f.ctx, s.app.Ref)
		f.ok(err)
		for _, ep := range endpoints {
			for _, d := range s.queue(ep) {
				m, err := s.MessagesByRef(f.ctx, []hark.Ref{d.MessageRef})
				f.ok(err)
				queues[i] = append(queues[i], string(ep.ID)+" "+string(m[0].ID))
			}
		}
	}
	apps[0].Ref, apps[1].Ref = 0, 0
	f.same("application", apps[1], apps[0])
	f.same("list", lists[1], lists[0])
	f.same("queues", queues[1], queues[0])

	// Guards stand, settling finds its rows wherever they wait, and what is queued is kept.
	again := to.message("invoice.paid")
	again.Message.EventID = "event-7"
	f.ok(to.Accept(f.ctx, []*store.Acceptance{again}))
	if again.Outcome != store.DuplicateEvent {
		f.Errorf("the same event again: outcome %d", again.Outcome)
	}
	again = to.message("invoice.paid")
	again.Message.CreatedAt = start.Add(time.Minute)
	again.Key = &store.IdempotencyKey{Hash: key("key7"), Fingerprint: key("print"), ExpiresAt: start.Add(time.Hour)}
	f.ok(to.Accept(f.ctx, []*store.Acceptance{again}))
	if again.Outcome != store.Repeated {
		f.Errorf("the same key again: outcome %d", again.Outcome)
	}
	endpoints, err := to.AllEndpoints(f.ctx, to.app.Ref)
	f.ok(err)
	var kept []hark.Ref
	for _, ep := range endpoints {
		rows := to.queue(ep)
		for len(rows) > 0 {
			kept = append(kept, rows[0].MessageRef)
			to.try(rows[0], 200, 0)
			rest := to.queue(ep)
			if slices.ContainsFunc(rest, func(d hark.Delivery) bool { return d.MessageRef == rows[0].MessageRef }) {
				f.Fatalf("a message that succeeded is still queued at %s", ep.URL)
			}
			if rows = rest; len(rows) > 10 {
				rows = rows[10:] // some will do
			}
		}
	}
	if len(kept) == 0 {
		f.Fatal("nothing is queued")
	}
	late := start.Add(365 * 24 * time.Hour)
	for more := true; more; {
		more, err = to.Reclaim(f.ctx, late, 1000)
		f.ok(err)
	}
	wrong, err := to.Check(f.ctx)
	f.ok(err)
	f.same("check", wrong, []string(nil))
}

func testTransferFails(t *testing.T, f *fixture) {
	from := f.newEmpty()
	Furnish(t, from.Store, 20)
	records := Records(t, from.Store)
	to := f.newEmpty()
	importer, err := to.Store.(store.Mover).BeginImport(f.ctx)
	f.ok(err)
	first := slices.IndexFunc(records, func(r store.Record) bool { return r.Message != nil })
	f.ok(importer.Add(f.ctx, records[:first]))
	// What fails leaves nothing behind, whichever row it was.
	stranger := *records[first].Message
	stranger.ApplicationRef = 1000
	if err := importer.Add(f.ctx, append(slices.Clone(records[first:first+5]), store.Record{Message: &stranger})); !errors.Is(err, store.ErrBadNumber) {
		t.Errorf("an unknown application: %v", err)
	}
	if err := importer.Add(f.ctx, []store.Record{records[first-1], records[0]}); err == nil {
		t.Error("an endpoint twice: no error")
	}
	f.ok(importer.Add(f.ctx, records[first:]))
	f.ok(importer.Finish(f.ctx))
	SameRecords(t, "moved", Records(t, to.Store), records)

	// The visitor's error is the export's.
	err = from.Store.(store.Mover).Export(f.ctx, func(*store.Record) error { return errAbort })
	if !errors.Is(err, errAbort) {
		t.Errorf("abort: %v", err)
	}
}
