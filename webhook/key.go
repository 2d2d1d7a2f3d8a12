package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
)

// ErrKey is what every refusal of a secret wraps. The refusals never repeat the secret.
var ErrKey = errors.New("not a signing secret")

// The lengths of a symmetric secret, in bytes.
const (
	minSecretBytes       = 24
	maxSecretBytes       = 75
	generatedSecretBytes = 24
)

const (
	symmetricPrefix = "whsec_"
	privatePrefix   = "whsk_"
	publicPrefix    = "whpk_"
)

// Key is one signing secret. The zero Key is none: it signs nothing and verifies nothing. Keys are
// small to copy, safe for concurrent use, and print as "•••" in every format; Text is the secret.
type Key struct{ m *handle }

// handle is one pointer more than needed, as fmt follows one when it meets the Key in a field that
// is not exported, with a verb that does not fit.
type handle struct{ *material }

// material is what a Key stands for: either a symmetric secret, or an ed25519 public key with or
// without its private half.
type material struct {
	secret  []byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
	// scratch holds *scratch: for a symmetric secret with its HMAC keyed already, so that a
	// signature costs the message's hashing and no allocation.
	scratch sync.Pool
}

type scratch struct {
	mac hash.Hash // nil for ed25519
	buf []byte
}

// maxScratchBytes is the largest buffer that is kept for the next signature.
const maxScratchBytes = 64 << 10

// GenerateKey makes a symmetric key of 24 random bytes.
func GenerateKey() Key {
	secret := make([]byte, generatedSecretBytes)
	_, _ = rand.Read(secret) // crypto/rand.Read never fails (Go 1.24)
	return symmetricKey(secret)
}

// GenerateSigningKeyPair makes an ed25519 key. Its receivers get Public, with which they can
// verify but not sign.
func GenerateSigningKeyPair() Key {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	return privateKey(ed25519.NewKeyFromSeed(seed))
}

// ParseKey reads a secret's text: whsec_ and base64 of 24 to 75 bytes (or that base64 alone),
// whsk_ and base64 of an ed25519 seed with its public key, or whpk_ and base64 of a public key,
// which can only verify. whsk1_ and whpk1_ are taken as well.
func ParseKey(text string) (Key, error) {
	prefix, encoded := "", text
	if i := strings.IndexByte(text, '_'); i >= 0 {
		prefix, encoded = text[:i+1], text[i+1:]
	}
	// The decoder skips line breaks; a secret must have one spelling.
	if strings.ContainsAny(encoded, "\r\n") {
		return Key{}, fmt.Errorf("%w: there is a line break in it", ErrKey)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	switch prefix {
	case "", symmetricPrefix, privatePrefix, "whsk1_", publicPrefix, "whpk1_":
	default:
		return Key{}, fmt.Errorf("%w: it must start with whsec_, whsk_ or whpk_", ErrKey)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: what follows the prefix must be base64 with its padding", ErrKey)
	}
	switch prefix {
	case privatePrefix, "whsk1_":
		return parsePrivate(raw)
	case publicPrefix, "whpk1_":
		if len(raw) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("%w: whpk_ must hold %d bytes, not %d", ErrKey, ed25519.PublicKeySize, len(raw))
		}
		return publicKey(raw), nil
	default:
		if len(raw) < minSecretBytes || len(raw) > maxSecretBytes {
			return Key{}, fmt.Errorf("%w: whsec_ must hold %d to %d bytes, not %d", ErrKey, minSecretBytes, maxSecretBytes, len(raw))
		}
		return symmetricKey(raw), nil
	}
}

func parsePrivate(raw []byte) (Key, error) {
	if len(raw) != ed25519.PrivateKeySize {
		return Key{}, fmt.Errorf("%w: whsk_ must hold %d bytes (seed and public key), not %d", ErrKey, ed25519.PrivateKeySize, len(raw))
	}
	// A public half that belongs to another seed would leak the private key through its signatures.
	private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	if !bytes.Equal(private, raw) {
		return Key{}, fmt.Errorf("%w: the public half of whsk_ does not belong to its seed", ErrKey)
	}
	return privateKey(private), nil
}

