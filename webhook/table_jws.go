package webhook

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// jwsTable are the providers that send a JSON Web Token. Some put a hash of the body into it; of the
// others it only says who calls. The algorithm is pinned by the row: what a token says of its own
// algorithm decides nothing.
var jwsTable = []provider{
	{name: "netlify", title: "Netlify", code: tokens(jwsRule{header: "X-Webhook-Signature", algorithms: "HS256", issuer: "netlify", hash: "$.sha256"}), how: "JWS HS256 in `X-Webhook-Signature`, claim `sha256` is the body's hash in hex", id: "$.id", kind: "$.state", source: "https://docs.netlify.com/site-deploys/notifications/"},
	{name: "plaid", title: "Plaid", keyless: true, code: tokens(jwsRule{header: "Plaid-Verification", algorithms: "ES256", hash: "$.request_body_sha256", fresh: true, keys: plaidKeys}), how: "JWS ES256 in `Plaid-Verification`, claim `request_body_sha256` is the body's hash in hex, key by kid", kind: "$.webhook_type + $.webhook_code", params: "client_id api_secret environment", note: "the secret is the public key; without one it is fetched with client_id and api_secret (environment: production, sandbox)", source: "https://plaid.com/docs/api/webhooks/webhook-verification/"},
	{name: "monday", title: "monday.com", code: tokens(jwsRule{header: "Authorization", algorithms: "HS256"}), how: "JWS HS256 in `Authorization`", id: "$.event.triggerUuid", kind: "$.event.type", challenge: echoJSON, note: "the body is not signed: no more than authenticated", source: "https://developer.monday.com/apps/docs/integration-authorization"},
	{name: "messagebird", title: "MessageBird", code: tokens(jwsRule{header: "Messagebird-Signature-Jwt", algorithms: "HS256 HS384 HS512", issuer: "MessageBird", hash: "$.payload_hash", urlHash: "$.url_hash"}), how: "JWS HS256 in `MessageBird-Signature-JWT`, claims `payload_hash` and `url_hash` in hex", source: "https://developers.messagebird.com/api/#verifying-http-requests"},
	{name: "vonage", title: "Vonage", code: tokens(jwsRule{header: "Authorization", prefix: "Bearer ", algorithms: "HS256", hash: "$.payload_hash", fresh: true}), how: "JWS HS256 in `Authorization: Bearer`, claim `payload_hash` is the body's hash in hex", id: "$.message_uuid", kind: "$.status", source: "https://developer.vonage.com/en/getting-started/concepts/webhooks"},
	{name: "fusionauth", title: "FusionAuth", code: tokens(jwsRule{header: "X-Fusionauth-Signature-Jwt", algorithms: "HS256 HS384 HS512 RS256 RS512 ES256 EdDSA", hash: "$.request_body_sha256", base64: true}), how: "JWS in `X-FusionAuth-Signature-JWT`, claim `request_body_sha256` is the body's hash in base64", id: "$.event.id", kind: "$.event.type", note: "the secret is an HMAC key or a public key as PEM", source: "https://fusionauth.io/docs/extend/events-and-webhooks/signing"},
	{name: "jira-connect", title: "Jira Connect apps", code: tokens(jwsRule{header: "Authorization", prefix: "JWT ", algorithms: "HS256", further: checkQSH}), how: "JWS HS256 in `Authorization: JWT`, claim `qsh` binds method, path and query", id: "X-Atlassian-Webhook-Identifier", kind: "$.webhookEvent", params: "base_path", note: "the body is not signed: no more than authenticated; base_path is the app's, which qsh leaves out", source: "https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/"},
	{name: "gcp-pubsub", title: "Google Pub/Sub push", keyless: true, code: tokens(jwsRule{header: "Authorization", prefix: "Bearer ", algorithms: "RS256", keySet: googleKeys, further: checkGoogle}), how: "JWS RS256 in `Authorization: Bearer`, key by kid from www.googleapis.com", id: "$.message.messageId", kind: "$.message.attributes.eventType", params: "audience email", note: "the body is not signed: no more than authenticated; data is base64", source: "https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions"},
	{name: "kinde", title: "Kinde", keyless: true, code: tokens(jwsRule{body: true, algorithms: "RS256", keySet: "{issuer}/.well-known/jwks"}), how: "the body is a JWS RS256, key by kid from the parameter issuer", id: "$.event_id", kind: "$.type", params: "issuer", source: "https://docs.kinde.com/integrate/webhooks/about-webhooks/"},
	{name: "wix", title: "Wix", code: tokens(jwsRule{body: true, algorithms: "RS256"}), how: "the body is a JWS RS256", kind: "$.eventType", note: "the secret is the app's public key; answer within 1.25 s", source: "https://dev.wix.com/docs/build-apps/develop-your-app/api-integrations/events-and-webhooks/about-webhooks"},
	{name: "neon", title: "Neon Auth", keyless: true, code: tokens(jwsRule{header: "X-Neon-Signature", algorithms: "EdDSA", keySet: "{jwks_url}", detached: detachedNeon, stamp: "X-Neon-Timestamp"}), how: "detached JWS EdDSA of `{timestamp}.base64url(body)` in `X-Neon-Signature`, key by kid from the parameter jwks_url", id: "$.event_id", kind: "$.event_type", params: "jwks_url", source: "https://neon.com/docs/auth/guides/webhooks"},
	{name: "constant-contact", title: "Constant Contact", keyless: true, code: tokens(jwsRule{header: "X-Ctct-Webhook-Sig", algorithms: "RS256", keySet: "https://developer.constantcontact.com/.well-known/jwks.json", detached: detachedPlain}), how: "detached JWS RS256 of `{body}` in `X-CTCT-WEBHOOK-SIG`, key from developer.constantcontact.com", source: "https://v3.developer.constantcontact.com/api_guide/webhook_authenticity.html"},
	{name: "fireblocks", title: "Fireblocks", keyless: true, code: tokens(jwsRule{header: "Fireblocks-Webhook-Signature", algorithms: "RS512", keySet: "https://keys.fireblocks.io/.well-known/jwks.json", detached: detachedEncoded}), how: "detached JWS RS512 of `{body}` in `Fireblocks-Webhook-Signature`, key by kid from keys.fireblocks.io", id: "$.id", kind: "$.eventType", source: "https://developers.fireblocks.com/reference/validating-webhooks"},
}

