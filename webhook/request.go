package webhook

import (
	"net/http"
	"net/netip"
	"time"
)

// Request is an inbound webhook as it came. Everything in it is hostile until a Verdict says
// otherwise.
type Request struct {
	Method string
	// URL is what the provider calls, with scheme, host, path and query: some sign it. Behind a
	// proxy it differs from what the server sees; Options.URL puts that right.
	URL string
	// Header has canonical names, as net/http makes them.
	Header http.Header
	// Body is raw: a body that was parsed and written again has another signature.
	Body []byte
	// Remote is who called, for schemes that go by address. It may be left out.
	Remote netip.Addr
}

// Outcome is what became of a verification.
type Outcome string

// The outcomes. The zero Outcome is none.
const (
	// Verified: a signature binds the body (or what Verdict names) to a secret or key.
	Verified Outcome = "verified"
	// Authenticated: the caller knows a shared token or comes from a known address, but nothing
	// binds the body to it.
	Authenticated Outcome = "authenticated"
	// Failed: Verdict.Cause says why. Answer 401 and do nothing.
	Failed Outcome = "failed"
	// Unverifiable: this provider does not sign, or its key could not be fetched. Keep the request.
	Unverifiable Outcome = "unverifiable"
	// NotConfigured: there is no secret to verify with.
	NotConfigured Outcome = "not configured"
)

// Verdict is the answer of a Verifier.
type Verdict struct {
	Outcome Outcome
	// Cause and Detail say why a request was not accepted; Detail is a sentence for people and
	// never holds a secret.
	Cause  Cause
	Detail string
	// Secret is which secret matched, as an index into Options.Secrets; -1 for none. It may be there when
	// Verify failed: one of them made the signature, at another time than is tolerated.
	Secret int

	// ID is the provider's own id of the event, the same on every attempt; empty when it has none.
	// A request with several events has an ID only if the provider gives the request one.
	ID string
	// IDSigned says that the signature covers ID. If not, somebody with a captured request can
	// change it: a key against duplicates must then include the body.
	IDSigned bool
	// Type is the provider's name for what happened. TypeSigned says that the signature covers it.
	Type       string
	TypeSigned bool
	// Timestamp is when the provider signed; zero if it does not say, or does not sign it.
	Timestamp time.Time
}

// OK says that the request may be acted upon as far as its provider makes that possible.
func (v Verdict) OK() bool { return v.Outcome == Verified || v.Outcome == Authenticated }

// Err is nil for a Verdict that is OK, and otherwise an error that wraps Cause.
func (v Verdict) Err() error {
	if v.OK() {
		return nil
	}
	return &refusal{v}
}

// refusal is a Verdict as an error.
type refusal struct{ verdict Verdict }

func (e *refusal) Error() string { return e.verdict.Detail }
func (e *refusal) Unwrap() error { return e.verdict.Cause }

// Cause is why a request was not accepted: a code for programs. It is an error, so that
// errors.Is(verdict.Err(), webhook.ErrTooOld) works.
type Cause string

// Error names the cause.
func (c Cause) Error() string { return "webhook " + string(c) }

// The causes.
const (
	ErrMissingHeader    Cause = "signature missing"
	ErrMalformed        Cause = "signature malformed"
	ErrTooOld           Cause = "timestamp too old"
	ErrTooNew           Cause = "timestamp too new"
	ErrNoSignatureMatch Cause = "signature does not match"
	ErrWrongToken       Cause = "token does not match"
	ErrClaim            Cause = "token is not for this receiver"
	ErrBodyTooLarge     Cause = "body too large"
	// ErrKeyFetch comes with Unverifiable: the key that the request names could not be had now.
	ErrKeyFetch Cause = "key not fetched"
	// ErrUnsigned comes with Unverifiable: this provider does not sign.
	ErrUnsigned Cause = "provider does not sign"
	// ErrNoSecret comes with NotConfigured.
	ErrNoSecret Cause = "no secret configured"
)
