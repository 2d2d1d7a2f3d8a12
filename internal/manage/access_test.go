package manage

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/replay"
)

// everyOperation calls each operation about an application, its endpoint and its message.
func everyOperation(r *rig, t *testing.T, c Caller, app, ep, msg string) map[operation]error {
	ctx := t.Context()
	got := map[operation]error{}
	note := func(op operation, err error) { got[op] = err }
	endpoint := EndpointIn{URL: "http://example.com"}
	since := ReplayIn{Since: time.Now().Add(-time.Hour)}

	_, _, err := r.CreateApplication(ctx, c, ApplicationIn{Name: "n"}, false)
	note(opApplicationCreate, err)
	_, err = r.ListApplications(ctx, c, ApplicationListIn{})
	note(opApplicationList, err)
	_, err = r.Application(ctx, c, app)
	note(opApplicationGet, err)
	_, err = r.PatchApplication(ctx, c, app, ApplicationPatch{})
	note(opApplicationPatch, err)

	_, err = r.CreateEndpoint(ctx, c, app, endpoint)
	note(opEndpointCreate, err)
	_, err = r.ListEndpoints(ctx, c, app, ListIn{})
	note(opEndpointList, err)
	_, err = r.Endpoint(ctx, c, app, ep)
	note(opEndpointGet, err)
	_, _, err = r.UpsertEndpoint(ctx, c, app, ep, endpoint)
	note(opEndpointUpsert, err)
	_, err = r.PatchEndpoint(ctx, c, app, ep, EndpointPatch{})
	note(opEndpointPatch, err)
	_, err = r.PauseEndpoint(ctx, c, app, ep)
	note(opEndpointPause, err)
	_, err = r.ResumeEndpoint(ctx, c, app, ep)
	note(opEndpointResume, err)
	_, err = r.DisableEndpoint(ctx, c, app, ep)
	note(opEndpointDisable, err)
	_, err = r.EnableEndpoint(ctx, c, app, ep)
	note(opEndpointEnable, err)
	_, err = r.EndpointHeaders(ctx, c, app, ep)
	note(opHeadersGet, err)
	note(opHeadersSet, r.SetEndpointHeaders(ctx, c, app, ep, nil))
	note(opHeadersPatch, r.PatchEndpointHeaders(ctx, c, app, ep, HeadersPatch{}))
	_, err = r.EndpointSecret(ctx, c, app, ep)
	note(opSecretGet, err)
	note(opSecretRotate, r.RotateEndpointSecret(ctx, c, app, ep, RotateIn{GracePeriodSeconds: Some(0)}))
	_, err = r.EndpointStats(ctx, c, app, ep, time.Time{}, time.Time{})
	note(opEndpointStats, err)
	_, err = r.SendExample(ctx, c, app, ep, ExampleIn{EventType: pingType})
	note(opSendExample, err)
	_, err = r.Recover(ctx, c, app, ep, since)
	note(opRecover, err)
	_, err = r.CountReplay(ctx, c, app, ep, ReplayCountIn{Since: since.Since})
	note(opReplayCount, err)
	_, _, err = r.OpenTail(ctx, c, TailIn{Application: app})
	note(opTail, err)
	_, err = r.ReplayMissing(ctx, c, app, ep, since)
	note(opReplayMissing, err)
	_, err = r.BulkReplay(ctx, c, app, ep, BulkReplayIn{Since: since.Since})
	note(opBulkReplay, err)

	_, err = r.CreateEventType(ctx, c, EventTypeIn{Name: "t" + strings.ReplaceAll(c.Actor, " ", "") + time.Now().Format("150405.000000")})
	note(opEventTypeCreate, err)
	_, err = r.ListEventTypes(ctx, c, EventTypeListIn{})
	note(opEventTypeList, err)
	_, err = r.EventType(ctx, c, "a.b")
	note(opEventTypeGet, err)
	_, _, err = r.UpsertEventType(ctx, c, "a.b", EventTypeIn{})
	note(opEventTypeUpsert, err)
	_, err = r.PatchEventType(ctx, c, "a.b", EventTypePatch{})
	note(opEventTypePatch, err)

	_, err = r.Publish(ctx, c, app, &PublishIn{EventType: "a.b", Payload: []byte("{}")}, nil)
	note(opPublish, err)
	_, err = r.ListMessages(ctx, c, app, MessageListIn{})
	note(opMessageList, err)
	_, err = r.Message(ctx, c, app, msg, true)
	note(opMessageGet, err)
	_, err = r.PrecheckMessage(ctx, c, app, PrecheckIn{EventType: "a.b"})
	note(opMessagePrecheck, err)
	_, err = r.TraceMessage(ctx, c, app, msg)
	note(opMessageTrace, err)
	_, err = r.AttemptsByEndpoint(ctx, c, app, ep, AttemptListIn{})
	note(opAttemptList, err)
	note(opResend, r.Resend(ctx, c, app, msg, ep))

	r.everyOperationOnSources(t, c, app, note)
	poller := PollerIn{UID: Some("watched"), Every: Some(60.0), URL: Some("http://example.com"), EventType: Some("a.b")}
	if _, err = r.CreatePoller(ctx, r.admin, app, poller); err != nil && hark.CodeOf(err) != hark.Conflict {
		t.Fatal(err)
	}
	_, err = r.CreatePoller(ctx, c, app, PollerIn{Every: poller.Every, URL: poller.URL, EventType: poller.EventType})
	note(opPollerCreate, err)
	_, err = r.ListPollers(ctx, c, app, ListIn{})
	note(opPollerList, err)
	_, err = r.Poller(ctx, c, app, poller.UID.Value)
	note(opPollerGet, err)
	_, err = r.PatchPoller(ctx, c, app, poller.UID.Value, PollerIn{})
	note(opPollerPatch, err)
	_, err = r.RunPoller(ctx, c, app, poller.UID.Value)
	note(opPollerRun, err)
	_, err = r.PreviewPoller(ctx, c, app, poller.UID.Value)
	note(opPollerPreview, err)
	note(opPollerDelete, r.DeletePoller(ctx, c, app, poller.UID.Value))

	_, err = r.ListTasks(ctx, c, TaskListIn{})
	note(opTaskList, err)
	_, err = r.ListEnvironments(ctx, c)
	note(opEnvironmentList, err)
	_, err = r.ListNodes(ctx, c)
	note(opNodeList, err)
	_, err = r.WhoAmI(ctx, c)
	note(opWhoAmI, err)
	_, err = r.PatchEnvironment(ctx, c, EnvironmentPatch{})
	note(opEnvironmentPatch, err)
	_, _, err = r.CreateKey(ctx, c, KeyIn{Name: "k", Scope: hark.ScopeRead})
	note(opKeyCreate, err)
	_, err = r.ListKeys(ctx, c, ListIn{})
	note(opKeyList, err)
	_, err = r.PortalAccess(ctx, c, app, PortalIn{})
	note(opPortalAccess, err)
	note(opPortalExpire, r.ExpirePortalTokens(ctx, c, app, PortalExpireIn{}))

	// Those that destroy come last.
	_, err = r.BulkExpunge(ctx, c, app, nil)
	note(opMessageExpunge, err)
	_, err = r.ExpungeAllContents(ctx, c, app)
	note(opMessageExpungeAll, err)
	note(opEventTypeDelete, r.DeleteEventType(ctx, c, "a.b", false))
	return got
}

