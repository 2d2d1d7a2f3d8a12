package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// verdictOf verifies a request for a provider.
func verdictOf(t *testing.T, name string, o Options, r Request, now time.Time) Verdict {
	t.Helper()
	v, err := NewVerifier(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(context.Background(), r, now)
}

// signedFor makes a request as a provider would send it.
func signedFor(t testing.TB, name string, o Options, r Request, at time.Time) Request {
	t.Helper()
	s, err := NewSigner(name, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err = s.Sign(r, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify_SaysWhatTheEventIs(t *testing.T) {
	at := time.Unix(1764061200, 0).UTC()
	o := Options{Secrets: []string{testSecret}}
	for _, c := range []struct {
		provider string
		header   http.Header
		body     string
		want     Verdict
	}{
		{"github", http.Header{"X-Github-Delivery": {"d-1"}, "X-Github-Event": {"issues"}}, `{"action":"opened"}`, Verdict{ID: "d-1", Type: "issues.opened"}},
		{"github", http.Header{"X-Github-Event": {"push"}}, `{}`, Verdict{Type: "push"}},
		{"stripe", nil, `{"id":"evt_1","type":"charge.succeeded","data":{"id":"no"}}`, Verdict{ID: "evt_1", IDSigned: true, Type: "charge.succeeded", TypeSigned: true, Timestamp: at}},
		{"slack", nil, `{"event_id":"Ev1","type":"event_callback","event":{"type":"message"}}`, Verdict{ID: "Ev1", IDSigned: true, Type: "message", TypeSigned: true, Timestamp: at}},
		{"twitch", http.Header{"Twitch-Eventsub-Message-Id": {"m-1"}, "Twitch-Eventsub-Subscription-Type": {"channel.follow"}}, `{}`, Verdict{ID: "m-1", IDSigned: true, Type: "channel.follow", Timestamp: at}},
		{"shopify", http.Header{"X-Shopify-Webhook-Id": {"w-1"}, "X-Shopify-Topic": {"orders/create"}}, `{}`, Verdict{ID: "w-1", Type: "orders/create"}},
		{"line", nil, `{"events":[{"webhookEventId":"a","type":"message"}]}`, Verdict{ID: "a", IDSigned: true, Type: "message", TypeSigned: true}},
		{"line", nil, `{"events":[{"webhookEventId":"a","type":"message"},{"webhookEventId":"b"}]}`, Verdict{Type: "message", TypeSigned: true}},
	} {
		r := signedFor(t, c.provider, o, post(c.body, c.header), at)
		got := verdictOf(t, c.provider, o, r, at)
		c.want.Outcome = Verified
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.provider, got, c.want)
		}
	}
}

func TestVerify_CausesAreToldApart(t *testing.T) {
	at := time.Unix(1764061200, 0).UTC()
	o := Options{Secrets: []string{testSecret}}
	good := signedFor(t, "stripe", o, post(`{}`, nil), at)
	set := func(values ...string) Request {
		r := good
		r.Header = http.Header{"Stripe-Signature": values}
		return r
	}
	signature := good.Header.Get("Stripe-Signature")
	_, mac, _ := strings.Cut(signature, "v1=")
	for _, c := range []struct {
		name string
		r    Request
		now  time.Time
		want Cause
	}{
		{"missing", set(), at, ErrMissingHeader},
		{"twice", set(signature, signature), at, ErrMalformed},
		{"empty", set(""), at, ErrMalformed},
		{"no timestamp", set("v1=" + mac), at, ErrMalformed},
		{"two timestamps", set("t=1," + signature), at, ErrMalformed},
		{"timestamp is text", set("t=now,v1=" + mac), at, ErrMalformed},
		{"no v1", set("t=1764061200,v0=" + mac), at, ErrMalformed},
		{"not hex", set("t=1764061200,v1=" + strings.Repeat("z", 64)), at, ErrMalformed},
		{"another MAC", set("t=1764061200,v1=" + strings.Repeat("0", 64)), at, ErrNoSignatureMatch},
		{"too many", set("t=1764061200" + strings.Repeat(",v1="+mac, maxEntries+1)), at, ErrMalformed},
		{"old", good, at.Add(301 * time.Second), ErrTooOld},
		{"from the future", good, at.Add(-301 * time.Second), ErrTooNew},
	} {
		got := verdictOf(t, "stripe", o, c.r, c.now)
		if got.Outcome != Failed || got.Cause != c.want || got.Detail == "" || !errors.Is(got.Err(), c.want) {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
		// Of one that is only late or early it says whose it is.
		if ours := c.want == ErrTooOld || c.want == ErrTooNew; ours != (got.Secret == 0) {
			t.Errorf("%s: secret %d", c.name, got.Secret)
		}
		if strings.Contains(got.Detail, testSecret) || strings.Contains(got.Detail, mac) {
			t.Errorf("%s: the detail tells too much: %s", c.name, got.Detail)
		}
	}
}

func TestVerify_Outcomes(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		provider string
		want     Outcome
		cause    Cause
	}{
		{"github", NotConfigured, ErrNoSecret},
		{"mailchimp", Unverifiable, ErrUnsigned},
		{"sns", Failed, ErrMalformed},
		{"gcp-pubsub", Failed, ErrMissingHeader},
	} {
		if got := verdictOf(t, c.provider, Options{}, post(`{"id":"x"}`, nil), now); got.Outcome != c.want || got.Cause != c.cause || got.OK() {
			t.Errorf("%s: %+v, want %s, %s", c.provider, got, c.want, c.cause)
		}
	}
}

func TestVerify_URLOfTheProviderCounts(t *testing.T) {
	at := time.Unix(1764061200, 0).UTC()
	public := "https://hooks.example.com/in/abc"
	r := signedFor(t, "square", Options{Secrets: []string{testSecret}}, Request{URL: public + "?a=1", Body: []byte("{}")}, at)
	r.URL = "http://10.0.0.7:8080/in/abc?a=1"
	if got := verdictOf(t, "square", Options{Secrets: []string{testSecret}}, r, at); got.Outcome != Failed {
		t.Errorf("%+v: the URL is signed", got)
	}
	if got := verdictOf(t, "square", Options{Secrets: []string{testSecret}, URL: public}, r, at); got.Outcome != Verified {
		t.Errorf("%+v: the public URL was given", got)
	}
}

func TestVerify_ByAddress(t *testing.T) {
	v, err := NewSchemeVerifier(Scheme{Algorithm: "ip"}, Options{Secrets: []string{"192.0.2.0/24", "2001:db8::1"}})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]Outcome{"192.0.2.9": Authenticated, "::ffff:192.0.2.9": Authenticated, "2001:db8::1": Authenticated, "192.0.3.1": Failed, "": Failed} {
		remote, _ := netip.ParseAddr(address)
		if got := v.Verify(context.Background(), Request{Remote: remote}, time.Now()); got.Outcome != want {
			t.Errorf("%q: %+v, want %s", address, got, want)
		}
	}
}

func TestVerify_AdyenRefusesAmbiguousItems(t *testing.T) {
	item := `{"NotificationRequestItem":%s}`
	for _, body := range []string{
		`{"notificationItems":[]}`,
		`{"notificationItems":[null]}`,
		`{"notificationItems":[` + fmt.Sprintf(item, `{"pspReference":["a"],"additionalData":{"hmacSignature":"x"}}`) + `]}`,
		`{"notificationItems":[` + fmt.Sprintf(item, `{"pspReference":"a:b","additionalData":{"hmacSignature":"x"}}`) + `]}`,
		`{"notificationItems":[],"NotificationItems":[]}`, `[]`, `{`, ``,
	} {
		if got := verdictOf(t, "adyen", Options{Secrets: []string{"abcd"}}, post(body, nil), time.Now()); got.Outcome != Failed {
			t.Errorf("%s: %+v", body, got)
		}
	}
	// One good item does not excuse a bad one.
	o := Options{Secrets: []string{"abcd"}}
	good := signedFor(t, "adyen", o, post(signingBodies["adyen"], nil), time.Now())
	inner := strings.TrimSuffix(strings.SplitN(string(good.Body), `"notificationItems":[`, 2)[1], "]}")
	two := `{"notificationItems":[` + inner + "," + strings.Replace(inner, "EUR", "USD", 1) + `]}`
	if got := verdictOf(t, "adyen", o, post(two, nil), time.Now()); got.Cause != ErrNoSignatureMatch {
		t.Errorf("%+v", got)
	}
}

func TestOptions_ToleranceIsThePersonsOwn(t *testing.T) {
	at := time.Unix(1764061200, 0).UTC()
	r := signedFor(t, "stripe", Options{Secrets: []string{testSecret}}, post("{}", nil), at)
	for _, c := range []struct {
		tolerance, off time.Duration
		want           Outcome
	}{
		{time.Minute, 61 * time.Second, Failed}, {time.Hour, 59 * time.Minute, Verified}, {-1, 1e6 * time.Hour, Verified},
	} {
		if got := verdictOf(t, "stripe", Options{Secrets: []string{testSecret}, Tolerance: c.tolerance}, r, at.Add(c.off)); got.Outcome != c.want {
			t.Errorf("tolerance %v: %+v, want %s", c.tolerance, got, c.want)
		}
	}
}
