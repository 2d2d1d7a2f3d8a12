package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// jwsAlgorithm is a row of JOSE's table: ours for the digest, and how a signature is laid out.
type jwsAlgorithm struct {
	*algorithm
	curve elliptic.Curve // for ECDSA
}

func jwsAlgorithmOf(name string) (jwsAlgorithm, bool) {
	switch name {
	case "HS256":
		return jwsAlgorithm{algorithm: algorithmOf("hmac-sha256")}, true
	case "HS384":
		return jwsAlgorithm{algorithm: algorithmOf("hmac-sha384")}, true
	case "HS512":
		return jwsAlgorithm{algorithm: algorithmOf("hmac-sha512")}, true
	case "RS256":
		return jwsAlgorithm{algorithm: algorithmOf("rsa-sha256")}, true
	case "RS512":
		return jwsAlgorithm{algorithm: algorithmOf("rsa-sha512")}, true
	case "ES256":
		return jwsAlgorithm{algorithmOf("ecdsa-sha256"), elliptic.P256()}, true
	case "EdDSA":
		return jwsAlgorithm{algorithm: algorithmOf("ed25519")}, true
	}
	return jwsAlgorithm{}, false // "none" above all
}

// jws is a compact JWS taken apart.
type jws struct {
	header struct {
		Algorithm string   `json:"alg"`
		KeyID     string   `json:"kid"`
		Critical  []string `json:"crit"`
		Base64    *bool    `json:"b64"`
		Timestamp int64    `json:"ts"` // Constant Contact
	}
	protected string // the header as sent
	payload   string // as sent; empty when it is detached
	signature []byte
}

// maxToken is the longest token that is looked at, outside bodies.
const maxToken = 16 << 10

// parseJWS takes a compact JWS apart. Extensions that it must not ignore are an error, except the
// one for unencoded payloads.
func parseJWS(text string) (*jws, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, false
	}
	t := &jws{protected: parts[0], payload: parts[1]}
	header, err := strictBase64URL.DecodeString(t.protected)
	if err != nil || duplicateNames(header) || json.Unmarshal(header, &t.header) != nil {
		return nil, false
	}
	if t.signature, err = strictBase64URL.DecodeString(parts[2]); err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	for _, name := range t.header.Critical {
		if name != "b64" {
			return nil, false
		}
	}
	return t, true
}

// verify checks the signature over input with one key: bytes for HMAC, else a public key.
func (t *jws) verify(a jwsAlgorithm, key any, input []byte) bool {
	switch a.kind {
	case kindHMAC:
		secret, ok := key.([]byte)
		if !ok {
			return false
		}
		mac := hmac.New(a.hash, secret)
		_, _ = mac.Write(input)
		return hmac.Equal(mac.Sum(nil), t.signature)
	case kindEd25519:
		public, ok := key.(ed25519.PublicKey)
		return ok && ed25519.Verify(public, input, t.signature)
	case kindECDSA:
		public, ok := key.(*ecdsa.PublicKey)
		return ok && public.Curve == a.curve && verifyPair(public, a.digest(input), t.signature)
	case kindRSA:
		public, ok := key.(*rsa.PublicKey)
		return ok && fits(a.algorithm, public) == nil && rsa.VerifyPKCS1v15(public, a.id, a.digest(input), t.signature) == nil
	}
	return false
}

// verifyPair verifies ECDSA where the signature is r and s, as JOSE writes it.
func verifyPair(public *ecdsa.PublicKey, digest, signature []byte) bool {
	size := (public.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, digest, r, s)
}

func (a *algorithm) digest(input []byte) []byte {
	h := a.hash()
	_, _ = h.Write(input)
	return h.Sum(nil)
}

// claims are what tokens of webhooks say; whatever else they say stays in raw.
type claims struct {
	Issuer    string      `json:"iss"`
	Audience  audience    `json:"aud"`
	Expires   json.Number `json:"exp"`
	NotBefore json.Number `json:"nbf"`
	IssuedAt  json.Number `json:"iat"`
	raw       json.RawMessage
}

