package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Furnish fills an empty store with some of everything that a store can keep, and with as many
// messages as asked for in every state that they can be in. It does the same every time.
func Furnish(t *testing.T, s store.Store, messages int) {
	t.Helper()
	f := &fixture{T: t, Store: s, ctx: t.Context(), now: start}
	house := &house{fixture: f, random: rand.New(rand.NewPCG(1, 2))}
	house.configure()
	house.guard()
	for messages > 0 {
		n := min(messages, 100)
		house.publish(n)
		messages -= n
	}
	house.receiveSome()
	house.pollSome()
	house.feedSome()
	house.leave()
}

// house is a store that is being furnished.
type house struct {
	*fixture
	random    *rand.Rand
	endpoints []hark.Endpoint
	count     int
}

func (h *house) configure() {
	at := h.tick()
	h.env = hark.NewEnvironmentID(at)
	h.ok(h.InsertEnvironment(h.ctx, hark.Environment{ID: h.env, Name: "live", CreatedAt: at, Retention: 30 * 24 * time.Hour}))
	h.newApplication(h.newEnvironment(), "app") // the same uid in another environment
	h.ok(h.InsertEventType(h.ctx, hark.EventType{EnvironmentID: h.env, Name: "invoice.paid", Description: "An invoice was paid.", GroupName: "billing",
		Schemas: json.RawMessage(`{"1": {"type":"object"}}`), FeatureFlags: []string{"beta"}, CreatedAt: h.tick(), UpdatedAt: h.tick()}))
	h.ok(h.InsertEventType(h.ctx, hark.EventType{EnvironmentID: h.env, Name: "invoice.old", Archived: true, Deprecated: true, CreatedAt: h.tick()}))
	at = h.tick()
	h.ok(h.InsertKey(h.ctx, hark.Key{ID: hark.NewKeyID(at), EnvironmentID: h.env, Name: "admin", Scope: hark.ScopeAdmin, Prefix: "hark_live_ab", Hash: key("a"), CreatedAt: at}))
	h.ok(h.InsertKey(h.ctx, hark.Key{ID: hark.NewKeyID(at), EnvironmentID: h.env, Scope: hark.ScopeRead, ApplicationID: "app_1", Hash: key("b"), CreatedAt: at,
		ExpiresAt: at.Add(time.Hour), RevokedAt: at.Add(time.Minute)}))
	for i, status := range []string{"running", "finished"} {
		at := h.tick()
		h.ok(h.InsertTask(h.ctx, hark.Task{ID: hark.NewTaskID(at), EnvironmentID: h.env, Kind: "endpoint.recover", Status: status,
			Data: fmt.Appendf(nil, `{"appId": "app_%d", "messagesSent": 7}`, i), CreatedAt: at, UpdatedAt: at}))
	}
	h.app = h.newApplication(h.env, "app")
	_, err := h.UpdateApplication(h.ctx, h.env, "app", func(a *hark.Application) error {
		a.ThrottleRate, a.Metadata, a.TokensNotBefore = 50, map[string]string{"tier": "gold", "größe": "<&>"}, h.tick()
		return nil
	})
	h.ok(err)
	h.newApplication(h.env, "")
	h.addEndpoints()
	h.transformSome()
}

func (h *house) addEndpoints() {
	h.endpoints = append(h.endpoints, h.newEndpoint(h.app, "plain"))
	at := h.tick()
	ep, err := h.InsertEndpoint(h.ctx, hark.Endpoint{
		ID: hark.NewEndpointID(at), ApplicationRef: h.app.Ref, URL: "https://example.com/rich?a=1&b=2", Description: "everything set", Version: 3,
		Metadata: map[string]string{"a": "b"}, Headers: map[string]string{"X-Token": "hidden header"},
		Secrets:    []hark.Secret{{Key: "whsec_bmV3IHNlY3JldCBuZXcgc2VjcmV0", CreatedAt: at}, {Key: "whsec_b2xkIHNlY3JldCBvbGQgc2VjcmV0", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}},
		EventTypes: []string{"invoice.paid"}, Channels: []string{"eu"}, Filter: json.RawMessage(`{"n": {"$gt": 0}}`), Paused: true, ThrottleRate: 5, Concurrency: 2,
		Timeout: 7 * time.Second, RetrySchedule: hark.Schedule{0, time.Second}, Ordering: "/n", SkipTLSVerify: true,
		Rules:     hark.Rules{Delay: time.Minute, RetryOn: []string{">=500", "!501"}, ThrottleUnit: hark.PerHour, DedupeBy: []string{"/n"}, DedupeFor: time.Hour},
		CreatedAt: at, UpdatedAt: at,
	})
	h.ok(err)
	h.endpoints = append(h.endpoints, ep, h.newEndpoint(h.app, "ordered"), h.newEndpoint(h.app, "failing"), h.newEndpoint(h.app, "leaving"))
	_, err = h.UpdateEndpoint(h.ctx, h.app.Ref, "failing", func(e *hark.Endpoint) error {
		e.Disabled, e.DisabledReason, e.DisabledAt = true, "failing", h.tick()
		e.Headers, e.EventTypes = map[string]string{}, []string{} // not the same as none
		return nil
	})
	h.ok(err)
}

