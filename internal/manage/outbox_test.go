package manage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// row is a row of the outbox as the plainest insert makes it.
func (r *rig) row(id int64, app string) store.OutboxRow {
	return store.OutboxRow{ID: id, EnvironmentID: r.env.ID, Environment: "live", Application: app, EventType: "a.b", Payload: fmt.Appendf(nil, `{"id":%d}`, id)}
}

func TestPublishFromOutbox_AcceptsRowsInTheirOrder(t *testing.T) {
	r := newRig(t)
	one, two := r.application(t, "one"), r.application(t, "two")
	ep := r.endpoint(t, "one", nil)
	rows := []store.OutboxRow{r.row(1, "one"), r.row(2, string(two.ID)), r.row(3, "one"), r.row(5, "one")}
	rows[2].Payload = []byte("\n {\"x\" : 1.0}\t")
	rows[2].EventID, rows[2].Channels, rows[2].Tags = "event", []string{"c"}, []string{"t"}
	rows[3].Channels, rows[3].Tags = []string{}, []string{}
	accepted, refused, err := r.PublishFromOutbox(t.Context(), rows)
	if err != nil || accepted != 4 || len(refused) > 0 {
		t.Fatalf("%d accepted, refused %v, %v", accepted, refused, err)
	}
	messages := must[[]hark.Message](t)(r.store.ListMessages(t.Context(), one.Ref, store.MessageFilter{WithPayload: true, OldestFirst: true}, store.Page{Limit: 10}))
	var got []string
	for _, d := range r.live.queued { // as they are delivered
		got = append(got, string(d.Message.Payload))
		if d.EndpointRef != ep.Ref {
			t.Errorf("queued for %d", d.EndpointRef)
		}
	}
	if diff := cmp.Diff([]string{`{"id":1}`, `{"x" : 1.0}`, `{"id":5}`}, got); diff != "" || len(messages) != 3 {
		t.Errorf("%d messages; queued (-want +got):\n%s", len(messages), diff)
	}
	msg := must[hark.Message](t)(r.store.Message(t.Context(), one.Ref, "event", false))
	if msg.EventType != "a.b" || msg.Channels[0] != "c" || msg.Tags[0] != "t" {
		t.Errorf("message %+v", msg)
	}
}

func TestPublishFromOutbox_SaysWhyRowsAreRefused(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "a")
	for _, test := range []struct {
		want   string // part of the reason; "" when nothing is wrong
		change func(*store.OutboxRow)
	}{
		{"", func(*store.OutboxRow) {}},
		{"environment: there is no", func(o *store.OutboxRow) { o.EnvironmentID, o.Environment = "", "nowhere" }},
		{"application: ", func(o *store.OutboxRow) { o.Application = "b" }},
		{"application: ", func(o *store.OutboxRow) { o.Application = "" }},
		{"event_type: must be", func(o *store.OutboxRow) { o.EventType = "a b" }},
		{"event_id: must not start with msg_", func(o *store.OutboxRow) { o.EventID = "msg_1" }},
		{"channels.1: must be", func(o *store.OutboxRow) { o.Channels = []string{"a", ""} }},
		{"tags: must have", func(o *store.OutboxRow) { o.Tags = make([]string, 6) }},
		{"payload: must be a JSON object", func(o *store.OutboxRow) { o.Payload = []byte(`[]`) }},
		{"payload: must be a JSON object", func(o *store.OutboxRow) { o.Payload = []byte(`{"a":}`) }},
		{"too large", func(o *store.OutboxRow) { o.Payload = nil }},
		{"too large", func(o *store.OutboxRow) {
			o.Payload = []byte(`{"a":"` + strings.Repeat("x", DefaultMaxPayload) + `"}`)
		}},
		{"deliver_at: must be", func(o *store.OutboxRow) { o.DeliverAt = time.Now().Add(25 * time.Hour) }},
		{"", func(o *store.OutboxRow) { o.DeliverAt = time.Now().Add(-time.Hour) }},
		{"", func(o *store.OutboxRow) { o.DeliverAt = time.Now().Add(30 * time.Second) }},
		{"", func(o *store.OutboxRow) { o.EventID = "once" }},
		{"event_id: message msg_", func(o *store.OutboxRow) { o.EventID = "once" }},
	} {
		row := r.row(7, "a")
		test.change(&row)
		// A good row beside it is not kept back.
		accepted, refused, err := r.PublishFromOutbox(t.Context(), []store.OutboxRow{row, r.row(8, string(app.ID))})
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" {
			if accepted != 2 || len(refused) != 0 {
				t.Errorf("%+v: %d accepted, refused %v", row, accepted, refused)
			}
		} else if accepted != 1 || len(refused) != 1 || refused[0].ID != 7 || !strings.Contains(refused[0].Reason, test.want) {
			t.Errorf("%s: %d accepted, refused %v", test.want, accepted, refused)
		}
	}
}

