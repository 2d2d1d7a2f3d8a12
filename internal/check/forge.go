package check

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/harkhq/hark/webhook"
)

// refused sends a forgery, and judges by whether it was refused. A scheme that would let it through
// is not asked.
func (w *world) refused(ctx context.Context, r webhook.Request, scheme, accepted string) (Result, string) {
	if w.accepts(r, w.o.Now()) {
		return Skip, scheme
	}
	a := w.send(ctx, r)
	switch {
	case a.err != nil:
		return Warn, w.why(a.err) + ": refuse a forgery with 401, so that it is told from a failure"
	case a.status/100 == 2:
		return Fail, w.said(a) + ": " + accepted
	case a.status/100 == 5:
		return Warn, w.said(a) + " instead of 401: a sender takes that for a failure, and sends it again for days"
	case a.status == http.StatusTooManyRequests:
		return Warn, "answered 429, which says nothing about the signature: check again without the rate limit"
	case a.status == http.StatusGone:
		return Warn, "answered 410, which some senders take for a wish to get nothing more: answer 401"
	case a.status/100 == 4:
		return Pass, w.said(a)
	}
	return Warn, w.said(a) + " instead of 401: senders take a redirect for a failure"
}

// signatureHeaders are those that differ when another key signs; if there is no other, those that
// signing adds.
func (w *world) signatureHeaders() (names []string, signed webhook.Request, err error) {
	now := w.o.Now()
	given := w.request(w.event())
	if signed, err = w.signer.Sign(given, now); err != nil {
		return nil, signed, err
	}
	compared := given.Header
	if w.other != nil {
		if by, err := w.other.Sign(given, now); err == nil {
			compared = by.Header
		}
	}
	for name, values := range signed.Header {
		if !slices.Equal(values, compared[name]) {
			names = append(names, name)
		}
	}
	return names, signed, nil
}

func missingSignature(ctx context.Context, w *world) (Result, string) {
	names, r, err := w.signatureHeaders()
	if err != nil {
		return unsignable(err)
	}
	if len(names) == 0 { // it stands in the body, or in the URL
		r = w.request(w.event())
	}
	for _, name := range names {
		r.Header.Del(name)
	}
	return w.refused(ctx, r, "this scheme does not need one",
		"anybody who knows the URL can send it events; verify every request, also one without a signature")
}

func malformedSignature(ctx context.Context, w *world) (Result, string) {
	names, r, err := w.signatureHeaders()
	if err != nil {
		return unsignable(err)
	}
	if len(names) == 0 {
		return Skip, "this scheme's signature stands in no header"
	}
	for _, name := range names {
		r.Header.Set(name, "not-a-signature")
	}
	return w.refused(ctx, r, "this scheme does not look at it",
		"what cannot be read as a signature must be refused, not passed over")
}

func wrongKey(ctx context.Context, w *world) (Result, string) {
	if w.other == nil {
		return Skip, "no other key can be made for this secret"
	}
	r, err := w.other.Sign(w.request(w.event()), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	return w.refused(ctx, r, "this scheme cannot tell",
		"it looks whether there is a signature, not whether it is right; compare it, in constant time, with your own")
}

func alteredBody(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	r.Body = altered(r.Body)
	return w.refused(ctx, r, "this scheme does not sign the body",
		"the signature must be computed over the body that came; otherwise one captured request lets anything in")
}

func otherID(ctx context.Context, w *world) (Result, string) {
	r, err := w.signed(w.event(), w.o.Now())
	if err != nil {
		return unsignable(err)
	}
	for _, name := range []string{webhook.HeaderID, "Svix-Id"} {
		if r.Header.Get(name) != "" {
			r.Header.Set(name, freshID())
		}
	}
	return w.refused(ctx, r, "this scheme signs no id beside the body",
		"the id must be a part of what is signed; otherwise a captured request can be sent again as a new one")
}

// off is how far a timestamp is wrong: twice what most providers tolerate.
const off = 10 * time.Minute

func stale(ctx context.Context, w *world) (Result, string) { return w.signedAt(ctx, -off) }

func future(ctx context.Context, w *world) (Result, string) { return w.signedAt(ctx, off) }

func (w *world) signedAt(ctx context.Context, from time.Duration) (Result, string) {
	const scheme = "this scheme has no timestamp, or tolerates ten minutes"
	if w.verifier == nil || !w.verifies() {
		return Skip, scheme
	}
	at := w.o.Now().Add(from)
	r, err := w.signed(event{id: freshID(), kind: w.o.Event, created: at}, at)
	if err != nil {
		return unsignable(err)
	}
	return w.refused(ctx, r, scheme,
		"a captured request can be sent again whenever somebody likes; refuse timestamps more than five minutes from now, either way")
}

// verifies says whether the library can judge this provider with what it has: of a public-key scheme
// it holds the private key only.
func (w *world) verifies() bool {
	now := w.o.Now()
	r, err := w.signed(w.event(), now)
	return err == nil && w.accepts(r, now)
}
