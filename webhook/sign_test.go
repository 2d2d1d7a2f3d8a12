package webhook

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// signingBodies are, for providers that sign inside the body, a body of the right form.
var signingBodies = map[string]string{
	"adyen":           `{"live":"false","notificationItems":[{"NotificationRequestItem":{"amount":{"currency":"EUR","value":1000},"eventCode":"AUTHORISATION","merchantAccountCode":"m","merchantReference":"r:1","pspReference":"p","success":"true"}}]}`,
	"mailgun":         `{"event-data":{"id":"e1","event":"opened"}}`,
	"dropbox-sign":    `{"event":{"event_type":"signature_request_sent"}}`,
	"paddle-classic":  "alert_id=1&alert_name=payment_succeeded",
	"alipay":          "notify_id=1&notify_type=trade_status_sync",
	"microsoft-graph": `{"value":[{"id":"a"},{"id":"b"}]}`,
	"sharepoint":      `{"value":[{"resource":"a"}]}`,
	"sns":             `{"Type":"Notification","MessageId":"m1","TopicArn":"arn:x","Message":"hello"}`,
	"favro":           `{"payloadId":"p1"}`,
	"orum":            `{"created_at":"2025-11-25T09:00:00Z"}`,
	"linear":          `{"webhookTimestamp":1764061200000}`,
	"mandrill":        "mandrill_events=%5B%5D&x=1",
	"twilio":          "To=%2B18005551212&From=1&Body=a+b",
	"plivo-v3":        "To=1&From=2",
}

// signingKeys are pairs of secrets to sign and to verify with, of every kind that there is.
func signingKeys(t *testing.T) [][2]string {
	t.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public, d, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	keys := [][2]string{
		{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{"DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00", "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"},
		{"user:password", "user:password"},
		{hex.EncodeToString(d.Seed()), hex.EncodeToString(public)},
	}
	for _, key := range []crypto.Signer{r, e} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, [2]string{
			string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		})
	}
	return keys
}

// publicKeys matches schemes that are verified with another key than they are signed with.
var publicKeys = regexp.MustCompile(`^(ed25519|ecdsa|rsa)|JWS (RS|ES|EdDSA)`)

func TestSign_EveryProviderVerifiesWhatItsSignerMade(t *testing.T) {
	keys := signingKeys(t)
	at := time.Date(2025, 11, 25, 9, 0, 0, 0, time.UTC)
	cannot := []string{}
	for _, p := range Providers() {
		o := Options{Params: map[string]string{"public_key": "pk_1", "webhook_id": "WH-1", "email": "a@b.c", "audience": "https://me"}}
		body := signingBodies[p.Name]
		if body == "" {
			body = `{"id":"evt_1","type":"x"}`
		}
		r := Request{Method: http.MethodPost, URL: "https://example.com/in/x?a=1", Body: []byte(body), Header: http.Header{"Content-Type": {"x"}}}
		if p.Name == "plivo-v3" {
			r.Header.Set("X-Plivo-Signature-V3-Nonce", "12345")
		}
		if p.Name == "contentful" {
			r.Header.Set("X-Contentful-Signed-Headers", "x-contentful-signed-headers,x-contentful-timestamp")
		}
		signed := false
		for _, pair := range keys {
			if (pair[0] != pair[1]) != publicKeys.MatchString(p.Scheme) {
				continue
			}
			o.Secrets = []string{pair[0]}
			signer, err := NewSigner(p.Name, o)
			if err != nil {
				continue // a key of another kind
			}
			out, err := signer.Sign(r, at)
			if err != nil {
				t.Errorf("%s: %v", p.Name, err)
				continue
			}
			o.Secrets = []string{pair[1]}
			verifier, err := NewVerifier(p.Name, o)
			if err != nil {
				t.Errorf("%s: signed with a key that does not verify: %v", p.Name, err)
				continue
			}
			signed = true
			if verdict := verifier.Verify(context.Background(), out, at.Add(time.Second)); !verdict.OK() {
				t.Errorf("%s: refused what was signed for it: %s", p.Name, verdict.Detail)
			}
			if len(r.Header) > 2 || string(r.Body) != body {
				t.Errorf("%s: the signer changed what it was given", p.Name)
			}
		}
		if !signed {
			cannot = append(cannot, p.Name)
		}
	}
	want := []string{"azure-event-grid", "cloudevents", "mailchimp", "mollie-classic", "salesforce", "strava"}
	if !slices.Equal(cannot, want) {
		t.Errorf("no signer for %v, want %v: they do not sign", cannot, want)
	}
}

