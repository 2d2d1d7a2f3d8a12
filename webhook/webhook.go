// Package webhook verifies the webhooks of some two hundred providers, answers their handshakes, and
// signs: Standard Webhooks 1.0.0 as a sender does, and every other scheme as its provider would.
//
// A receiver makes a Verifier by the provider's name (docs/providers.md lists them), and checks the
// raw body before it looks inside:
//
//	verifier, err := webhook.NewVerifier("stripe", webhook.Options{Secrets: []string{secret}})
//	verdict := verifier.Verify(ctx, webhook.Request{Method: …, URL: …, Header: …, Body: body}, time.Now())
//
// A sender of Standard Webhooks makes a Key for each receiver and signs every attempt:
//
//	key := webhook.GenerateKey()
//	header := webhook.Sign([]webhook.Key{key}, "msg_1", time.Now(), body)
//
// How it is built: most providers are a row of a table, a Scheme, which says as data what is signed,
// how, and where the signature stands. The others are code, a file for each family:
//
//	table_hmac, table_stamped, table_token   rows only
//	standard     Standard Webhooks, and who follows them
//	url          form fields and URLs (Twilio, Plivo, Mandrill, HubSpot, Contentful)
//	inbody, inbody_read   signatures inside the body (Adyen, Braintree, Mailgun, …)
//	public       public keys, given or fetched by name
//	jws, table_jws        JSON Web Tokens, with a body's hash in them or detached
//	certificate  certificates that the request names (PayPal, SNS)
//	handshake    challenges, a function each
//
// The promise: what is Verified was signed by a holder of one of the secrets, no longer ago than the
// tolerance, and the Verdict says which of id and type the signature covers. What only shows a shared
// token is Authenticated, never Verified. MACs and tokens are compared in constant time, the provider's
// row pins the algorithm, keys and certificates come from the provider's own hosts, hostile requests
// fail with a cause, and secrets print as "•••" or not at all.
//
// It refuses a signature that is spelled in another way than the provider's (another case, missing
// padding), headers that are there twice, empty secrets, JSON that names a signed field twice, and,
// for Standard Webhooks, ids with a dot (the dot separates the signed parts).
//
// This package imports the standard library only, and reads no clock.
package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The header names of Standard Webhooks. A Verifier also takes them with "svix" for "webhook".
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// ValidID says whether id can be signed: one or more visible ASCII characters, and no dot, which
// would let "a.1"+"2" pass for "a"+"1.2".
func ValidID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return id != ""
}

// Sign makes the three headers for one attempt at sending body, signed by every key that can
// sign. The id stays the same on every attempt and must satisfy ValidID; at is the moment of this
// attempt.
func Sign(keys []Key, id string, at time.Time, body []byte) http.Header {
	timestamp := at.Unix()
	return http.Header{
		HeaderID:        {id},
		HeaderTimestamp: {strconv.FormatInt(timestamp, 10)},
		HeaderSignature: {string(AppendSignatures(nil, keys, id, timestamp, body))},
	}
}

// AppendSignatures appends the value of the signature header: one signature for each key that can
// sign, with spaces between.
func AppendSignatures(dst []byte, keys []Key, id string, timestamp int64, body []byte) []byte {
	start := len(dst)
	for _, k := range keys {
		if !k.CanSign() {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = k.AppendSignature(dst, id, timestamp, body)
	}
	return dst
}

// appendSigned appends what goes before the body in the signed content.
func appendSigned(dst []byte, id string, timestamp int64) []byte {
	dst = append(dst, id...)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, timestamp, 10)
	return append(dst, '.')
}

// names are the three headers under one prefix.
type names struct{ id, timestamp, signature string }

// findNames picks the prefix under which all three headers are there. It answers the standard's
// own when neither is complete, with those that are missing.
func findNames(header http.Header) (found names, missing []string) {
	standard := names{HeaderID, HeaderTimestamp, HeaderSignature}
	missing = standard.missing(header)
	if missing == nil {
		return standard, nil
	}
	if svix := (names{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}); svix.missing(header) == nil {
		return svix, nil
	}
	return standard, missing
}

func (n names) missing(header http.Header) (missing []string) {
	for _, name := range [...]string{n.id, n.timestamp, n.signature} {
		if header.Get(name) == "" {
			missing = append(missing, strings.ToLower(name))
		}
	}
	return missing
}