// everyOperationOnSources does them on a source of the application that has a rejected request.
func (r *rig) everyOperationOnSources(t *testing.T, c Caller, app string, note func(operation, error)) {
	t.Helper()
	ctx := t.Context()
	own, err := r.CreateSource(ctx, r.admin, SourceIn{Application: Some(app), Secrets: []string{"s"}, SourcePatch: SourcePatch{Provider: Some("stripe")}})
	if err != nil {
		t.Fatal(err)
	}
	now := moment()
	q := hark.Request{SourceRef: own.Ref, ID: hark.NewRequestID(now), ReceivedAt: now, Outcome: hark.RequestRejected, Cause: hark.VerificationFailed,
		EventType: "a.b", Head: (&hark.Head{}).Encode(), Body: []byte("{}")}
	if err := r.store.InsertRequests(ctx, []hark.Request{q}); err != nil {
		t.Fatal(err)
	}
	src, id := string(own.ID), string(q.ID)
	_, err = r.ListSources(ctx, c, app, "", ListIn{})
	note(opSourceList, err)
	_, err = r.Source(ctx, c, src)
	note(opSourceGet, err)
	_, err = r.PatchSource(ctx, c, src, SourcePatch{Description: Some("d")})
	note(opSourcePatch, err)
	_, err = r.RotateSourceToken(ctx, c, src)
	note(opSourceToken, err)
	_, err = r.RotateSourceSecret(ctx, c, src, RotateIn{Key: Some("new")})
	note(opSourceSecret, err)
	_, err = r.ListRequests(ctx, c, RequestListIn{Source: src})
	note(opRequestList, err)
	_, err = r.Request(ctx, c, src, id)
	note(opRequestGet, err)
	_, err = r.AcceptRequest(ctx, c, src, id)
	note(opRequestAccept, err)
	note(opRequestExpunge, r.ExpungeRequest(ctx, c, src, id))
	note(opSourceDelete, r.DeleteSource(ctx, c, src))
}

