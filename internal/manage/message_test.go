package manage

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func TestExpunge_DeletesPayloadsForGood(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", nil)
	for _, id := range []string{"m1", "m2", "m3"} {
		r.publish(t, "acme", PublishIn{EventID: Some(id)})
	}
	if err := r.ExpungeMessage(ctx, r.admin, "acme", "m1"); err != nil {
		t.Fatal(err)
	}
	got := must[map[string]string](t)(r.BulkExpunge(ctx, r.admin, "acme", []string{"m2", "nope", "m2"}))
	if diff := cmp.Diff(map[string]string{"m2": Expunged, "nope": NotExpunged}, got); diff != "" {
		t.Error(diff)
	}
	for id, want := range map[string]bool{"m1": true, "m2": true, "m3": false} {
		m := must[hark.Message](t)(r.Message(ctx, r.admin, "acme", id, true))
		if m.Expunged != want || want && m.Payload != nil {
			t.Errorf("%s: %+v", id, m)
		}
		err := r.Resend(ctx, r.admin, "acme", id, string(ep.ID))
		if want {
			wantCode(t, "resend "+id, err, hark.MissingPayload)
		} else if err != nil {
			t.Error(err)
		}
	}
	wantCode(t, "unknown", r.ExpungeMessage(ctx, r.admin, "acme", "nope"), hark.NotFound)
}

func TestResend_QueuesByHandWhateverTheEndpointSays(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	r.eventTypes(t, "a.b", "c.d")
	ep := r.endpoint(t, "acme", func(in *EndpointIn) { in.Disabled = true; in.UID = Some("mine"); in.EventTypes = []string{"c.d"} })
	m := r.publish(t, "acme", PublishIn{EventType: "a.b"}).Message
	if err := r.DeleteEventType(ctx, r.admin, "a.b", false); err != nil { // archived: no hindrance
		t.Fatal(err)
	}
	if err := r.Resend(ctx, r.admin, "acme", string(m.ID), "mine"); err != nil {
		t.Fatal(err)
	}
	if len(r.live.queued) != 1 || r.live.queued[0].Trigger != hark.Manual || r.live.queued[0].EndpointRef != ep.Ref || r.live.queued[0].MessageRef == 0 {
		t.Errorf("%+v", r.live.queued)
	}
	wantCode(t, "no endpoint", r.Resend(ctx, r.admin, "acme", string(m.ID), "other"), hark.NotFound)
	wantCode(t, "no message", r.Resend(ctx, r.admin, "acme", "other", "mine"), hark.NotFound)
}

