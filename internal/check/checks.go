package check

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/harkhq/hark/webhook"
)

// check is one question to a receiver.
type check struct {
	name     string
	sends    string
	wants    string
	unsigned bool // tells something even if no valid delivery is accepted
	run      func(context.Context, *world) (Result, string)
}

const (
	wantsAccepted = "answers 2xx"
	wantsRefused  = "refuses it with 4xx"
)

// table lists the checks in the order in which they are made.
func table() []check {
	return []check{
		{name: "valid", sends: "a valid delivery", wants: wantsAccepted, run: valid},
		{name: "fast", sends: "a valid delivery", wants: "answers within a second", run: fast},
		{name: "duplicate", sends: "the same delivery twice, one after the other", wants: "answers 2xx both times, and acts once", run: duplicate},
		{name: "concurrent", sends: "the same delivery four times at once", wants: "answers 2xx each time, and acts once", run: concurrent},
		{name: "reordered", sends: "an older delivery after a newer one", wants: wantsAccepted, run: reordered},
		{name: "rotation", sends: "two signatures, of which the second matches", wants: wantsAccepted, run: rotation},
		{name: "raw-body", sends: "JSON with spaces, signed as it is; then JSON whose spaces were changed after signing", wants: "accepts the first, refuses the second", run: rawBody},
		{name: "unknown-type", sends: "an event of a type that nobody knows", wants: wantsAccepted, run: unknownType},
		{name: "missing-signature", sends: "a delivery without a signature", wants: wantsRefused, run: missingSignature},
		{name: "malformed-signature", sends: "a signature that is none", wants: wantsRefused, run: malformedSignature},
		{name: "wrong-key", sends: "a signature by another key", wants: wantsRefused, run: wrongKey},
		{name: "altered-body", sends: "a body with one byte changed after signing", wants: wantsRefused, run: alteredBody},
		{name: "other-id", sends: "the signature of another id", wants: wantsRefused, run: otherID},
		{name: "stale", sends: "a delivery that was signed ten minutes ago", wants: wantsRefused, run: stale},
		{name: "future", sends: "a delivery that was signed ten minutes ahead", wants: wantsRefused, run: future},
		{name: "content-type", sends: "a valid delivery as text/plain", wants: "accepts it, or refuses it with 4xx", run: contentType},
		{name: "large-body", sends: "a valid delivery of 1 MiB", wants: "accepts it, or answers 413", run: largeBody},
		{name: "slow-body", sends: "a valid delivery with a pause in the middle", wants: wantsAccepted, run: slowBody},
		{name: "keep-alive", sends: "two valid deliveries over one connection", wants: wantsAccepted, run: keepAlive},
		{name: "get", sends: "a GET, as browsers and monitors do", wants: "answers, but not with 5xx", unsigned: true, run: get},
		{name: "alive", sends: "a valid delivery after all that", wants: wantsAccepted, run: alive},
	}
}

// signed is a valid delivery of a fresh event.
func (w *world) signed(e event, at time.Time) (webhook.Request, error) {
	return w.signer.Sign(w.request(e), at)
}

// deliver sends one, and judges by whether it was accepted.
func (w *world) deliver(ctx context.Context, e event, otherwise string) (Result, string) {
	r, err := w.signed(e, w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	a := w.send(ctx, r)
	if !a.accepted() {
		return Fail, w.said(a) + otherwise
	}
	return Pass, fmt.Sprintf("answered %d in %s", a.status, round(a.took))
}

func unsignable(err error) (Result, string) {
	return Skip, "this cannot be signed: " + err.Error()
}

// said is how a sentence about an answer begins.
func (w *world) said(a answer) string {
	if a.err != nil {
		return w.why(a.err)
	}
	return fmt.Sprintf("answered %d", a.status)
}

// round is a duration as people read it; what took less than a millisecond took one.
func round(d time.Duration) time.Duration {
	return max(d.Round(time.Millisecond), time.Millisecond)
}

func valid(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return Fail, "it cannot be signed: " + err.Error() + "; give one of the provider's events with --body"
	}
	if w.verifier != nil && !w.accepts(r, w.o.Now()) {
		return Fail, "not sent: this is no event as the provider sends them; give one of its own with --body, and what else it needs with --param"
	}
	a := w.send(ctx, r)
	switch {
	case a.err != nil && isUnreachable(a.err):
		w.unreachable = a.err
		return Fail, "nobody answers there"
	case a.accepted():
		return Pass, fmt.Sprintf("answered %d in %s", a.status, round(a.took))
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusBadRequest:
		return Fail, w.said(a) + " to a valid delivery: does it have this secret, verify the raw body, and know this event? --event and --body send one of its own"
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		return Fail, w.said(a) + ": is this the path that takes POST requests?"
	case a.status/100 == 3:
		return Fail, w.said(a) + ": senders do not follow redirects; give them the final URL"
	}
	return Fail, w.said(a) + " to a valid delivery, so the sender would send it again and again: look into the receiver's log"
}

