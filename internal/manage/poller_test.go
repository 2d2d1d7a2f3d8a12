package manage

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/store"
)

func TestPollers_SaysAllThatIsWrong(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	every, url, eventType := Some(60.0), Some("https://api.example/tickets"), Some("ticket.{{change}}")
	good := PollerIn{Every: every, URL: url, EventType: eventType}
	for name, tt := range map[string]struct {
		change func(*PollerIn)
		want   []string
	}{
		"nothing":         {func(in *PollerIn) { *in = PollerIn{} }, []string{"body.eventType", "body.everySeconds", "body.url"}},
		"two schedules":   {func(in *PollerIn) { in.Cron = Some("0 * * * *") }, []string{"body.everySeconds"}},
		"too often":       {func(in *PollerIn) { in.Every = Some(0.5) }, []string{"body.everySeconds"}},
		"bad cron":        {func(in *PollerIn) { in.Every, in.Cron = Opt[float64]{}, Some("often") }, []string{"body.cron"}},
		"bad zone":        {func(in *PollerIn) { in.Every, in.Cron, in.TimeZone = Opt[float64]{}, Some("0 * * * *"), Some("Mars") }, []string{"body.timeZone"}},
		"url and payload": {func(in *PollerIn) { in.Payload = Some(json.RawMessage(`{}`)) }, []string{"body.payload"}},
		"payload no object": {func(in *PollerIn) {
			in.URL, in.Payload, in.EventType = Opt[string]{}, Some(json.RawMessage(`[]`)), Some("a")
		}, []string{"body.payload"}},
		"schedule of change": {func(in *PollerIn) { in.URL, in.Payload = Opt[string]{}, Some(json.RawMessage(`{}`)) }, []string{"body.eventType"}},
		"method":             {func(in *PollerIn) { in.Method = Some("DELETE") }, []string{"body.method"}},
		"body of a GET":      {func(in *PollerIn) { in.Body = Some("x") }, []string{"body.body"}},
		"type of no body":    {func(in *PollerIn) { in.ContentType = Some("text/xml") }, []string{"body.contentType"}},
		"type of nothing": {func(in *PollerIn) {
			in.Method, in.Body, in.ContentType = Some("POST"), Some("x"), Some("text/xml\r\nX-A: b")
		}, []string{"body.contentType"}},
		"pointers": {func(in *PollerIn) {
			in.ItemsPath, in.IDPath, in.Changed = Some("data"), Some("id"), Some([]string{"x"})
		}, []string{"body.changedPaths", "body.idPath", "body.itemsPath"}},
		"no changed paths":   {func(in *PollerIn) { in.Changed = Some([]string{}) }, []string{"body.changedPaths"}},
		"auth":               {func(in *PollerIn) { in.Auth = Some(hark.PollerAuth{Type: "magic"}) }, []string{"body.auth.type", "body.secret"}},
		"no secret":          {func(in *PollerIn) { in.Auth = Some(hark.PollerAuth{Type: "bearer"}) }, []string{"body.secret"}},
		"secret for nothing": {func(in *PollerIn) { in.Secret = Some("s") }, []string{"body.secret"}},
		"header of our own": {func(in *PollerIn) {
			in.Auth, in.Secret = Some(hark.PollerAuth{Type: "header", Name: "Host"}), Some("s")
		}, []string{"body.auth.name"}},
		"oauth2": {func(in *PollerIn) { in.Auth, in.Secret = Some(hark.PollerAuth{Type: "oauth2"}), Some("s") }, []string{"body.auth.clientId", "body.auth.tokenUrl"}},
		"oauth2's client": {func(in *PollerIn) {
			in.Secret = Some("s")
			in.Auth = Some(hark.PollerAuth{Type: "oauth2", ClientID: "c", TokenURL: "https://a.example/t", ClientAuth: "cookie"})
		}, []string{"body.auth.clientAuth"}},
		"paging":           {func(in *PollerIn) { in.Paging = Some(hark.PollerPaging{Type: "cursor"}) }, []string{"body.paging.path"}},
		"paging by number": {func(in *PollerIn) { in.Paging = Some(hark.PollerPaging{Type: "page", First: -2}) }, []string{"body.paging.first", "body.paging.param"}},
		"since":            {func(in *PollerIn) { in.Since = Some(hark.PollerSince{Param: "since"}) }, []string{"body.since"}},
		"headers":          {func(in *PollerIn) { in.Headers = Some(map[string]string{"Host": "x"}) }, []string{"body.headers.Host"}},
	} {
		in := good
		tt.change(&in)
		_, err := r.CreatePoller(t.Context(), r.admin, "acme", in)
		if got := wrongAt(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v (%v)", name, got, tt.want, err)
		}
	}
	p := must[hark.Poller](t)(r.CreatePoller(t.Context(), r.admin, "acme", good))
	if p.Due.IsZero() || p.IDPath != "/id" {
		t.Errorf("%+v", p)
	}
}

