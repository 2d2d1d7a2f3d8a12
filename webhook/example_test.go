package webhook_test

import (
	"errors"
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
	verifier, _ := webhook.NewVerifier(key.Public())

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := verifier.VerifyRequest(r, time.Now())
		if err != nil {
			http.Error(w, "not ours", http.StatusUnauthorized)
			return
		}
		fmt.Printf("%s\n", body)
		w.WriteHeader(http.StatusNoContent)
	})

	for _, sent := range []string{`{"type":"invoice.paid"}`, `{"type":"invoice.refunded"}`} {
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
}

// With an ed25519 pair the receiver can verify but not sign.
func ExampleGenerateSigningKeyPair() {
	pair := webhook.GenerateSigningKeyPair()
	public, _ := webhook.ParseKey(pair.Public())
	fmt.Println(pair.Version(), pair.CanSign(), public.CanSign(), pair)
	// Output: v1a true false •••
}

// Errors say what to do: a message that is too old may be a replayed one, or a wrong clock.
func ExampleVerifier_Verify() {
	verifier, _ := webhook.NewVerifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	body := []byte(`{"test": 2432232314}`)

	fmt.Println(verifier.Verify(header, body, time.Unix(1614265330, 0)))
	err := verifier.Verify(header, body, time.Unix(1614265330, 0).Add(time.Hour))
	fmt.Println(errors.Is(err, webhook.ErrTooOld), err)
	// Output:
	// <nil>
	// true webhook timestamp too old: 1h0m0s
}