func symmetricKey(secret []byte) Key {
	m := &material{secret: secret}
	m.scratch.New = func() any { return &scratch{mac: hmac.New(sha256.New, secret)} }
	return Key{&handle{m}}
}

func privateKey(private ed25519.PrivateKey) Key {
	k := publicKey(private.Public().(ed25519.PublicKey))
	k.m.private = private
	return k
}

func publicKey(public ed25519.PublicKey) Key {
	m := &material{public: public}
	m.scratch.New = func() any { return new(scratch) }
	return Key{&handle{m}}
}

// IsZero says that k is no key at all.
func (k Key) IsZero() bool { return k.m == nil }

// CanSign says whether k holds a secret, and not only the means to verify.
func (k Key) CanSign() bool { return k.m != nil && (k.m.secret != nil || k.m.private != nil) }

// Text is the secret itself, as ParseKey reads it. For a key that can only verify it is Public.
func (k Key) Text() string {
	switch {
	case k.m == nil:
		return ""
	case k.m.private != nil:
		return privatePrefix + base64.StdEncoding.EncodeToString(k.m.private)
	}
	return k.Public()
}

// Public is what a receiver needs to verify: the shared secret, or the public key of an ed25519 pair.
func (k Key) Public() string {
	switch {
	case k.m == nil:
		return ""
	case k.m.public != nil:
		return publicPrefix + base64.StdEncoding.EncodeToString(k.m.public)
	}
	return symmetricPrefix + base64.StdEncoding.EncodeToString(k.m.secret)
}

// The signature versions.
const (
	versionHMAC    = "v1"
	versionEd25519 = "v1a"
)

// Version names the signatures that k makes: "v1" for HMAC-SHA256, "v1a" for ed25519.
func (k Key) Version() string {
	switch {
	case k.m == nil:
		return ""
	case k.m.public != nil:
		return versionEd25519
	}
	return versionHMAC
}

// Format hides the key from every verb of fmt.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String hides the key from slog and string conversion.
func (k Key) String() string { return "•••" }

// MarshalText hides the key from JSON and other encodings; whoever means to store it calls Text.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// AppendSignature appends one signature, such as v1,<base64>, over id, timestamp (Unix seconds)
// and body. A key that cannot sign appends nothing.
func (k Key) AppendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	if !k.CanSign() {
		return dst
	}
	s := k.m.scratch.Get().(*scratch)
	defer k.m.release(s)
	dst = append(dst, k.Version()...)
	dst = append(dst, ',')
	if k.m.private != nil {
		s.buf = append(appendSigned(s.buf[:0], id, timestamp), body...)
		return base64.StdEncoding.AppendEncode(dst, ed25519.Sign(k.m.private, s.buf))
	}
	return base64.StdEncoding.AppendEncode(dst, s.sum(id, timestamp, body))
}

// matches says whether signature, decoded and of the right length for k's version, is one of
// these parts.
func (k Key) matches(signature []byte, id string, timestamp int64, body []byte) bool {
	s := k.m.scratch.Get().(*scratch)
	defer k.m.release(s)
	if k.m.public != nil {
		s.buf = append(appendSigned(s.buf[:0], id, timestamp), body...)
		return ed25519.Verify(k.m.public, s.buf, signature)
	}
	return hmac.Equal(signature, s.sum(id, timestamp, body))
}

// sum is the MAC; it lives in the scratch buffer.
func (s *scratch) sum(id string, timestamp int64, body []byte) []byte {
	s.mac.Reset()
	s.buf = appendSigned(s.buf[:0], id, timestamp)
	_, _ = s.mac.Write(s.buf)
	_, _ = s.mac.Write(body)
	s.buf = s.mac.Sum(s.buf[:0])
	return s.buf
}

func (m *material) release(s *scratch) {
	if cap(s.buf) <= maxScratchBytes {
		m.scratch.Put(s)
	}
}
