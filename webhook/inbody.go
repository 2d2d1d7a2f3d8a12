package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bodyTable are the providers whose signature stands in the body, over some of what is in it.
var bodyTable = []provider{
	{name: "adyen", title: "Adyen", code: inBody(Scheme{Algorithm: "hmac-sha256", Encoding: "base64", Key: "hex"}, itemsAdyen, putAdyen), how: "hmac-sha256 of eight fields of every item, in its `additionalData.hmacSignature` as base64, key hex", id: "$.notificationItems[].NotificationRequestItem.pspReference + $.notificationItems[].NotificationRequestItem.eventCode", kind: "$.notificationItems[].NotificationRequestItem.eventCode", accept: reply{kind: "text/plain", body: "[accepted]"}, note: "the fields that are not signed can be changed", source: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures"},
	{name: "braintree", title: "Braintree", code: inBody(Scheme{Algorithm: "hmac-sha1", Key: "sha1"}, itemsBraintree, putBraintree), how: "hmac-sha1 of form field `bt_payload` in `bt_signature` as hex, key sha1", params: "public_key", challenge: tokenBraintree, note: "the secret is the private key; the event is base64 of XML", source: "https://developer.paypal.com/braintree/docs/guides/webhooks/parse"},
	{name: "mailgun", title: "Mailgun", code: inBody(Scheme{Algorithm: "hmac-sha256"}, itemsMailgun, putMailgun), how: "hmac-sha256 of timestamp and token in `$.signature` as hex", id: "$.event-data.id", kind: "$.event-data.event", note: "the event itself is not signed: no more than authenticated, and each token should be taken once", source: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks"},
	{name: "paddle-classic", title: "Paddle Classic", code: inBody(Scheme{Algorithm: "rsa-sha1", Encoding: "base64"}, itemsPaddle, putPaddle), how: "rsa-sha1 of the form fields as PHP serializes them, in `p_signature` as base64", id: "form:alert_id", kind: "form:alert_name", note: "the secret is the public key", source: "https://developer.paddle.com/classic/webhook-reference/verifying-webhooks"},
	{name: "alipay", title: "Alipay", code: inBody(Scheme{Algorithm: "rsa-sha256", Encoding: "base64"}, itemsAlipay, putAlipay), how: "rsa-sha256 of the sorted form fields in `sign` as base64", id: "form:notify_id", kind: "form:notify_type", accept: reply{kind: "text/plain", body: "success"}, note: "the secret is Alipay's public key", source: "https://opendocs.alipay.com/common/02mse7"},
	{name: "dropbox-sign", title: "Dropbox Sign", code: inBody(Scheme{Algorithm: "hmac-sha256"}, itemsDropboxSign, putDropboxSign), how: "hmac-sha256 of time and type in `event.event_hash` as hex", id: "$.event.event_hash", kind: "$.event.event_type", accept: reply{kind: "text/plain", body: "Hello API Event Received"}, note: "signs time and type only: no more than authenticated; the secret is the API key", source: "https://developers.hellosign.com/docs/events/walkthrough/"},
}

// item is one signature of a body.
type item struct {
	signature string
	content   []byte
}

// signed is what a body says: its items, and when it was signed if that is signed too.
type signed struct {
	items []item
	stamp string
	loose bool // the signature does not cover the event
}

type (
	// finder reads a body; the finding says why it cannot be read.
	finder func(c *call) (signed, *finding)
	// putter writes signatures into a body.
	putter func(c *call, at time.Time, sign func(content []byte) (string, error)) error
)

// bodyChecker checks every item of a body: one bad item fails the whole.
type bodyChecker struct {
	*scheme
	find finder
	put  putter
}

// inBody is the code of a bodyTable row.
func inBody(s Scheme, find finder, put putter) code {
	return func(o *Options, signing bool) (checker, error) {
		c, err := newBodyChecker(s, o, signing)
		if err != nil {
			return nil, err
		}
		c.find, c.put = find, put
		return c, nil
	}
}

func newBodyChecker(s Scheme, o *Options, signing bool) (*bodyChecker, error) {
	sch := &scheme{Scheme: s, algorithm: algorithmOf(s.Algorithm), bound: true}
	for i, text := range o.Secrets {
		sec, err := newSecret(sch.algorithm, s.Key, text, signing)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		sch.secrets = append(sch.secrets, sec)
	}
	return &bodyChecker{scheme: sch}, nil
}

func (b *bodyChecker) present(*Request) bool { return true }
func (b *bodyChecker) missing() string       { return "signature" }
func (b *bodyChecker) covers(t term) bool    { return t.header == "" }

func (b *bodyChecker) check(c *call) finding {
	said, f := b.find(c)
	if f != nil {
		return *f
	}
	if len(said.items) == 0 {
		return failed(ErrMissingHeader, "there is no signature in the body")
	}
	out := finding{outcome: Verified}
	if said.stamp != "" {
		if out.timestamp, f = readTime(said.stamp, "s", c, 0); f != nil {
			return *f
		}
	}
	for i, it := range said.items {
		which, f := b.checkItem(it)
		if f != nil {
			return *f
		}
		if i == 0 || which > out.secret {
			out.secret = which // the oldest that was needed
		}
	}
	if said.loose {
		out.outcome = Authenticated
	}
	return out
}

func (b *bodyChecker) checkItem(it item) (int, *finding) {
	var store [maxSignature + 2]byte
	decoded, ok := b.decode(store[:0], it.signature)
	if !ok {
		return -1, bad("the signature in the body is not %s", b.form())
	}
	for i, sec := range b.secrets {
		if b.proves(sec, it.content, decoded) {
			return i, nil
		}
	}
	f := failed(ErrNoSignatureMatch, "the signature does not match: another secret, or a body that was changed on the way")
	return -1, &f
}

func (b *bodyChecker) sign(c *call, at time.Time) error {
	return b.put(c, at, func(content []byte) (string, error) {
		signature, err := b.signatureOf(b.secrets[0], content)
		return b.encode(signature), err
	})
}

// adyenItem has the fields that Adyen signs.
type adyenItem struct {
	PspReference        json.RawMessage
	OriginalReference   json.RawMessage
	MerchantAccountCode json.RawMessage
	MerchantReference   json.RawMessage
	Amount              struct{ Value, Currency json.RawMessage }
	EventCode           json.RawMessage
	Success             json.RawMessage
	AdditionalData      map[string]json.RawMessage
}

type adyenBody struct {
	NotificationItems []struct{ NotificationRequestItem *adyenItem }
}

func itemsAdyen(c *call) (signed, *finding) {
	var body adyenBody
	if duplicateNames(c.Body) || json.Unmarshal(c.Body, &body) != nil {
		return signed{}, bad("the body is not the JSON of a notification")
	}
	var out signed
	for _, wrapped := range body.NotificationItems {
		n := wrapped.NotificationRequestItem
		if n == nil {
			return signed{}, bad("an item is empty")
		}
		content, ok := n.content()
		signature, _ := scalar(n.AdditionalData["hmacSignature"])
		if !ok || signature == "" {
			return signed{}, bad("an item has no signature, or signed fields that are not plain values")
		}
		out.items = append(out.items, item{signature, content})
	}
	return out, nil
}

// content joins the signed fields. One with a colon could be read as two.
func (n *adyenItem) content() ([]byte, bool) {
	var parts []string
	for i, raw := range []json.RawMessage{n.PspReference, n.OriginalReference, n.MerchantAccountCode,
		n.MerchantReference, n.Amount.Value, n.Amount.Currency, n.EventCode, n.Success} {
		text, ok := scalar(raw)
		const merchantReference = 3 // the merchant's own text, which may have one
		if !ok || (strings.Contains(text, ":") && i != merchantReference) {
			return nil, false
		}
		parts = append(parts, text)
	}
	return []byte(strings.Join(parts, ":")), true
}

// scalar is a JSON string, number or boolean as text; nothing and null are empty.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	if raw[0] == '{' || raw[0] == '[' {
		return "", false
	}
	if raw[0] == '"' {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	return string(raw), true
}

// duplicateNames says whether an object of a JSON text names a member twice, also in another case:
// two parsers would then read two different events.
func duplicateNames(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		names map[string]bool // nil in a list
		value bool            // a value comes next, not a name
	}
	var stack []level
	for {
		token, err := d.Token()
		if err != nil {
			return len(stack) > 0
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack) - 1; n >= 0 && stack[n].names != nil {
			if !stack[n].value {
				name := strings.ToLower(token.(string))
				if stack[n].names[name] {
					return true
				}
				stack[n].names[name], stack[n].value = true, true
				continue
			}
			stack[n].value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		}
	}
}