func TestOperations_AreInvisibleAcrossTenants(t *testing.T) {
	r := newRig(t)
	app, other := r.application(t, "acme"), r.application(t, "other")
	r.eventTypes(t, "a.b")
	ep := r.endpoint(t, "acme", nil)
	msg := r.publish(t, "acme", PublishIn{}).Message
	key := r.admin
	key.ApplicationID, key.Actor = other.ID, "key of other"
	for _, c := range []Caller{r.stranger(t), r.customer(other), key} {
		for op, err := range everyOperation(r, t, c, string(app.ID), string(ep.ID), string(msg.ID)) {
			switch name := rules[op].name; {
			case rules[op].environment, strings.HasPrefix(name, "event-type."), op == opWhoAmI && !c.Portal: // about the caller's own
			case c.Portal && rules[op].portal == 0:
				wantCode(t, c.Actor+" "+name, err, hark.Forbidden)
			default:
				wantCode(t, c.Actor+" "+name, err, hark.NotFound)
			}
		}
		// Another application's endpoint and message do not exist in one's own either.
		_, err := r.Endpoint(t.Context(), c, "other", string(ep.ID))
		wantCode(t, c.Actor+": endpoint by way of another application", err, hark.NotFound)
		_, err = r.Message(t.Context(), c, "other", string(msg.ID), true)
		wantCode(t, c.Actor+": message by way of another application", err, hark.NotFound)
	}
	if len(r.live.queued) != 1 {
		t.Error("a stranger queued something")
	}
}

func TestOperations_AskForScopeAndCapability(t *testing.T) {
	r := newRig(t)
	r.eventTypes(t, "a.b")
	scoped := func(s hark.Scope) func(hark.Application) Caller {
		return func(hark.Application) Caller { c := r.admin; c.Scope, c.Actor = s, string(s); return c }
	}
	portal := func(have auth.Capabilities) func(hark.Application) Caller {
		return func(app hark.Application) Caller {
			c := r.customer(app)
			c.Capabilities, c.Actor = have, strings.Join(have.Names(), "+")
			return c
		}
	}
	own := func(app hark.Application) Caller {
		c := r.admin
		c.ApplicationID, c.Actor = app.ID, "key of acme"
		return c
	}
	for i, caller := range []func(hark.Application) Caller{
		scoped(hark.ScopeRead), scoped(hark.ScopePublish), scoped("nonsense"), own,
		portal(auth.ViewBase), portal(auth.ViewBase | auth.ViewEndpointSecret), portal(auth.ViewBase | auth.CreateAttempts),
		portal(auth.ViewBase | auth.ManageEndpoint), portal(auth.AllCapabilities), scoped(hark.ScopeAdmin),
	} {
		uid := "acme" + strconv.Itoa(i) // of its own: background tasks are limited by application
		c := caller(r.application(t, uid))
		ep := r.endpoint(t, uid, nil)
		msg := r.publish(t, uid, PublishIn{}).Message
		must[hark.EventType](t)(r.PatchEventType(t.Context(), r.admin, "a.b", EventTypePatch{Archived: Some(false)}))
		for op, err := range everyOperation(r, t, c, uid, string(ep.ID), string(msg.ID)) {
			rule := rules[op]
			allowed := rank(c.Scope) >= rank(rule.scope) && !(rule.environment && c.ApplicationID != "")
			if c.Portal {
				allowed = c.Capabilities&rule.portal != 0
			}
			if allowed && err != nil {
				t.Errorf("%s: %s: %v", c.Actor, rule.name, err)
			} else if !allowed {
				wantCode(t, c.Actor+": "+rule.name, err, hark.Forbidden)
			}
		}
	}
}