// audience is one receiver or several.
type audience []string

// UnmarshalJSON reads a text or a list of texts.
func (a *audience) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(a))
	}
	*a = make(audience, 1)
	return json.Unmarshal(text, &(*a)[0])
}

func parseClaims(text []byte) (*claims, bool) {
	c := &claims{raw: text}
	return c, !duplicateNames(text) && json.Unmarshal(text, c) == nil
}

// text is a claim as text.
func (c *claims) text(path string) string {
	steps, err := parsePath(path)
	if err != nil {
		return ""
	}
	value, _ := jsonValue(c.raw, steps)
	return value
}

// moment reads a NumericDate; ok is false when it is there and is none.
func moment(n json.Number) (at time.Time, ok bool) {
	if n == "" {
		return time.Time{}, true
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > farFuture {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// inTime checks what the token says of its time. Clocks may differ by leeway. With fresh set there
// must be an iat, no further away than the tolerance.
func (c *claims) inTime(cl *call, fresh bool) *finding {
	expires, ok1 := moment(c.Expires)
	from, ok2 := moment(c.NotBefore)
	issued, ok3 := moment(c.IssuedAt)
	if !ok1 || !ok2 || !ok3 {
		return bad("a time in the token is no time")
	}
	const leeway = time.Minute
	if !expires.IsZero() && cl.now.After(expires.Add(leeway)) {
		f := failed(ErrTooOld, "the token expired %v ago", cl.now.Sub(expires).Round(time.Second))
		return &f
	}
	if !from.IsZero() && cl.now.Before(from.Add(-leeway)) {
		f := failed(ErrTooNew, "the token is not valid for another %v", from.Sub(cl.now).Round(time.Second))
		return &f
	}
	if limit, ok := cl.options.tolerance(0); ok && issued.After(cl.now.Add(limit)) {
		return near(issued, cl.now, limit)
	}
	if !fresh {
		return nil
	}
	if issued.IsZero() {
		return bad("the token does not say when it was issued")
	}
	if limit, ok := cl.options.tolerance(0); ok {
		return near(issued, cl.now, limit)
	}
	return nil
}

// jwk is one key of a key set.
type jwk struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Use   string `json:"use"`
	Curve string `json:"crv"`
	N     string `json:"n"`
	E     string `json:"e"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

var errKeySet = errors.New("the key set cannot be used")

// keyOf finds a key in a key set; kid may be empty when there is only one.
func keyOf(set []byte, kid string) (crypto.PublicKey, error) {
	var keys struct{ Keys []jwk }
	if err := json.Unmarshal(set, &keys); err != nil {
		return nil, fmt.Errorf("%w: it is no JSON", errKeySet)
	}
	for _, k := range keys.Keys {
		if (k.ID == kid && kid != "") || (kid == "" && len(keys.Keys) == 1) {
			return k.public()
		}
	}
	return nil, nil
}

func (k jwk) public() (crypto.PublicKey, error) {
	number := func(text string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 || len(b) > maxSignature {
			return nil
		}
		return new(big.Int).SetBytes(b)
	}
	switch {
	case k.Type == "RSA":
		n, e := number(k.N), number(k.E)
		if n != nil && e != nil && e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31 {
			return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
		}
	case k.Type == "EC" && k.Curve == "P-256":
		x, err1 := base64.RawURLEncoding.DecodeString(k.X)
		y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
		if err1 == nil && err2 == nil && len(x) == 32 && len(y) == 32 {
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		}
	case k.Type == "OKP" && k.Curve == "Ed25519":
		if x, err := base64.RawURLEncoding.DecodeString(k.X); err == nil && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x), nil
		}
	}
	return nil, fmt.Errorf("%w: its key is of a kind that webhooks do not have", errKeySet)
}
