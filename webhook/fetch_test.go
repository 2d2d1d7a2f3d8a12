package webhook

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// counting is a Client that answers from memory and writes down what it was asked.
type counting struct {
	files
	asked []string
	err   error
	host  string // where a redirect led
}

func (c *counting) Do(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r.Method+" "+r.URL.String())
	if c.err != nil {
		return nil, c.err
	}
	response, err := c.files.Do(r)
	if c.host != "" {
		at := *r
		at.URL = &url.URL{Scheme: "https", Host: c.host}
		response.Request = &at
	}
	return response, err
}

func vectorOf(t testing.TB, name string) vector {
	t.Helper()
	for _, v := range readVectors(t) {
		if v.Provider == name && v.Valid {
			return v
		}
	}
	t.Fatalf("no vector for %s", name)
	return vector{}
}

func TestFetch_CertificatesAreKept(t *testing.T) {
	for _, name := range []string{"sns", "paypal"} {
		v := vectorOf(t, name)
		client := &counting{files: files(v.Fetched)}
		o := v.options()
		o.Client = client
		verifier, err := NewVerifier(name, o)
		if err != nil {
			t.Fatal(err)
		}
		verify := func(after time.Duration) Verdict {
			return verifier.Verify(context.Background(), v.request(), v.now().Add(after))
		}
		for range 3 {
			if got := verify(0); got.Outcome != Verified {
				t.Fatalf("%s: %+v", name, got)
			}
		}
		if len(client.asked) != 1 {
			t.Errorf("%s: asked for %v, want once", name, client.asked)
		}
		client.err = errors.New("the network is down")
		if got := verify(23 * time.Hour); got.Outcome != Verified {
			t.Errorf("%s: %+v although the certificate is kept for a day", name, got)
		}
		if got := verify(25 * time.Hour); got.Outcome != Unverifiable || got.Cause != ErrKeyFetch {
			t.Errorf("%s: %+v, want unverifiable", name, got)
		}
		asked := len(client.asked)
		verify(25*time.Hour + time.Second)
		if len(client.asked) != asked {
			t.Errorf("%s: a failure must not be asked for again at once", name)
		}
		client.err = nil
		if got := verify(25*time.Hour + 2*time.Minute); got.Outcome != Verified {
			t.Errorf("%s: %+v once the network is back", name, got)
		}
	}
}

func TestFetch_OnlyFromTheProvidersHosts(t *testing.T) {
	for name, addresses := range map[string][]string{
		"sns": {
			"http://sns.us-east-1.amazonaws.com/a.pem", "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
			"https://evil.example/sns.us-east-1.amazonaws.com/a.pem", "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
			"https://sns.us-east-1.amazonaws.com:444/a.pem", "https://sns.us-east-1.amazonaws.com/a.pem?x", "https://sns.us-east-1.amazonaws.com/a.pem#x",
			"https://sns.us-east-1.amazonaws.com/../a.pem", "https://sns.us-east-1.amazonaws.com/a.txt", "https://127.0.0.1/a.pem", "file:///etc/passwd", "",
			"https://snsXus-east-1.amazonaws.com/a.pem", "https://sns.us-east-1.amazonaws.com\t/a.pem",
		},
		"paypal": {
			"https://api.paypal.com.evil.example/v1/notifications/certs/a", "http://api.paypal.com/v1/notifications/certs/a",
			"https://api.paypal.com/v1/other/a", "https://evil.example/?https://api.paypal.com/v1/notifications/certs/a", "https://apiXpaypal.com/v1/notifications/certs/a",
		},
	} {
		v := vectorOf(t, name)
		for _, address := range addresses {
			client := &counting{files: files{}}
			o := v.options()
			o.Client = client
			r := v.request()
			if name == "sns" {
				r.Body = []byte(strings.Replace(v.Body, "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem", strings.ReplaceAll(address, "\t", `\t`), 1))
			} else {
				r.Header.Set("Paypal-Cert-Url", address)
			}
			if got := verdictOf(t, name, o, r, v.now()); got.Outcome != Failed || len(client.asked) > 0 {
				t.Errorf("%s: %q gave %+v and was asked for: %v", name, address, got, client.asked)
			}
		}
	}
}

