package webhook

import (
	"fmt"
	"time"
)

// bodyTable are the providers whose signature stands in the body, over some of what is in it, or in the
// URL, over the body.
var bodyTable = []provider{
	{name: "adyen", title: "Adyen", code: inBody(Scheme{Algorithm: "hmac-sha256", Encoding: "base64", Key: "hex"}, itemsAdyen, putAdyen), how: "hmac-sha256 of eight fields of every item, in its `additionalData.hmacSignature` as base64, key hex", id: "$.notificationItems[].NotificationRequestItem.pspReference + $.notificationItems[].NotificationRequestItem.eventCode", kind: "$.notificationItems[].NotificationRequestItem.eventCode", accept: reply{kind: "text/plain", body: "[accepted]"}, note: "the fields that are not signed can be changed", source: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures"},
	{name: "braintree", title: "Braintree", code: inBody(Scheme{Algorithm: "hmac-sha1", Key: "sha1"}, itemsBraintree, putBraintree), how: "hmac-sha1 of form field `bt_payload` in `bt_signature` as hex, key sha1", params: "public_key", challenge: tokenBraintree, note: "the secret is the private key; the event is base64 of XML", source: "https://developer.paypal.com/braintree/docs/guides/webhooks/parse"},
	{name: "mailgun", title: "Mailgun", code: inBody(Scheme{Algorithm: "hmac-sha256"}, itemsMailgun, putMailgun), how: "hmac-sha256 of timestamp and token in `$.signature` as hex", id: "$.event-data.id", kind: "$.event-data.event", note: "the event itself is not signed: no more than authenticated, and each token should be taken once", source: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks"},
	{name: "paddle-classic", title: "Paddle Classic", code: inBody(Scheme{Algorithm: "rsa-sha1", Encoding: "base64"}, itemsPaddle, putPaddle), how: "rsa-sha1 of the form fields as PHP serializes them, in `p_signature` as base64", id: "form:alert_id", kind: "form:alert_name", note: "the secret is the public key", source: "https://developer.paddle.com/classic/webhook-reference/verifying-webhooks"},
	{name: "alipay", title: "Alipay", code: inBody(Scheme{Algorithm: "rsa-sha256", Encoding: "base64"}, itemsAlipay, putAlipay), how: "rsa-sha256 of the sorted form fields in `sign` as base64", id: "form:notify_id", kind: "form:notify_type", accept: reply{kind: "text/plain", body: "success"}, note: "the secret is Alipay's public key", source: "https://opendocs.alipay.com/common/02mse7"},
	{name: "dropbox-sign", title: "Dropbox Sign", code: inBody(Scheme{Algorithm: "hmac-sha256"}, itemsDropboxSign, putDropboxSign), how: "hmac-sha256 of time and type in `event.event_hash` as hex", id: "$.event.event_hash", kind: "$.event.event_type", accept: reply{kind: "text/plain", body: "Hello API Event Received"}, note: "signs time and type only: no more than authenticated; the secret is the API key", source: "https://developers.hellosign.com/docs/events/walkthrough/"},
	{name: "pandadoc", title: "PandaDoc", code: inBody(Scheme{Algorithm: "hmac-sha256"}, itemsPandaDoc, putPandaDoc), how: "hmac-sha256 of `{body}` in the URL's parameter `signature` as hex", kind: "$[].event", note: "the secret is the subscription's shared key; there is no event id: deduplicate by the body", source: "https://developers.pandadoc.com/docs/webhook-verification"},
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
