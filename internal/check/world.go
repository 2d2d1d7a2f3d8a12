package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

// world is what the checks work with.
type world struct {
	o           Options
	provider    webhook.Provider
	signer      *webhook.Signer
	other       *webhook.Signer // signs with a key that the receiver does not have; nil if none can be made
	rotating    *webhook.Signer // signs with both, the wrong one first; nil likewise
	verifier    *webhook.Verifier
	transport   *http.Transport
	client      *http.Client
	unreachable error
}

func newWorld(o Options) (*world, error) {
	w := &world{o: o}
	for _, p := range webhook.Providers() {
		if p.Name == o.Provider {
			w.provider = p
		}
	}
	options := func(secrets ...string) webhook.Options {
		return webhook.Options{Secrets: secrets, Params: o.Params}
	}
	var err error
	if w.signer, err = webhook.NewSigner(o.Provider, options(o.Secret)); err != nil {
		return nil, err
	}
	for _, secret := range otherSecrets(o.Secret) {
		other, err := webhook.NewSigner(o.Provider, options(secret))
		if err != nil {
			continue
		}
		w.other = other
		if both, err := webhook.NewSigner(o.Provider, options(secret, o.Secret)); err == nil {
			w.rotating = both
		}
		break
	}
	if verifier, err := webhook.NewVerifier(o.Provider, options(o.Secret)); err == nil {
		w.verifier = verifier
	}
	w.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: o.Timeout, MaxIdleConnsPerHost: 4}
	w.client = &http.Client{
		Transport:     w.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

func (w *world) close() { w.transport.CloseIdleConnections() }

// otherSecrets are secrets of the same shape: some character in the middle is another one. Which
// ones make a key is for the scheme to say.
func otherSecrets(secret string) []string {
	if strings.HasPrefix(secret, "whsk_") {
		return []string{webhook.GenerateSigningKeyPair().Text()}
	}
	if strings.Contains(secret, "-----BEGIN") {
		return nil
	}
	var list []string
	for i := len(secret) / 2; i < len(secret); i++ {
		if c := secret[i]; isAlphanumeric(c) {
			list = append(list, secret[:i]+string(next(c))+secret[i+1:])
		}
	}
	return list
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// next is another character that is a hex digit if c is one.
func next(c byte) byte {
	switch c {
	case '9':
		return '0'
	case 'f', 'z':
		return 'a'
	case 'F', 'Z':
		return 'A'
	}
	return c + 1
}

// accepts says whether the scheme, checked by the book, would let a request through.
func (w *world) accepts(r webhook.Request, now time.Time) bool {
	return w.verifier != nil && w.verifier.Verify(context.Background(), r, now).OK()
}

// answer is what came back.
type answer struct {
	status int
	took   time.Duration
	reused bool // over a connection that an earlier request had used
	err    error
}

func (a answer) accepted() bool { return a.err == nil && a.status/100 == 2 }

// send makes one exchange.
func (w *world) send(ctx context.Context, r webhook.Request) answer {
	return w.sendSlowly(ctx, r, 0)
}

// sendSlowly makes one exchange, with a pause in the middle of the body.
func (w *world) sendSlowly(ctx context.Context, r webhook.Request, pause time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout+pause)
	defer cancel()
	var a answer
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { a.reused = info.Reused },
	})
	var body io.Reader = bytes.NewReader(r.Body)
	if pause > 0 {
		half := len(r.Body) / 2
		body = io.MultiReader(bytes.NewReader(r.Body[:half]), &pausing{ctx: ctx, pause: pause}, bytes.NewReader(r.Body[half:]))
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return answer{err: err}
	}
	req.ContentLength = int64(len(r.Body))
	req.Header = r.Header.Clone()
	for name, values := range w.o.Header {
		req.Header[name] = values
	}
	began := time.Now()
	resp, err := w.client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		a.status = resp.StatusCode
	}
	a.took, a.err = time.Since(began), err
	return a
}

// pausing is a part of a body that takes its time and says nothing.
type pausing struct {
	ctx   context.Context
	pause time.Duration
}

func (p *pausing) Read([]byte) (int, error) {
	select {
	case <-time.After(p.pause):
		return 0, io.EOF
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
}

// isUnreachable tells a receiver that is not there from one that does not answer.
func isUnreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	_, noName := errors.AsType[*net.DNSError](err)
	return ok && op.Op == "dial" || noName
}

// why is a transport error in a few words.
func (w *world) why(err error) string {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "there was no answer within " + w.o.Timeout.String()
	}
	return "the connection broke without an answer"
}

func freshID() string { return "msg_check" + strings.ToLower(rand.Text()) }
