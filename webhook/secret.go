package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"sync"
)

type kind uint8

const (
	kindHMAC kind = iota
	kindHash
	kindEd25519
	kindECDSA
	kindRSA
	kindPSS
	kindToken
	kindBasic
	kindIP
)

// algorithm is a row of the table of algorithms.
type algorithm struct {
	kind kind
	hash func() hash.Hash
	id   crypto.Hash // for public keys
	size int         // bytes of a signature; 0 when they differ
	// twice: what is signed is the digest of the content, which is then hashed again.
	twice bool
}

// signs says whether there is signed content.
func (a *algorithm) signs() bool { return a.kind < kindToken }

// public says whether secrets are public keys.
func (a *algorithm) public() bool {
	return a.kind == kindEd25519 || a.kind == kindECDSA || a.kind == kindRSA || a.kind == kindPSS
}

// MD5 and SHA-1 are here because providers use them: as MACs they still hold.
var algorithms = map[string]*algorithm{
	"hmac-md5":         {kind: kindHMAC, hash: md5.New, size: md5.Size},
	"hmac-sha1":        {kind: kindHMAC, hash: sha1.New, size: sha1.Size},
	"hmac-sha256":      {kind: kindHMAC, hash: sha256.New, size: sha256.Size},
	"hmac-sha384":      {kind: kindHMAC, hash: sha512.New384, size: sha512.Size384},
	"hmac-sha512":      {kind: kindHMAC, hash: sha512.New, size: sha512.Size},
	"sha1":             {kind: kindHash, hash: sha1.New, size: sha1.Size},
	"sha256":           {kind: kindHash, hash: sha256.New, size: sha256.Size},
	"ed25519":          {kind: kindEd25519, size: ed25519.SignatureSize},
	"ecdsa-sha1":       {kind: kindECDSA, hash: sha1.New, id: crypto.SHA1},
	"ecdsa-sha256":     {kind: kindECDSA, hash: sha256.New, id: crypto.SHA256},
	"rsa-sha1":         {kind: kindRSA, hash: sha1.New, id: crypto.SHA1},
	"rsa-sha256":       {kind: kindRSA, hash: sha256.New, id: crypto.SHA256},
	"rsa-sha512":       {kind: kindRSA, hash: sha512.New, id: crypto.SHA512},
	"rsa-pss-sha512":   {kind: kindPSS, hash: sha512.New, id: crypto.SHA512},
	"rsa-sha256-twice": {kind: kindRSA, hash: sha256.New, id: crypto.SHA256, twice: true},
	"token":            {kind: kindToken},
	"basic":            {kind: kindBasic},
	"ip":               {kind: kindIP},
}

func algorithmOf(name string) *algorithm { return algorithms[name] }

// secret is one secret made ready for an algorithm.
type secret struct {
	raw     []byte
	public  crypto.PublicKey
	private crypto.Signer
	network netip.Prefix
	scratch sync.Pool // *scratch, with the MAC keyed
}

func newSecret(a *algorithm, key, text string, signing bool) (*secret, error) {
	s := &secret{}
	var err error
	switch {
	case a.kind == kindIP:
		s.network, err = parseNetwork(text)
	case a.public() && signing:
		s.private, err = parsePrivateKey(a, text)
	case a.public():
		s.public, err = parsePublicKey(a, text)
	case a.kind == kindBasic:
		if !strings.Contains(text, ":") {
			err = fmt.Errorf("%w: Basic needs user:password", ErrKey)
		}
		s.raw = []byte(base64.StdEncoding.EncodeToString([]byte(text)))
	default:
		s.raw, err = keyBytes(key, text)
	}
	if err != nil {
		return nil, err
	}
	s.scratch.New = func() any {
		switch {
		case a.kind == kindHMAC:
			return &scratch{mac: hmac.New(a.hash, s.raw)}
		case a.hash != nil:
			return &scratch{mac: a.hash()}
		}
		return &scratch{}
	}
	return s, nil
}

// keyBytes makes a secret's text a key.
func keyBytes(key, text string) (raw []byte, err error) {
	switch key {
	case "", "text":
		raw = []byte(text)
	case "hex":
		raw, err = hex.DecodeString(text)
	case "base64":
		raw, err = base64.StdEncoding.DecodeString(text)
	case "after-prefix":
		raw, err = base64.StdEncoding.DecodeString(text[strings.IndexByte(text, '_')+1:])
	case "sha1":
		sum := sha1.Sum([]byte(text))
		raw = sum[:]
	default:
		return nil, fmt.Errorf("%w: there is no key format %q", ErrProvider, key)
	}
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("%w: it must be %s", ErrKey, key)
	}
	return raw, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: neither an address nor a network such as 192.0.2.0/24", ErrKey)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// matches says whether sec made one of the decoded signatures.
func (s *scheme) matches(sec *secret, c *call, timestamp string, decoded [][]byte) bool {
	st := sec.scratch.Get().(*scratch)
	defer sec.release(st)
	return s.digest(st, sec, c, timestamp) && s.anyOf(st.buf, sec, decoded)
}

