package webhook

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// maxSignatures bounds the work that one header can ask for. A sender in the middle of a rotation
// sends up to eleven.
const maxSignatures = 64

// standard verifies Standard Webhooks: id, timestamp and body are signed. Its providers differ in
// how a secret's text becomes a key.
type standard struct {
	keys []Key
}

// newStandard is the code of the providers that follow the standard.
func newStandard(parse func(text string) (Key, error)) code {
	return func(o *Options, signing bool) (checker, error) {
		s := &standard{}
		for _, text := range o.Secrets {
			k, err := parse(text)
			if err != nil {
				return nil, err
			}
			if signing && !k.CanSign() {
				return nil, fmt.Errorf("%w to sign with: a public key can verify, not sign", ErrKey)
			}
			s.keys = append(s.keys, k)
		}
		return s, nil
	}
}

// theirKey reads the secrets of other senders, who keep less strictly to the lengths.
func theirKey(text string) (Key, error) {
	k, err := ParseKey(strings.TrimPrefix(text, "v1,")) // Supabase's begin with v1,whsec_
	if err == nil {
		return k, nil
	}
	encoded := strings.TrimPrefix(strings.TrimPrefix(text, "v1,"), symmetricPrefix)
	raw, bad := base64.StdEncoding.DecodeString(encoded)
	if bad != nil || len(raw) < minTheirBytes || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, err
	}
	return symmetricKey(raw), nil
}

// minTheirBytes is below what the standard asks for, and as short as a secret may be.
const minTheirBytes = 12

// textKey takes the secret's text itself as the key, unless it says that it is base64.
func textKey(text string) (Key, error) {
	if strings.HasPrefix(text, symmetricPrefix) {
		return theirKey(text)
	}
	return symmetricKey([]byte(text)), nil
}

func (s *standard) present(r *Request) bool {
	_, missing := findNames(r.Header)
	return missing == nil
}

func (s *standard) missing() string {
	return strings.ToLower(HeaderID + ", " + HeaderTimestamp + " or " + HeaderSignature)
}

func (s *standard) covers(t term) bool {
	return t.header == "" || t.header == HeaderID || t.header == "Svix-Id"
}

// claim is what the headers say.
type claim struct {
	id         string
	timestamp  int64
	signatures []string // header values, each a list
}

func (s *standard) check(c *call) finding {
	n, _ := findNames(c.Header)
	// Two values would leave open which one the application reads after us.
	if len(c.Header[n.id]) > 1 || len(c.Header[n.timestamp]) > 1 {
		return *bad("id and timestamp must stand there once")
	}
	said := claim{id: c.Header.Get(n.id), signatures: c.Header[n.signature]}
	if !ValidID(said.id) {
		return *bad("the id must be visible characters without a dot")
	}
	text := c.Header.Get(n.timestamp)
	at, f := readTime(text, "s", c, 0)
	said.timestamp, _ = parseTimestamp(text)
	if f != nil {
		f.secret = s.match(said, c.Body, at).secret // whose it is all the same: late, or somebody else's
		return *f
	}
	return s.match(said, c.Body, at)
}

// match looks for one signature that one of the keys made. Versions it does not know and
// signatures of the wrong length are no match, as senders may add versions at any time.
func (s *standard) match(said claim, body []byte, at time.Time) finding {
	seen := 0
	for _, list := range said.signatures {
		for entry := range strings.FieldsSeq(list) {
			if seen++; seen > maxSignatures {
				return *bad("there are more than %d signatures", maxSignatures)
			}
			if i := s.matches(entry, said, body); i >= 0 {
				return finding{outcome: Verified, secret: i, timestamp: at}
			}
		}
	}
	return failed(ErrNoSignatureMatch, "the signature does not match: another secret, another id or timestamp, or a body that was changed on the way")
}

// The lengths of signatures, decoded and encoded.
const (
	hmacBytes, hmacText       = 32, 44
	ed25519Bytes, ed25519Text = 64, 88
)

// matches answers which key made entry; -1 for none.
func (s *standard) matches(entry string, said claim, body []byte) int {
	version, encoded, _ := strings.Cut(entry, ",")
	size := 0
	switch {
	case version == versionHMAC && len(encoded) == hmacText:
		size = hmacBytes
	case version == versionEd25519 && len(encoded) == ed25519Text:
		size = ed25519Bytes
	default:
		return -1
	}
	var decoded [ed25519Text / 4 * 3]byte
	n, err := strictBase64.Decode(decoded[:], []byte(encoded))
	if err != nil || n != size {
		return -1
	}
	for i, k := range s.keys {
		if k.Version() == version && k.matches(decoded[:n], said.id, said.timestamp, body) {
			return i
		}
	}
	return -1
}

func (s *standard) sign(c *call, at time.Time) error {
	id := c.Header.Get(HeaderID)
	if id == "" {
		id = c.Header.Get("Svix-Id")
	}
	if id == "" {
		id = "msg_" + randomText()
	}
	if !ValidID(id) {
		return errUnsignable("the id must be visible characters without a dot")
	}
	for name, values := range Sign(s.keys, id, at, c.Body) {
		c.Header[name] = values
	}
	return nil
}