// transformSome gives endpoints transformations, of which one was changed and has run.
func (h *house) transformSome() {
	ep := h.endpoints[1]
	for i := range 3 {
		h.transform(ep, func(t *hark.Transformation) {
			t.Code, t.Enabled, t.Variables = fmt.Sprintf("function handler(w) { return w } // %d <ü>", i), true, map[string]string{"KEY": "hidden variable"}
		})
	}
	h.transform(h.endpoints[0], func(t *hark.Transformation) { t.Code = "once" })
	h.transform(h.endpoints[0], func(t *hark.Transformation) { t.Code = "" })
	h.transform(h.endpoints[4], func(t *hark.Transformation) { t.Code = "leaving" })
	h.ok(h.LogExecutions(h.ctx, []hark.Execution{h.execution(ep, hark.ExecutionDone), h.execution(ep, hark.ExecutionFailed), h.execution(ep, hark.ExecutionCanceled)}))
}

func (h *house) guard() {
	for i, body := range [][]byte{nil, {}, []byte("answer \x00 with anything")} {
		h.ok(h.Remember(h.ctx, store.Answer{Key: store.IdempotencyKey{Hash: key(fmt.Sprint("answer", i)), Fingerprint: key("f"), ExpiresAt: h.now.Add(time.Hour)},
			Status: 200 + i, Header: []byte("h"), Body: body}, h.now))
	}
}

// pollSome adds pollers, one of which knows items.
func (h *house) pollSome() {
	h.newPoller(h.app, "idle", time.Time{})
	p := h.newPoller(h.app, "tickets", h.now.Add(time.Hour))
	progress := store.PollProgress{PollerRef: p.Ref, Revision: p.Revision, State: &hark.PollerState{Learned: true, Since: "7"}, Due: p.Due}
	for i := range 1005 { // more than one record holds
		progress.Items = append(progress.Items, store.PollerItem{Item: key(fmt.Sprint("item ", i)), Content: key("c"), Version: 1, SeenAt: h.now})
	}
	_, err := h.RecordPoll(h.ctx, &progress)
	h.ok(err)
}

// feedSome feeds consumers, one of which leaves.
func (h *house) feedSome() {
	a, leaving := h.newConsumer(h.app, "consumer"), h.newConsumer(h.app, "leaving consumer")
	h.newConsumer(h.app, "idle consumer")
	for i := range 9 {
		m := h.accept("invoice.paid", a, leaving)
		if i == 4 {
			continue // waits
		}
		h.ok(h.Settle(h.ctx, []store.Settlement{h.fed(m.Deliveries[0]), h.fed(m.Deliveries[1])}))
	}
	h.ok(h.MoveCursor(h.ctx, a.Ref, "", 3, h.tick()))
	h.ok(h.MoveCursor(h.ctx, a.Ref, "workers", 5, h.tick()))
	h.ok(h.DeleteEndpoint(h.ctx, h.app.Ref, "leaving consumer", h.tick()))
}

