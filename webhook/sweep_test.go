package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// unsignedHeaders are in vectors, but outside any signature.
var unsignedHeaders = []string{
	"Content-Type", "Box-Delivery-Id", "Box-Signature-Algorithm", "Box-Signature-Secondary", "Box-Signature-Version",
	"X-Hubspot-Signature-Version", "Linear-Delivery", "Linear-Event", "X-Neon-Signature-Kid", "X-Amz-Sns-Message-Type",
	"X-Circle-Key-Id", "X-Ebay-Signature",
}

// signedParts are, for providers that sign parts of a body, what these parts begin with.
var signedParts = map[string][]string{
	"adyen":           {`hmacSignature":"`, `"value":`, `"currency":"`, `"eventCode":"`, `"pspReference":"`},
	"mailgun":         {`"timestamp": "`, `"token": "`, `"signature": "`},
	"dropbox-sign":    {`event_hash%22%3A+%22`, `event_type%22%3A+%22`},
	"microsoft-graph": {`"clientState": "`},
	"sharepoint":      {`"clientState": "`},
	"braintree":       {`pk_1%7C`, `bt_payload=`},
	"sns":             {`"Signature": "`, `"Message": "`, `"MessageId": "`, `"TopicArn": "`, `"Timestamp": "`},
	"favro":           {`"payloadId":"`},
}

// sweep is one valid request under attack.
type sweep struct {
	t        *testing.T
	v        vector
	verifier *Verifier
	cases    int
}

// attack counts a changed request, which must not be accepted.
func (s *sweep) attack(what string, r Request, now time.Time) {
	s.t.Helper()
	s.cases++
	if verdict := s.verifier.Verify(context.Background(), r, now); verdict.OK() {
		s.t.Errorf("%v: accepted with %s", s.v, what)
	}
}

func (s *sweep) header(name, value string) Request {
	r := s.v.request()
	r.Header[http.CanonicalHeaderKey(name)] = []string{value}
	return r
}

func (s *sweep) body(text string) Request {
	r := s.v.request()
	r.Body = []byte(text)
	return r
}

// sameForm says that two bodies are one form, written differently: no other event, so no attack.
func sameForm(a, b string) bool {
	x, err1 := url.ParseQuery(a)
	y, err2 := url.ParseQuery(b)
	for _, form := range []url.Values{x, y} { // empty fields are not signed by Alipay
		maps.DeleteFunc(form, func(_ string, values []string) bool { return len(values) == 1 && values[0] == "" })
	}
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// slow says that a signature costs tens of microseconds to verify, so that fewer flips must do.
func (s *sweep) slow() bool {
	return strings.Contains(s.v.Secret, "BEGIN") || s.v.Fetched != nil || len(s.v.Secret) > 100
}

func (s *sweep) most() int {
	if s.slow() {
		return 384
	}
	return 1024
}

// flips calls change with text after each of up to most flips of a bit, spread evenly.
func flips(text string, most int, change func(string)) {
	bits := len(text) * 8
	step := max(1, bits/most)
	for bit := 0; bit < bits; bit += step {
		b := []byte(text)
		b[bit/8] ^= 1 << (bit % 8)
		change(string(b))
	}
}

func (s *sweep) headers() {
	for _, name := range slices.Sorted(maps.Keys(s.v.Headers)) {
		value := s.v.Headers[name]
		if slices.Contains(unsignedHeaders, http.CanonicalHeaderKey(name)) {
			continue
		}
		flips(value, s.most(), func(bad string) { s.attack("a bit of "+name+" flipped", s.header(name, bad), s.v.now()) })
		for n := range len(value) {
			s.attack(name+" cut", s.header(name, value[:n]), s.v.now())
			if n > 0 {
				s.attack(name+" cut in front", s.header(name, value[n:]), s.v.now())
			}
		}
		for _, longer := range []string{value + "A", value + "=", value + "0", "A" + value, value + value, value + "\n", value + "\x00"} {
			// In a list a good signature is good beside bad ones, and lists are split at white space.
			if isList := strings.ContainsAny(value, ",;"); isList && (longer == value+value || longer == value+"\n") {
				continue
			}
			s.attack(name+" longer", s.header(name, longer), s.v.now())
		}
		gone := s.v.request()
		delete(gone.Header, http.CanonicalHeaderKey(name))
		s.attack("no "+name, gone, s.v.now())
		twice := s.v.request()
		twice.Header.Add(name, value+"x")
		if !strings.HasSuffix(strings.ToLower(name), "-signature") || s.verifier.Name() != StandardWebhooks && !follows64[s.v.Provider] {
			s.attack(name+" twice", twice, s.v.now())
		}
		for _, other := range reencoded(value) {
			s.attack(name+" in another encoding", s.header(name, other), s.v.now())
		}
	}
}

// follows64 are the providers of Standard Webhooks, whose signature header may stand there twice.
var follows64 = func() map[string]bool {
	names := map[string]bool{}
	for _, p := range standardTable {
		names[p.name] = true
	}
	return names
}()

// reencoded spells the last word of a header's value, its signature, in other encodings.
func reencoded(value string) (others []string) {
	cut := strings.LastIndexAny(strings.TrimRight(value, "="), "=,. ") + 1
	head, last := value[:cut], value[cut:]
	var raw []byte
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(last); err == nil && len(b) >= 16 {
			raw = b
			break
		}
	}
	if raw == nil {
		return nil
	}
	for _, text := range []string{
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), "0x" + hex.EncodeToString(raw),
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw),
		base64.RawURLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(raw))),
		`"` + last + `"`, last[:2] + "\n" + last[2:], last[:2] + " " + last[2:], string(raw),
	} {
		// A text that is the same, or decodes to the same under the scheme's own alphabet, is no change.
		if text != last && strings.TrimRight(text, "=") != last {
			others = append(others, head+text)
		}
	}
	return others
}

