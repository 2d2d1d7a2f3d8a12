package webhook

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Scheme says how a provider signs, as data: what is signed, with which algorithm, and where the
// signature stands. GitHub's is
//
//	Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X-Hub-Signature-256", Prefix: "sha256="}
//
// and Stripe's
//
//	Scheme{Algorithm: "hmac-sha256", Signed: "{timestamp}.{body}", Header: "Stripe-Signature",
//		Separator: ",", Prefix: "v1=", Timestamp: "t="}
type Scheme struct {
	// Algorithm is hmac-md5, -sha1, -sha256, -sha384 or -sha512; sha1 or sha256 (a plain hash over
	// content that includes {secret}); ed25519, ecdsa-sha1 or -sha256, rsa-sha1, -sha256 or -sha512;
	// token (the header holds the secret itself), basic (Authorization: Basic, the secret is
	// user:password), ip (the secret is an address or a network).
	Algorithm string `json:"algorithm"`
	// Signed is the signed content, a template over {body}, {body_sha256} (hex), {timestamp} (as
	// sent), {method}, {url}, {path} (with query), {secret}, {header:Name}, {param:name} and {$.path}.
	Signed string `json:"signed,omitempty"`
	// Header is where the signature is; with "|" between several, any of which may hold one.
	Header string `json:"header,omitempty"`
	// Separator divides the header into entries; empty means that there is one.
	Separator string `json:"separator,omitempty"`
	// Prefix begins an entry that is a signature. Others are passed over.
	Prefix string `json:"prefix,omitempty"`
	// Encoding of the signature: hex (the default), HEX, base64, base64url (without padding), or
	// base64-hex (base64 of hex).
	Encoding string `json:"encoding,omitempty"`
	// Key says how the secret's text becomes the key: text (the default), hex, base64, sha1 (the
	// digest of the text), or after-prefix (base64 after the first underscore).
	Key string `json:"key,omitempty"`
	// Timestamp is where the time of signing is: a header's name, "t=" for an entry with that
	// prefix, "[0]" for the first entry, "$.path" in the body.
	Timestamp string `json:"timestamp,omitempty"`
	// Unit of the timestamp: s (the default), ms, rfc3339, or nonce for a text that is no time.
	Unit string `json:"unit,omitempty"`
	// Tolerance in seconds; 0 is the default, negative is none.
	Tolerance int `json:"tolerance,omitempty"`
	// ID and Type are where the event's id and type are: header names and $.paths, with " + "
	// between what is joined by a dot and " | " between alternatives.
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
}

// maxEntries bounds the signatures that one request may make us try.
const maxEntries = 16

// scheme is a Scheme made ready, with its secrets.
type scheme struct {
	Scheme
	headers   []string
	parts     []part
	algorithm *algorithm
	secrets   []*secret
	timestamp []step // when it is in the body
	stamped   bool   // the signature covers the timestamp
	bound     bool   // the signature covers the body
	content   content
	works     sync.Pool // *work
}

// work is what one check needs, kept for the next.
type work struct {
	entries entries
	slots   []byte // a place for each decoded signature
	decoded [maxEntries][]byte
}

// content computes signed content that a template cannot say; flush takes the body.
type content func(dst []byte, c *call, timestamp string, flush func(before, body []byte) []byte) (out []byte, ok bool)

