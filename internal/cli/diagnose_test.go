package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/webhook"
)

func TestVerify_SaysHowABodyWasWrittenAgain(t *testing.T) {
	const pretty = "{\n  \"a\": 1.0,\n  \"b\": [\n    \"x/y\",\n    \"\u00e9 \U0001f600\",\n    \"it: a, \\\"b\\\"\"\n  ]\n}"
	const compact = `{"a":1.0,"b":["x/y","é 😀","it: a, \"b\""]}`
	compactText := strings.NewReplacer(`\u00e9`, "\u00e9", `\U0001f600`, "\U0001f600").Replace(compact)
	for _, tt := range []struct{ name, signed, came, want string }{
		{"JSON.stringify", pretty, compactText, "indented by two spaces"},
		{"Python", `{"a": 1.0, "b": ["x/y", "\u00e9 \ud83d\ude00", "it: a, \"b\""]}`, pretty, "with a space behind each comma and colon, with its letters outside ASCII escaped"},
		{"PHP", `{"a":1.0,"b":["x\/y","\u00e9 \ud83d\ude00","it: a, \"b\""]}`, compactText, "with slashes and letters outside ASCII escaped"},
		{"plain again", compactText, `{"a":1.0,"b":["x\/y","\u00e9 \ud83d\ude00","it: a, \"b\""]}`, "with nothing escaped that need not be"},
		{"Go", `{"a":"\u003cb\u003e"}`, `{"a":"<b>"}`, "with <, > and & escaped"},
		{"order", `{"a":1,"b":2.50}`, `{"b":2.50,"a":1}`, "with its keys sorted"},
		{"encoded twice", `{"a":1}`, `"{\"a\":1}"`, "encoded twice"},
		{"Latin-1", `{"a":"` + "\u00e9" + `"}`, `{"a":"` + "\u00c3\u00a9" + `"}`, "read as Latin-1"},
		{"byte order mark", `{"a":1}`, "\ufeff" + `{"a":1}`, "byte order mark"},
		{"no JSON", `a`, `b`, "does not match"},
		{"broken JSON", `{"a`, `{"a":"\`, "does not match"},
	} {
		now := time.Unix(1_700_000_000, 0)
		o := webhook.Options{Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
		signer, err := webhook.NewSigner(webhook.StandardWebhooks, o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := signer.Sign(webhook.Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(tt.signed)}, now)
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := webhook.NewVerifier(webhook.StandardWebhooks, o)
		if err != nil {
			t.Fatal(err)
		}
		r.Body = []byte(tt.came)
		c := verifyCmd{Signature: Signature{Provider: webhook.StandardWebhooks, Secret: config.Secret(o.Secrets[0])}}
		if got := c.explain(verifier.Verify(t.Context(), r, now), o, r, now); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %q", tt.name, got, tt.want)
		}
	}
}
