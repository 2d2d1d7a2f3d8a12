package webhook

import (
	"context"
	"net/http"
	"time"
)

// Answer is what to answer a request with.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Secret is one that the provider handed over with this request (Notion, Asana). Store it: what
	// comes after is signed with it. Whoever finds the URL first can hand over a secret, so let a
	// person confirm it, and take none once there is one.
	Secret string
}

// challenge answers a provider's handshake; nil when the request is none.
type challenge func(*Verifier, *call) *Answer

// Challenge answers the handshakes with which providers make sure of a receiver: echoes, signed
// tokens, confirmations. ok is false when the request is none, or when its signature is bad where
// the provider signs them: then Verify it. A request that was answered is no event.
func (v *Verifier) Challenge(ctx context.Context, r Request, now time.Time) (answer Answer, ok bool) {
	if v.provider.challenge == nil {
		return Answer{}, false
	}
	c := call{ctx: ctx, Request: &r, url: v.options.signedURL(r.URL), now: now, options: v.options.Options}
	if a := v.provider.challenge(v, &c); a != nil {
		return *a, true
	}
	return Answer{}, false
}

// Reply is how the provider wants a verified or refused event to be answered.
func (v *Verifier) Reply(verdict Verdict) Answer {
	if verdict.Outcome == Failed {
		status := v.provider.refuse
		if status == 0 {
			status = http.StatusUnauthorized
		}
		return Answer{Status: status}
	}
	r := v.provider.accept
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if secrets := v.options.Secrets; r.echo != "" && verdict.Secret >= 0 && verdict.Secret < len(secrets) {
		return *answerJSON(map[string]string{r.echo: secrets[verdict.Secret]})
	}
	a := Answer{Status: r.status, Body: []byte(r.body)}
	if r.kind != "" {
		a.Header = http.Header{"Content-Type": {r.kind}}
	}
	return a
}