func TestPollers_BeginAnewWhenTheyAskForOtherThings(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	p := must[hark.Poller](t)(r.CreatePoller(t.Context(), r.admin, "acme", PollerIn{UID: Some("p"), Every: Some(60.0), URL: Some("https://a.example/"), EventType: Some("a.b")}))
	learn := func() {
		t.Helper()
		p = must[hark.Poller](t)(r.store.Poller(t.Context(), app.Ref, "p"))
		kept, err := r.store.RecordPoll(t.Context(), &store.PollProgress{PollerRef: p.Ref, Revision: p.Revision, State: &hark.PollerState{Learned: true, ETag: "e", Since: "7", Rest: &hark.PollerRest{URL: "u"}}, Due: p.Due.Add(time.Hour)})
		if err != nil || !kept {
			t.Fatal(kept, err)
		}
	}
	for name, tt := range map[string]struct {
		in   PollerIn
		want hark.PollerState
	}{
		"name":  {PollerIn{Name: Some("n"), URL: Some("https://a.example/"), IDPath: Some("/id")}, hark.PollerState{Learned: true, ETag: "e", Since: "7", Rest: &hark.PollerRest{}}},
		"url":   {PollerIn{URL: Some("https://b.example/")}, hark.PollerState{}},
		"id":    {PollerIn{IDPath: Some("/key")}, hark.PollerState{}},
		"since": {PollerIn{Since: Some(hark.PollerSince{Param: "s", Path: "/at"})}, hark.PollerState{Learned: true, ETag: "e"}},
		"body":  {PollerIn{Headers: Some(map[string]string{"X-A": "b"})}, hark.PollerState{Learned: true, Since: "7", Rest: &hark.PollerRest{}}},
		"pages": {PollerIn{Paging: Some(hark.PollerPaging{Type: "link"})}, hark.PollerState{Learned: true, Since: "7"}},
	} {
		learn()
		got := must[hark.Poller](t)(r.PatchPoller(t.Context(), r.admin, "acme", "p", tt.in))
		if got.State.Learned != tt.want.Learned || got.State.ETag != tt.want.ETag || got.State.Since != tt.want.Since || (got.State.Rest == nil) != (tt.want.Rest == nil) {
			t.Errorf("%s: %+v, want %+v", name, got.State, tt.want)
		}
		reset := must[hark.Poller](t)(r.PatchPoller(t.Context(), r.admin, "acme", "p", PollerIn{URL: Some("https://a.example/"), IDPath: Some("/id")}))
		if !reset.Due.Equal(got.Due) {
			t.Errorf("%s moved the schedule", name)
		}
	}
	paused := must[hark.Poller](t)(r.PatchPoller(t.Context(), r.admin, "acme", "p", PollerIn{Paused: Some(true)}))
	_, err := r.RunPoller(t.Context(), r.admin, "acme", "p")
	wantCode(t, "run while paused", err, hark.Conflict)
	resumed := must[hark.Poller](t)(r.PatchPoller(t.Context(), r.admin, "acme", "p", PollerIn{Paused: Some(false)}))
	if !paused.Due.After(resumed.Due) {
		t.Errorf("resumed at %v, paused at %v", resumed.Due, paused.Due)
	}
	daily := must[hark.Poller](t)(r.PatchPoller(t.Context(), r.admin, "acme", "p", PollerIn{Cron: Some("@daily")}))
	if daily.Every != 0 || daily.Due.Hour() != 0 || !daily.Due.After(resumed.Due) {
		t.Errorf("daily: every %v, due %v", daily.Every, daily.Due)
	}
	ran := must[hark.Poller](t)(r.RunPoller(t.Context(), r.admin, "acme", "p"))
	if time.Since(ran.Due) > time.Minute || time.Since(ran.Due) < 0 {
		t.Errorf("run now: due %v", ran.Due)
	}
}

func TestPublishFromPoller_AcceptsAKeyOnce(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	r.endpoint(t, "acme", nil)
	key := func(b byte) store.IdempotencyKey {
		return store.IdempotencyKey{Hash: [32]byte{b}, Fingerprint: [32]byte{b}, ExpiresAt: time.Now().Add(time.Hour)}
	}
	messages := []poll.Emission{
		{EventType: "a.b", Payload: []byte(`{"n":1}`), Key: key(1)}, {EventType: "not a type", Payload: []byte(`{}`), Key: key(2)},
		{EventType: "a.b", Payload: []byte(`[]`), Key: key(3)}, {EventType: "a.b", Payload: []byte(`{"n":4}`), Key: key(4)},
	}
	for i := range 3 {
		if i == 1 {
			r.endpoint(t, "acme", nil) // the application is not what the directory knows
		}
		refused, err := r.PublishFromPoller(t.Context(), app.Ref, messages)
		if err != nil || refused[0] != nil || refused[1] == nil || refused[2] == nil || refused[3] != nil {
			t.Fatalf("%v, %v", refused, err)
		}
	}
	other := poll.Emission{EventType: "a.b", Payload: []byte(`{"n":9}`), Key: key(1)}
	other.Key.Fingerprint[0]++
	if refused, err := r.PublishFromPoller(t.Context(), app.Ref, []poll.Emission{messages[0], other}); err != nil || refused[0] != nil || !errors.Is(refused[1], poll.ErrTaken) {
		t.Errorf("another by the same key: %v, %v", refused, err)
	}
	if n := len(r.live.queued); n != 2 {
		t.Errorf("%d deliveries queued", n)
	}
	page, err := r.ListMessages(t.Context(), r.admin, "acme", MessageListIn{})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("%d messages, %v", len(page.Items), err)
	}
}