func TestSign_WithSeveralSecretsEitherVerifies(t *testing.T) {
	at := time.Unix(1764061200, 0)
	for _, name := range []string{"stripe", "pagerduty", "paddle", "box", "docusign", "hookdeck", StandardWebhooks} {
		secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + strings.Repeat("A", 32)}
		signer, err := NewSigner(name, Options{Secrets: secrets})
		if err != nil {
			t.Fatal(err)
		}
		out, err := signer.Sign(Request{Body: []byte("{}")}, at)
		if err != nil {
			t.Fatal(err)
		}
		for i, secret := range secrets {
			for _, all := range [][]string{{secret}, {"whsec_" + strings.Repeat("B", 32), secret}} {
				v, err := NewVerifier(name, Options{Secrets: all})
				if err != nil {
					t.Fatal(err)
				}
				if verdict := v.Verify(context.Background(), out, at); verdict.Outcome != Verified || verdict.Secret != len(all)-1 {
					t.Errorf("%s, secret %d: %s by %d, want %d", name, i, verdict.Outcome, verdict.Secret, len(all)-1)
				}
			}
		}
	}
}

func TestNewSigner_Refuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		want    error
	}{
		{"nobody", Options{Secrets: []string{"x"}}, ErrProvider},
		{"mailchimp", Options{Secrets: []string{"x"}}, ErrProvider},
		{"github", Options{}, ErrKey},
		{"adyen", Options{Secrets: []string{"not hex"}}, ErrKey},
		{"discord", Options{Secrets: []string{"short"}}, ErrKey},
		{"solidgate", Options{Secrets: []string{"x"}}, ErrProvider},
	} {
		if _, err := NewSigner(c.name, c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestNewSchemeSigner_MakesWhatTheSchemesVerifierAccepts(t *testing.T) {
	at := time.Unix(1764061200, 0)
	for name, s := range map[string]Scheme{
		"a body":         {Algorithm: "hmac-sha512", Signed: "{body}", Header: "X-Signature"},
		"a list":         {Algorithm: "hmac-sha256", Signed: "{timestamp}.{body}", Header: "X-Signature", Separator: ",", Prefix: "v1=", Timestamp: "t="},
		"two headers":    {Algorithm: "hmac-sha256", Signed: "{header:X-Id}.{timestamp}.{body}", Header: "X-Signature", Timestamp: "X-Timestamp", Unit: "ms", Encoding: "base64"},
		"a nonce":        {Algorithm: "hmac-sha256", Signed: "{body}{timestamp}", Header: "X-Signature", Separator: ",", Prefix: "s=", Timestamp: "n=", Unit: "nonce"},
		"method and URL": {Algorithm: "hmac-sha1", Signed: "{method}{url}{body}", Header: "X-Signature", Encoding: "HEX"},
		"a plain hash":   {Algorithm: "sha256", Signed: "{secret}{body}", Header: "X-Signature", Prefix: "sha256="},
		"a token":        {Algorithm: "token", Header: "X-Token", Prefix: "Bearer "},
		"a password":     {Algorithm: "basic"},
	} {
		o := Options{Secrets: []string{"user:a secret of some length"}}
		signer, err := NewSchemeSigner(s, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in := Request{Method: "POST", URL: "https://example.com/in?a=1", Body: []byte(`{"n":1}`)}
		out, err := signer.Sign(in, at)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if in.Header != nil {
			t.Errorf("%s: the request was changed: %v", name, in.Header)
		}
		v, err := NewSchemeVerifier(s, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := Verified
		if s.Signed == "" {
			want = Authenticated
		}
		if got := v.Verify(context.Background(), out, at); got.Outcome != want {
			t.Errorf("%s: %s (%s), want %s", name, got.Outcome, got.Detail, want)
		}
		if out.Body = []byte(`{"n":2}`); want == Verified && v.Verify(context.Background(), out, at).OK() {
			t.Errorf("%s: another body was accepted", name)
		}
	}
}

func TestNewSchemeSigner_Refuses(t *testing.T) {
	good := Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X"}
	for name, c := range map[string]struct {
		scheme Scheme
		o      Options
		want   error
	}{
		"no secret":        {good, Options{}, ErrKey},
		"no header":        {Scheme{Algorithm: "hmac-sha256", Signed: "{body}"}, Options{Secrets: []string{"x"}}, ErrProvider},
		"signs nothing":    {Scheme{Algorithm: "hmac-sha256", Header: "X"}, Options{Secrets: []string{"x"}}, ErrProvider},
		"a public key":     {Scheme{Algorithm: "ed25519", Signed: "{body}", Header: "X"}, Options{Secrets: []string{"x"}}, ErrKey},
		"key is not hex":   {Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", Key: "hex"}, Options{Secrets: []string{"x"}}, ErrKey},
		"no such encoding": {Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", Encoding: "base32"}, Options{Secrets: []string{"x"}}, ErrProvider},
	} {
		if _, err := NewSchemeSigner(c.scheme, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	s, err := NewSchemeSigner(Scheme{Algorithm: "ip"}, Options{Secrets: []string{"192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(Request{}, time.Unix(0, 0)); !errors.Is(err, ErrProvider) {
		t.Errorf("an address was signed: %v", err)
	}
}
