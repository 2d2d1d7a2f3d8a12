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

// itemsPandaDoc finds PandaDoc's signature, which comes in the URL.
func itemsPandaDoc(c *call) (signed, *finding) {
	signature := c.query("signature")
	if signature == "" {
		f := failed(ErrMissingHeader, "the URL has no parameter signature, or several")
		return signed{}, &f
	}
	return signed{items: []item{{signature, c.Body}}}, nil
}

func putPandaDoc(c *call, _ time.Time, sign func([]byte) (string, error)) error {
	signature, err := sign(c.Body)
	if err != nil {
		return err
	}
	u, err := url.Parse(c.Request.URL)
	if err != nil {
		return errUnsignable("the URL cannot be read")
	}
	values := u.Query()
	values.Set("signature", signature)
	u.RawQuery = values.Encode()
	c.Request.URL = u.String()
	return nil
}
