package webhook

import (
	"context"
	"strings"
	"testing"
	"time"
)

// BenchmarkProviders verifies 2 KiB of JSON by the commoner schemes.
func BenchmarkProviders(b *testing.B) {
	at := time.Unix(1764061200, 0)
	body := `{"id":"evt_1","type":"charge.succeeded","data":{"text":"` + strings.Repeat("x", 2048-60) + `"}}`
	for _, name := range []string{"github", "stripe", StandardWebhooks, "shopify", "slack", "paystack", "square", "twilio", "hubspot", "gitlab", "adyen"} {
		b.Run(name, func(b *testing.B) {
			secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
			text := body
			if name == "adyen" {
				secret, text = "abcdef", signingBodies["adyen"]
			}
			if name == "twilio" {
				text = "From=%2B1&Body=" + strings.Repeat("x", 2000)
			}
			o := Options{Secrets: []string{secret}}
			r := signedFor(b, name, o, Request{Method: "POST", URL: "https://example.com/in", Body: []byte(text)}, at)
			benchmark(b, name, o, r, at)
		})
	}
	for _, name := range []string{"discord", "sendgrid", "wise", "plaid", "fusionauth", "sns"} {
		b.Run(name, func(b *testing.B) {
			v := vectorOf(b, name)
			benchmark(b, name, v.options(), v.request(), v.now())
		})
	}
}

func benchmark(b *testing.B, name string, o Options, r Request, at time.Time) {
	v, err := NewVerifier(name, o)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if verdict := v.Verify(context.Background(), r, at); !verdict.OK() {
			b.Fatal(verdict.Detail)
		}
	}
}
