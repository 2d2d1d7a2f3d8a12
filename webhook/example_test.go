package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

// A sender signs each attempt with every secret that is still valid, so that receivers can change
// secrets in their own time.
func ExampleSign() {
	current, _ := webhook.ParseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	body := []byte(`{"test": 2432232314}`)
	header := webhook.Sign([]webhook.Key{current}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), body)
	fmt.Println(header.Get("webhook-signature"))
	// Output: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
}

// A receiver verifies the raw body before it parses it.
func ExampleVerifier_VerifyRequest() {
	key := webhook.GenerateKey()
	verifier, _ := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{key.Public()}, MaxBody: 1 << 10})

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := verifier.VerifyRequest(r, time.Now())
		if err != nil {
			http.Error(w, "not accepted", verifier.Status(err)) // 401, or 413 for what is too large to be looked at
			return
		}
		fmt.Printf("%s\n", body)
		w.WriteHeader(http.StatusNoContent)
	})

	for _, sent := range []string{`{"type":"invoice.paid"}`, `{"type":"invoice.refunded"}`, strings.Repeat(" ", 2000)} {
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(sent))
		r.Header = webhook.Sign([]webhook.Key{key}, "msg_1", time.Now(), []byte(`{"type":"invoice.paid"}`))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// {"type":"invoice.paid"}
	// 204
	// 401
	// 413
}

// With an ed25519 pair the receiver can verify but not sign.
func ExampleGenerateSigningKeyPair() {
	pair := webhook.GenerateSigningKeyPair()
	public, _ := webhook.ParseKey(pair.Public())
	fmt.Println(pair.Version(), pair.CanSign(), public.CanSign(), pair)
	// Output: v1a true false •••
}

// Causes are for programs, details for people: a message that is too old may be a replayed one, or
// a wrong clock.
func ExampleVerifier_Verify() {
	verifier, _ := webhook.NewVerifier("stripe", webhook.Options{Secrets: []string{"whsec_test"}})
	signer, _ := webhook.NewSigner("stripe", webhook.Options{Secrets: []string{"whsec_test"}})
	at := time.Unix(1614265330, 0)
	request, _ := signer.Sign(webhook.Request{Body: []byte(`{"id":"evt_1","type":"charge.succeeded"}`)}, at)

	verdict := verifier.Verify(context.Background(), request, at)
	fmt.Println(verdict.Outcome, verdict.ID, verdict.Type)
	verdict = verifier.Verify(context.Background(), request, at.Add(time.Hour))
	fmt.Println(verdict.Cause == webhook.ErrTooOld, verdict.Detail)
	// Output:
	// verified evt_1 charge.succeeded
	// true the timestamp is 1h0m0s old, and only 5m0s are tolerated
}