func TestPortal_MayDoWhatSvixLetsApplicationTokensDo(t *testing.T) {
	closed := []operation{
		opApplicationCreate, opApplicationList, opApplicationUpsert, opApplicationPatch, opApplicationDelete, opSendExample, opPublish,
		opMessageExpunge, opAttemptExpunge, opEventTypeCreate, opEventTypeUpsert, opEventTypePatch, opEventTypeDelete, opPortalAccess, opPortalExpire,
		opKeyCreate, opKeyList, opKeyRotate, opKeyRevoke, opEnvironmentList, opEnvironmentPatch, opNodeList, opWhoAmI, opMessageExpungeAll, opMessagePrecheck, opTaskList,
		opSourceCreate, opSourceList, opSourceGet, opSourceUpsert, opSourcePatch, opSourceDelete, opSourceToken, opSourceSecret,
		opRequestList, opRequestGet, opRequestAccept, opRequestExpunge, opTail,
		opPollerCreate, opPollerList, opPollerGet, opPollerPatch, opPollerDelete, opPollerRun, opPollerPreview,
	}
	for op := range operations {
		if shut := slices.Contains(closed, op); shut != (rules[op].portal == 0) {
			t.Errorf("%s: closed to customers %v, want %v", rules[op].name, !shut, shut)
		}
	}
}

