package manage

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

// duplicateOf answers, for each endpoint by uid, which message it has in place of another.
func (r *rig) duplicateOf(t testing.TB, app string, m hark.MessageID) map[string]hark.MessageID {
	t.Helper()
	got := map[string]hark.MessageID{}
	for _, e := range must[Trace](t)(r.TraceMessage(t.Context(), r.admin, app, string(m))).Endpoints {
		if e.DuplicateOf != "" {
			got[e.Endpoint.UID] = e.DuplicateOf
		}
		if kept := e.DuplicateOf != ""; kept && (e.Matched || e.Delivered || e.Clause != clauseDeduplicate || e.Detail == "") {
			t.Errorf("%s: %+v", e.Endpoint.UID, e)
		}
	}
	return got
}

func TestDeduplicate_OfEqualMessagesTheFirstIsDelivered(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	for uid, rule := range map[string]Opt[DedupeIn]{
		"all": {}, "body": Some(DedupeIn{}), "id": Some(DedupeIn{By: []string{"/id"}, WindowHours: Some(720.0)}),
		"two": Some(DedupeIn{By: []string{"/id", "/n"}}), "header": Some(DedupeIn{By: []string{"header:X-Id"}}),
	} {
		r.endpoint(t, "acme", func(in *EndpointIn) { in.UID, in.Deduplicate = Some(uid), rule })
	}
	must[hark.Endpoint](t)(r.CreateConsumer(t.Context(), r.admin, "acme", ConsumerIn{UID: Some("consumer"), Deduplicate: Some(DedupeIn{By: []string{"/id"}})}))
	publish := func(eventType, payload string) hark.MessageID {
		return r.publish(t, "acme", PublishIn{EventType: eventType, Payload: []byte(payload)}).Message.ID
	}
	first := publish("a.b", `{"id": 1, "n": 1}`)
	for _, test := range []struct {
		eventType, payload string
		want               map[string]hark.MessageID
	}{
		{"a.b", `{"id": 1, "n": 1}`, map[string]hark.MessageID{"body": first, "id": first, "two": first, "consumer": first}},
		{"a.b", `{"id":1,"n":1}`, map[string]hark.MessageID{"id": first, "two": first, "consumer": first}}, // other bytes
		{"a.b", `{"id": 1, "n": 2}`, map[string]hark.MessageID{"id": first, "consumer": first}},
		{"a.b", `{"id": "1", "n": 1}`, map[string]hark.MessageID{}},
		{"c.d", `{"id": 1, "n": 1}`, map[string]hark.MessageID{}}, // another event
		{"a.b", `{"n": 3}`, map[string]hark.MessageID{}},
		{"a.b", `{"n": 4}`, map[string]hark.MessageID{}}, // no id is no id that is the same
	} {
		id := publish(test.eventType, test.payload)
		if diff := cmp.Diff(test.want, r.duplicateOf(t, "acme", id)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.eventType, test.payload, diff)
		}
	}
}

func TestDeduplicate_InABatchAndInTheAnswer(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	once := r.endpoint(t, "acme", func(in *EndpointIn) { in.UID, in.Deduplicate = Some("once"), Some(DedupeIn{}) })
	plain := r.endpoint(t, "acme", func(in *EndpointIn) { in.UID = Some("plain") })
	in := PublishIn{EventType: "a.b", Payload: []byte(`{"n": 1}`), WithEndpoints: true}
	results := must[[]BatchResult](t)(r.PublishBatch(t.Context(), r.admin, "acme", []PublishIn{in, in}, nil))
	to := func(p Published) map[hark.EndpointID]bool {
		m := map[hark.EndpointID]bool{}
		for _, id := range p.Endpoints {
			m[id] = true
		}
		return m
	}
	if got := to(results[0].Published); !got[once.ID] || !got[plain.ID] {
		t.Errorf("the first went to %v", got)
	}
	if got := to(results[1].Published); got[once.ID] || !got[plain.ID] {
		t.Errorf("the second went to %v", got)
	}
	if n := len(r.live.queued); n != 3 {
		t.Errorf("%d deliveries are queued, want 3", n)
	}

	// By hand it goes all the same.
	if err := r.Resend(t.Context(), r.admin, "acme", string(results[1].Published.Message.ID), "once"); err != nil {
		t.Fatal(err)
	}
	if n := len(r.live.queued); n != 4 {
		t.Errorf("%d deliveries after a resend, want 4", n)
	}
	must[hark.Message](t)(r.SendExample(t.Context(), r.admin, "acme", "once", ExampleIn{EventType: pingType}))
	must[hark.Message](t)(r.SendExample(t.Context(), r.admin, "acme", "once", ExampleIn{EventType: pingType}))
	if n := len(r.live.queued); n != 6 {
		t.Errorf("%d deliveries after two examples, want 6", n)
	}
}

func TestDeduplicate_SettingsAreCheckedAndKept(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", func(in *EndpointIn) { in.UID = Some("e") })
	patch := func(text string) (hark.Endpoint, error) {
		var in EndpointPatch
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
		return r.PatchEndpoint(t.Context(), r.admin, "acme", string(ep.ID), in)
	}
	for text, want := range map[string]hark.Rules{
		`{"deduplicate": {}}`: {DedupeBy: []string{"body"}},
		`{"deduplicate": {"by": ["/a/b", "query:x"], "windowHours": 0.5}}`: {DedupeBy: []string{"/a/b", "query:x"}, DedupeFor: 30 * 60e9},
		`{"deduplicate": {"windowHours": 720}}`:                            {DedupeBy: []string{"body"}, DedupeFor: hark.MaxWindow},
		`{"deduplicate": null}`:                                            {},
	} {
		got, err := patch(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if diff := cmp.Diff(want, got.Rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{
		`{"deduplicate": {"by": []}}`, `{"deduplicate": {"by": ["id"]}}`, `{"deduplicate": {"by": ["/~2"]}}`, `{"deduplicate": {"by": ["header:"]}}`,
		`{"deduplicate": {"windowHours": 721}}`, `{"deduplicate": {"windowHours": 0}}`, `{"deduplicate": {"windowHours": -1}}`,
	} {
		if _, err := patch(text); hark.CodeOf(err) != hark.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
