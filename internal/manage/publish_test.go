package manage

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

func TestPublish_QueuesADeliveryForEveryMatch(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.eventTypes(t, "a.b", "c.d")
	all := r.endpoint(t, "acme", nil)
	typed := r.endpoint(t, "acme", func(in *EndpointIn) { in.EventTypes = []string{"a.b"}; in.Ordering = Some("/customer") })
	r.endpoint(t, "acme", func(in *EndpointIn) { in.EventTypes = []string{"c.d"} })
	r.endpoint(t, "acme", func(in *EndpointIn) { in.Disabled = true })
	r.endpoint(t, "acme", func(in *EndpointIn) { in.Channels = []string{"other"} })

	payload := []byte(`{"customer": "c1",  "n": 1.50}`)
	before := time.Now()
	got := r.publish(t, "acme", PublishIn{Payload: payload, EventID: Some("e1"), Tags: []string{"x/y"}})
	ids := map[hark.EndpointID]bool{}
	for _, id := range got.Endpoints {
		ids[id] = true
	}
	if diff := cmp.Diff(map[hark.EndpointID]bool{all.ID: true, typed.ID: true}, ids); diff != "" {
		t.Error(diff)
	}
	if len(r.live.queued) != 2 {
		t.Fatalf("%d deliveries queued, want 2", len(r.live.queued))
	}
	for _, d := range r.live.queued {
		if d.Message == nil || !bytes.Equal(d.Message.Payload, payload) || d.MessageRef == 0 || d.Trigger != hark.Scheduled {
			t.Errorf("%+v", d)
		}
		if due := time.UnixMilli(d.Due); due.Before(before.Add(-time.Millisecond)) || due.After(time.Now()) {
			t.Errorf("due %v", due)
		}
		if inLine := d.Line != 0; inLine != (d.EndpointRef == typed.Ref) {
			t.Errorf("line %d at endpoint %d", d.Line, d.EndpointRef)
		}
	}
	kept := must[hark.Message](t)(r.Message(t.Context(), r.admin, "acme", "e1", true))
	if !bytes.Equal(kept.Payload, payload) || kept.ID != got.Message.ID {
		t.Errorf("kept as %s", kept.Payload)
	}
}

