package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Why a message was not accepted. Errors of Verify wrap exactly one of these.
var (
	ErrMissingHeader    = errors.New("webhook header missing")
	ErrMalformed        = errors.New("webhook header malformed")
	ErrTooOld           = errors.New("webhook timestamp too old")
	ErrTooNew           = errors.New("webhook timestamp too new")
	ErrNoSignatureMatch = errors.New("no webhook signature matches")
	ErrBodyTooLarge     = errors.New("webhook body too large")
)

// Defaults of a Verifier.
const (
	DefaultTolerance = 5 * time.Minute
	DefaultMaxBody   = 1 << 20
)

// maxSignatures bounds the work that one header can ask for. A sender in the middle of a rotation
// sends up to eleven.
const maxSignatures = 64

// Verifier checks messages against one or more secrets: more than one while a secret is being
// rotated. It is safe for concurrent use once its fields are set.
type Verifier struct {
	// Tolerance is how far the timestamp may be from now, either way.
	Tolerance time.Duration
	// MaxBody is the largest body that VerifyRequest reads, in bytes.
	MaxBody int64

	keys []Key
}

// NewVerifier makes a Verifier with the default limits from secrets as ParseKey reads them.
func NewVerifier(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	v := &Verifier{Tolerance: DefaultTolerance, MaxBody: DefaultMaxBody}
	for _, secret := range secrets {
		k, err := ParseKey(secret)
		if err != nil {
			return nil, err
		}
		v.keys = append(v.keys, k)
	}
	return v, nil
}

// Verify checks that body, the raw bytes as received, was signed within Tolerance of now by a
// holder of one of the secrets. The id header is then safe to use as the key against duplicates.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	c, err := v.parse(header, now)
	if err != nil {
		return err
	}
	return v.check(c, body)
}

// VerifyRequest reads the body of r and verifies it. It answers the body, which r has no more.
// Requests without proper headers are refused before their body is read.
func (v *Verifier) VerifyRequest(r *http.Request, now time.Time) ([]byte, error) {
	c, err := v.parse(r.Header, now)
	if err != nil {
		return nil, err
	}
	if r.ContentLength > v.MaxBody {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrBodyTooLarge, v.MaxBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, v.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read webhook body: %w", err)
	}
	if int64(len(body)) > v.MaxBody {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrBodyTooLarge, v.MaxBody)
	}
	if err := v.check(c, body); err != nil {
		return nil, err
	}
	return body, nil
}

// claim is what the headers say.
type claim struct {
	id         string
	timestamp  int64
	signatures []string // header values, each a list
}

func (v *Verifier) parse(header http.Header, now time.Time) (claim, error) {
	n, missing := findNames(header)
	if missing != nil {
		return claim{}, fmt.Errorf("%w: %s", ErrMissingHeader, strings.Join(missing, ", "))
	}
	// Two values would leave open which one the application reads after us.
	if len(header.Values(n.id)) > 1 || len(header.Values(n.timestamp)) > 1 {
		return claim{}, fmt.Errorf("%w: id and timestamp must stand there once", ErrMalformed)
	}
	c := claim{id: header.Get(n.id), signatures: header.Values(n.signature)}
	if !ValidID(c.id) {
		return claim{}, fmt.Errorf("%w: the id must be visible characters without a dot", ErrMalformed)
	}
	var ok bool
	if c.timestamp, ok = parseTimestamp(header.Get(n.timestamp)); !ok {
		return claim{}, fmt.Errorf("%w: the timestamp must be seconds since 1970", ErrMalformed)
	}
	switch age := now.Sub(time.Unix(min(c.timestamp, farFuture), 0)); {
	case age > v.Tolerance:
		return claim{}, fmt.Errorf("%w: %v", ErrTooOld, age)
	case age < -v.Tolerance:
		return claim{}, fmt.Errorf("%w: %v", ErrTooNew, age)
	}
	return c, nil
}

// farFuture, in the year 2242, is where timestamps stop counting: beyond, differences overflow.
const farFuture = 1 << 33

// parseTimestamp reads the one spelling of a moment since 1970: what is signed is the spelling.
func parseTimestamp(text string) (int64, bool) {
	t, err := strconv.ParseInt(text, 10, 64)
	if err != nil || t < 0 || strconv.FormatInt(t, 10) != text {
		return 0, false
	}
	return t, true
}

// check looks for one signature that one of the keys made. Versions it does not know and
// signatures of the wrong length are no match, as senders may add versions at any time.
func (v *Verifier) check(c claim, body []byte) error {
	seen := 0
	for _, list := range c.signatures {
		for entry := range strings.FieldsSeq(list) {
			if seen++; seen > maxSignatures {
				return fmt.Errorf("%w: more than %d signatures", ErrMalformed, maxSignatures)
			}
			if v.matches(entry, c, body) {
				return nil
			}
		}
	}
	return ErrNoSignatureMatch
}

// The lengths of signatures, decoded and encoded.
const (
	hmacBytes, hmacText       = 32, 44
	ed25519Bytes, ed25519Text = 64, 88
)

func (v *Verifier) matches(entry string, c claim, body []byte) bool {
	version, encoded, _ := strings.Cut(entry, ",")
	size := 0
	switch {
	case version == versionHMAC && len(encoded) == hmacText:
		size = hmacBytes
	case version == versionEd25519 && len(encoded) == ed25519Text:
		size = ed25519Bytes
	default:
		return false
	}
	var decoded [ed25519Text / 4 * 3]byte
	n, err := base64.StdEncoding.Strict().Decode(decoded[:], []byte(encoded))
	if err != nil || n != size {
		return false
	}
	for _, k := range v.keys {
		if k.Version() == version && k.matches(decoded[:n], c.id, c.timestamp, body) {
			return true
		}
	}
	return false
}