func fast(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	a := w.send(ctx, r)
	switch {
	case !a.accepted():
		return Fail, w.said(a) + ": keep the event and answer at once, and do the work afterwards"
	case a.took > time.Second:
		return Warn, fmt.Sprintf("answered after %s; the sender gives up at %s: keep the event, answer, and do the work afterwards", round(a.took), w.o.Timeout)
	}
	return Pass, fmt.Sprintf("answered in %s; the sender gives up at %s", round(a.took), w.o.Timeout)
}

func duplicate(ctx context.Context, w *world) (Result, string) {
	e := w.event()
	r, err := w.signed(e, w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	if a := w.send(ctx, r); !a.accepted() {
		return Fail, w.said(a) + " to the first of the two"
	}
	if a := w.send(ctx, r); !a.accepted() {
		return Fail, w.said(a) + " to a repeat, so the sender would go on sending it: answer 2xx to what was taken before"
	}
	return Pass, "accepted both times; that it acted once cannot be seen from here: look for one effect of " + e.id
}

func concurrent(ctx context.Context, w *world) (Result, string) {
	e := w.event()
	r, err := w.signed(e, w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	var answers [4]answer
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.send(ctx, r) })
	}
	all.Wait()
	for _, a := range answers {
		if !a.accepted() {
			return Fail, w.said(a) + " to one of four at once: let a unique key on the event's id decide who is first, and answer 2xx to the others"
		}
	}
	return Pass, "accepted each time; that it acted once cannot be seen from here: look for one effect of " + e.id
}

// apart is how much older the older delivery is: well within any tolerance.
const apart = 15 * time.Second

func reordered(ctx context.Context, w *world) (Result, string) {
	now := w.o.Now()
	older := event{id: freshID(), kind: w.o.Event, created: now.Add(-apart)}
	if result, means := w.deliver(ctx, w.event(), " to the newer of the two"); result != Pass {
		return result, means
	}
	r, err := w.signed(older, now.Add(-apart))
	if err != nil {
		return unsignable(err)
	}
	if a := w.send(ctx, r); !a.accepted() {
		return Fail, w.said(a) + " to the older one: order is not promised; take it, and ask the API for what is true now"
	}
	return Pass, "accepted; mind that it must not undo what the newer one did"
}

func rotation(ctx context.Context, w *world) (Result, string) {
	if w.rotating == nil {
		return Skip, "no second key can be made for this secret"
	}
	now := w.o.Now()
	r, err := w.rotating.Sign(w.request(w.event()), now)
	if err != nil {
		return unsignable(err)
	}
	if !w.accepts(r, now) {
		return Skip, "this scheme sends one signature only"
	}
	if a := w.send(ctx, r); !a.accepted() {
		return Fail, w.said(a) + ": while a secret is rotated there are several signatures; one that matches is enough"
	}
	return Pass, "accepted: rotating the secret will not lose anything"
}