func putAdyen(c *call, _ time.Time, sign func([]byte) (string, error)) error {
	var body struct {
		Live              json.RawMessage             `json:"live,omitempty"`
		NotificationItems []map[string]map[string]any `json:"notificationItems"`
	}
	var parsed adyenBody
	if json.Unmarshal(c.Body, &body) != nil || json.Unmarshal(c.Body, &parsed) != nil {
		return errUnsignable("the body is not the JSON of a notification")
	}
	for i, wrapped := range parsed.NotificationItems {
		n, out := wrapped.NotificationRequestItem, body.NotificationItems[i]["NotificationRequestItem"]
		content, ok := n.content()
		if !ok || out == nil {
			return errUnsignable("a signed field is not a plain value")
		}
		signature, err := sign(content)
		if err != nil {
			return err
		}
		data, _ := out["additionalData"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		data["hmacSignature"], out["additionalData"] = signature, data
	}
	var err error
	c.Body, err = json.Marshal(body)
	return err
}

// itemsBraintree reads bt_signature, pairs of a public key and a signature. With the parameter
// public_key only that key's counts.
func itemsBraintree(c *call) (signed, *finding) {
	fields, ok := form(c)
	if !ok || len(fields["bt_payload"]) != 1 || len(fields["bt_signature"]) != 1 {
		return signed{}, bad("the body is not a form with bt_payload and bt_signature")
	}
	payload := fields.Get("bt_payload")
	for pair := range strings.SplitSeq(fields.Get("bt_signature"), "&") {
		key, signature, _ := strings.Cut(pair, "|")
		if want := c.options.Params["public_key"]; want == "" || key == want {
			return signed{items: []item{{signature, []byte(payload)}}}, nil
		}
	}
	return signed{}, bad("bt_signature has none for the public key that is configured")
}

func putBraintree(c *call, _ time.Time, sign func([]byte) (string, error)) error {
	payload := base64.StdEncoding.EncodeToString(c.Body)
	signature, err := sign([]byte(payload))
	c.Body = []byte(url.Values{"bt_payload": {payload}, "bt_signature": {c.options.Params["public_key"] + "|" + signature}}.Encode())
	c.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return err
}

type mailgunSignature struct {
	Timestamp string `json:"timestamp"`
	Token     string `json:"token"`
	Signature string `json:"signature"`
}

func itemsMailgun(c *call) (signed, *finding) {
	var body struct{ Signature mailgunSignature }
	if fields, ok := form(c); ok && fields.Has("signature") { // routes and older webhooks
		body.Signature = mailgunSignature{fields.Get("timestamp"), fields.Get("token"), fields.Get("signature")}
	} else if duplicateNames(c.Body) || json.Unmarshal(c.Body, &body) != nil {
		return signed{}, bad("the body is neither a form nor JSON with a signature")
	}
	s := body.Signature
	if s.Timestamp == "" || s.Token == "" || s.Signature == "" {
		return signed{}, nil
	}
	return signed{items: []item{{s.Signature, []byte(s.Timestamp + s.Token)}}, stamp: s.Timestamp, loose: true}, nil
}

func putMailgun(c *call, at time.Time, sign func([]byte) (string, error)) error {
	body := map[string]json.RawMessage{}
	if json.Unmarshal(c.Body, &body) != nil {
		return errUnsignable("the body is not a JSON object")
	}
	s := mailgunSignature{Timestamp: strconv.FormatInt(at.Unix(), 10), Token: randomText()}
	var err error
	if s.Signature, err = sign([]byte(s.Timestamp + s.Token)); err != nil {
		return err
	}
	if body["signature"], err = json.Marshal(s); err != nil {
		return err
	}
	c.Body, err = json.Marshal(body)
	return err
}

func itemsPaddle(c *call) (signed, *finding) {
	fields, ok := form(c)
	if !ok {
		return signed{}, bad("the body is not a form")
	}
	signature := fields.Get("p_signature")
	content, ok := phpSerialize(fields, "p_signature")
	if !ok {
		return signed{}, bad("a form field is there twice")
	}
	if signature == "" {
		return signed{}, nil
	}
	return signed{items: []item{{signature, content}}}, nil
}

// phpSerialize writes the fields but one as PHP serializes an array of strings, by name.
func phpSerialize(fields url.Values, but string) ([]byte, bool) {
	names := slices.Sorted(maps.Keys(fields))
	names = slices.DeleteFunc(names, func(name string) bool { return name == but })
	out := fmt.Appendf(nil, "a:%d:{", len(names))
	for _, name := range names {
		if len(fields[name]) != 1 {
			return nil, false
		}
		value := fields[name][0]
		out = fmt.Appendf(out, `s:%d:"%s";s:%d:"%s";`, len(name), name, len(value), value)
	}
	return append(out, '}'), len(fields[but]) <= 1
}

func putPaddle(c *call, _ time.Time, sign func([]byte) (string, error)) error {
	return putField(c, "p_signature", sign, func(fields url.Values) ([]byte, bool) { return phpSerialize(fields, "p_signature") })
}

// putField signs a form in one of its fields.
func putField(c *call, name string, sign func([]byte) (string, error), content func(url.Values) ([]byte, bool)) error {
	fields, ok := form(c)
	if !ok {
		return errUnsignable("the body is not a form")
	}
	fields.Del(name)
	text, ok := content(fields)
	if !ok {
		return errUnsignable("a form field is there twice")
	}
	signature, err := sign(text)
	if err != nil {
		return err
	}
	fields.Set(name, signature)
	c.Body = []byte(fields.Encode())
	c.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return nil
}

func itemsAlipay(c *call) (signed, *finding) {
	fields, ok := form(c)
	if !ok || fields.Get("sign_type") != "RSA2" {
		return signed{}, bad("the body is not a form with sign_type=RSA2")
	}
	signature := fields.Get("sign")
	content, ok := contentAlipay(fields)
	if !ok {
		return signed{}, bad("a form field is there twice")
	}
	if signature == "" {
		return signed{}, nil
	}
	return signed{items: []item{{signature, content}}}, nil
}

// contentAlipay is name=value, by name, with & between; sign, sign_type and empty fields are out.
func contentAlipay(fields url.Values) ([]byte, bool) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if len(fields[name]) != 1 {
			return nil, false
		}
		if value := fields[name][0]; value != "" && name != "sign" && name != "sign_type" {
			pairs = append(pairs, name+"="+value)
		}
	}
	return []byte(strings.Join(pairs, "&")), true
}

