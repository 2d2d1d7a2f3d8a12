package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

const (
	keyPrefix     = "hark_"
	keyRandom     = 32 // bytes
	keyDigits     = 43 // of 32 bytes in base62
	checkDigits   = 6  // of a CRC32 in base62
	maxKeySegment = 16
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// MinBootstrapKey is how long a key chosen by a person must be at least.
const MinBootstrapKey = 32

// ErrKey reports text that is not an API key, or one with a typing mistake.
var ErrKey = errors.New("not an API key")

// IssuedKey is a new key with its text, which is shown this once and not kept.
type IssuedKey struct {
	Key  hark.Key
	Text string
}

// NewKey makes a key for an environment. The caller fills in the rest and stores it.
func NewKey(env hark.Environment, scope hark.Scope, name string, now time.Time) IssuedKey {
	text := generateKey(segment(env.Name))
	return IssuedKey{Text: text, Key: hark.Key{
		ID:            hark.NewKeyID(now),
		EnvironmentID: env.ID,
		Name:          name,
		Scope:         scope,
		Prefix:        text[:len(text)-keyDigits-checkDigits+4],
		Hash:          HashKey(text),
		CreatedAt:     now,
	}}
}

// HashKey is what is kept of a key: enough to recognise it, useless to call with. A plain SHA-256
// does, because the text has 256 random bits.
func HashKey(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// ParseKey checks a key's form and checksum, without knowing whether there is such a key, and
// answers the environment that it names.
func ParseKey(text string) (env string, err error) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(text) > len(keyPrefix)+maxKeySegment+1+keyDigits+checkDigits {
		return "", ErrKey
	}
	env, digits, ok := strings.Cut(rest, "_")
	if !ok || env == "" || env != segment(env) || len(digits) != keyDigits+checkDigits {
		return "", ErrKey
	}
	for i := range len(digits) {
		if strings.IndexByte(base62, digits[i]) < 0 {
			return "", ErrKey
		}
	}
	body, check := text[:len(text)-checkDigits], text[len(text)-checkDigits:]
	if checksum(body) != check {
		return "", ErrKey
	}
	return env, nil
}

func generateKey(env string) string {
	var random [keyRandom]byte
	_, _ = rand.Read(random[:]) // crypto/rand.Read never fails (Go 1.24)
	body := keyPrefix + env + "_" + base62Digits(new(big.Int).SetBytes(random[:]), keyDigits)
	return body + checksum(body)
}

func checksum(body string) string {
	return base62Digits(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), checkDigits)
}

func base62Digits(n *big.Int, digits int) string {
	out := make([]byte, digits)
	base, rest := big.NewInt(int64(len(base62))), new(big.Int)
	for i := range out {
		n.DivMod(n, base, rest)
		out[digits-1-i] = base62[rest.Int64()]
	}
	return string(out)
}

// segment is an environment's name as it stands in its keys: small letters and digits.
func segment(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if b.Len() < maxKeySegment && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9') {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return "env"
	}
	return b.String()
}
