package webhook

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var handshakeTime = time.Unix(1764061200, 0)

// handshake is one look that a provider takes at a receiver, and the answer it wants.
type handshake struct {
	provider string
	request  Request
	signed   bool // the provider signs it: without a good signature there is no answer
	options  Options
	status   int
	body     string
	header   http.Header // at least these
	secret   string
}

const testSecret = "a secret for handshakes"

func get(query string, header http.Header) Request {
	return Request{Method: http.MethodGet, URL: "https://example.com/in?" + query, Header: header}
}

func post(body string, header http.Header) Request {
	return Request{Method: http.MethodPost, URL: "https://example.com/in", Header: header, Body: []byte(body)}
}

var verifyToken = Options{Params: map[string]string{"verify_token": "let me in"}}

var handshakes = []handshake{
	{provider: "slack", request: post(`{"type":"url_verification","challenge":"3eZbrw1a","token":"t"}`, nil), signed: true, status: 200, body: "3eZbrw1a"},
	{provider: "monday", request: post(`{"challenge":"3eZbrw1a"}`, nil), status: 200, body: `{"challenge":"3eZbrw1a"}`},
	{provider: "dropbox", request: get("challenge=abc%3Cb%3E", nil), status: 200, body: "abc<b>", header: http.Header{"X-Content-Type-Options": {"nosniff"}, "Content-Type": {"text/plain; charset=utf-8"}}},
	{provider: "nylas", request: get("challenge=abc", nil), status: 200, body: "abc"},
	{provider: "meta", request: get("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=let+me+in", nil), options: verifyToken, status: 200, body: "1158201444"},
	{provider: "whatsapp", request: get("hub.mode=subscribe&hub.challenge=7&hub.verify_token=let+me+in", nil), options: verifyToken, status: 200, body: "7"},
	{provider: "instagram", request: get("hub.mode=subscribe&hub.challenge=7&hub.verify_token=let+me+in", nil), options: verifyToken, status: 200, body: "7"},
	{provider: "strava", request: get("hub.mode=subscribe&hub.challenge=15f7&hub.verify_token=let+me+in", nil), options: verifyToken, status: 200, body: `{"hub.challenge":"15f7"}`},
	{provider: "oura", request: get("verification_token=let+me+in&challenge=ab", nil), options: verifyToken, status: 200, body: `{"challenge":"ab"}`},
	{provider: "microsoft-graph", request: Request{Method: http.MethodPost, URL: "https://example.com/in?validationToken=Validation%3A+%3Cok%3E"}, status: 200, body: "Validation: <ok>", header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}},
	{provider: "sharepoint", request: Request{Method: http.MethodPost, URL: "https://example.com/in?validationtoken=v1"}, status: 200, body: "v1"},
	{provider: "twitter", request: get("crc_token=uzwcfYtzr9", nil), options: Options{Secrets: []string{"Convoy"}}, status: 200, body: `{"response_token":"sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}`},
	{provider: "zoom", request: post(`{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, nil), signed: true, status: 200, body: `{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"HEX"}`},
	{provider: "linkedin", request: get("challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0", nil), status: 200, body: `{"challengeCode":"890e4665-4dfe-4ab1-b689-ed553bceeed0","challengeResponse":"HEX"}`},
	{provider: "smartcar", request: post(`{"eventType":"VERIFY","data":{"challenge":"c-1"}}`, nil), status: 200, body: `{"challenge":"HEX"}`},
	{provider: "braintree", request: get("bt_challenge=20f9f8ed05f77439fe955c977e4c8a53", nil), options: Options{Secrets: []string{"integration_private_key"}, Params: map[string]string{"public_key": "integration_public_key"}}, status: 200, body: "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"},
	{provider: "ebay", request: get("challenge_code=a8628072", nil), options: Options{Params: map[string]string{"verification_token": "654321"}}, status: 200, body: `{"challengeResponse":"HEX"}`},
	{provider: "asana", request: post("", http.Header{"X-Hook-Secret": {"b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"}}), status: 200, header: http.Header{"X-Hook-Secret": {"b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"}}, secret: "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"},
	{provider: "adobe-sign", request: get("", http.Header{"X-Adobesign-Clientid": {"UB7E5BXCXY"}}), options: Options{Secrets: []string{"another", "UB7E5BXCXY"}}, status: 200, header: http.Header{"X-Adobesign-Clientid": {"UB7E5BXCXY"}}},
	{provider: "notion", request: post(`{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}`, nil), status: 200, secret: "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"},
	{provider: "ringcentral", request: post("", http.Header{"Validation-Token": {"vt-1"}}), status: 200, header: http.Header{"Validation-Token": {"vt-1"}}},
	{provider: "vercel", request: get("", nil), options: Options{Params: map[string]string{"verify": "vv-1"}}, status: 200, header: http.Header{"X-Vercel-Verify": {"vv-1"}}},
	{provider: "front", request: post(`{"type":"sync"}`, http.Header{"X-Front-Challenge": {"fc-1"}}), signed: true, status: 200, body: `{"challenge":"fc-1"}`},
	{provider: "okta", request: get("", http.Header{"X-Okta-Verification-Challenge": {"oc-1"}}), status: 200, body: `{"verification":"oc-1"}`},
	{provider: "azure-event-grid", request: post(`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6"}}]`, http.Header{"Aeg-Event-Type": {"SubscriptionValidation"}}), status: 200, body: `{"validationResponse":"512d38b6"}`},
	{provider: "azure-event-grid", request: Request{Method: http.MethodOptions, URL: "https://example.com/in", Header: http.Header{"Webhook-Request-Origin": {"eventgrid.azure.net"}, "Webhook-Request-Rate": {"120"}}}, status: 200, header: http.Header{"Webhook-Allowed-Origin": {"eventgrid.azure.net"}, "Webhook-Allowed-Rate": {"120"}}},
	{provider: "cloudevents", request: Request{Method: http.MethodOptions, URL: "https://example.com/in", Header: http.Header{"Webhook-Request-Origin": {"sender.example"}}}, status: 200, header: http.Header{"Webhook-Allowed-Origin": {"sender.example"}}},
	{provider: "twitch", request: post(`{"challenge":"pogchamp-kappa"}`, http.Header{"Twitch-Eventsub-Message-Type": {"webhook_callback_verification"}}), signed: true, status: 200, body: "pogchamp-kappa"},
	{provider: "discord", request: post(`{"type":1,"id":"1"}`, nil), signed: true, status: 200, body: `{"type":1}`},
	{provider: "discord", request: post(`{"version":1,"application_id":"1","type":0}`, nil), signed: true, status: 204},
	{provider: "xero", request: post(`{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3r4nd0mt3xt"}`, nil), signed: true, status: 200},
	{provider: "tebex", request: post(`{"id":"v-1","type":"validation.webhook"}`, nil), signed: true, status: 200, body: `{"id":"v-1"}`},
	{provider: "woocommerce", request: post("webhook_id=12", nil), status: 200},
	{provider: "trello", request: Request{Method: http.MethodHead, URL: "https://example.com/in"}, status: 200},
	{provider: "intercom", request: Request{Method: http.MethodHead, URL: "https://example.com/in"}, status: 200},
	{provider: "mailchimp", request: get("", nil), status: 200},
	{provider: "circle", request: Request{Method: http.MethodHead, URL: "https://example.com/in"}, status: 200},
	{provider: "mandrill", request: Request{Method: http.MethodHead, URL: "https://example.com/in"}, status: 200},
	{provider: "mandrill", request: post("mandrill_events=%5B%5D", http.Header{"X-Mandrill-Signature": {"TEST"}}), status: 200},
	{provider: "sns", request: post(`{"Type":"SubscriptionConfirmation","MessageId":"m","Token":"t","TopicArn":"arn:x","Message":"m","SubscribeURL":"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"}`, nil), signed: true, options: Options{Params: map[string]string{"confirm": "yes"}, Client: files{"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t": "ok"}}, status: 200},
}

// prepare gives a handshake its secrets and signature; verifying may need another key than signing.
func (h handshake) prepare(t *testing.T) (*Verifier, Request) {
	t.Helper()
	o, signing := h.options, h.options
	if o.Secrets == nil && h.provider != "ebay" && h.provider != "circle" {
		o.Secrets, signing.Secrets = []string{testSecret}, []string{testSecret}
	}
	switch h.provider {
	case "discord":
		private := ed25519.NewKeyFromSeed(make([]byte, 32))
		signing.Secrets = []string{hex.EncodeToString(private.Seed())}
		o.Secrets = []string{hex.EncodeToString(private.Public().(ed25519.PublicKey))}
	case "sns":
		for _, pair := range signingKeys(t) {
			if strings.Contains(pair[0], "BEGIN") && len(pair[0]) > 1000 {
				signing.Secrets, o.Secrets = []string{pair[0]}, []string{pair[1]}
			}
		}
	}
	r := h.request
	if r.Header.Get("X-Mandrill-Signature") == "TEST" {
		signing.Secrets, h.signed = []string{"test-webhook"}, true
	}
	if h.signed {
		signer, err := NewSigner(h.provider, signing)
		if err != nil {
			t.Fatalf("%s: %v", h.provider, err)
		}
		if r, err = signer.Sign(r, handshakeTime); err != nil {
			t.Fatalf("%s: %v", h.provider, err)
		}
	}
	v, err := NewVerifier(h.provider, o)
	if err != nil {
		t.Fatalf("%s: %v", h.provider, err)
	}
	return v, r
}

func TestChallenge_EveryHandshakeIsAnswered(t *testing.T) {
	for _, h := range handshakes {
		v, r := h.prepare(t)
		got, ok := v.Challenge(context.Background(), r, handshakeTime)
		if !ok {
			t.Errorf("%s: not answered: %s", h.provider, v.Verify(context.Background(), r, handshakeTime).Detail)
			continue
		}
		body := string(got.Body)
		if i := strings.Index(h.body, "HEX"); i >= 0 && len(body) == len(h.body)-3+64 {
			if _, err := hex.DecodeString(body[i : i+64]); err == nil {
				body = h.body
			}
		}
		if got.Status != h.status || body != h.body || got.Secret != h.secret {
			t.Errorf("%s: %d %q secret %q, want %d %q secret %q", h.provider, got.Status, got.Body, got.Secret, h.status, h.body, h.secret)
		}
		for name, values := range h.header {
			if !slices.Equal(got.Header[name], values) {
				t.Errorf("%s: header %s is %q, want %q", h.provider, name, got.Header[name], values)
			}
		}
	}
}

func TestChallenge_EveryProviderWithOneIsTested(t *testing.T) {
	for _, p := range Providers() {
		tested := slices.ContainsFunc(handshakes, func(h handshake) bool { return h.provider == p.Name })
		if tested != p.Challenge {
			t.Errorf("%s: begins handshakes: %v, tested: %v", p.Name, p.Challenge, tested)
		}
	}
}

func TestChallenge_SignedOnesNeedTheSignature(t *testing.T) {
	for _, h := range handshakes {
		if !h.signed || h.provider == "xero" {
			continue
		}
		v, r := h.prepare(t)
		r.Body = append(r.Body, ' ')
		if h.provider == "sns" {
			r.Body = []byte(strings.Replace(string(r.Body), "arn:x", "arn:y", 1))
		}
		if answer, ok := v.Challenge(context.Background(), r, handshakeTime); ok {
			t.Errorf("%s: answered %d %q to a changed body", h.provider, answer.Status, answer.Body)
		}
	}
}

func TestChallenge_XeroWantsToSeeARefusal(t *testing.T) {
	h := handshakes[slices.IndexFunc(handshakes, func(h handshake) bool { return h.provider == "xero" })]
	v, r := h.prepare(t)
	r.Body = append(r.Body, ' ')
	if answer, ok := v.Challenge(context.Background(), r, handshakeTime); !ok || answer.Status != 401 || len(answer.Body) > 0 {
		t.Errorf("answer %+v, %v; want 401 without a body", answer, ok)
	}
}

func TestChallenge_TokensAreCompared(t *testing.T) {
	for _, name := range []string{"meta", "strava", "oura"} {
		for _, o := range []Options{{}, verifyToken} {
			o.Secrets = []string{testSecret}
			v, err := NewVerifier(name, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range []string{"", "let me", "let me in "} {
				r := get(url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"7"}, "challenge": {"7"}, "hub.verify_token": {token}, "verification_token": {token}}.Encode(), nil)
				if _, ok := v.Challenge(context.Background(), r, handshakeTime); ok {
					t.Errorf("%s: answered the token %q", name, token)
				}
			}
		}
	}
}