func putAlipay(c *call, _ time.Time, sign func([]byte) (string, error)) error {
	if fields, ok := form(c); ok && !fields.Has("sign_type") {
		fields.Set("sign_type", "RSA2")
		c.Body = []byte(fields.Encode())
	}
	return putField(c, "sign", sign, contentAlipay)
}

type dropboxSignEvent struct {
	Event struct {
		Time json.RawMessage `json:"event_time"`
		Type string          `json:"event_type"`
		Hash string          `json:"event_hash"`
	} `json:"event"`
}

// dropboxSignJSON is the event in a body: a form's field json, or the body.
func dropboxSignJSON(c *call) []byte {
	if fields, ok := form(c); ok && len(fields["json"]) == 1 {
		return []byte(fields.Get("json"))
	}
	if mark := []byte(`name="json"`); bytes.Contains(c.Body, mark) { // multipart, its only part
		_, rest, _ := bytes.Cut(c.Body, mark)
		if i := bytes.IndexByte(rest, '{'); i >= 0 {
			return rest[i : bytes.LastIndexByte(rest, '}')+1]
		}
	}
	return c.Body
}

func itemsDropboxSign(c *call) (signed, *finding) {
	var e dropboxSignEvent
	text := dropboxSignJSON(c)
	if duplicateNames(text) || json.Unmarshal(text, &e) != nil {
		return signed{}, bad("there is no JSON event in the body")
	}
	stamp, _ := scalar(e.Event.Time)
	if e.Event.Hash == "" || stamp == "" {
		return signed{}, nil
	}
	// Retries keep the time, so that it does not go stale.
	return signed{items: []item{{e.Event.Hash, []byte(stamp + e.Event.Type)}}, loose: true}, nil
}