func rawBody(ctx context.Context, w *world) (Result, string) {
	const advice = ": verify the bytes as they came, before they are parsed"
	now := w.o.Now()
	spaced := w.request(w.event())
	if spaced.Body = respaced(spaced.Body); spaced.Body == nil {
		return Skip, "the body is no JSON object"
	}
	r, err := w.signer.Sign(spaced, now)
	if err != nil {
		return unsignable(err)
	}
	if a := w.send(ctx, r); !a.accepted() {
		return Fail, w.said(a) + " to JSON with spaces that was signed as it is" + advice
	}
	forged, err := w.signed(w.event(), now)
	if err != nil {
		return unsignable(err)
	}
	if forged.Body = respaced(forged.Body); w.verifier == nil || w.accepts(forged, now) {
		return Pass, "accepted; a change of the spaces does not break this scheme's signature"
	}
	if a := w.send(ctx, forged); a.accepted() {
		return Fail, w.said(a) + " although the bytes are not those that were signed" + advice
	}
	return Pass, "verifies the bytes as they came"
}

func unknownType(ctx context.Context, w *world) (Result, string) {
	e := w.event()
	known := w.request(e)
	e.kind = "hark.check.unknown"
	if unknown := w.request(e); string(known.Body) == string(unknown.Body) && len(headersOf(w.provider.Type)) == 0 {
		return Skip, "this event does not say its type where this provider's events do"
	}
	return w.deliver(ctx, e, ": senders add types at any time; answer 2xx to those that you do not need")
}

func contentType(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	a := w.send(ctx, r)
	if a.accepted() || a.err == nil && a.status/100 == 4 {
		return Pass, w.said(a)
	}
	return Fail, w.said(a) + ": what it cannot read it should refuse with 415, not fall over"
}

func largeBody(ctx context.Context, w *world) (Result, string) {
	e := w.event()
	e.padding = 1 << 20
	unsigned := w.request(e)
	if len(unsigned.Body) < e.padding {
		return Skip, "the body is no JSON object that could be made larger"
	}
	r, err := w.signer.Sign(unsigned, w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	a := w.send(ctx, r)
	switch {
	case a.accepted() || a.err == nil && a.status == http.StatusRequestEntityTooLarge:
		return Pass, w.said(a)
	case a.err != nil:
		return Warn, w.why(a.err) + ": answer 413 to what is too large, so that the sender knows"
	case a.status/100 == 4:
		return Warn, w.said(a) + ": if it is too large say 413; a body that was cut off looks like a forged one"
	}
	return Fail, w.said(a) + ": a large body must not make it fall over; read up to a limit, and answer 413 beyond"
}

func slowBody(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	a := w.sendSlowly(ctx, r, w.o.Slow)
	switch {
	case a.accepted():
		return Pass, fmt.Sprintf("waited %s for the rest, and answered %d", w.o.Slow, a.status)
	case a.err == nil && a.status == http.StatusRequestTimeout:
		return Warn, fmt.Sprintf("answered 408 after a pause of %s: a slow network is no attack yet; give it some seconds", w.o.Slow)
	}
	return Fail, w.said(a) + fmt.Sprintf(" after a pause of %s in the body: read all of the body before you judge it", w.o.Slow)
}

func keepAlive(ctx context.Context, w *world) (Result, string) {
	w.transport.CloseIdleConnections()
	var last answer
	for range 2 {
		r, err := w.signed(w.event(), w.o.Now())
		if err != nil {
			return unsignable(err)
		}
		if last = w.send(ctx, r); !last.accepted() {
			return Fail, w.said(last) + ": a second request on a connection is as good as the first"
		}
	}
	if !last.reused {
		return Warn, "closed the connection after one delivery: every delivery then pays for a new one, with TLS"
	}
	return Pass, "accepted, over one connection"
}

func get(ctx context.Context, w *world) (Result, string) {
	a := w.send(ctx, webhook.Request{Method: http.MethodGet, URL: w.o.URL, Header: http.Header{"User-Agent": {"hark-check"}}})
	if a.err != nil || a.status/100 == 5 {
		return Fail, w.said(a) + ": anybody can send a GET; answer 405"
	}
	return Pass, w.said(a)
}

func alive(ctx context.Context, w *world) (Result, string) {
	return w.deliver(ctx, w.event(), ": it does not live any more after what was sent; look into its log for what stopped it")
}