func TestChallenge_AdobeSignIsAnsweredForItsOwnClientOnly(t *testing.T) {
	v, err := NewVerifier("adobe-sign", Options{Secrets: []string{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "theirs", "mine "} {
		if _, ok := v.Challenge(context.Background(), get("", http.Header{"X-Adobesign-Clientid": {id}}), handshakeTime); ok {
			t.Errorf("answered for %q", id)
		}
	}
}

func TestChallenge_NothingLongOrUnprintableIsEchoed(t *testing.T) {
	for _, bad := range []string{strings.Repeat("x", 1025), "a\r\nSet-Cookie: x", "a\x00"} {
		for _, name := range []string{"dropbox", "microsoft-graph", "twitter"} {
			v, err := NewVerifier(name, Options{Secrets: []string{testSecret}})
			if err != nil {
				t.Fatal(err)
			}
			r := get(url.Values{"challenge": {bad}, "validationToken": {bad}, "crc_token": {bad}}.Encode(), nil)
			if answer, ok := v.Challenge(context.Background(), r, handshakeTime); ok {
				t.Errorf("%s: answered %.40q", name, answer.Body)
			}
		}
	}
}

func TestChallenge_SNSConfirmsOnlyWhenToldTo(t *testing.T) {
	h := handshakes[slices.IndexFunc(handshakes, func(h handshake) bool { return h.provider == "sns" })]
	h.options.Params = nil
	v, r := h.prepare(t)
	if _, ok := v.Challenge(context.Background(), r, handshakeTime); ok {
		t.Error("confirmed without being told to")
	}
	h.options.Params = map[string]string{"confirm": "yes"}
	h.request = post(strings.Replace(string(h.request.Body), "sns.us-east-1.amazonaws.com", "sns.us-east-1.amazonaws.com.evil.example", 1), nil)
	if v, r = h.prepare(t); v.Verify(context.Background(), r, handshakeTime).Outcome != Verified {
		t.Error("the message itself is signed")
	}
	if _, ok := v.Challenge(context.Background(), r, handshakeTime); ok {
		t.Error("called a host that is not SNS's")
	}
}

func TestChallenge_EventsAreNone(t *testing.T) {
	for _, v := range readVectors(t) {
		if !v.Valid || v.Kind == "challenge" {
			continue
		}
		if answer, ok := v.verifier(t).Challenge(context.Background(), v.request(), v.now()); ok && v.Provider != "xero" {
			t.Errorf("%v: an event was answered as a handshake: %+v", v, answer)
		}
	}
}

// replySecrets are those of the providers whose answer says which of them it was.
var replySecrets = map[string][]string{"adobe-sign": {"old", "new"}}

func TestReply_IsTheProviders(t *testing.T) {
	for _, c := range []struct {
		provider string
		verdict  Verdict
		status   int
		body     string
	}{
		{"github", Verdict{Outcome: Verified}, 200, ""},
		{"github", Verdict{Outcome: Failed}, 401, ""},
		{"adyen", Verdict{Outcome: Verified}, 200, "[accepted]"},
		{"dropbox-sign", Verdict{Outcome: Authenticated}, 200, "Hello API Event Received"},
		{"gocardless", Verdict{Outcome: Failed}, 498, ""},
		{"microsoft-graph", Verdict{Outcome: Authenticated}, 202, ""},
		{"adobe-sign", Verdict{Outcome: Authenticated, Secret: 1}, 200, `{"xAdobeSignClientId":"new"}`},
		{"adobe-sign", Verdict{Outcome: Failed, Secret: -1}, 401, ""},
		{"adobe-sign", Verdict{Outcome: NotConfigured, Secret: -1}, 200, ""},
	} {
		v, err := NewVerifier(c.provider, Options{Secrets: replySecrets[c.provider]})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Reply(c.verdict); got.Status != c.status || string(got.Body) != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.provider, got.Status, got.Body, c.status, c.body)
		}
	}
}