func putDropboxSign(c *call, at time.Time, sign func([]byte) (string, error)) error {
	var e dropboxSignEvent
	var body map[string]map[string]any
	if json.Unmarshal(c.Body, &e) != nil || json.Unmarshal(c.Body, &body) != nil || body["event"] == nil {
		return errUnsignable("the body is not the JSON of an event")
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	hash, err := sign([]byte(stamp + e.Event.Type))
	if err != nil {
		return err
	}
	body["event"]["event_time"], body["event"]["event_hash"] = stamp, hash
	c.Body, err = json.Marshal(body)
	return err
}

// clientState checks that every change of a batch repeats the secret.
type clientState struct{ *bodyChecker }

func newClientState(o *Options, _ bool) (checker, error) {
	b, err := newBodyChecker(Scheme{Algorithm: "token"}, o, false)
	return clientState{b}, err
}

func (s clientState) check(c *call) finding {
	var body struct {
		Value []struct{ ClientState string }
	}
	if duplicateNames(c.Body) || json.Unmarshal(c.Body, &body) != nil {
		return *bad("the body is not JSON with a list of changes")
	}
	if len(body.Value) == 0 {
		return failed(ErrMissingHeader, "there are no changes in the body, and so no clientState")
	}
	out := finding{secret: -1}
	for _, change := range body.Value {
		if out = compareToken(s.secrets, change.ClientState); out.outcome == Failed {
			return out
		}
	}
	return out
}

func (s clientState) sign(c *call, _ time.Time) error {
	var body struct {
		Value []map[string]any `json:"value"`
	}
	if json.Unmarshal(c.Body, &body) != nil {
		return errUnsignable("the body is not JSON with a list of changes")
	}
	for _, change := range body.Value {
		change["clientState"] = string(s.secrets[0].raw)
	}
	var err error
	c.Body, err = json.Marshal(body)
	return err
}