func TestAttempts_AreListedEveryWay(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", func(in *EndpointIn) { in.UID = Some("one") })
	r.endpoint(t, "acme", nil)
	m1 := r.publish(t, "acme", PublishIn{EventID: Some("m1"), EventType: "a.b", Tags: []string{"t"}}).Message
	r.settle(t, hark.Succeeded, 204)
	time.Sleep(5 * time.Millisecond) // ids have a grain of 4 ms
	r.publish(t, "acme", PublishIn{EventID: Some("m2"), EventType: "c.d"})
	r.settle(t, hark.Failed, 500)

	n := func(i int) *int { return &i }
	for name, c := range map[string]struct {
		in   AttemptListIn
		want int
	}{
		"all":              {AttemptListIn{}, 2},
		"succeeded":        {AttemptListIn{Status: n(0)}, 1},
		"pending: nothing": {AttemptListIn{Status: n(1)}, 0},
		"failed":           {AttemptListIn{Status: n(2)}, 1},
		"class 500":        {AttemptListIn{StatusCodeClass: n(500)}, 1},
		"class 0":          {AttemptListIn{StatusCodeClass: n(0)}, 0},
		"type":             {AttemptListIn{EventTypes: []string{"a.b", "x.y"}}, 1},
		"tag":              {AttemptListIn{Tag: "t"}, 1},
		"after":            {AttemptListIn{After: time.Now().Add(-time.Minute)}, 2},
		"before":           {AttemptListIn{Before: time.Now().Add(-time.Minute)}, 0},
	} {
		page := must[Page[AttemptOut]](t)(r.AttemptsByEndpoint(ctx, r.admin, "acme", "one", c.in))
		if len(page.Items) != c.want || !page.Done {
			t.Errorf("%s: %d attempts, done %v", name, len(page.Items), page.Done)
		}
	}
	page := must[Page[AttemptOut]](t)(r.AttemptsByEndpoint(ctx, r.admin, "acme", "one", AttemptListIn{WithContent: true, WithMessage: true}))
	if a := page.Items[1]; a.Message == nil || a.Message.EventID != "m1" || string(a.Response) != "answer" || a.EndpointID != ep.ID || a.MessageID != m1.ID {
		t.Errorf("%+v", a)
	}
	if page = must[Page[AttemptOut]](t)(r.AttemptsByMessage(ctx, r.admin, "acme", "m1", AttemptListIn{})); len(page.Items) != 2 {
		t.Errorf("by message: %d", len(page.Items))
	}
	page = must[Page[AttemptOut]](t)(r.AttemptsByMessage(ctx, r.admin, "acme", "m1", AttemptListIn{EndpointID: "one"}))
	if len(page.Items) != 1 {
		t.Fatalf("by message and endpoint: %d", len(page.Items))
	}
	attempt := string(page.Items[0].ID)
	messages := must[Page[store.EndpointMessage]](t)(r.AttemptedMessages(ctx, r.admin, "acme", "one", AttemptListIn{}))
	if len(messages.Items) != 2 || messages.Items[1].Message.ID != m1.ID || messages.Items[1].Status != hark.Succeeded {
		t.Errorf("attempted messages: %+v", messages)
	}
	if err := r.DeleteEndpoint(ctx, r.admin, "acme", "one"); err != nil {
		t.Fatal(err)
	}
	endpoints := must[Page[store.MessageEndpoint]](t)(r.AttemptedEndpoints(ctx, r.admin, "acme", "m1", ListIn{}))
	if len(endpoints.Items) != 2 || !slices.ContainsFunc(endpoints.Items, func(e store.MessageEndpoint) bool { return e.Endpoint.ID == ep.ID }) {
		t.Errorf("attempted endpoints, a deleted one among them: %+v", endpoints)
	}
	if err := r.ExpungeAttempt(ctx, r.admin, "acme", "m1", attempt); err != nil {
		t.Fatal(err)
	}
	if a := must[hark.Attempt](t)(r.Attempt(ctx, r.admin, "acme", "m1", attempt)); string(a.Response) != "EXPUNGED" {
		t.Errorf("response %q", a.Response)
	}
	_, err := r.Attempt(ctx, r.admin, "acme", "m2", attempt)
	wantCode(t, "another message's attempt", err, hark.NotFound)
	_, err = r.AttemptsByEndpoint(ctx, r.admin, "acme", "one", AttemptListIn{})
	wantCode(t, "a deleted endpoint", err, hark.NotFound)
}

func TestListMessages_PagesNewestFirst(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	start := time.Now().Add(-time.Second)
	var all []hark.MessageID
	for range 5 {
		all = append([]hark.MessageID{r.publish(t, "acme", PublishIn{}).Message.ID}, all...)
		time.Sleep(5 * time.Millisecond) // ids have a grain of 4 ms
	}
	list := func(in MessageListIn) (ids []hark.MessageID, p Page[hark.Message]) {
		t.Helper()
		p = must[Page[hark.Message]](t)(r.ListMessages(ctx, r.admin, "acme", in))
		for _, m := range p.Items {
			ids = append(ids, m.ID)
		}
		return ids, p
	}
	first, p := list(MessageListIn{ListIn: ListIn{Limit: 2}})
	second, p2 := list(MessageListIn{ListIn: ListIn{Limit: 2, Iterator: p.Iterator}})
	third, p3 := list(MessageListIn{ListIn: ListIn{Limit: 2, Iterator: p2.Iterator}})
	if diff := cmp.Diff(all, slices.Concat(first, second, third)); diff != "" || p.Done || p2.Done || !p3.Done {
		t.Errorf("%s, done %v %v %v", diff, p.Done, p2.Done, p3.Done)
	}
	back, _ := list(MessageListIn{ListIn: ListIn{Limit: 2, Iterator: p3.PrevIterator}})
	if diff := cmp.Diff(second, back); diff != "" {
		t.Error("back:", diff)
	}
	oldest, po := list(MessageListIn{ListIn: ListIn{Limit: 2}, After: start})
	if diff := cmp.Diff(all[3:], oldest); diff != "" || po.Done {
		t.Error("after alone takes the oldest:", diff)
	}
	newer, _ := list(MessageListIn{ListIn: ListIn{Limit: 2, Iterator: po.PrevIterator}, After: start})
	if diff := cmp.Diff(all[1:3], newer); diff != "" {
		t.Error("and goes on to the newer:", diff)
	}
}

