package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxSignature is the longest signature there is: RSA with 4096 bits.
const maxSignature = 512

var (
	strictBase64    = base64.StdEncoding.Strict()
	strictBase64URL = base64.RawURLEncoding.Strict()
)

func validEncoding(name string) bool {
	switch name {
	case "", "hex", "HEX", "base64", "base64url", "base64-hex":
		return true
	}
	return false
}

// decode reads one signature into dst. A signature has one spelling: another case, missing padding
// or line breaks are no signature, and neither is another length than the algorithm's.
func (s *scheme) decode(dst []byte, text string) ([]byte, bool) {
	var ok bool
	switch s.Encoding {
	case "base64":
		dst, ok = decode64(dst, text, strictBase64)
	case "base64url":
		dst, ok = decode64(dst, text, strictBase64URL)
	case "base64-hex":
		var inner [2*64 + 4]byte // base64 counts its padding
		b, fine := decode64(inner[:0], text, strictBase64)
		if fine {
			dst, ok = decodeHex(dst, string(b), false)
		}
	default:
		dst, ok = decodeHex(dst, text, s.Encoding == "HEX")
	}
	return dst, ok && (s.algorithm.size == 0 || len(dst) == s.algorithm.size)
}

func decode64(dst []byte, text string, e *base64.Encoding) ([]byte, bool) {
	if e.DecodedLen(len(text)) > cap(dst) || strings.ContainsAny(text, "\r\n") {
		return dst, false
	}
	out, err := e.AppendDecode(dst, []byte(text))
	return out, err == nil
}

func decodeHex(dst []byte, text string, upper bool) ([]byte, bool) {
	if len(text)%2 != 0 || len(text)/2 > cap(dst) {
		return dst, false
	}
	for i := 0; i < len(text); i += 2 {
		hi, lo := nibble(text[i], upper), nibble(text[i+1], upper)
		if hi|lo > 15 {
			return dst, false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

// nibble reads a digit in one case; above 15 is none.
func nibble(c byte, upper bool) byte {
	a := byte('a')
	if upper {
		a = 'A'
	}
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case a <= c && c <= a+5:
		return c - a + 10
	}
	return 0xff
}

// encode writes a signature.
func (s *scheme) encode(signature []byte) string {
	switch s.Encoding {
	case "base64":
		return strictBase64.EncodeToString(signature)
	case "base64url":
		return strictBase64URL.EncodeToString(signature)
	case "base64-hex":
		return strictBase64.EncodeToString([]byte(hex.EncodeToString(signature)))
	case "HEX":
		return strings.ToUpper(hex.EncodeToString(signature))
	}
	return hex.EncodeToString(signature)
}

// form says in words what a signature looks like.
func (s *scheme) form() string {
	name := "lower-case hex"
	switch s.Encoding {
	case "HEX":
		name = "upper-case hex"
	case "base64":
		name = "base64"
	case "base64url":
		name = "base64url without padding"
	case "base64-hex":
		name = "base64 of hex"
	}
	if s.algorithm.size == 0 {
		return name
	}
	return fmt.Sprintf("%s of %d bytes", name, s.algorithm.size)
}