// compile makes a Scheme ready. For signing, secrets of public-key algorithms are private keys.
func compile(s Scheme, o *Options, signing bool) (*scheme, error) {
	c := &scheme{Scheme: s, algorithm: algorithmOf(s.Algorithm)}
	if c.algorithm == nil {
		return nil, fmt.Errorf("%w: there is no algorithm %q", ErrProvider, s.Algorithm)
	}
	if c.algorithm.kind == kindBasic {
		c.Header, c.Prefix = "Authorization", "Basic "
	}
	if c.Header == "{param:header}" {
		c.Header = o.Params["header"]
		if c.Header == "" {
			c.Header = "Authorization"
		}
	}
	for name := range strings.SplitSeq(c.Header, "|") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !isHeaderName(name) {
			return nil, fmt.Errorf("%w: %q is no name of a header", ErrProvider, name)
		}
		c.headers = append(c.headers, canonical(name))
	}
	if len(c.headers) == 0 && c.algorithm.kind != kindIP {
		return nil, fmt.Errorf("%w: the scheme names no header", ErrProvider)
	}
	if err := c.compileContent(o); err != nil {
		return nil, err
	}
	if !validEncoding(s.Encoding) {
		return nil, fmt.Errorf("%w: there is no encoding %q", ErrProvider, s.Encoding)
	}
	for i, text := range o.Secrets {
		sec, err := newSecret(c.algorithm, s.Key, text, signing)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		c.secrets = append(c.secrets, sec)
	}
	return c, nil
}

func (s *scheme) compileContent(o *Options) (err error) {
	if s.parts, err = parseTemplate(s.Signed, o.Params); err != nil {
		return err
	}
	for _, p := range s.parts {
		s.bound = s.bound || p.kind == partBody || p.kind == partBodyHash
		s.stamped = s.stamped || p.kind == partTimestamp
	}
	if s.algorithm.signs() && len(s.parts) == 0 {
		return fmt.Errorf("%w: the scheme signs nothing", ErrProvider)
	}
	if s.algorithm.kind == kindHash && !strings.Contains(s.Signed, "{secret}") {
		return fmt.Errorf("%w: a plain hash without {secret} proves nothing", ErrProvider)
	}
	if s.stamped && s.Timestamp == "" {
		return fmt.Errorf("%w: {timestamp} is signed, but Timestamp does not say where it is", ErrProvider)
	}
	switch s.Unit {
	case "", "s", "ms", "rfc3339":
	case "nonce":
		s.stamped = false
	default:
		return fmt.Errorf("%w: there is no unit %q", ErrProvider, s.Unit)
	}
	switch {
	case strings.HasPrefix(s.Timestamp, "$"):
		if s.timestamp, err = parsePath(s.Timestamp); err != nil {
			return err
		}
		s.stamped = s.bound
	case s.Timestamp != "" && !strings.HasSuffix(s.Timestamp, "=") && s.Timestamp != firstEntry:
		s.Timestamp = canonical(s.Timestamp)
	}
	return nil
}

// compute replaces the template by code.
func (s *scheme) compute(by content) {
	if by != nil {
		s.content, s.bound = by, true
		s.stamped = s.Timestamp != ""
	}
}

// firstEntry is the Timestamp of schemes whose list begins with it.
const firstEntry = "[0]"

