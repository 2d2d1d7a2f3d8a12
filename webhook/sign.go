package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

// Signer makes requests that look as if a provider sent them: for tests, and for a sender of your
// own that keeps to a provider's scheme. Secrets are what a Verifier has, except that public-key
// schemes want the private key.
type Signer struct {
	provider *provider
	by       signer
	options  *settings
}

// signer is a checker that can also sign. It changes the call's request, whose Header is its own.
type signer interface {
	sign(c *call, at time.Time) error
}

// NewSigner makes a Signer for a provider. Providers that do not sign, or whose private keys are
// not for us to make up (their keys are fetched), are refused.
func NewSigner(name string, o Options) (*Signer, error) {
	p := lookUp(name)
	if p == nil {
		return nil, fmt.Errorf("%w: there is no %q", ErrProvider, name)
	}
	if p.unsigned() {
		return nil, fmt.Errorf("%w: %s does not sign", ErrProvider, p.title)
	}
	if len(p.schemes) > 0 {
		return newSchemeSigner(p, p.schemes[0], o)
	}
	if len(o.Secrets) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	s := &Signer{provider: p, options: &settings{&o}}
	c, err := p.code(s.options.Options, true)
	if err != nil {
		return nil, err
	}
	var ok bool
	if s.by, ok = c.(signer); !ok {
		return nil, fmt.Errorf("%w: only %s can sign as %s", ErrProvider, p.title, p.title)
	}
	return s, nil
}

// NewSchemeSigner makes a Signer for a scheme of your own.
func NewSchemeSigner(s Scheme, o Options) (*Signer, error) {
	return newSchemeSigner(&provider{name: "custom", title: "Custom"}, s, o)
}

func newSchemeSigner(p *provider, s Scheme, o Options) (*Signer, error) {
	if len(o.Secrets) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	out := &Signer{provider: p, options: &settings{&o}}
	by, err := compile(s, out.options.Options, true)
	if err != nil {
		return nil, err
	}
	by.compute(p.content)
	out.by = by
	return out, nil
}

// Sign answers r as the provider would send it at a moment: with the headers that its scheme adds,
// or with the signature in body or URL where it stands there. r is left alone.
func (s *Signer) Sign(r Request, at time.Time) (Request, error) {
	if r.Header = r.Header.Clone(); r.Header == nil {
		r.Header = http.Header{}
	}
	c := call{ctx: context.Background(), Request: &r, url: s.options.signedURL(r.URL), now: at, options: s.options.Options}
	if err := s.by.sign(&c, at); err != nil {
		return Request{}, err
	}
	return r, nil
}

func (s *scheme) sign(c *call, at time.Time) error {
	if !s.algorithm.signs() {
		return s.signToken(c)
	}
	stamp := formatTime(at, s.Unit)
	inList := s.Timestamp == firstEntry || (s.Timestamp != "" && s.Timestamp[len(s.Timestamp)-1] == '=')
	if s.Timestamp != "" && s.timestamp == nil && !inList {
		c.Header[s.Timestamp] = []string{stamp}
	}
	for _, p := range s.parts {
		if p.kind == partHeader && len(c.Header[p.text]) == 0 {
			c.Header[p.text] = []string{randomText()}
		}
	}
	value := ""
	if inList {
		value = stamp
		if s.Timestamp != firstEntry {
			value = s.Timestamp + stamp
		}
	}
	for i, sec := range s.secrets {
		signature, err := s.signature(sec, c, stamp)
		if err != nil {
			return err
		}
		text := s.Prefix + s.encode(signature)
		switch {
		case s.Separator == "" && i < len(s.headers):
			c.Header[s.headers[i]] = []string{text}
		case s.Separator != "" && value != "":
			value += s.Separator + text
		case s.Separator != "":
			value = text
		}
	}
	if s.Separator != "" {
		c.Header[s.headers[0]] = []string{value}
	}
	return nil
}

func (s *scheme) signToken(c *call) error {
	if s.algorithm.kind == kindIP {
		return errUnsignable("an address cannot be signed")
	}
	c.Header[s.headers[0]] = []string{s.Prefix + string(s.secrets[0].raw)}
	return nil
}

func errUnsignable(why string) error { return fmt.Errorf("%w: %s", ErrProvider, why) }

// randomText is an id that nobody guesses.
func randomText() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