// receiveSome takes requests in, of which some become messages.
func (h *house) receiveSome() {
	src, leaving := h.newSource(h.app, "shop"), h.newSource(h.app, "leaving")
	for i := range 6 {
		a := h.receive([]hark.Source{src, leaving}[i%2], nil)
		if i == 0 {
			h.ok(h.ExpungePayload(h.ctx, h.app.Ref, string(a.Message.ID)))
		}
		duplicate := h.request(src, hark.RequestDuplicate)
		duplicate.MessageID = a.Message.ID
		h.ok(h.InsertRequests(h.ctx, []hark.Request{duplicate, h.request(leaving, hark.RequestRejected)}))
	}
	h.ok(h.DeleteSource(h.ctx, h.env, "leaving", h.tick()))
}

// publish accepts messages, and lets some of their deliveries be tried.
func (h *house) publish(n int) {
	accept := make([]*store.Acceptance, n)
	for i := range accept {
		accept[i] = h.invent()
	}
	h.ok(h.Accept(h.ctx, accept))
	var settle []store.Settlement
	var again []hark.Delivery
	for _, a := range accept {
		for _, d := range a.Deliveries {
			switch h.random.IntN(6) {
			case 0: // waits
			case 1, 2:
				settle = append(settle, h.attempt(d, 200, 0))
			case 3:
				settle = append(settle, h.attempt(d, 500, 0))
			case 4: // is put off
				settle = append(settle, h.attempt(d, 503, time.Hour))
			case 5: // keeps its place and waits
				s := h.attempt(d, 503, time.Hour)
				s.Retry.RetryAt, s.Retry.Due = s.Retry.Due, d.Due
				settle = append(settle, s)
			}
			if h.random.IntN(20) == 0 {
				again = append(again, hark.Delivery{EndpointRef: d.EndpointRef, ApplicationRef: d.ApplicationRef, MessageRef: d.MessageRef,
					Due: h.tick().UnixMilli(), Trigger: hark.Manual})
			}
		}
	}
	h.ok(h.Settle(h.ctx, settle))
	h.ok(h.Enqueue(h.ctx, again))
	h.ok(h.ExpungePayload(h.ctx, h.app.Ref, string(accept[0].Message.ID)))
}

// invent makes a message that is unlike the one before.
func (h *house) invent() *store.Acceptance {
	h.count++
	n := h.count
	var to []hark.Endpoint
	for _, ep := range h.endpoints {
		if h.random.IntN(3) > 0 {
			to = append(to, ep)
		}
	}
	a := h.message([]string{"invoice.paid", "invoice.due", "user.created"}[n%3], to...)
	a.Message.Payload = fmt.Appendf(nil, `{"n":%d,"text":"<ü> \u2028"}`, n)
	if n%5 == 0 {
		a.Message.RawBody = []byte{0xff, 0x00, byte(n)}
	}
	if n%7 == 0 {
		a.Message.EventID = fmt.Sprint("event-", n)
		a.Key = &store.IdempotencyKey{Hash: key(fmt.Sprint("key", n)), Fingerprint: key("print"), ExpiresAt: a.Message.CreatedAt.Add(time.Hour)}
	}
	if n%11 == 0 {
		a.Message.Channels, a.Message.Tags = []string{"eu", "us"}, []string{"slow"}
		a.Message.PayloadExpiresAt = a.Message.CreatedAt.Add(24 * time.Hour)
	}
	if n%17 == 0 {
		once(a, "furnished")
	}
	if n%13 == 0 {
		a.Message.DeliverAt = a.Message.CreatedAt.Add(2 * time.Hour)
	}
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if n%13 == 0 {
			d.Due = a.Message.DeliverAt.UnixMilli()
		}
		if d.EndpointRef == h.endpoints[2].Ref {
			d.Line = ^uint64(0) - uint64(n%4) // as large as hashes are
		}
	}
	return a
}

// leave deletes an endpoint that has history and a queue, and a whole application.
func (h *house) leave() {
	h.ok(h.DeleteEndpoint(h.ctx, h.app.Ref, "leaving", h.tick()))
	h.newEndpoint(h.app, "leaving") // the uid is free again
	whole := h.app
	h.app = h.newApplication(h.env, "gone")
	ep := h.newEndpoint(h.app, "gone")
	a := h.accept("invoice.paid", ep)
	h.try(a.Deliveries[0], 500, time.Hour)
	h.ok(h.DeleteApplication(h.ctx, h.env, "gone", h.tick()))
	h.newApplication(h.env, "gone")
	h.app = whole
}