func (s *sweep) bodies() {
	body := s.v.Body
	if parts, ok := signedParts[s.v.Provider]; ok {
		for _, part := range parts {
			at := strings.Index(body, part)
			if at < 0 {
				s.t.Fatalf("%v: no %q in the body", s.v, part)
			}
			at += len(part)
			end := at + strings.IndexAny(body[at:]+`"`, `"%,}&`)
			flips(body[at:end], s.most(), func(bad string) {
				if changed := body[:at] + bad + body[end:]; !sameForm(changed, body) || s.v.Provider == "favro" {
					s.attack("a bit after "+part+" flipped", s.body(changed), s.v.now())
				}
			})
			s.attack("nothing after "+part, s.body(body[:at]+body[end:]), s.v.now())
			s.attack("one less after "+part, s.body(body[:at]+body[at+1:]), s.v.now())
		}
		return
	}
	if s.v.Outcome == Authenticated { // a token binds no body
		return
	}
	isForm := strings.Contains(s.v.Headers["Content-Type"], "form") || slices.Contains([]string{"mandrill", "paddle-classic", "alipay"}, s.v.Provider)
	try := func(what, changed string) {
		if !isForm || !sameForm(changed, body) {
			s.attack(what, s.body(changed), s.v.now())
		}
	}
	flips(body, min(512, s.most()), func(bad string) { try("a bit of the body flipped", bad) })
	for n := 0; n < len(body); n += max(1, len(body)/64) {
		try("the body cut", body[:n])
	}
	for _, longer := range []string{body + " ", body + "x", " " + body, body + body, body + "\x00"} {
		try("a longer body", longer)
	}
}

func (s *sweep) times() {
	fresh := s.verifier.Verify(context.Background(), s.v.request(), s.v.now())
	if fresh.Timestamp.IsZero() || s.v.Provider == "paypal" || s.v.Provider == "sns" {
		return
	}
	for _, off := range []time.Duration{49 * time.Hour, 1000 * time.Hour, 1e6 * time.Hour, -49 * time.Hour, -1000 * time.Hour, -200_000 * time.Hour} {
		s.attack("a clock that is off by "+off.String(), s.v.request(), s.v.now().Add(off))
	}
}

// keys attacks with other keys than the one that signed.
func (s *sweep) keys() {
	others := otherKeys(s.t)
	public := slices.ContainsFunc(publicTable, func(p provider) bool { return p.name == s.v.Provider }) || s.v.Provider == "neon"
	if text := s.v.Secret; len(text) > 8 && !public && !strings.Contains(text, "BEGIN") {
		b := []byte(text)
		slices.Reverse(b[len(b)/2 : len(b)-2])
		others = append(others, string(b), text[:len(text)-1], text+"0", text+text)
	}
	for _, secret := range others {
		o := s.v.options()
		if o.Client != nil && len(o.Secrets) == 0 && o.Params == nil {
			return
		}
		o.Secrets, o.Client = []string{secret}, nil
		verifier, err := NewVerifier(s.v.Provider, o)
		if err != nil || secret == s.v.Secret {
			continue
		}
		real := s.verifier
		s.verifier = verifier
		s.attack("another key", s.v.request(), s.v.now())
		s.verifier = real
	}
}

// otherKeys are secrets of every kind that none of the vectors was signed with.
var otherKeys = func() func(t *testing.T) []string {
	var keys []string
	return func(t *testing.T) []string {
		if keys != nil {
			return keys
		}
		r, err1 := rsa.GenerateKey(rand.Reader, 2048)
		e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		d, _, err3 := ed25519.GenerateKey(rand.Reader)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		for _, public := range []any{r.Public(), e.Public(), d} {
			der, err := x509.MarshalPKIXPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, base64.StdEncoding.EncodeToString(der))
		}
		keys = append(keys, "another secret", strings.Repeat("ab", 32), base64.StdEncoding.EncodeToString(make([]byte, 32)), "whsec_"+strings.Repeat("A", 32), "user:password")
		return slices.Clip(keys)
	}
}()

func TestSweep_NothingChangedIsAccepted(t *testing.T) {
	total, providers := 0, map[string]bool{}
	for _, v := range readVectors(t) {
		if !v.Valid || v.Kind == "challenge" || v.Outcome == Unverifiable {
			continue
		}
		if v.Provider == "persona" && strings.Contains(v.Headers["Persona-Signature"], " ") {
			continue // two signatures: one is enough
		}
		if v.Provider == "stripe" { // what follows a good signature is passed over
			v.Headers["Stripe-Signature"], _, _ = strings.Cut(v.Headers["Stripe-Signature"], ",v0=")
		}
		v.SecondarySecret = ""
		s := &sweep{t: t, v: v, verifier: v.verifier(t)}
		if verdict := s.verifier.Verify(context.Background(), v.request(), v.now()); !verdict.OK() {
			t.Fatalf("%v: refused to begin with: %s", v, verdict.Detail)
		}
		s.headers()
		s.bodies()
		s.times()
		s.keys()
		if s.cases == 0 {
			t.Errorf("%v: no case", v)
		}
		total += s.cases
		providers[v.Provider] = true
	}
	if total < 100_000 || len(providers) < 180 {
		t.Errorf("%d cases over %d providers: fewer than there were", total, len(providers))
	}
	t.Logf("%d changed requests of %d providers, all refused", total, len(providers))
}