// proves says whether sec signed exactly this content.
func (s *scheme) proves(sec *secret, content []byte, decoded ...[]byte) bool {
	st := sec.scratch.Get().(*scratch)
	defer sec.release(st)
	s.digestOf(st, content)
	return s.anyOf(st.buf, sec, decoded)
}

func (s *scheme) anyOf(digest []byte, sec *secret, decoded [][]byte) bool {
	for _, signature := range decoded {
		if s.algorithm.verify(sec.public, digest, signature) {
			return true
		}
	}
	return false
}

// verify compares a MAC, or verifies a signature over a digest.
func (a *algorithm) verify(public crypto.PublicKey, digest, signature []byte) bool {
	switch a.kind {
	case kindEd25519:
		return ed25519.Verify(public.(ed25519.PublicKey), digest, signature)
	case kindECDSA:
		return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest, signature)
	case kindRSA:
		return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), a.id, digest, signature) == nil
	case kindPSS:
		return rsa.VerifyPSS(public.(*rsa.PublicKey), a.id, digest, signature, nil) == nil
	}
	return hmac.Equal(digest, signature)
}

// digest leaves in st.buf what is compared or signed: the MAC, the hash, or for ed25519 the content.
func (s *scheme) digest(st *scratch, sec *secret, c *call, timestamp string) (ok bool) {
	if st.mac == nil {
		st.buf, ok = s.append(st.buf[:0], c, sec.raw, timestamp, func(before, body []byte) []byte { return append(before, body...) })
		return ok
	}
	st.mac.Reset()
	st.buf, ok = s.append(st.buf[:0], c, sec.raw, timestamp, func(before, body []byte) []byte {
		_, _ = st.mac.Write(before)
		_, _ = st.mac.Write(body)
		return before[:0]
	})
	_, _ = st.mac.Write(st.buf)
	st.buf = st.mac.Sum(st.buf[:0])
	if s.algorithm.twice {
		s.digestOf(st, append([]byte(nil), st.buf...))
	}
	return ok
}

// digestOf is digest for content that is there as a whole.
func (s *scheme) digestOf(st *scratch, content []byte) {
	if st.mac == nil {
		st.buf = append(st.buf[:0], content...)
		return
	}
	st.mac.Reset()
	_, _ = st.mac.Write(content)
	st.buf = st.mac.Sum(st.buf[:0])
}

// signature signs with a secret or private key; the result is not yet encoded.
func (s *scheme) signature(sec *secret, c *call, timestamp string) ([]byte, error) {
	st := sec.scratch.Get().(*scratch)
	defer sec.release(st)
	if !s.digest(st, sec, c, timestamp) {
		return nil, fmt.Errorf("%w: the request lacks a part that is signed", ErrProvider)
	}
	return s.algorithm.sign(sec, st.buf)
}

// signatureOf signs content that is there as a whole.
func (s *scheme) signatureOf(sec *secret, content []byte) ([]byte, error) {
	st := sec.scratch.Get().(*scratch)
	defer sec.release(st)
	s.digestOf(st, content)
	return s.algorithm.sign(sec, st.buf)
}

func (a *algorithm) sign(sec *secret, digest []byte) ([]byte, error) {
	switch a.kind {
	case kindEd25519:
		return sec.private.Sign(nil, digest, crypto.Hash(0))
	case kindECDSA, kindRSA:
		return sec.private.Sign(rand.Reader, digest, a.id)
	case kindPSS:
		return sec.private.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.id})
	}
	return append([]byte(nil), digest...), nil
}

func (s *secret) release(st *scratch) {
	if cap(st.buf) <= maxScratchBytes {
		s.scratch.Put(st)
	}
}

// checkToken compares a header with the secrets themselves.
func (s *scheme) checkToken(c *call) finding {
	var given string
	for _, name := range s.headers {
		values := c.Header[name]
		if len(values) > 1 {
			return failed(ErrMalformed, "the %s header is there %d times", name, len(values))
		}
		if len(values) == 1 && given == "" {
			given = values[0]
		}
	}
	given, ok := strings.CutPrefix(given, s.Prefix)
	if !ok {
		return failed(ErrMalformed, "the %s header does not begin with %q", s.headers[0], s.Prefix)
	}
	return compareToken(s.secrets, given)
}

func compareToken(secrets []*secret, given string) finding {
	for i, sec := range secrets {
		if equalText(given, sec.raw) {
			return finding{outcome: Authenticated, secret: i}
		}
	}
	return failed(ErrWrongToken, "the token is not the one that is configured")
}

// equalText compares in a time that tells nothing of where, or in what length, the two differ.
func equalText(given string, want []byte) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256(want)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (s *scheme) checkAddress(c *call) finding {
	for i, sec := range s.secrets {
		if c.Remote.IsValid() && sec.network.Contains(c.Remote.Unmap()) {
			return finding{outcome: Authenticated, secret: i}
		}
	}
	return failed(ErrWrongToken, "the address is not one of those that are configured")
}
