package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// publicTable are the providers that sign with a private key of their own. The secret is their
// public key, as they show or publish it.
var publicTable = []provider{
	{name: "discord", title: "Discord", schemes: one(Scheme{Algorithm: "ed25519", Signed: "{timestamp}{body}", Header: "X-Signature-Ed25519", Timestamp: "X-Signature-Timestamp"}), id: "$.id", kind: "$.event.type | $.type", challenge: pingDiscord, refuse: 401, note: "probes with bad signatures: answer 401", source: "https://discord.com/developers/docs/interactions/overview"},
	{name: "telnyx", title: "Telnyx", schemes: one(Scheme{Algorithm: "ed25519", Signed: "{timestamp}|{body}", Header: "Telnyx-Signature-Ed25519", Encoding: "base64", Timestamp: "Telnyx-Timestamp"}), id: "$.data.id", kind: "$.data.event_type", source: "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks"},
	{name: "sendgrid", title: "SendGrid", schemes: one(Scheme{Algorithm: "ecdsa-sha256", Signed: "{timestamp}{body}", Header: "X-Twilio-Email-Event-Webhook-Signature", Encoding: "base64", Timestamp: "X-Twilio-Email-Event-Webhook-Timestamp"}), id: "$[].sg_event_id", kind: "$[].event", note: "the body ends with CRLF", source: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features"},
	{name: "wise", title: "Wise", schemes: one(Scheme{Algorithm: "rsa-sha256", Signed: "{body}", Header: "X-Signature-SHA256", Encoding: "base64"}), id: "X-Delivery-Id", kind: "$.event_type", source: "https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling"},
	{name: "orum", title: "Orum", schemes: one(Scheme{Algorithm: "rsa-sha256", Signed: "{body}{$.created_at}", Header: "Signature", Encoding: "base64"}), id: "$.event_id", kind: "$.event_type", note: "the secret is the public key from webhooks/secret", source: "https://docs.orum.io/api-reference/webhooks/secure-webhooks"},
	{name: "wechat-pay", title: "WeChat Pay", schemes: one(Scheme{Algorithm: "rsa-sha256", Signed: "{timestamp}\n{header:Wechatpay-Nonce}\n{body}\n", Header: "Wechatpay-Signature", Encoding: "base64", Timestamp: "Wechatpay-Timestamp"}), id: "$.id", kind: "$.event_type", note: "the secret is the platform's certificate or public key", source: "https://pay.weixin.qq.com/doc/v3/merchant/4012365342"},
	{name: "bridge", title: "Bridge.xyz", schemes: one(tolerate(Scheme{Algorithm: "rsa-sha256-twice", Signed: "{timestamp}.{body}", Header: "X-Webhook-Signature", Separator: ",", Prefix: "v0=", Encoding: "base64", Timestamp: "t=", Unit: "ms"}, 600)), id: "$.event_id", kind: "$.event_type", note: "what is signed is the digest of the content", source: "https://apidocs.bridge.xyz/platform/additional-information/webhooks/signature"},
	{name: "utila", title: "Utila", schemes: one(Scheme{Algorithm: "rsa-pss-sha512", Signed: "{body}", Header: "X-Utila-Signature", Encoding: "base64"}), id: "$.id", kind: "$.type", source: "https://docs.utila.io/reference/webhooks"},
	{name: "fireblocks-legacy", title: "Fireblocks (legacy header)", schemes: one(Scheme{Algorithm: "rsa-sha512", Signed: "{body}", Header: "Fireblocks-Signature", Encoding: "base64"}), id: "$.id", kind: "$.eventType | $.type", source: "https://developers.fireblocks.com/reference/validating-webhooks"},
	{name: "circle", title: "Circle", keyless: true, code: named(circleKeys), how: "ecdsa-sha256 of `{body}` in `X-Circle-Signature` as base64, key by `X-Circle-Key-Id`", id: "$.notificationId", kind: "$.notificationType", params: "api_key", challenge: alive, note: "the secret is the public key; without one it is fetched with api_key", source: "https://developers.circle.com/wallets/webhook-notifications"},
	{name: "ebay", title: "eBay", keyless: true, code: named(ebayKeys), how: "ecdsa-sha1 of `{body}` in the JSON of `X-EBAY-SIGNATURE`, key by its kid", id: "$.notification.notificationId", kind: "$.metadata.topic", params: "access_token verification_token", challenge: tokenEbay, note: "the secret is the public key; without one it is fetched with access_token", source: "https://developer.ebay.com/api-docs/commerce/notification/overview.html"},
}

// keyDirectory is where a provider keeps the keys that its requests name.
type keyDirectory struct {
	scheme Scheme
	header string
	// read takes the header apart; signature is still encoded.
	read func(r *Request, header string) (kid, signature string, ok bool)
	// ask makes the request for a key.
	ask func(ctx context.Context, o *Options, kid string) (*http.Request, error)
	// path is where the answer has the key.
	path string
}

var circleKeys = keyDirectory{
	scheme: Scheme{Algorithm: "ecdsa-sha256", Encoding: "base64"},
	header: "X-Circle-Signature",
	read: func(r *Request, header string) (kid, signature string, ok bool) {
		kids := r.Header["X-Circle-Key-Id"]
		if len(kids) != 1 {
			return "", "", false
		}
		return kids[0], header, true
	},
	ask: func(ctx context.Context, o *Options, kid string) (*http.Request, error) {
		return withBearer(ctx, "https://api.circle.com/v2/notifications/publicKey/"+kid, o.Params["api_key"])
	},
	path: "$.data.publicKey",
}

var ebayKeys = keyDirectory{
	scheme: Scheme{Algorithm: "ecdsa-sha1", Encoding: "base64"},
	header: "X-Ebay-Signature",
	read: func(_ *Request, header string) (kid, signature string, ok bool) {
		var said struct{ Kid, Signature string }
		text, err := strictBase64.DecodeString(header)
		if err != nil || duplicateNames(text) || json.Unmarshal(text, &said) != nil {
			return "", "", false
		}
		return said.Kid, said.Signature, true
	},
	ask: func(ctx context.Context, o *Options, kid string) (*http.Request, error) {
		return withBearer(ctx, "https://api.ebay.com/commerce/notification/v1/public_key/"+kid, o.Params["access_token"])
	},
	path: "$.key",
}

func withBearer(ctx context.Context, address, token string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, err
}

// namedKey checks a signature by a key that the request names.
type namedKey struct {
	*bodyChecker
	from  keyDirectory
	path  []step
	fetch *fetcher
}

func named(from keyDirectory) code {
	return func(o *Options, signing bool) (checker, error) {
		b, err := newBodyChecker(from.scheme, o, signing)
		if err != nil {
			return nil, err
		}
		path, err := parsePath(from.path)
		return &namedKey{bodyChecker: b, from: from, path: path, fetch: &fetcher{client: o.Client}}, err
	}
}

func (n *namedKey) present(r *Request) bool { return len(r.Header[n.from.header]) > 0 }
func (n *namedKey) missing() string         { return n.from.header }

func (n *namedKey) check(c *call) finding {
	values := c.Header[n.from.header]
	if len(values) != 1 {
		return *bad("the %s header is there %d times", n.from.header, len(values))
	}
	kid, encoded, ok := n.from.read(c.Request, values[0])
	var store [maxSignature + 2]byte
	decoded, fine := n.decode(store[:0], encoded)
	if !ok || !fine || !keyName(kid) {
		return *bad("the %s header names no key and signature", n.from.header)
	}
	keys := n.secrets
	if len(keys) == 0 {
		key, err := n.key(c, kid)
		if err != nil {
			return unfetched(err)
		}
		keys = []*secret{key}
	}
	for i, sec := range keys {
		if n.proves(sec, c.Body, decoded) {
			if len(n.secrets) == 0 {
				i = -1
			}
			return finding{outcome: Verified, secret: i}
		}
	}
	return failed(ErrNoSignatureMatch, "the signature does not match: another key, or a body that was changed on the way")
}

func (n *namedKey) key(c *call, kid string) (*secret, error) {
	text, err := n.fetch.get(c.ctx, func(ctx context.Context) (*http.Request, error) { return n.from.ask(ctx, c.options, kid) }, kid, c.now, false)
	if err != nil {
		return nil, err
	}
	value, _ := jsonValue(text, n.path)
	return newSecret(n.algorithm, "", pemLines(value), false)
}

// pemLines puts back the line breaks that a PEM text loses on its way through JSON.
func pemLines(text string) string {
	const begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
	if inner, ok := strings.CutPrefix(text, begin); ok {
		return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(inner), end))
	}
	return text
}

// encodeEbay is eBay's header for a signature.
func encodeEbay(signature string) string {
	text, _ := json.Marshal(map[string]string{"alg": "ecdsa", "kid": "test", "signature": signature, "digest": "SHA1"})
	return base64.StdEncoding.EncodeToString(text)
}

func (n *namedKey) sign(c *call, _ time.Time) error {
	signature, err := n.signatureOf(n.secrets[0], c.Body)
	if err != nil {
		return err
	}
	text := n.encode(signature)
	if n.from.header == ebayKeys.header {
		text = encodeEbay(text)
	} else if len(c.Header["X-Circle-Key-Id"]) == 0 {
		c.Header.Set("X-Circle-Key-Id", "test")
	}
	c.Header.Set(n.from.header, text)
	return nil
}
