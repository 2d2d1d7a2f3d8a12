package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Defaults of a Verifier.
const (
	DefaultTolerance = 5 * time.Minute
	DefaultMaxBody   = 1 << 20
)

// Options are what a Verifier and a Signer are made with. What a provider needs beyond secrets,
// its Provider row lists.
type Options struct {
	// Secrets are those that are live, the newest first: HMAC secrets and tokens as the provider
	// shows them, "user:password" for Basic, public keys as PEM, base64 or hex, networks for
	// schemes by address.
	Secrets []string
	// Tolerance is how far a signed timestamp may be from now, either way. Zero is the provider's
	// own (DefaultTolerance if it names none); negative accepts any.
	Tolerance time.Duration
	// URL replaces scheme, host and path of Request.URL, for providers that sign what they call;
	// the query stays.
	URL string
	// Client fetches keys and certificates, from hosts that the provider's scheme pins. Without
	// one such requests are Unverifiable. *http.Client is one; give one that does not reach
	// private networks.
	Client Client
	// Params are the provider's other settings, such as PayPal's webhook_id.
	Params map[string]string
	// MaxBody is the largest body that VerifyRequest reads, in bytes; zero is DefaultMaxBody.
	MaxBody int64
}

// Client does one HTTP exchange, as *http.Client does.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// ErrProvider is what an unknown provider, or one that lacks a setting, is refused with.
var ErrProvider = errors.New("webhook provider")

// Verifier decides whether requests come from a provider. It is safe for concurrent use.
type Verifier struct {
	provider *provider
	checkers []checker // in order of preference: the first that is present decides
	id, kind locator
	options  *settings
}

// settings keeps Options one pointer further away than needed, so that fmt never prints a secret.
type settings struct{ *Options }

// checker is one way in which a provider's requests are verified. Those of the table are schemes;
// the others are code.
type checker interface {
	// present says whether the request has this checker's signature at all.
	present(*Request) bool
	// missing names what is not there when present is false.
	missing() string
	check(*call) finding
	// covers says whether the signature covers what a term of a locator reads.
	covers(term) bool
}

// call is one verification under way.
type call struct {
	ctx context.Context
	*Request
	url     string // as signed
	now     time.Time
	options *Options
}

// finding is what a checker found.
type finding struct {
	outcome   Outcome
	cause     Cause
	detail    string
	secret    int
	timestamp time.Time
	body      []byte // where the event is, if not in the request's body
}

func failed(cause Cause, format string, args ...any) finding {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return finding{outcome: Failed, cause: cause, detail: format, secret: -1}
}

// NewVerifier makes a Verifier for a provider by its name; Providers lists them.
func NewVerifier(name string, o Options) (*Verifier, error) {
	p := lookUp(name)
	if p == nil {
		return nil, fmt.Errorf("%w: there is no %q", ErrProvider, name)
	}
	return newVerifier(p, o)
}

// NewSchemeVerifier makes a Verifier for a scheme of your own.
func NewSchemeVerifier(s Scheme, o Options) (*Verifier, error) {
	return newVerifier(&provider{name: "custom", title: "Custom", schemes: []Scheme{s}, id: s.ID, kind: s.Type}, o)
}

func newVerifier(p *provider, o Options) (*Verifier, error) {
	v := &Verifier{provider: p, options: &settings{&o}}
	var err error
	if v.id, err = parseLocator(p.id); err != nil {
		return nil, err
	}
	if v.kind, err = parseLocator(p.kind); err != nil {
		return nil, err
	}
	for i, s := range o.Secrets {
		if s == "" {
			return nil, fmt.Errorf("%w: secret %d is empty", ErrKey, i+1)
		}
	}
	if len(o.Secrets) == 0 && !p.keyless {
		return v, nil // every request is NotConfigured
	}
	for _, s := range p.schemes {
		c, err := compile(s, v.options.Options, false)
		if err != nil {
			return nil, err
		}
		c.compute(p.content)
		if p.wrap != nil {
			v.checkers = append(v.checkers, p.wrap(c))
			continue
		}
		v.checkers = append(v.checkers, c)
	}
	if p.code != nil {
		c, err := p.code(v.options.Options, false)
		if err != nil {
			return nil, err
		}
		v.checkers = append(v.checkers, c)
	}
	return v, nil
}

// Name is the provider's name.
func (v *Verifier) Name() string { return v.provider.name }