func TestPublishFromOutbox_KeepsTheTimeToDeliverAt(t *testing.T) {
	r := newRig(t)
	r.application(t, "a")
	r.endpoint(t, "a", nil)
	for _, ahead := range []time.Duration{-time.Hour, 0, 20 * time.Second, time.Hour} {
		row, before := r.row(1, "a"), moment()
		if ahead != 0 {
			row.DeliverAt = before.Add(ahead)
		}
		if accepted, refused, err := r.PublishFromOutbox(t.Context(), []store.OutboxRow{row}); err != nil || accepted != 1 {
			t.Fatalf("refused %v, %v", refused, err)
		}
		due := time.UnixMilli(r.live.queued[len(r.live.queued)-1].Due)
		if late := due.Sub(before.Add(max(ahead, 0))); late < 0 || late > time.Second || ahead > 0 && late != 0 {
			t.Errorf("%v ahead: %v late", ahead, late)
		}
	}
}

// decided is a store that decides otherwise than the one it is.
type decided struct {
	store.Store
	accept func(tries int, accept []*store.Acceptance) error // after the store's own
	tries  int
}

func (d *decided) Accept(ctx context.Context, accept []*store.Acceptance) error {
	d.tries++
	if err := d.accept(d.tries, accept); err != nil {
		return err
	}
	var kept []*store.Acceptance
	for _, a := range accept {
		if a.Outcome == store.Accepted {
			kept = append(kept, a)
		}
	}
	return d.Store.Accept(ctx, kept)
}

func TestPublishFromOutbox_MatchesAgainWhatIsStale(t *testing.T) {
	r := newRig(t)
	r.application(t, "one")
	r.application(t, "two")
	d := &decided{Store: r.store}
	d.accept = func(try int, accept []*store.Acceptance) error {
		switch try {
		case 1: // all of the first application's are stale, and another node was faster with one of the second's
			accept[0].Outcome, accept[2].Outcome, accept[1].Outcome = store.Stale, store.Stale, store.Taken
		case 2:
			if len(accept) != 2 || accept[0].OutboxRow != 1 || accept[1].OutboxRow != 3 {
				t.Errorf("again: %d, the first of row %d", len(accept), accept[0].OutboxRow)
			}
		}
		return nil
	}
	r.store = d
	accepted, refused, err := r.PublishFromOutbox(t.Context(), []store.OutboxRow{r.row(1, "one"), r.row(2, "two"), r.row(3, "one"), r.row(4, "two")})
	if err != nil || accepted != 3 || len(refused) != 0 || d.tries != 2 {
		t.Errorf("%d accepted, refused %v, %v, in %d tries", accepted, refused, err, d.tries)
	}
}

func TestPublishFromOutbox_RefusesNothingWhenTheStoreIsAway(t *testing.T) {
	r := newRig(t)
	r.application(t, "a")
	away := &hark.Error{Code: hark.Unavailable}
	r.store = &decided{Store: r.store, accept: func(int, []*store.Acceptance) error { return away }}
	accepted, refused, err := r.PublishFromOutbox(t.Context(), []store.OutboxRow{r.row(1, "a"), r.row(2, "nobody")})
	if err != away || accepted != 0 || len(refused) != 1 || refused[0].ID != 2 {
		t.Errorf("%d accepted, refused %v, %v", accepted, refused, err)
	}
}
