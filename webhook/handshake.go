package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The handshakes, a function each. What they have in common: nothing that came in goes out as HTML
// (text/plain with nosniff, or JSON), nothing long or unprintable is echoed, and where the provider
// signs its handshake the signature is verified first.

// maxEcho is the longest text that is sent back.
const maxEcho = 1024

func echoable(s string) bool {
	if s == "" || len(s) > maxEcho {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func answerText(text string) *Answer {
	return &Answer{Status: http.StatusOK, Body: []byte(text), Header: http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"},
	}}
}

func answerJSON(value any) *Answer {
	body, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return &Answer{Status: http.StatusOK, Body: body, Header: http.Header{
		"Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"},
	}}
}

// query is a parameter of the URL that is there once.
func (c *call) query(name string) string {
	values, err := url.ParseQuery(queryPart(c.Request.URL))
	if err != nil || len(values[name]) != 1 || !echoable(values[name][0]) {
		return ""
	}
	return values[name][0]
}

// json is a text in the body.
func (c *call) json(path string) string {
	steps, err := parsePath(path)
	if err != nil {
		return ""
	}
	if value, _ := jsonValue(c.Body, steps); echoable(value) && json.Valid(c.Body) {
		return value
	}
	return ""
}

func (c *call) is(method string) bool { return strings.EqualFold(c.Method, method) }

// signedNow says whether the request is verified as any event would be.
func (v *Verifier) signedNow(c *call) bool {
	return v.Verify(c.ctx, *c.Request, c.now).Outcome == Verified
}

// mac signs with the newest secret; nil without one.
func (c *call) mac(h func() hash.Hash, text string) []byte {
	if len(c.options.Secrets) == 0 {
		return nil
	}
	m := hmac.New(h, []byte(c.options.Secrets[0]))
	_, _ = m.Write([]byte(text))
	return m.Sum(nil)
}

// param compares a parameter of ours with what came in.
func (c *call) param(name, given string) bool {
	want := c.options.Params[name]
	return want != "" && equalText(given, []byte(want))
}

// alive answers the looks with which some make sure that a URL exists.
func alive(_ *Verifier, c *call) *Answer {
	if c.is(http.MethodHead) || (c.is(http.MethodGet) && len(c.Body) == 0) {
		return &Answer{Status: http.StatusOK}
	}
	return nil
}

func challengeSlack(v *Verifier, c *call) *Answer {
	if c.json("$.type") != "url_verification" || !v.signedNow(c) {
		return nil
	}
	return answerText(c.json("$.challenge"))
}

// echoJSON is monday.com's.
func echoJSON(_ *Verifier, c *call) *Answer {
	challenge := c.json("$.challenge")
	if !c.is(http.MethodPost) || challenge == "" || c.json("$.event.type") != "" {
		return nil
	}
	return answerJSON(map[string]string{"challenge": challenge})
}

// echoDropbox is Dropbox's and Nylas's.
func echoDropbox(_ *Verifier, c *call) *Answer {
	challenge := c.query("challenge")
	if !c.is(http.MethodGet) || challenge == "" {
		return nil
	}
	return answerText(challenge)
}

func echoMeta(_ *Verifier, c *call) *Answer {
	challenge := c.query("hub.challenge")
	if !c.is(http.MethodGet) || c.query("hub.mode") != "subscribe" || challenge == "" || !c.param("verify_token", c.query("hub.verify_token")) {
		return nil
	}
	return answerText(challenge)
}

func echoStrava(_ *Verifier, c *call) *Answer {
	challenge := c.query("hub.challenge")
	if !c.is(http.MethodGet) || challenge == "" || !c.param("verify_token", c.query("hub.verify_token")) {
		return nil
	}
	return answerJSON(map[string]string{"hub.challenge": challenge})
}

func echoOura(_ *Verifier, c *call) *Answer {
	challenge := c.query("challenge")
	if !c.is(http.MethodGet) || challenge == "" || !c.param("verify_token", c.query("verification_token")) {
		return nil
	}
	return answerJSON(map[string]string{"challenge": challenge})
}

// echoValidationToken is Microsoft Graph's and SharePoint's.
func echoValidationToken(_ *Verifier, c *call) *Answer {
	for _, name := range []string{"validationToken", "validationtoken"} {
		if token := c.query(name); token != "" {
			return answerText(token)
		}
	}
	return nil
}

func echoRingCentral(_ *Verifier, c *call) *Answer {
	return echoHeader(c, "Validation-Token", nil)
}

