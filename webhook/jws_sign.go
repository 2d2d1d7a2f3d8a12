package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// sign makes the token that a provider would send.
func (t *tokenChecker) sign(c *call, at time.Time) error {
	if len(t.secrets) == 0 {
		return errUnsignable("there is no key to sign with")
	}
	name := t.signingAlgorithm()
	a, _ := jwsAlgorithmOf(name)
	header := map[string]any{"alg": name, "typ": "JWT"}
	token := &jws{}
	if t.header == "X-Ctct-Webhook-Sig" {
		plain := false
		token.header.Base64, token.header.Critical = &plain, []string{"b64"}
		header["b64"], header["crit"], header["ts"] = false, []string{"b64"}, at.Unix()
	}
	if t.stamp != "" {
		c.Header.Set(t.stamp, formatTime(at, "ms"))
	}
	head, err := json.Marshal(header)
	if err != nil {
		return err
	}
	token.protected = base64.RawURLEncoding.EncodeToString(head)
	if t.detached == nil {
		payload, err := t.payload(c, at)
		if err != nil {
			return err
		}
		token.payload = base64.RawURLEncoding.EncodeToString(payload)
	}
	input := []byte(token.protected + "." + token.payload)
	if t.detached != nil {
		input = t.detached(token, c)
	}
	signature, err := a.signJWS(t.secrets[0], input)
	if err != nil {
		return err
	}
	text := token.protected + "." + token.payload + "." + base64.RawURLEncoding.EncodeToString(signature)
	if t.body {
		c.Body = []byte(text)
		return nil
	}
	c.Header.Set(t.header, t.prefix+text)
	return nil
}

// signingAlgorithm is the first of the rule's that the key fits.
func (t *tokenChecker) signingAlgorithm() string {
	for name := range strings.FieldsSeq(t.algorithms) {
		a, _ := jwsAlgorithmOf(name)
		signer, public := t.secrets[0].(crypto.Signer)
		if public == (a.kind != kindHMAC) && (!public || fits(a.algorithm, signer.Public()) == nil) {
			return name
		}
	}
	return ""
}

// payload are the claims for a request; a body that is itself the token holds them already.
func (t *tokenChecker) payload(c *call, at time.Time) ([]byte, error) {
	if t.body {
		return c.Body, nil
	}
	hash := func(of []byte) string {
		sum := sha256.Sum256(of)
		if t.base64 {
			return base64.StdEncoding.EncodeToString(sum[:])
		}
		return hex.EncodeToString(sum[:])
	}
	said := map[string]any{"iat": at.Unix(), "exp": at.Add(DefaultTolerance).Unix(), "aud": c.url}
	if t.issuer != "" {
		said["iss"] = t.issuer
	}
	if name, ok := strings.CutPrefix(t.hash, "$."); ok {
		said[name] = hash(c.Body)
	}
	if name, ok := strings.CutPrefix(t.urlHash, "$."); ok {
		said[name] = hash([]byte(c.url))
	}
	switch t.prefix + t.keySet {
	case "JWT ":
		said["qsh"] = hash([]byte(canonicalRequest(c)))
	case "Bearer " + googleKeys:
		said["iss"], said["email"], said["email_verified"] = "https://accounts.google.com", c.options.Params["email"], true
		if audience := c.options.Params["audience"]; audience != "" {
			said["aud"] = audience
		}
	}
	return json.Marshal(said)
}

// signJWS signs as JOSE lays it out.
func (a jwsAlgorithm) signJWS(key any, input []byte) ([]byte, error) {
	if secret, ok := key.([]byte); ok {
		sec, err := newSecret(a.algorithm, "", string(secret), true)
		if err != nil {
			return nil, err
		}
		return (&scheme{algorithm: a.algorithm}).signatureOf(sec, input)
	}
	if private, ok := key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, private, a.digest(input))
		if err != nil {
			return nil, err
		}
		size := (a.curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errUnsignable("the key cannot sign")
	}
	if a.kind == kindEd25519 {
		return signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	return signer.Sign(rand.Reader, a.digest(input), a.id)
}