// Another node's change is not announced to this one's directory: here the store is changed beside it.
func TestPublish_MatchesAnEndpointThatAnotherNodeHasJustMade(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	r.publish(t, "acme", PublishIn{Payload: []byte(`{}`)}) // the application is in memory now
	elsewhere := func() hark.EndpointID {
		at := time.Now()
		ep := must[hark.Endpoint](t)(r.store.InsertEndpoint(t.Context(), hark.Endpoint{
			ID: hark.NewEndpointID(at), ApplicationRef: app.Ref, URL: "https://example.com/hook", CreatedAt: at}))
		return ep.ID
	}
	first := elsewhere()
	got := r.publish(t, "acme", PublishIn{Payload: []byte(`{}`)})
	if diff := cmp.Diff([]hark.EndpointID{first}, got.Endpoints); diff != "" {
		t.Error(diff)
	}
	elsewhere()
	in := PublishIn{EventType: "a.b", Payload: []byte(`{}`), WithEndpoints: true}
	results := must[[]BatchResult](t)(r.PublishBatch(t.Context(), r.admin, "acme", []PublishIn{in, {}, in}, nil))
	if results[1].Err == nil || len(results[0].Published.Endpoints) != 2 || len(results[2].Published.Endpoints) != 2 {
		t.Errorf("batch: %+v", results)
	}
	// One that was deleted elsewhere gets nothing any more, and then the application is gone.
	if err := r.store.DeleteEndpoint(t.Context(), app.Ref, string(first), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := r.publish(t, "acme", PublishIn{Payload: []byte(`{}`)}); len(got.Endpoints) != 1 || got.Endpoints[0] == first {
		t.Errorf("after the deletion: %v", got.Endpoints)
	}
	if err := r.store.DeleteApplication(t.Context(), r.env.ID, "acme", time.Now()); err != nil {
		t.Fatal(err)
	}
	in.Payload = []byte(`{}`)
	if _, err := r.Publish(t.Context(), r.admin, "acme", &in, nil); hark.CodeOf(err) != hark.NotFound {
		t.Errorf("to a deleted application: %v, want NotFound", err)
	}
}

func TestPublish_ReportsAllThatIsWrongAtOnce(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	_, err := r.Publish(t.Context(), r.admin, "acme", &PublishIn{
		EventType: "a b", Payload: []byte(`[1]`), EventID: Some("msg_1"), Channels: []string{}, Tags: []string{"a", "b", "c", "d", "e", "f"},
		PayloadRetentionPeriod: Some(91), PayloadRetentionHours: Some(5), DeliverAt: Some(time.Now().Add(25 * time.Hour)),
	}, nil)
	want := []string{"body.channels", "body.deliverAt", "body.eventId", "body.eventType", "body.payload", "body.payloadRetentionHours", "body.payloadRetentionPeriod", "body.tags"}
	if diff := cmp.Diff(want, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
	_, err = r.Publish(t.Context(), r.admin, "acme", &PublishIn{EventType: "a.b", Payload: bytes.Repeat([]byte("{"), DefaultMaxPayload+1)}, nil)
	wantCode(t, "too large", err, hark.TooLarge)
	_, err = r.Publish(t.Context(), r.admin, "nobody", &PublishIn{EventType: "a.b", Payload: []byte("{}")}, nil)
	wantCode(t, "no application", err, hark.NotFound)
}

func TestPublish_HonoursDeliverAtAndRetention(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.endpoint(t, "acme", nil)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	r.publish(t, "acme", PublishIn{EventID: Some("later"), DeliverAt: Some(at), PayloadRetentionHours: Some(2)})
	if got := r.live.queued[0].Due; got != at.UnixMilli() {
		t.Errorf("due %v", time.UnixMilli(got))
	}
	m := must[hark.Message](t)(r.Message(t.Context(), r.admin, "acme", "later", false))
	if !m.DeliverAt.Equal(at) || time.Until(m.PayloadExpiresAt).Round(time.Hour) != 2*time.Hour {
		t.Errorf("deliver at %v, payload until %v", m.DeliverAt, m.PayloadExpiresAt)
	}
}

func TestPublish_IsIdempotent(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	r.endpoint(t, "acme", nil)
	in := &PublishIn{EventType: "a.b", Payload: []byte(`{"n":1}`), EventID: Some("e1"), WithEndpoints: true}
	key := &store.IdempotencyKey{Hash: sha256.Sum256([]byte("k")), Fingerprint: sha256.Sum256([]byte("f")), ExpiresAt: time.Now().Add(time.Hour)}
	first := must[Published](t)(r.Publish(ctx, r.admin, "acme", in, key))
	again := must[Published](t)(r.Publish(ctx, r.admin, "acme", in, key))
	if !again.Repeated || again.Message.ID != first.Message.ID || !cmp.Equal(again.Endpoints, first.Endpoints) || string(again.Message.Payload) != `{"n":1}` {
		t.Errorf("%+v", again)
	}
	other := *key
	other.Fingerprint[0]++
	_, err := r.Publish(ctx, r.admin, "acme", in, &other)
	if diff := cmp.Diff([]string{"header.idempotency-key"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
	_, err = r.Publish(ctx, r.admin, "acme", in, nil)
	wantCode(t, "same event id", err, hark.Conflict)
	if e := err.(*hark.Error); e.Existing != string(first.Message.ID) { //nolint:errorlint // checked above
		t.Errorf("existing %q, want %q", e.Existing, first.Message.ID)
	}
	if len(r.live.queued) != 1 {
		t.Errorf("%d deliveries queued, want 1", len(r.live.queued))
	}
}

func TestPublish_CreatesTheApplicationThatComesWithIt(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := func(app ApplicationIn) *PublishIn {
		return &PublishIn{EventType: "a.b", Payload: []byte(`{}`), Application: &app}
	}
	for kind, app := range map[string]ApplicationIn{
		"application_uid_missing":  {Name: "n"},
		"application_uid_mismatch": {Name: "n", UID: Some("other")},
	} {
		_, err := r.Publish(ctx, r.admin, "fresh", in(app), nil)
		e, ok := err.(*hark.Error) //nolint:errorlint // it is answered bare
		if !ok || len(e.Fields) != 1 || e.Fields[0].Type != kind {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for range 2 {
		must[Published](t)(r.Publish(ctx, r.admin, "fresh", in(ApplicationIn{Name: "n", UID: Some("fresh")}), nil))
	}
	if app := must[hark.Application](t)(r.Application(ctx, r.admin, "fresh")); app.Name != "n" {
		t.Errorf("%+v", app)
	}
	publisher := r.admin
	publisher.Scope = hark.ScopePublish
	if _, err := r.Publish(ctx, publisher, "fresh2", in(ApplicationIn{Name: "n", UID: Some("fresh2")}), nil); err != nil {
		t.Errorf("with a publish key: %v", err)
	}
}

func TestPublishBatch_AnswersEachMessage(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	r.endpoint(t, "acme", nil)
	ins := []PublishIn{
		{EventType: "a.b", Payload: []byte(`{"n":0}`), EventID: Some("e")},
		{EventType: "", Payload: []byte(`{"n":1}`)},
		{EventType: "a.b", Payload: []byte(`{"n":2}`), EventID: Some("e")},
		{EventType: "a.b", Payload: []byte(`{"n":3}`)},
	}
	key := &store.IdempotencyKey{Hash: sha256.Sum256([]byte("k")), ExpiresAt: time.Now().Add(time.Hour)}
	first := must[[]BatchResult](t)(r.PublishBatch(ctx, r.admin, "acme", ins, key))
	if first[0].Err != nil || first[3].Err != nil || first[0].Message.ID == "" || first[0].Message.ID == first[3].Message.ID {
		t.Errorf("%+v", first)
	}
	if diff := cmp.Diff([]string{"body.eventType"}, wrongAt(first[1].Err)); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "same event id within the batch", first[2].Err, hark.Conflict)
	if len(r.live.queued) != 2 {
		t.Errorf("%d deliveries queued, want 2", len(r.live.queued))
	}
	again := must[[]BatchResult](t)(r.PublishBatch(ctx, r.admin, "acme", ins, key))
	for _, i := range []int{0, 3} {
		if !again[i].Repeated || again[i].Message.ID != first[i].Message.ID {
			t.Errorf("repeated: %+v", again[i])
		}
	}
	for _, n := range []int{0, MaxBatch + 1} {
		_, err := r.PublishBatch(ctx, r.admin, "acme", make([]PublishIn, n), nil)
		if diff := cmp.Diff([]string{"body.messages"}, wrongAt(err)); diff != "" {
			t.Errorf("%d messages: %s", n, diff)
		}
	}
}

func TestPrecheckMessage_AsksTypesAndChannelsOfEnabledEndpoints(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.eventTypes(t, "a.b", "c.d", "e.f")
	r.endpoint(t, "acme", func(in *EndpointIn) { in.EventTypes = []string{"a.b"} })
	r.endpoint(t, "acme", func(in *EndpointIn) { in.EventTypes, in.Channels = []string{"c.d"}, []string{"ch"} })
	r.endpoint(t, "acme", func(in *EndpointIn) { in.EventTypes, in.Disabled = []string{"e.f"}, true })
	for _, c := range []struct {
		eventType string
		channels  []string
		want      bool
	}{
		{"a.b", nil, true}, {"a.b", []string{"x"}, true}, {"c.d", nil, false}, {"c.d", []string{"x"}, false},
		{"c.d", []string{"x", "ch"}, true}, {"e.f", nil, false}, {"g.h", nil, false},
	} {
		in := PrecheckIn{EventType: c.eventType}
		if c.channels != nil {
			in.Channels = Some(c.channels)
		}
		if got := must[bool](t)(r.PrecheckMessage(t.Context(), r.admin, "acme", in)); got != c.want {
			t.Errorf("%s %v: %v", c.eventType, c.channels, got)
		}
	}
}

func TestSendExample_GoesToOneEndpointByHand(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	must[hark.EventType](t)(r.CreateEventType(ctx, r.admin, EventTypeIn{Name: "a.b",
		Schemas: Some(json.RawMessage(`{"1": {"examples": [{"n": 1}, {"n": 2}, 3]}, "2": true}`))}))
	r.eventTypes(t, "c.d")
	r.endpoint(t, "acme", nil)
	ep := r.endpoint(t, "acme", func(in *EndpointIn) { in.Disabled = true; in.EventTypes = []string{"c.d"} })
	id := string(ep.ID)
	for _, c := range []struct {
		in      ExampleIn
		payload string
	}{
		{ExampleIn{EventType: "svix.ping"}, `{"success": true}`},
		{ExampleIn{EventType: "a.b"}, `{"n": 1}`},
		{ExampleIn{EventType: "a.b", ExampleIndex: 1}, `{"n": 2}`},
	} {
		r.live.queued = nil
		m := must[hark.Message](t)(r.SendExample(ctx, r.admin, "acme", id, c.in))
		if string(m.Payload) != c.payload || len(r.live.queued) != 1 || r.live.queued[0].EndpointRef != ep.Ref || r.live.queued[0].Trigger != hark.Manual {
			t.Errorf("%+v: %s, %+v", c.in, m.Payload, r.live.queued)
		}
	}
	for _, c := range []struct {
		in   ExampleIn
		code hark.Code
	}{
		{ExampleIn{EventType: "a.b", ExampleIndex: 2}, hark.InvalidScheme},
		{ExampleIn{EventType: "a.b", ExampleIndex: 3}, hark.InvalidScheme},
		{ExampleIn{EventType: "c.d"}, hark.InvalidScheme},
		{ExampleIn{EventType: "x.y"}, hark.NotFound},
		{ExampleIn{EventType: "a.b", ExampleIndex: -1}, hark.Invalid},
	} {
		_, err := r.SendExample(ctx, r.admin, "acme", id, c.in)
		wantCode(t, fmt.Sprint(c.in), err, c.code)
	}
}

// BenchmarkPack is what manage adds to the cost of a message: everything but the store.
func BenchmarkPack(b *testing.B) {
	r := newRig(b)
	r.application(b, "acme")
	r.eventTypes(b, "a.b")
	r.endpoint(b, "acme", func(in *EndpointIn) { in.EventTypes = []string{"a.b"} })
	in := &PublishIn{EventType: "a.b", Payload: []byte(`{"text": "` + strings.Repeat("x", 1000) + `"}`)}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		a, err := r.app(ctx, &r.admin, opPublish, "acme")
		if err != nil {
			b.Fatal(err)
		}
		p := new(directory.Parcel)
		if err := r.pack(p, in, time.Now()); err != nil {
			b.Fatal(err)
		}
		p.Address(a)
	}
}