func TestWindow_IsBoundedInTime(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	at := func(d time.Duration) string { return hark.KSUIDFloor(now.Add(d)).Format(hark.MessagePrefix) }
	for name, c := range map[string]struct {
		page          store.Page
		after, before time.Duration
		from, to      time.Duration
		oldest        bool
	}{
		"nothing asked":         {from: -90 * day, to: time.Hour},
		"before":                {before: -100 * day, from: -190 * day, to: -100 * day},
		"before in the future":  {before: 10 * day, from: -90*day + time.Hour, to: time.Hour},
		"after alone":           {after: -200 * day, from: -200 * day, to: -110 * day, oldest: true},
		"after and before":      {after: -200 * day, before: -50 * day, from: -140 * day, to: -50 * day},
		"after soon and before": {after: -51 * day, before: -50 * day, from: -51 * day, to: -50 * day},
		"iterator":              {page: store.Page{From: at(-30 * day)}, from: -120 * day, to: time.Hour},
		"iterator backwards":    {page: store.Page{From: at(-300 * day), Backward: true}, from: -300*day - time.Second, to: -210 * day},
	} {
		l := listing{page: c.page}
		moment := func(d time.Duration) time.Time {
			if d == 0 {
				return time.Time{}
			}
			return now.Add(d)
		}
		from, to := l.window(moment(c.after), moment(c.before), hark.MessagePrefix, now)
		if !from.Equal(now.Add(c.from)) || !to.Equal(now.Add(c.to)) || l.fromOldest != c.oldest {
			t.Errorf("%s: %v to %v, oldest %v", name, from.Sub(now), to.Sub(now), l.fromOldest)
		}
	}
}

func TestTraceMessage_SaysForEachEndpointWhy(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	r.eventTypes(t, "a.b", "c.d")
	for uid, change := range map[string]func(*EndpointIn){
		"all":      func(*EndpointIn) {},
		"type":     func(in *EndpointIn) { in.EventTypes = []string{"c.d"} },
		"channel":  func(in *EndpointIn) { in.Channels = []string{"ch"} },
		"filter":   func(in *EndpointIn) { in.Filter = Some(json.RawMessage(`{"n": {"$gt": 5}}`)) },
		"disabled": func(in *EndpointIn) { in.Disabled = true },
		"goes":     func(*EndpointIn) {},
		"changes":  func(*EndpointIn) {},
	} {
		r.endpoint(t, "acme", func(in *EndpointIn) { in.UID = Some(uid); change(in) })
	}
	m := r.publish(t, "acme", PublishIn{EventType: "a.b", Payload: []byte(`{"n": 1}`)}).Message
	if err := r.DeleteEndpoint(ctx, r.admin, "acme", "goes"); err != nil {
		t.Fatal(err)
	}
	must[hark.Endpoint](t)(r.PatchEndpoint(ctx, r.admin, "acme", "changes", EndpointPatch{EventTypes: Some([]string{"c.d"})}))
	trace := must[Trace](t)(r.TraceMessage(ctx, r.admin, "acme", string(m.ID)))
	type line struct {
		Matched, Now, Delivered bool
		Clause                  string
	}
	got := map[string]line{}
	for _, e := range trace.Endpoints {
		name := e.Endpoint.UID
		if !e.Endpoint.DeletedAt.IsZero() {
			name = "goes"
		}
		got[name] = line{e.Matched, e.MatchesNow, e.Delivered, e.Clause}
		if !e.MatchesNow && e.Detail == "" {
			t.Errorf("%s: no sentence", name)
		}
	}
	clauses := got["type"].Clause + " " + got["channel"].Clause + " " + got["filter"].Clause
	want := map[string]line{
		"all":      {true, true, true, ""},
		"type":     {false, false, false, got["type"].Clause},
		"channel":  {false, false, false, got["channel"].Clause},
		"filter":   {false, false, false, got["filter"].Clause},
		"disabled": {false, true, false, ""},
		"changes":  {true, false, true, got["type"].Clause},
		"goes":     {true, false, got["goes"].Delivered, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(strings.Fields(clauses)) != 3 {
		t.Errorf("%s (clauses %q)", diff, clauses)
	}
}