func TestKeys_AreIssuedRotatedAndRevoked(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	app := r.application(t, "acme")
	works := func(text string) bool {
		_, err := r.tokens.Authenticate(ctx, text)
		return err == nil
	}
	key, text, err := r.CreateKey(ctx, r.admin, KeyIn{Name: "robot", Scope: hark.ScopePublish, ApplicationID: Some("acme"), ExpiresAt: Some(time.Now().Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.tokens.Authenticate(ctx, text)
	if err != nil || p.ApplicationID != app.ID || p.Scope != hark.ScopePublish || p.KeyID != key.ID {
		t.Fatalf("%+v, %v", p, err)
	}
	next, nextText, err := r.RotateKey(ctx, r.admin, string(key.ID), Opt[int]{})
	if err != nil || next.Scope != key.Scope || next.ApplicationID != app.ID || next.ExpiresAt.IsZero() || next.ID == key.ID {
		t.Fatalf("%+v, %v", next, err)
	}
	if !works(text) || !works(nextText) {
		t.Error("both keys must work while they overlap")
	}
	_, _, err = r.RotateKey(ctx, r.admin, string(key.ID), Opt[int]{})
	wantCode(t, "rotate the old one again", err, hark.Conflict)
	third, thirdText, err := r.RotateKey(ctx, r.admin, string(next.ID), Some(0))
	if err != nil || works(nextText) || !works(thirdText) {
		t.Errorf("without overlap: %v", err)
	}
	for range 2 {
		if err := r.RevokeKey(ctx, r.admin, string(third.ID)); err != nil || works(thirdText) {
			t.Errorf("revoked: %v", err)
		}
	}
	wantCode(t, "a stranger revokes", r.RevokeKey(ctx, r.stranger(t), string(key.ID)), hark.NotFound)
	_, _, err = r.CreateKey(ctx, r.admin, KeyIn{Scope: "root", ApplicationID: Some("nobody"), ExpiresAt: Some(time.Now().Add(-time.Hour))})
	if diff := cmp.Diff([]string{"body.applicationId", "body.expiresAt", "body.name", "body.scope"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestPortalAccess_IssuesATokenForOneApplication(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	got, err := r.PortalAccess(ctx, r.admin, "fresh", PortalIn{
		Application: &ApplicationIn{Name: "n", UID: Some("fresh")}, FeatureFlags: Some([]string{"beta"}),
		Capabilities: Some([]string{"ViewEndpointSecret"}), SessionID: Some("s1"), Expiry: Some(3600),
	})
	if err != nil || got.URL != "http://hark.test/portal#token="+got.Token {
		t.Fatalf("%+v, %v", got, err)
	}
	p, err := r.tokens.Authenticate(ctx, got.Token)
	if err != nil || !p.Portal || p.Capabilities != auth.ViewBase|auth.ViewEndpointSecret || !cmp.Equal(p.Flags, []string{"beta"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	c := CallerOf(p)
	if _, err := r.Application(ctx, c, "fresh"); err != nil {
		t.Error(err)
	}
	_, err = r.CreateEndpoint(ctx, c, "fresh", EndpointIn{URL: "http://example.com"})
	wantCode(t, "beyond its capabilities", err, hark.Forbidden)
	_, err = r.PortalAccess(ctx, r.admin, "fresh", PortalIn{FeatureFlags: Some([]string{"a b"}), Capabilities: Some([]string{"Fly"}), Expiry: Some(3599), SessionID: Some("")})
	if diff := cmp.Diff([]string{"body.capabilities.0", "body.expiry", "body.featureFlags.0", "body.sessionId"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestPatchEnvironment_SetsRetention(t *testing.T) {
	r := newRig(t)
	for in, want := range map[Opt[int]]time.Duration{Some(7): 7 * 24 * time.Hour, Null[int](): 0} {
		env, err := r.PatchEnvironment(t.Context(), r.admin, EnvironmentPatch{RetentionDays: in})
		if err != nil || env.Retention != want {
			t.Errorf("%+v: %v, %v", in, env.Retention, err)
		}
	}
	_, err := r.PatchEnvironment(t.Context(), r.admin, EnvironmentPatch{RetentionDays: Some(0)})
	if diff := cmp.Diff([]string{"body.retentionDays"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestReplays_CheckTheirWindow(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.application(t, "acme")
	id := string(r.endpoint(t, "acme", nil).ID)
	day := 24 * time.Hour
	now := time.Now()
	for name, c := range map[string]struct {
		in   ReplayIn
		want []string
	}{
		"nothing said":  {ReplayIn{}, []string{"body.since"}},
		"too long ago":  {ReplayIn{Since: now.Add(-15 * day)}, []string{"body.since"}},
		"just in time":  {ReplayIn{Since: now.Add(-14 * day)}, nil},
		"the future":    {ReplayIn{Since: now.Add(day)}, []string{"body.since"}},
		"until before":  {ReplayIn{Since: now.Add(-day), Until: Some(now.Add(-2 * day))}, []string{"body.since"}},
		"until ahead":   {ReplayIn{Since: now.Add(-day), Until: Some(now.Add(day))}, nil},
		"until is null": {ReplayIn{Since: now.Add(-day), Until: Null[time.Time]()}, nil},
	} {
		task, err := r.Recover(ctx, r.admin, "acme", id, c.in)
		if diff := cmp.Diff(c.want, wrongAt(err)); diff != "" || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if err == nil && (task.Status != replay.Running || task.Kind != replay.Recover) {
			t.Errorf("%s: %+v", name, task)
		}
	}
	if _, err := r.ReplayMissing(ctx, r.admin, "acme", id, ReplayIn{Since: now.Add(-80 * day)}); err != nil {
		t.Errorf("replay-missing of long ago: %v", err)
	}
	_, err := r.BulkReplay(ctx, r.admin, "acme", id, BulkReplayIn{Since: now.Add(-day), EventTypes: Some([]string{}), Channel: Some("a b"),
		Tag: Some(""), Status: Some(5), StatusCodeClass: Some(201)})
	if diff := cmp.Diff([]string{"body.channel", "body.eventTypes", "body.status", "body.statusCodeClass", "body.tag"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestTask_IsSeenByItsOwnersOnly(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	app, other := r.application(t, "acme"), r.application(t, "other")
	ep := r.endpoint(t, "acme", nil)
	task := must[hark.Task](t)(r.Recover(ctx, r.admin, "acme", string(ep.ID), ReplayIn{Since: time.Now().Add(-time.Hour)}))
	for name, c := range map[string]struct {
		caller Caller
		ok     bool
	}{
		"admin": {r.admin, true}, "customer": {r.customer(app), true}, "other customer": {r.customer(other), false}, "stranger": {r.stranger(t), false},
	} {
		got, err := r.Task(ctx, c.caller, string(task.ID))
		if c.ok != (err == nil) || !c.ok && hark.CodeOf(err) != hark.NotFound {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	page := must[Page[hark.Task]](t)(r.ListTasks(ctx, r.admin, TaskListIn{Status: "running", Kind: replay.Recover}))
	if len(page.Items) != 1 || page.Items[0].ID != task.ID {
		t.Errorf("%+v", page)
	}
}