// echoHeader sends a header back.
func echoHeader(c *call, name string, further func(*Answer, string)) *Answer {
	values := c.Header[name]
	if len(values) != 1 || !echoable(values[0]) {
		return nil
	}
	a := &Answer{Status: http.StatusOK, Header: http.Header{name: {values[0]}}}
	if further != nil {
		further(a, values[0])
	}
	return a
}

// echoVercel answers the look of a log drain with a value that Vercel shows.
func echoVercel(_ *Verifier, c *call) *Answer {
	value := c.options.Params["verify"]
	if value == "" || len(c.Header["X-Vercel-Signature"]) > 0 || !(c.is(http.MethodGet) || c.is(http.MethodHead) || len(c.Body) == 0) {
		return nil
	}
	return &Answer{Status: http.StatusOK, Header: http.Header{"X-Vercel-Verify": {value}}}
}

func handOverAsana(_ *Verifier, c *call) *Answer {
	if len(c.Header["X-Hook-Signature"]) > 0 {
		return nil
	}
	return echoHeader(c, "X-Hook-Secret", func(a *Answer, secret string) { a.Secret = secret })
}

func handOverNotion(_ *Verifier, c *call) *Answer {
	token := c.json("$.verification_token")
	if token == "" || len(c.Header["X-Notion-Signature"]) > 0 || c.json("$.type") != "" {
		return nil
	}
	return &Answer{Status: http.StatusOK, Secret: token}
}

func challengeFront(v *Verifier, c *call) *Answer {
	values := c.Header["X-Front-Challenge"]
	if len(values) != 1 || !echoable(values[0]) || c.json("$.type") != "sync" || !v.signedNow(c) {
		return nil
	}
	return answerJSON(map[string]string{"challenge": values[0]})
}

// challengeAdobeSign says that the receiver is meant for the application whose client id comes in.
func challengeAdobeSign(_ *Verifier, c *call) *Answer {
	const name = "X-Adobesign-Clientid"
	if !c.is(http.MethodGet) || !slices.ContainsFunc(c.options.Secrets, func(s string) bool { return equalText(c.Header.Get(name), []byte(s)) }) {
		return nil
	}
	return echoHeader(c, name, nil)
}

func challengeOkta(_ *Verifier, c *call) *Answer {
	values := c.Header["X-Okta-Verification-Challenge"]
	if !c.is(http.MethodGet) || len(values) != 1 || !echoable(values[0]) {
		return nil
	}
	return answerJSON(map[string]string{"verification": values[0]})
}

func challengeTwitch(v *Verifier, c *call) *Answer {
	if c.Header.Get("Twitch-Eventsub-Message-Type") != "webhook_callback_verification" || !v.signedNow(c) {
		return nil
	}
	challenge := c.json("$.challenge")
	if challenge == "" {
		return nil
	}
	return answerText(challenge)
}

func tokenZoom(v *Verifier, c *call) *Answer {
	token := c.json("$.payload.plainToken")
	if c.json("$.event") != "endpoint.url_validation" || token == "" || !v.signedNow(c) {
		return nil
	}
	return answerJSON(struct {
		PlainToken     string `json:"plainToken"`
		EncryptedToken string `json:"encryptedToken"`
	}{token, hex.EncodeToString(c.mac(sha256.New, token))})
}

func tokenTwitter(_ *Verifier, c *call) *Answer {
	token := c.query("crc_token")
	sum := c.mac(sha256.New, token)
	if !c.is(http.MethodGet) || token == "" || sum == nil {
		return nil
	}
	return answerJSON(map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(sum)})
}

func tokenLinkedIn(_ *Verifier, c *call) *Answer {
	code := c.query("challengeCode")
	sum := c.mac(sha256.New, code)
	if !c.is(http.MethodGet) || code == "" || sum == nil {
		return nil
	}
	return answerJSON(struct {
		Code     string `json:"challengeCode"`
		Response string `json:"challengeResponse"`
	}{code, hex.EncodeToString(sum)})
}

func tokenSmartcar(_ *Verifier, c *call) *Answer {
	challenge := c.json("$.data.challenge")
	if challenge == "" {
		challenge = c.json("$.payload.challenge")
	}
	sum := c.mac(sha256.New, challenge)
	if (c.json("$.eventType") != "VERIFY" && c.json("$.eventName") != "verify") || challenge == "" || sum == nil {
		return nil
	}
	return answerJSON(map[string]string{"challenge": hex.EncodeToString(sum)})
}