func TestFetch_RefusesOddAnswers(t *testing.T) {
	v := vectorOf(t, "sns")
	address := "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem"
	for what, client := range map[string]*counting{
		"not found":      {files: files{}},
		"no certificate": {files: files{address: "<html>"}},
		"half of one":    {files: files{address: v.Fetched[address][:300]}},
		"too much":       {files: files{address: strings.Repeat("x", maxFetched+1)}},
		"a redirect":     {files: files(v.Fetched), host: "evil.example"},
		"no network":     {err: errors.New("down")},
	} {
		o := v.options()
		o.Client = client
		if got := verdictOf(t, "sns", o, v.request(), v.now()); got.Outcome != Unverifiable || got.Cause != ErrKeyFetch || got.ID != "m-1" || got.IDSigned {
			t.Errorf("%s: %+v, want unverifiable", what, got)
		}
	}
	o := v.options()
	if got := verdictOf(t, "sns", o, v.request(), v.now().AddDate(20, 0, 0)); got.Outcome != Failed {
		t.Errorf("a certificate that is not valid any more: %+v", got)
	}
	o.Client = nil
	if got := verdictOf(t, "sns", o, v.request(), v.now()); got.Outcome != Unverifiable {
		t.Errorf("without a client: %+v", got)
	}
	o.Client, o.Params = files(v.Fetched), map[string]string{"topic": "arn:another"}
	if got := verdictOf(t, "sns", o, v.request(), v.now()); got.Cause != ErrClaim {
		t.Errorf("another topic: %+v", got)
	}
}