// Verify decides about one request, as of now. It does not keep r. The context bounds the fetching
// of keys; most providers need none.
func (v *Verifier) Verify(ctx context.Context, r Request, now time.Time) Verdict {
	if v.checkers == nil {
		return v.unchecked(&r)
	}
	c := call{ctx: ctx, Request: &r, url: v.options.signedURL(r.URL), now: now, options: v.options.Options}
	for _, checker := range v.checkers {
		if checker.present(&r) {
			return v.verdict(&c, checker)
		}
	}
	return Verdict{Outcome: Failed, Cause: ErrMissingHeader, Secret: -1,
		Detail: "there is no " + v.checkers[0].missing() + " header"}
}

func (v *Verifier) verdict(c *call, by checker) Verdict {
	f := by.check(c)
	out := Verdict{Outcome: f.outcome, Cause: f.cause, Detail: f.detail, Secret: f.secret, Timestamp: f.timestamp}
	if f.outcome == Failed {
		return out
	}
	if f.body == nil {
		f.body = c.Body
	}
	v.event(&out, c.Request, f.body)
	bound := f.outcome == Verified
	out.IDSigned = bound && out.ID != "" && v.id.signed(by)
	out.TypeSigned = bound && out.Type != "" && v.kind.signed(by)
	return out
}

// unchecked is the verdict when there is nothing to check with.
func (v *Verifier) unchecked(r *Request) Verdict {
	out := Verdict{Outcome: NotConfigured, Cause: ErrNoSecret, Secret: -1, Detail: "there is no secret to verify with"}
	if v.provider.unsigned() {
		out.Outcome, out.Cause, out.Detail = Unverifiable, ErrUnsigned, v.provider.title+" does not sign its webhooks"
	}
	v.event(&out, r, r.Body)
	return out
}

func (v *Verifier) event(out *Verdict, r *Request, body []byte) {
	out.ID, _ = v.id.read(r.Header, body, true)
	out.Type, _ = v.kind.read(r.Header, body, false)
}

// VerifyRequest reads the body of r, which r has no more, and verifies it. A body beyond Options.MaxBody
// is not read to its end. What went wrong is told apart by errors.Is: ErrBodyTooLarge, of whose
// signature nothing is known; every other Cause, as the verdict has it; and errors without a Cause, when
// the body broke off. Status says how to answer each.
func (v *Verifier) VerifyRequest(r *http.Request, now time.Time) ([]byte, error) {
	if v.checkers != nil && v.headersMissing(r) {
		return nil, Verdict{Outcome: Failed, Cause: ErrMissingHeader, Detail: "there is no " + v.checkers[0].missing() + " header"}.Err()
	}
	body, err := readBody(r, v.options.MaxBody)
	if err != nil {
		return nil, err
	}
	verdict := v.Verify(r.Context(), Request{Method: r.Method, URL: calledURL(r), Header: r.Header, Body: body}, now)
	if err := verdict.Err(); err != nil {
		return nil, err
	}
	return body, nil
}

// Status is the HTTP status to answer an error of VerifyRequest with: 413 for a body that is too large, 400
// for one that broke off, 503 for what could not be verified now and should be sent again (no key just now,
// no secret yet), and for everything else the provider's own word for a forgery, mostly 401.
func (v *Verifier) Status(err error) int {
	var cause Cause
	if !errors.As(err, &cause) {
		return http.StatusBadRequest
	}
	switch cause {
	case ErrBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case ErrKeyFetch, ErrNoSecret:
		return http.StatusServiceUnavailable
	}
	return v.Reply(Verdict{Outcome: Failed}).Status
}

// headersMissing says that no body could make r acceptable, so that none is read for it.
func (v *Verifier) headersMissing(r *http.Request) bool {
	probe := Request{Method: r.Method, URL: calledURL(r), Header: r.Header}
	for _, c := range v.checkers {
		if c.present(&probe) {
			return false
		}
	}
	return true
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = DefaultMaxBody
	}
	tooLarge := Verdict{Outcome: Failed, Cause: ErrBodyTooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", limit)}
	if r.ContentLength > limit {
		return nil, tooLarge.Err()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read webhook body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge.Err()
	}
	return body, nil
}

// calledURL is the URL of a request that a server got. Behind a proxy it is not what the provider
// called: Options.URL is.
func calledURL(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return scheme + r.Host + r.URL.RequestURI()
}

// signedURL is the URL as the provider signs it.
func (o *Options) signedURL(called string) string {
	if o.URL == "" {
		return called
	}
	_, query, ok := strings.Cut(called, "?")
	if !ok || strings.Contains(o.URL, "?") {
		return o.URL
	}
	return o.URL + "?" + query
}

// tolerance is how far a timestamp may be away; ok is false when any will do.
func (o *Options) tolerance(providers int) (limit time.Duration, ok bool) {
	switch {
	case o.Tolerance != 0:
		return o.Tolerance, o.Tolerance > 0
	case providers != 0:
		return time.Duration(providers) * time.Second, providers > 0
	}
	return DefaultTolerance, true
}