func tokenBraintree(_ *Verifier, c *call) *Answer {
	challenge := c.query("bt_challenge")
	public := c.options.Params["public_key"]
	if !c.is(http.MethodGet) || challenge == "" || public == "" || len(c.options.Secrets) == 0 {
		return nil
	}
	for i := range len(challenge) {
		if nibble(challenge[i], false) > 15 { // anything else could be a payload that we would sign
			return nil
		}
	}
	key := sha1.Sum([]byte(c.options.Secrets[0]))
	m := hmac.New(sha1.New, key[:])
	_, _ = m.Write([]byte(challenge))
	return answerText(public + "|" + hex.EncodeToString(m.Sum(nil)))
}

func tokenEbay(_ *Verifier, c *call) *Answer {
	code, token := c.query("challenge_code"), c.options.Params["verification_token"]
	if !c.is(http.MethodGet) || code == "" || token == "" {
		return nil
	}
	endpoint, _, _ := strings.Cut(c.url, "?")
	sum := sha256.Sum256([]byte(code + token + endpoint))
	return answerJSON(map[string]string{"challengeResponse": hex.EncodeToString(sum[:])})
}

func pingDiscord(v *Verifier, c *call) *Answer {
	if len(c.Header["X-Signature-Ed25519"]) == 0 {
		return nil
	}
	isEvent := c.json("$.version") != "" && c.json("$.token") == ""
	switch kind := c.json("$.type"); {
	case kind == "0" && v.signedNow(c): // the ping of webhook events
		return &Answer{Status: http.StatusNoContent}
	case kind == "1" && !(isEvent && c.json("$.event.type") != "") && v.signedNow(c):
		return answerJSON(map[string]int{"type": 1})
	}
	return nil
}

// probeXero answers intent to receive: nothing in the body, events included, but a status that
// says whether the signature is right.
func probeXero(v *Verifier, c *call) *Answer {
	if len(c.Header["X-Xero-Signature"]) == 0 || !json.Valid(c.Body) || c.json("$.events[].eventType") != "" || len(v.checkers) == 0 {
		return nil
	}
	if v.signedNow(c) {
		return &Answer{Status: http.StatusOK}
	}
	return &Answer{Status: http.StatusUnauthorized}
}

// pingWooCommerce answers the form that is sent when a webhook is made.
func pingWooCommerce(_ *Verifier, c *call) *Answer {
	id, ok := strings.CutPrefix(string(c.Body), "webhook_id=")
	if !ok || id == "" || len(id) > 20 || strings.Trim(id, "0123456789") != "" {
		return nil
	}
	return &Answer{Status: http.StatusOK}
}

// probeMandrill answers the test of a URL: a HEAD, or events signed with a key that everybody knows.
func probeMandrill(v *Verifier, c *call) *Answer {
	if a := alive(v, c); a != nil {
		return a
	}
	if fields, ok := form(c); !ok || fields.Get("mandrill_events") != "[]" {
		return nil
	}
	test, err := newVerifier(v.provider, Options{Secrets: []string{"test-webhook"}, URL: c.options.URL})
	if err != nil || !test.signedNow(c) {
		return nil
	}
	return &Answer{Status: http.StatusOK}
}

func confirmTebex(v *Verifier, c *call) *Answer {
	id := c.json("$.id")
	if c.json("$.type") != "validation.webhook" || id == "" || !v.signedNow(c) {
		return nil
	}
	return answerJSON(map[string]string{"id": id})
}

// challengeEventGrid answers with the code; subscriptions in the schema of CloudEvents ask as
// consentCloudEvents answers.
func challengeEventGrid(v *Verifier, c *call) *Answer {
	if c.Header.Get("Aeg-Event-Type") == "SubscriptionValidation" {
		if code := c.json("$[].data.validationCode"); code != "" {
			return answerJSON(map[string]string{"validationResponse": code})
		}
	}
	return consentCloudEvents(v, c)
}

// consentCloudEvents lets the origin that asks send as fast as it asks to.
func consentCloudEvents(_ *Verifier, c *call) *Answer {
	origin := c.Header["Webhook-Request-Origin"]
	if !c.is(http.MethodOptions) || len(origin) != 1 || !echoable(origin[0]) {
		return nil
	}
	a := &Answer{Status: http.StatusOK, Header: http.Header{"Webhook-Allowed-Origin": {origin[0]}, "Allow": {"POST"}}}
	if rate := c.Header["Webhook-Request-Rate"]; len(rate) == 1 && echoable(rate[0]) {
		a.Header["Webhook-Allowed-Rate"] = []string{rate[0]}
	}
	return a
}
