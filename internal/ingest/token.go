package ingest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"github.com/harkhq/hark"
)

// A token is the secret part of a source's URL: nobody guesses 32 characters of base62.
const (
	tokenLength   = 32
	tokenAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewToken makes one.
func NewToken() hark.SecretKey {
	return tokenFrom(func(byte) []byte {
		var b [tokenLength]byte
		_, _ = rand.Read(b[:]) // never fails
		return b[:]
	})
}

// TokenOf is the one token of a seed, which nobody who does not know the seed guesses.
func TokenOf(seed []byte) hark.SecretKey {
	return tokenFrom(func(round byte) []byte {
		mac := hmac.New(sha256.New, seed)
		mac.Write([]byte{round})
		return mac.Sum(nil)
	})
}

// tokenFrom makes a token of bytes, of which there are more in each round: those that stand for no character are
// left out, so that all are as likely.
func tokenFrom(bytes func(round byte) []byte) hark.SecretKey {
	out := make([]byte, 0, tokenLength)
	for round := byte(0); len(out) < tokenLength; round++ {
		for _, c := range bytes(round) {
			if c &= 63; int(c) < len(tokenAlphabet) && len(out) < tokenLength {
				out = append(out, tokenAlphabet[c])
			}
		}
	}
	return hark.SecretKey(out)
}

// IsToken says whether text could be one: what could not need not be looked up.
func IsToken(text string) bool {
	if len(text) != tokenLength {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return false
		}
	}
	return true
}