// jwsRule is how one provider uses tokens.
type jwsRule struct {
	header, prefix string // where the token is
	body           bool   // the body is the token
	algorithms     string // those that count, with a space between
	issuer         string
	hash           string // the claim that has the body's SHA-256
	base64         bool   // that hash is base64, not hex
	urlHash        string // the claim that has the URL's SHA-256
	fresh          bool   // iat must be recent
	stamp          string // a header with a signed time, in milliseconds
	keySet         string // where the keys are; {name} is a parameter
	keys           func(ctx context.Context, o *Options, kid string) (*http.Request, error)
	further        func(c *call, said *claims) *finding
	detached       func(t *jws, c *call) []byte // what is signed, if not the token's own payload
}

// tokenChecker checks tokens by a rule.
type tokenChecker struct {
	jwsRule
	secrets []any // keys: bytes, or public keys; to sign with, private ones
	fetch   *fetcher
	keySet  string
}

func tokens(rule jwsRule) code {
	return func(o *Options, signing bool) (checker, error) {
		t := &tokenChecker{jwsRule: rule, keySet: rule.keySet, fetch: &fetcher{client: o.Client}}
		for i, text := range o.Secrets {
			key, err := rule.key(text, signing)
			if err != nil {
				return nil, fmt.Errorf("secret %d: %w", i+1, err)
			}
			t.secrets = append(t.secrets, key)
		}
		if len(t.secrets) > 0 {
			return t, nil
		}
		if name, ok := strings.CutPrefix(rule.keySet, "{"); ok {
			name, rest, _ := strings.Cut(name, "}")
			base := o.Params[name]
			if u, err := url.Parse(base); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery+u.Fragment != "" {
				return nil, fmt.Errorf("%w: the parameter %s must be an https address", ErrProvider, name)
			}
			t.keySet = strings.TrimSuffix(base, "/") + rest
		}
		return t, nil
	}
}