func (s *scheme) present(r *Request) bool {
	if s.algorithm.kind == kindIP {
		return true
	}
	for _, name := range s.headers {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

func (s *scheme) missing() string { return s.headers[0] }

func (s *scheme) covers(t term) bool {
	if t.header == "" {
		return s.bound
	}
	for _, p := range s.parts {
		if p.kind == partHeader && p.text == t.header {
			return true
		}
	}
	return false
}

// entries are what the signature headers hold, still encoded.
type entries struct {
	list      [maxEntries]string
	n         int
	timestamp string
	stamps    int
}

// read takes the headers apart.
func (s *scheme) read(h map[string][]string, e *entries) *finding {
	for _, name := range s.headers {
		values := h[name]
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 {
			return bad("the %s header is there %d times", name, len(values))
		}
		if s.Separator == "" {
			if f := s.entry(e, values[0], 0); f != nil {
				return f
			}
			continue
		}
		i := 0
		for text := range strings.SplitSeq(values[0], s.Separator) {
			if f := s.entry(e, strings.Trim(text, " "), i); f != nil {
				return f
			}
			i++
		}
	}
	if e.n == 0 {
		return bad("the %s header has no signature that begins with %q", s.headers[0], s.Prefix)
	}
	return s.findTimestamp(h, e)
}

func (s *scheme) entry(e *entries, text string, i int) *finding {
	if s.Timestamp == firstEntry && i == 0 {
		e.timestamp, e.stamps = text, e.stamps+1
		return nil
	}
	if strings.HasSuffix(s.Timestamp, "=") {
		if stamp, ok := strings.CutPrefix(text, s.Timestamp); ok {
			e.timestamp, e.stamps = stamp, e.stamps+1
			return nil
		}
	}
	encoded, ok := strings.CutPrefix(text, s.Prefix)
	if !ok {
		return nil
	}
	if e.n == maxEntries {
		return bad("there are more than %d signatures", maxEntries)
	}
	e.list[e.n] = encoded
	e.n++
	return nil
}

func (s *scheme) findTimestamp(h map[string][]string, e *entries) *finding {
	if s.Timestamp == "" || s.timestamp != nil {
		return nil
	}
	if !strings.HasSuffix(s.Timestamp, "=") && s.Timestamp != firstEntry {
		values := h[s.Timestamp]
		if len(values) == 0 {
			f := failed(ErrMissingHeader, "there is no %s header", s.Timestamp)
			return &f
		}
		e.timestamp, e.stamps = values[0], len(values)
	}
	if e.stamps != 1 {
		return bad("the timestamp must be there once, not %d times", e.stamps)
	}
	return nil
}

func bad(format string, args ...any) *finding {
	f := failed(ErrMalformed, format, args...)
	return &f
}

func (s *scheme) check(c *call) finding {
	if s.algorithm.kind == kindIP {
		return s.checkAddress(c)
	}
	if !s.algorithm.signs() {
		return s.checkToken(c)
	}
	w, _ := s.works.Get().(*work)
	if w == nil {
		w = &work{slots: make([]byte, maxEntries*s.slot())}
	}
	defer s.works.Put(w)
	e := &w.entries
	*e = entries{}
	if f := s.read(c.Header, e); f != nil {
		return *f
	}
	var at time.Time
	if s.stamped && s.timestamp == nil {
		var f *finding
		if at, f = readTime(e.timestamp, s.Unit, c, s.Tolerance); f != nil {
			f.secret = s.match(c, w).secret // whose it is all the same: late, or somebody else's
			return *f
		}
	}
	out := s.match(c, w)
	if out.outcome == Failed || s.timestamp == nil {
		out.timestamp = at
		return out
	}
	// A timestamp in the body means something only now that the body is known to be theirs.
	text, _ := jsonValue(c.Body, s.timestamp)
	at, f := readTime(text, s.Unit, c, s.Tolerance)
	if f != nil {
		f.secret = out.secret
		return *f
	}
	out.timestamp = at
	return out
}

// match looks for a secret that made one of the signatures.
func (s *scheme) match(c *call, w *work) finding {
	n, slot := 0, s.slot()
	for _, text := range w.entries.list[:w.entries.n] {
		if b, ok := s.decode(w.slots[n*slot:n*slot:(n+1)*slot], text); ok {
			w.decoded[n] = b
			n++
		}
	}
	if n == 0 {
		return failed(ErrMalformed, "the signature in %s is not %s", s.headers[0], s.form())
	}
	for i, sec := range s.secrets {
		if s.matches(sec, c, w.entries.timestamp, w.decoded[:n]) {
			out := finding{outcome: Verified, secret: i}
			if !s.bound {
				out.outcome = Authenticated
			}
			return out
		}
	}
	return failed(ErrNoSignatureMatch, "the signature does not match: another secret, or a body that was changed on the way")
}

// slot is how many bytes a decoded signature may need; base64 counts its padding.
func (s *scheme) slot() int {
	if s.algorithm.size > 0 {
		return s.algorithm.size + 2
	}
	return maxSignature + 2
}