// keySet writes public keys as a JWK set.
func keySet(t *testing.T, keys map[string]crypto.PublicKey) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for kid, key := range keys {
		k := jwk{ID: kid, Use: "sig"}
		switch key := key.(type) {
		case *rsa.PublicKey:
			k.Type, k.N, k.E = "RSA", enc(key.N.Bytes()), enc(big.NewInt(int64(key.E)).Bytes())
		case *ecdsa.PublicKey:
			point, err := key.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			k.Type, k.Curve, k.X, k.Y = "EC", "P-256", enc(point[1:33]), enc(point[33:])
		case ed25519.PublicKey:
			k.Type, k.Curve, k.X = "OKP", "Ed25519", enc(key)
		}
		set.Keys = append(set.Keys, k)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFetch_KeySetsByName(t *testing.T) {
	for name, where := range map[string]struct {
		address string
		params  map[string]string
	}{
		"gcp-pubsub":       {googleKeys, map[string]string{"email": "push@p.iam.gserviceaccount.com"}},
		"kinde":            {"https://me.kinde.com/.well-known/jwks", map[string]string{"issuer": "https://me.kinde.com"}},
		"neon":             {"https://auth.neon.example/jwks.json", map[string]string{"jwks_url": "https://auth.neon.example/jwks.json"}},
		"constant-contact": {"https://developer.constantcontact.com/.well-known/jwks.json", nil},
		"fireblocks":       {"https://keys.fireblocks.io/.well-known/jwks.json", nil},
	} {
		v := vectorOf(t, name)
		var algorithmOfKey *algorithm
		if algorithmOfKey = algorithmOf("rsa-sha256"); name == "neon" {
			algorithmOfKey = algorithmOf("ed25519")
		}
		key, err := parsePublicKey(algorithmOfKey, v.Secret)
		if err != nil {
			t.Fatal(err)
		}
		kid := map[string]string{"fireblocks": "webhook-key-2025-01", "constant-contact": ""}[name]
		if kid == "" && name != "constant-contact" {
			kid = "k1"
		}
		client := &counting{files: files{where.address: `{"keys":[]}`}}
		o := Options{Params: where.params, Client: client}
		verifier, err := NewVerifier(name, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := verifier.Verify(context.Background(), v.request(), v.now()); got.Outcome != Failed {
			t.Errorf("%s: %+v without the key in the set", name, got)
		}
		client.files[where.address] = keySet(t, map[string]crypto.PublicKey{kid: key})
		before := len(client.asked)
		if got := verifier.Verify(context.Background(), v.request(), v.now()); got.Outcome != Failed || len(client.asked) != before {
			t.Errorf("%s: %+v; a set must not be asked for twice within a minute", name, got)
		}
		got := verifier.Verify(context.Background(), v.request(), v.now().Add(2*time.Minute))
		if !got.OK() || got.Secret != -1 {
			t.Errorf("%s: %+v once the key is in the set", name, got)
		}
	}
}

func TestFetch_KeysOneByOne(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		answer  func(v vector) string
		params  map[string]string
	}{
		"circle": {"https://api.circle.com/v2/notifications/publicKey/879dc113-5ca4-4ff7-a6b7-54652083fcf8",
			func(v vector) string { return `{"data":{"publicKey":"` + v.Secret + `"}}` }, map[string]string{"api_key": "k"}},
		"ebay": {"https://api.ebay.com/commerce/notification/v1/public_key/9936261a-7d7b-4621-a0f1-964946",
			func(v vector) string {
				return `{"key":"` + strings.ReplaceAll(strings.TrimSpace(v.Secret), "\n", "") + `","algorithm":"ECDSA","digest":"SHA1"}`
			}, map[string]string{"access_token": "t"}},
		"plaid": {"https://sandbox.plaid.com/webhook_verification_key/get", func(v vector) string {
			key, err := parsePublicKey(algorithmOf("ecdsa-sha256"), v.Secret)
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []json.RawMessage }
			if err := json.Unmarshal([]byte(keySet(t, map[string]crypto.PublicKey{"k": key})), &set); err != nil {
				t.Fatal(err)
			}
			return `{"key":` + string(set.Keys[0]) + `}`
		}, map[string]string{"environment": "sandbox"}},
	} {
		v := vectorOf(t, name)
		client := &counting{files: files{c.address: c.answer(v)}}
		if got := verdictOf(t, name, Options{Params: c.params, Client: client}, v.request(), v.now()); got.Outcome != Verified {
			t.Errorf("%s: %+v; asked for %v", name, got, client.asked)
		}
		if got := verdictOf(t, name, Options{Params: c.params, Client: &counting{files: files{}}}, v.request(), v.now()); got.Outcome != Unverifiable {
			t.Errorf("%s: %+v, want unverifiable without an answer", name, got)
		}
	}
}

// A token's own word about its algorithm must not turn a public key into an HMAC secret.
func TestJWS_AlgorithmIsPinned(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v := vectorOf(t, "plaid")
	claimsOf := func() string {
		token := strings.Split(v.Headers["Plaid-Verification"], ".")
		return token[1]
	}
	enc := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":"ES256","crit":["exp"]}`, `{"alg":"ES256","alg":"none"}`, `{"alg":"es256"}`, `{}`} {
		input := enc([]byte(header)) + "." + claimsOf()
		mac, err := (jwsAlgorithm{algorithm: algorithmOf("hmac-sha256")}).signJWS([]byte(v.Secret), []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		own, err := (jwsAlgorithm{algorithmOf("ecdsa-sha256"), elliptic.P256()}).signJWS(private, []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		for _, signature := range []string{"", enc(mac), enc(own)} {
			r := v.request()
			r.Header.Set("Plaid-Verification", input+"."+signature)
			if got := verdictOf(t, "plaid", v.options(), r, v.now()); got.OK() {
				t.Errorf("%s with signature %.10s: %+v", header, signature, got)
			}
		}
	}
}