// key reads a secret. Which kind it is follows from the rule's algorithms; where a rule takes both,
// PEM is a public key.
func (r jwsRule) key(text string, signing bool) (any, error) {
	for name := range strings.FieldsSeq(r.algorithms) {
		a, _ := jwsAlgorithmOf(name)
		if a.kind == kindHMAC {
			if strings.Contains(text, "-----BEGIN") {
				continue
			}
			return []byte(text), nil
		}
		var key any
		var err error
		if signing {
			key, err = parsePrivateKey(a.algorithm, text)
		} else {
			key, err = parsePublicKey(a.algorithm, text)
		}
		if err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: it must be a key for %s", ErrKey, r.algorithms)
}

func (t *tokenChecker) present(r *Request) bool { return t.body || len(r.Header[t.header]) > 0 }
func (t *tokenChecker) missing() string {
	if t.body {
		return "token"
	}
	return t.header
}

// covers goes for the body: tokens that do not bind it are Authenticated, and sign nothing.
func (t *tokenChecker) covers(where term) bool { return where.header == "" }

// bound says whether the token binds the body.
func (t *tokenChecker) bound() bool { return t.body || t.hash != "" || t.detached != nil }

func (t *tokenChecker) check(c *call) finding {
	token, f := t.read(c)
	if f != nil {
		return *f
	}
	a, ok := jwsAlgorithmOf(token.header.Algorithm)
	if !ok || !slices.Contains(strings.Fields(t.algorithms), token.header.Algorithm) {
		return *bad("the token must be signed with %s", t.algorithms)
	}
	input := []byte(token.protected + "." + token.payload)
	if t.detached != nil {
		if input = t.detached(token, c); input == nil {
			return *bad("the token must be detached from its payload")
		}
	} else if token.header.Base64 != nil {
		return *bad("the token's payload must be encoded")
	}
	which, f := t.signedBy(token, a, input, c)
	if f != nil {
		return *f
	}
	out := finding{outcome: Authenticated, secret: which}
	if t.bound() {
		out.outcome = Verified
	}
	if f := t.judge(c, token, &out); f != nil {
		return *f
	}
	return out
}

// read finds the token.
func (t *tokenChecker) read(c *call) (*jws, *finding) {
	var text string
	if t.body {
		text = string(bytes.TrimRight(c.Body, "\n"))
	} else {
		values := c.Header[t.header]
		if len(values) != 1 || len(values[0]) > maxToken {
			return nil, bad("the %s header must be there once, with a token", t.header)
		}
		var ok bool
		if text, ok = strings.CutPrefix(values[0], t.prefix); !ok {
			return nil, bad("the %s header does not begin with %q", t.header, t.prefix)
		}
	}
	token, ok := parseJWS(text)
	if !ok {
		return nil, bad("there is no JSON Web Token")
	}
	return token, nil
}

// signedBy finds the key that signed the token.
func (t *tokenChecker) signedBy(token *jws, a jwsAlgorithm, input []byte, c *call) (int, *finding) {
	for i, key := range t.secrets {
		if token.verify(a, key, input) {
			return i, nil
		}
	}
	if len(t.secrets) == 0 {
		key, err := t.fetched(c, token.header.KeyID)
		if err != nil {
			f := unfetched(err)
			return -1, &f
		}
		if key != nil && token.verify(a, key, input) {
			return -1, nil
		}
	}
	f := failed(ErrNoSignatureMatch, "the token's signature does not match: another key, or a request that was changed on the way")
	return -1, &f
}

// fetched is the key that a token names, or nil when the provider has none of that name.
func (t *tokenChecker) fetched(c *call, kid string) (crypto.PublicKey, error) {
	if t.keys != nil {
		if !keyName(kid) {
			return nil, nil
		}
		ask := func(ctx context.Context) (*http.Request, error) { return t.keys(ctx, c.options, kid) }
		text, err := t.fetch.get(c.ctx, ask, kid, c.now, false)
		if err != nil {
			return nil, err
		}
		var answer struct{ Key jwk }
		if json.Unmarshal(text, &answer) != nil {
			return nil, fmt.Errorf("%w: the answer is no JSON", errFetch)
		}
		return answer.Key.public()
	}
	for _, fresh := range []bool{false, true} { // a key that is not in the set may be new
		set, err := t.fetch.get(c.ctx, getting(t.keySet), t.keySet, c.now, fresh)
		if err != nil {
			return nil, err
		}
		if key, err := keyOf(set, kid); key != nil || err != nil {
			return key, err
		}
	}
	return nil, nil
}

// judge checks what a token says, now that it is theirs.
func (t *tokenChecker) judge(c *call, token *jws, out *finding) *finding {
	if t.detached != nil {
		return t.judgeDetached(c, token, out)
	}
	payload, err := strictBase64URL.DecodeString(token.payload)
	if err != nil {
		return bad("the token's payload is not encoded as it should be")
	}
	said, ok := parseClaims(payload)
	if !ok {
		return bad("the token's payload is no JSON")
	}
	if f := said.inTime(c, t.fresh); f != nil {
		return f
	}
	if out.timestamp, _ = moment(said.IssuedAt); t.body {
		out.body = payload
	}
	if t.issuer != "" && said.Issuer != t.issuer {
		return claim1("the token was issued by somebody else than %s", t.issuer)
	}
	if t.urlHash != "" && !t.sameHash(said.text(t.urlHash), []byte(c.url)) {
		return claim1("the token is for another URL")
	}
	if t.hash != "" && !(len(c.Body) == 0 && said.text(t.hash) == "" && t.urlHash != "") && !t.sameHash(said.text(t.hash), c.Body) {
		f := failed(ErrNoSignatureMatch, "the token is right, but the body was changed on the way")
		return &f
	}
	if t.further != nil {
		return t.further(c, said)
	}
	return nil
}

func (t *tokenChecker) judgeDetached(c *call, token *jws, out *finding) *finding {
	stamp, unit := "", "s"
	switch {
	case t.stamp != "" && len(c.Header[t.stamp]) == 1:
		stamp, unit = c.Header[t.stamp][0], "ms"
	case t.stamp != "":
		return bad("the %s header must be there once", t.stamp)
	case token.header.Timestamp != 0:
		stamp = fmt.Sprint(token.header.Timestamp)
	default:
		return nil
	}
	var f *finding
	out.timestamp, f = readTime(stamp, unit, c, 0)
	return f
}

func claim1(format string, args ...any) *finding {
	f := failed(ErrClaim, format, args...)
	return &f
}

func (t *tokenChecker) sameHash(claimed string, of []byte) bool {
	sum := sha256.Sum256(of)
	want := hex.EncodeToString(sum[:])
	if t.base64 {
		want = base64.StdEncoding.EncodeToString(sum[:])
	}
	return equalText(claimed, []byte(want))
}

// detachedEncoded is JOSE's own: the body, encoded, in the payload's place.
func detachedEncoded(t *jws, c *call) []byte {
	if t.payload != "" || t.header.Base64 != nil {
		return nil
	}
	return []byte(t.protected + "." + base64.RawURLEncoding.EncodeToString(c.Body))
}

// detachedPlain is RFC 7797: the body as it is in the payload's place.
func detachedPlain(t *jws, c *call) []byte {
	if t.payload != "" || t.header.Base64 == nil || *t.header.Base64 || len(t.header.Critical) == 0 {
		return nil
	}
	return append([]byte(t.protected+"."), c.Body...)
}

// detachedNeon is the timestamp and the encoded body, encoded again.
func detachedNeon(t *jws, c *call) []byte {
	if t.payload != "" || t.header.Base64 != nil {
		return nil
	}
	inner := c.Header.Get("X-Neon-Timestamp") + "." + base64.RawURLEncoding.EncodeToString(c.Body)
	return []byte(t.protected + "." + base64.RawURLEncoding.EncodeToString([]byte(inner)))
}

// plaidKeys asks for a key by its name, with the account's credentials.
func plaidKeys(ctx context.Context, o *Options, kid string) (*http.Request, error) {
	environment := o.Params["environment"]
	if environment != "sandbox" {
		environment = "production"
	}
	body, err := json.Marshal(map[string]string{"client_id": o.Params["client_id"], "secret": o.Params["api_secret"], "key_id": kid})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+environment+".plaid.com/webhook_verification_key/get", bytes.NewReader(body))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

// googleKeys is where Google publishes the keys of its tokens.
const googleKeys = "https://www.googleapis.com/oauth2/v3/certs"

// checkGoogle is what Google asks receivers to check: anybody can have Google sign a token for
// another audience or account.
func checkGoogle(c *call, said *claims) *finding {
	if said.Issuer != "accounts.google.com" && said.Issuer != "https://accounts.google.com" {
		return claim1("the token was issued by somebody else than Google")
	}
	if said.Expires == "" {
		return bad("the token never expires")
	}
	want := c.options.Params["audience"]
	if want == "" {
		want = c.url
	}
	if !slices.Contains(said.Audience, want) {
		return claim1("the token is for another audience")
	}
	if email := c.options.Params["email"]; email != "" && (said.text("$.email") != email || said.text("$.email_verified") != "true") {
		return claim1("the token is for another account")
	}
	return nil
}

// checkQSH compares the claim qsh with the hash of method, path and sorted query.
func checkQSH(c *call, said *claims) *finding {
	if said.Expires == "" {
		return bad("the token never expires")
	}
	if sum := sha256.Sum256([]byte(canonicalRequest(c))); !equalText(said.text("$.qsh"), []byte(hex.EncodeToString(sum[:]))) {
		return claim1("the token is for another method, path or query")
	}
	return nil
}

func canonicalRequest(c *call) string {
	path, query, _ := strings.Cut(pathOf(c.url), "?")
	path = strings.TrimPrefix(path, strings.TrimSuffix(c.options.Params["base_path"], "/"))
	if path = strings.TrimSuffix(path, "/"); path == "" {
		path = "/"
	}
	values, _ := url.ParseQuery(query)
	values.Del("jwt")
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all := slices.Sorted(slices.Values(values[name]))
		for i := range all {
			all[i] = percent(all[i])
		}
		pairs = append(pairs, percent(name)+"="+strings.Join(all, ","))
	}
	return strings.ToUpper(c.Method) + "&" + path + "&" + strings.Join(pairs, "&")
}

func percent(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
