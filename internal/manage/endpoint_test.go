package manage

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

func TestCreateEndpoint_KeepsEverySetting(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.eventTypes(t, "a.b", "c.d")
	var in EndpointIn
	err := json.Unmarshal([]byte(`{"url": "HTTPS://Example.com", "description": "d", "uid": "u", "throttleRate": 7, "version": 3,
		"eventTypes": ["a.b", "c.d", "a.b"], "channels": ["x:1"], "metadata": {"k": "v"}, "headers": {"X-One": "1"},
		"retrySchedule": [1, 0.5], "timeoutSeconds": 2.5, "concurrency": 3, "ordering": "/customer/id", "verifyTls": false,
		"filter": {"amount": {"$gt": 5}}, "paused": true, "delaySeconds": 1.5, "retryOn": ["500-599", "!501"], "throttleUnit": "hour"}`), &in)
	if err != nil {
		t.Fatal(err)
	}
	got := must[hark.Endpoint](t)(r.CreateEndpoint(t.Context(), r.admin, "acme", in))
	want := hark.Endpoint{
		Ref: got.Ref, ApplicationRef: got.ApplicationRef, ID: got.ID, Secrets: got.Secrets, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt,
		UID: "u", URL: "https://example.com/", Description: "d", Version: 3, Metadata: map[string]string{"k": "v"},
		Headers: map[string]string{"X-One": "1"}, EventTypes: []string{"a.b", "c.d"}, Channels: []string{"x:1"},
		Filter: json.RawMessage(`{"amount": {"$gt": 5}}`), Paused: true, ThrottleRate: 7, Concurrency: 3, Timeout: 2500 * time.Millisecond,
		RetrySchedule: hark.Schedule{time.Second, time.Second / 2}, Ordering: "/customer/id", SkipTLSVerify: true,
		Rules: hark.Rules{Delay: 1500 * time.Millisecond, RetryOn: []string{"500-599", "!501"}, ThrottleUnit: hark.PerHour},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if key, err := webhook.ParseKey(got.Secrets[0].Key.Reveal()); err != nil || key.Version() != "v1" {
		t.Errorf("the secret that was made: %v, %v", key.Version(), err)
	}

	// A client that knows nothing of Hark's own fields does not undo them.
	put, created, err := r.UpsertEndpoint(t.Context(), r.admin, "acme", "u", EndpointIn{URL: "http://example.com/x"})
	if err != nil || created {
		t.Fatal(err)
	}
	want.URL, want.UID, want.Description, want.Version, want.ThrottleRate = "http://example.com/x", "", "", 1, 0
	want.EventTypes, want.Channels, want.Metadata, want.UpdatedAt = nil, nil, map[string]string{}, put.UpdatedAt
	if diff := cmp.Diff(want.Filter, put.Filter); diff != "" {
		t.Error(diff)
	}
	want.Secrets, put.Secrets = nil, nil
	want.CreatedAt = put.CreatedAt
	if diff := cmp.Diff(want, put); diff != "" {
		t.Error("after PUT:", diff)
	}

	// Null goes back to the defaults.
	var patch EndpointPatch
	err = json.Unmarshal([]byte(`{"retrySchedule": null, "timeoutSeconds": null, "concurrency": null, "ordering": null,
		"verifyTls": null, "filter": null, "paused": null, "delaySeconds": null, "retryOn": null, "throttleUnit": null}`), &patch)
	if err != nil {
		t.Fatal(err)
	}
	back := must[hark.Endpoint](t)(r.PatchEndpoint(t.Context(), r.admin, "acme", string(got.ID), patch))
	if back.RetrySchedule != nil || back.Timeout != 0 || back.Concurrency != 0 || back.Ordering != "" || back.SkipTLSVerify || back.Filter != nil || back.Paused || !back.Rules.IsZero() {
		t.Errorf("after null: %+v", back)
	}
}

func TestCreateEndpoint_KeepsAnEmptySchedule(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", func(in *EndpointIn) { in.RetrySchedule = Some([]float64{}) })
	if ep.RetrySchedule == nil || len(ep.RetrySchedule) != 0 {
		t.Errorf("%#v: one attempt was asked for", ep.RetrySchedule)
	}
}

func TestCreateEndpoint_ReportsAllThatIsWrongAtOnce(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	_, err := r.CreateEndpoint(t.Context(), r.admin, "acme", EndpointIn{
		URL: "ftp://example.com", Description: "\x01", UID: Some("ep_x"), ThrottleRate: Some(70000), Version: Some(0),
		EventTypes: []string{"nobody.knows"}, Channels: []string{}, Secret: Some("whsec_short"), Headers: Some(map[string]string{"svix-id": "x"}),
		EndpointSettings: EndpointSettings{
			RetrySchedule: Some([]float64{-1}), TimeoutSeconds: Some(31.0), Concurrency: Some(0),
			Ordering: Some("customer"), Filter: Some(json.RawMessage(`{"$nonsense": 1}`)),
		},
	})
	want := []string{"body.channels", "body.concurrency", "body.description", "body.eventTypes", "body.filter", "body.headers.svix-id",
		"body.ordering", "body.retrySchedule", "body.secret", "body.throttleRate", "body.timeoutSeconds", "body.uid", "body.url", "body.version"}
	if diff := cmp.Diff(want, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "whsec_short") {
		t.Error("the error repeats the secret")
	}
}

func TestCreateEndpoint_WantsEventTypesThatExist(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	r.eventTypes(t, "live.one", "old.one")
	if err := r.DeleteEventType(t.Context(), r.admin, "old.one", false); err != nil {
		t.Fatal(err)
	}
	must[hark.EventType](t)(r.CreateEventType(t.Context(), r.admin, EventTypeIn{Name: "hidden.one", FeatureFlag: Some("beta")}))
	for _, c := range []struct {
		caller Caller
		types  []string
		ok     bool
	}{
		{r.admin, []string{"live.one", "hidden.one"}, true},
		{r.admin, []string{}, false},
		{r.admin, []string{"old.one"}, false},
		{r.admin, []string{"live.one", "unknown"}, false},
		{r.customer(app), []string{"hidden.one"}, false},
		{r.customer(app, "beta"), []string{"hidden.one"}, true},
	} {
		_, err := r.CreateEndpoint(t.Context(), c.caller, "acme", EndpointIn{URL: "http://example.com", EventTypes: c.types})
		if c.ok != (err == nil) || !c.ok && !cmp.Equal(wrongAt(err), []string{"body.eventTypes"}) {
			t.Errorf("%s %v: %v", c.caller.Actor, c.types, err)
		}
	}
}

func TestEndpoints_HTTPSOnlyRefusesHTTP(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.httpsOnly = true
	_, err := r.CreateEndpoint(t.Context(), r.admin, "acme", EndpointIn{URL: "http://example.com"})
	if diff := cmp.Diff([]string{"body.url"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
	r.endpoint(t, "acme", func(in *EndpointIn) { in.URL = "https://example.com" })
}

func TestUpsertEndpoint_CreatesWithoutTakingThePathForTheUID(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep, created, err := r.UpsertEndpoint(t.Context(), r.admin, "acme", "mine", EndpointIn{URL: "http://example.com"})
	if err != nil || !created || ep.UID != "" || len(ep.Secrets) != 1 {
		t.Errorf("%+v, %v, %v", ep, created, err)
	}
	_, _, err = r.UpsertEndpoint(t.Context(), r.admin, "nobody", "mine", EndpointIn{URL: "http://example.com"})
	wantCode(t, "in no application", err, hark.NotFound)
}

func TestEndpointSwitches_TellTheEngineAndCount(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", nil)
	for _, c := range []struct {
		name string
		turn func() (hark.Endpoint, error)
		want [2]bool // disabled, paused
	}{
		{"pause", func() (hark.Endpoint, error) { return r.PauseEndpoint(t.Context(), r.admin, "acme", string(ep.ID)) }, [2]bool{false, true}},
		{"disable", func() (hark.Endpoint, error) { return r.DisableEndpoint(t.Context(), r.admin, "acme", string(ep.ID)) }, [2]bool{true, true}},
		{"resume", func() (hark.Endpoint, error) { return r.ResumeEndpoint(t.Context(), r.admin, "acme", string(ep.ID)) }, [2]bool{true, false}},
		{"enable", func() (hark.Endpoint, error) { return r.EnableEndpoint(t.Context(), r.admin, "acme", string(ep.ID)) }, [2]bool{false, false}},
	} {
		r.live.changed = nil
		got, err := c.turn()
		if err != nil || [2]bool{got.Disabled, got.Paused} != c.want || got.DisabledAt.IsZero() == got.Disabled {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if diff := cmp.Diff([]hark.Ref{ep.Ref}, r.live.changed); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		reach := len(r.publish(t, "acme", PublishIn{}).Endpoints) == 1
		if reach == got.Disabled {
			t.Errorf("%s: matched %v", c.name, reach)
		}
	}
}

func TestTakeOut_SaysWhyAndAPersonTakesItBack(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", nil)
	if err := r.TakeOut(t.Context(), ep.ApplicationRef, ep.Ref, "gone"); err != nil {
		t.Fatal(err)
	}
	got := must[hark.Endpoint](t)(r.Endpoint(t.Context(), r.admin, "acme", string(ep.ID)))
	if !got.Disabled || got.DisabledReason != "gone" || got.DisabledAt.IsZero() {
		t.Errorf("%+v", got)
	}
	got = must[hark.Endpoint](t)(r.EnableEndpoint(t.Context(), r.admin, "acme", string(ep.ID)))
	if got.Disabled || got.DisabledReason != "" || !got.DisabledAt.IsZero() {
		t.Errorf("enabled: %+v", got)
	}
}

func TestEndpointHeaders_HideCredentials(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	ep := r.endpoint(t, "acme", func(in *EndpointIn) {
		in.Headers = Some(map[string]string{"X-Shown": "1", "AuthoriZation": "Bearer x", "Proxy-Authorization": "y", "x-api-key": "z"})
	})
	id := string(ep.ID)
	got := must[Headers](t)(r.EndpointHeaders(t.Context(), r.admin, "acme", id))
	want := Headers{Headers: map[string]string{"X-Shown": "1"}, Sensitive: []string{"AuthoriZation", "Proxy-Authorization", "x-api-key"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	one := "one"
	if err := r.PatchEndpointHeaders(t.Context(), r.admin, "acme", id, HeadersPatch{
		Headers: map[string]*string{"X-Api-Key": nil, "x-shown": &one}, Delete: []string{"authorization"},
	}); err != nil {
		t.Fatal(err)
	}
	row := must[hark.Endpoint](t)(r.Endpoint(t.Context(), r.admin, "acme", id))
	if diff := cmp.Diff(map[string]string{"x-shown": "one", "Proxy-Authorization": "y"}, row.Headers); diff != "" {
		t.Error(diff)
	}
	if err := r.SetEndpointHeaders(t.Context(), r.admin, "acme", id, nil); err != nil {
		t.Fatal(err)
	}
	if row = must[hark.Endpoint](t)(r.Endpoint(t.Context(), r.admin, "acme", id)); len(row.Headers) != 0 {
		t.Errorf("after PUT {}: %v", row.Headers)
	}
}

func TestEndpointHeaders_RefuseWhatWouldBreakTheRequest(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	id := string(r.endpoint(t, "acme", nil).ID)
	for name, value := range map[string]string{
		"User-Agent": "x", "Content-Length": "1", "content-type": "x", "Transfer-Encoding": "chunked", "Host": "x", "webhook-id": "x",
		"X-Amz-Date": "x", "Svix-Signature": "x", "bad name": "x", "": "x", "X-Split": "a\r\nb", "X-Long": strings.Repeat("x", 4097),
	} {
		want := []string{"body.headers." + name}
		if diff := cmp.Diff(want, wrongAt(r.SetEndpointHeaders(t.Context(), r.admin, "acme", id, map[string]string{name: value}))); diff != "" {
			t.Errorf("put %q: %s", name, diff)
		}
		if diff := cmp.Diff(want, wrongAt(r.PatchEndpointHeaders(t.Context(), r.admin, "acme", id, HeadersPatch{Headers: map[string]*string{name: &value}}))); diff != "" {
			t.Errorf("patch %q: %s", name, diff)
		}
	}
	if wrongAt(r.SetEndpointHeaders(t.Context(), r.admin, "acme", id, map[string]string{"X-A": "1", "x-a": "2"})) == nil {
		t.Error("the same header twice was taken")
	}
}

func TestRotateEndpointSecret_KeepsTheOldOneForTheGracePeriod(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	id := string(r.endpoint(t, "acme", nil).ID)
	before := must[string](t)(r.EndpointSecret(t.Context(), r.admin, "acme", id))
	given := webhook.GenerateKey().Text()
	if err := r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{Key: Some(given)}); err != nil {
		t.Fatal(err)
	}
	if now := must[string](t)(r.EndpointSecret(t.Context(), r.admin, "acme", id)); now != given {
		t.Error("the key that was given is not current")
	}
	row := must[hark.Endpoint](t)(r.Endpoint(t.Context(), r.admin, "acme", id))
	if len(row.Secrets) != 2 || row.Secrets[1].Key.Reveal() != before || time.Until(row.Secrets[1].ExpiresAt).Round(time.Hour) != 24*time.Hour {
		t.Errorf("%d secrets, the old one until %v", len(row.Secrets), row.Secrets[1].ExpiresAt)
	}
	if err := r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{GracePeriodSeconds: Some(0)}); err != nil {
		t.Fatal(err)
	}
	row = must[hark.Endpoint](t)(r.Endpoint(t.Context(), r.admin, "acme", id))
	if slices.ContainsFunc(row.Secrets, func(s hark.Secret) bool { return s.Key.Reveal() == given }) {
		t.Error("no grace was wanted")
	}
	for range 9 {
		if err := r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{}); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, "the eleventh old key", r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{}), hark.LimitReached)
	err := r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{Key: Some("nonsense"), GracePeriodSeconds: Some(604801)})
	if diff := cmp.Diff([]string{"body.gracePeriodSeconds", "body.key"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestEndpointSecret_OfAKeyPairIsThePublicHalf(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	pair := webhook.GenerateSigningKeyPair()
	id := string(r.endpoint(t, "acme", func(in *EndpointIn) { in.Secret = Some(pair.Text()) }).ID)
	if got := must[string](t)(r.EndpointSecret(t.Context(), r.admin, "acme", id)); got != pair.Public() || !strings.HasPrefix(got, "whpk_") {
		t.Errorf("got %q", got)
	}
	if err := r.RotateEndpointSecret(t.Context(), r.admin, "acme", id, RotateIn{}); err != nil {
		t.Fatal(err)
	}
	if got := must[string](t)(r.EndpointSecret(t.Context(), r.admin, "acme", id)); !strings.HasPrefix(got, "whpk_") {
		t.Errorf("rotated to another kind: %q", got)
	}
	_, err := r.CreateEndpoint(t.Context(), r.admin, "acme", EndpointIn{URL: "http://example.com", Secret: Some(pair.Public())})
	if diff := cmp.Diff([]string{"body.secret"}, wrongAt(err)); diff != "" {
		t.Error("a public key cannot sign:", diff)
	}
}

func TestEndpointStats_RefusesWrongRanges(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	id := string(r.endpoint(t, "acme", nil).ID)
	now := time.Now()
	for _, span := range [][2]time.Time{
		{now.Add(-29 * 24 * time.Hour), now},
		{now, now.Add(time.Hour)},
		{now, now.Add(-time.Hour)},
	} {
		_, err := r.EndpointStats(t.Context(), r.admin, "acme", id, span[0], span[1])
		wantCode(t, span[0].String(), err, hark.InvalidRange)
	}
	r.publish(t, "acme", PublishIn{})
	r.settle(t, hark.Failed, 500)
	for _, span := range [][2]time.Time{{}, {now.Add(-28*24*time.Hour - time.Minute), {}}} {
		stats, err := r.EndpointStats(t.Context(), r.admin, "acme", id, span[0], span[1])
		if err != nil || stats.Failed != 1 || stats.Succeeded != 0 {
			t.Errorf("%+v, %v", stats, err)
		}
	}
}

func TestRules_NameEveryOperationOnce(t *testing.T) {
	seen := map[string]bool{}
	for i := range rules {
		if rules[i].name == "" || rules[i].scope == "" || seen[rules[i].name] {
			t.Errorf("operation %d: %+v", i, rules[i])
		}
		seen[rules[i].name] = true
	}
	if len(slices.Collect(maps.Keys(seen))) != int(operations) {
		t.Error("a rule is missing")
	}
}
