package storetest

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func testRules(t *testing.T, f *fixture) {
	for name, rules := range map[string]hark.Rules{
		"all": {Delay: 90 * time.Second, RetryOn: []string{">=500", "429", "!501"}, ThrottleUnit: hark.PerMinute,
			DedupeBy: []string{"/id", "header:X"}, DedupeFor: time.Hour},
		"delay":   {Delay: time.Millisecond},
		"retryOn": {RetryOn: []string{"!404"}},
		"unit":    {ThrottleUnit: hark.PerHour},
		"dedupe":  {DedupeBy: []string{"body"}},
	} {
		ep := f.newEndpoint(f.app, name)
		f.same("the rules of a new endpoint", ep.Rules, hark.Rules{})
		changed, err := f.UpdateEndpoint(f.ctx, f.app.Ref, name, func(e *hark.Endpoint) error { e.Rules = rules; return nil })
		f.ok(err)
		f.same(name, changed.Rules, rules)
		all, err := f.EndpointsByRef(f.ctx, []hark.Ref{ep.Ref})
		f.ok(err)
		f.same(name+" read again", all[0].Rules, rules)
		changed, err = f.UpdateEndpoint(f.ctx, f.app.Ref, name, func(e *hark.Endpoint) error { e.Rules = hark.Rules{}; return nil })
		f.ok(err)
		f.same(name+" taken back", changed.Rules, hark.Rules{})
	}
}

// testDelayedDeliveries: one endpoint's delivery of a message may be due later than another's.
func testDelayedDeliveries(t *testing.T, f *fixture) {
	now, later := f.newEndpoint(f.app, "now"), f.newEndpoint(f.app, "later")
	a := f.message("a.b", now, later)
	due := a.Message.CreatedAt.Add(time.Hour)
	a.Deliveries[1].Due = due.UnixMilli()
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	f.try(f.queue(now)[0], 200, 0)
	f.reopen()
	states, err := f.DeliveryStates(f.ctx, a.Message.Ref, []hark.Ref{now.Ref, later.Ref})
	f.ok(err)
	f.same("the one at once", states[now.Ref].Status, hark.Succeeded)
	f.same("the one that waits", states[later.Ref].Status, hark.Pending)
	f.same("until", states[later.Ref].NextAttempt, due)
	retry := f.try(f.queue(later)[0], 500, time.Minute)
	status, _ := f.state(a.Message.Ref, later)
	f.same("after a failure", status, hark.Sending)
	f.same("its row", len(f.queue(later)), 1)
	f.try(retry, 200, 0)
	status, _ = f.state(a.Message.Ref, later)
	f.same("in the end", status, hark.Succeeded)
	f.same("what is left", len(f.queue(later)), 0)
}
