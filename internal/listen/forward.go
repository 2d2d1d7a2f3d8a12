package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// Limits of one exchange with the local address.
const (
	MostBody     = 20_000 // bytes of an answer that are kept, as of an endpoint's
	localTimeout = 30 * time.Second
	dialTimeout  = 5 * time.Second
	// signedFor is how long a signature's time is good enough: receivers refuse what is five minutes old,
	// and a message may have been held.
	signedFor = time.Minute
)

// ParseTarget reads a local address as people write it: a port, host:port/path, /path or a URL.
func ParseTarget(text string) (*url.URL, error) {
	full := text
	port, _, _ := strings.Cut(text, "/")
	switch _, err := strconv.ParseUint(port, 10, 16); {
	case err == nil:
		full = "http://localhost:" + text
	case strings.HasPrefix(text, "/"):
		full = "http://localhost" + text
	case strings.HasPrefix(text, ":"):
		full = "http://localhost" + text
	case !strings.Contains(text, "://"):
		full = "http://" + text
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no address to forward to: write 4242, localhost:4242/webhook, /path or a URL", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Fragment = ""
	return u, nil
}

// forwarder speaks with the local address.
type forwarder struct {
	target  *url.URL
	url     string // without credentials
	headers []Field
	agent   string
	http    *http.Client
}

func newForwarder(opt *Options) *forwarder {
	public := *opt.ForwardTo
	public.User = nil
	agent := opt.UserAgent
	if agent == "" {
		agent = "hark-listen"
	}
	return &forwarder{target: opt.ForwardTo, url: public.String(), headers: opt.Headers, agent: agent, http: &http.Client{
		Timeout: localTimeout,
		Transport: &http.Transport{
			DialContext:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: opt.SkipVerify},
			TLSNextProto:      map[string]func(string, *tls.Conn) http.RoundTripper{}, // endpoints are spoken to in HTTP/1.1
			DisableKeepAlives: true,                                                   // a server that restarts breaks none
			// The answer is shown as it is, and no header is sent that did not come.
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// nobodyError says that nothing listens at the local address, and how that was found out.
type nobodyError struct{ error }

func (e *nobodyError) Unwrap() error { return e.error }

// post sends one request. It answers a nobodyError when nothing took it; whatever else happens is the response.
func (f *forwarder) post(ctx context.Context, m *Message) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.target.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", f.agent)
	for _, h := range m.Header {
		req.Header.Add(h.Name, h.Value)
	}
	for _, h := range f.headers {
		req.Header.Del(h.Name)
	}
	for _, h := range f.headers {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	began := time.Now()
	out := &Response{Message: m, URL: f.url}
	resp, err := f.http.Do(req)
	if err == nil {
		out.Status, out.Header = resp.StatusCode, resp.Header
		out.Body, err = io.ReadAll(io.LimitReader(resp.Body, MostBody))
		_ = resp.Body.Close() // what is left of it is nobody's concern
	}
	out.At, out.Took = time.Now(), time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return nil, &nobodyError{op.Err}
		}
		out.Err = sentence(err)
	}
	return out, nil
}

// sentence says plainly what went wrong.
func sentence(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return fmt.Sprintf("no answer within %v", localTimeout)
		}
		err = e.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return err.Error() + " (try: --skip-verify)"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed without an answer"
	}
	return err.Error()
}

// signed is a message with its signature made anew at a moment, under every name that it has one.
func signed(m *Message, key webhook.Key, id hark.MessageID, body []byte, at time.Time) *Message {
	fresh := *m
	fresh.ID, fresh.Body = id, body
	fresh.Header = append([]Field(nil), m.Header...)
	prefixes := map[string]bool{}
	for _, h := range m.Header {
		if prefix, ok := strings.CutSuffix(strings.ToLower(h.Name), "-id"); ok && h.Value == string(m.ID) {
			prefixes[prefix] = true
		}
	}
	signature := string(key.AppendSignature(nil, string(id), at.Unix(), body))
	for i := range fresh.Header {
		h := &fresh.Header[i]
		name := strings.ToLower(h.Name)
		cut := strings.LastIndexByte(name, '-')
		if cut < 0 || !prefixes[name[:cut]] {
			continue
		}
		switch name[cut:] {
		case "-id":
			h.Value = string(id)
		case "-timestamp":
			h.Value = strconv.FormatInt(at.Unix(), 10)
		case "-signature":
			h.Value = signature
		}
	}
	return &fresh
}
