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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// Limits of one exchange with the local address.
const (
	MostBody     = 20_000 // bytes of an answer that are kept, as of an endpoint's
	mostError    = 500    // bytes of why there was none: the server keeps no more, and takes no frame of any length
	localTimeout = 30 * time.Second
	dialTimeout  = 5 * time.Second
	// signedFor is how long a signature's time is good enough: receivers refuse what is five minutes old,
	// and a message may have been held.
	signedFor = time.Minute
)

// methods are those that a source can be called with.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

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
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !isPort(u.Port()) || isNumber(port) && !isPort(port) {
		return nil, fmt.Errorf("%q is no address to forward to: write 4242, localhost:4242/webhook, /path or a URL", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Fragment = ""
	return u, nil
}

// isPort says whether a program can listen at the port; "" is the scheme's.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && n > 0
}

// isNumber says whether nothing but digits was written: that was meant as a port.
func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// forwarder speaks with the local address.
type forwarder struct {
	target  *url.URL
	url     string // without credentials
	headers []hark.HeadField
	agent   string
	http    *http.Client
}

func newForwarder(opt *Options) *forwarder {
	agent := opt.UserAgent
	if agent == "" {
		agent = "hark-listen"
	}
	return &forwarder{target: opt.ForwardTo, url: publicURL(opt.ForwardTo), headers: opt.Headers, agent: agent, http: &http.Client{
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

// publicURL is a URL without credentials.
func publicURL(u *url.URL) string {
	public := *u
	public.User = nil
	return public.String()
}

// SentBy is the method by which a message is forwarded.
func (m *Message) SentBy() string {
	if slices.Contains(methods, m.Method) {
		return m.Method
	}
	return http.MethodPost
}

// SentTo is the URL that a message is forwarded to, of a target that it goes behind.
func (m *Message) SentTo(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	return where(u, m.Path).String()
}

// where is the URL that a message goes to: the target, and behind its path and query those with which the
// message came to its source, byte for byte. Whatever they are, they stay a path and a query of the target's host,
// below the target's path: whoever knows a source's URL reaches nothing else of the program.
func where(target *url.URL, path string) *url.URL {
	path, query, hasQuery := strings.Cut(path, "?")
	u := *target
	if path != "" {
		u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + escapePath(path)
		u.Path, _ = url.PathUnescape(u.RawPath) // it is well-formed now
	}
	if query = escapeBytes(query, "#", 0xff); hasQuery && query != "" && u.RawQuery != "" {
		u.RawQuery += "&" + query
	} else if query != "" {
		u.RawQuery = query
	}
	return &u
}

// escapePath escapes what cannot stand in a path, and leaves the rest alone, escapes included.
func escapePath(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if _, err := url.PathUnescape(path); err != nil {
		path = strings.ReplaceAll(path, "%", "%25")
	}
	parts := strings.Split(path, "/")
	depth := 0 // below where the path begins, at least
	for i, part := range parts {
		ups, names := steps(part)
		if depth -= ups; depth < 0 {
			parts[i] = strings.NewReplacer("%", "%25", ".", "%252e").Replace(part) // a name like any other now
			depth, ups, names = depth+ups, 0, 1
		}
		if ups == 0 && names > 0 {
			depth++
		}
	}
	return escapeBytes(strings.Join(parts, "/"), "\"<>#?\\^`{|}", 0x7e)
}

// steps is how many times a part of a path leads up ("..") and how many names it has, for a program that takes
// escaped slashes and backslashes for slashes.
func steps(part string) (ups, names int) {
	plain, _ := url.PathUnescape(part) // its escapes are whole by now
	for _, name := range strings.FieldsFunc(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
		switch name {
		case ".":
		case "..":
			ups++
		default:
			names++
		}
	}
	return ups, names
}

// escapeBytes escapes spaces, control characters, some others, and what is above the last.
func escapeBytes(text, others string, last byte) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f || c > last || strings.IndexByte(others, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// nobodyError says that nothing listens at the local address, and how that was found out.
type nobodyError struct{ error }

func (e *nobodyError) Unwrap() error { return e.error }

// send sends one request, as it came to its source. It answers a nobodyError when nothing took it; whatever
// else happens is the response.
func (f *forwarder) send(ctx context.Context, m *Message) (*Response, error) {
	method := m.SentBy()
	req, err := http.NewRequestWithContext(ctx, method, f.url, bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.URL = where(f.target, m.Path)
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
	out := &Response{Message: m, Method: method, URL: publicURL(req.URL)}
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
		out.Err = WhyNot(err, localTimeout, resp != nil)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			out.Err += " (try: --skip-verify)"
		}
		out.Err = strings.ToValidUTF8(out.Err[:min(len(out.Err), mostError)], "")
		out.cut = resp == nil && brokeOff(err)
	}
	return out, nil
}

// brokeOff says whether an exchange ended because the other side has gone.
func brokeOff(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && !op.Timeout() && (op.Op == "read" || op.Op == "write")
}

// WhyNot says plainly why an exchange of net/http's client came to no answer within a time; answering says that
// one had begun.
func WhyNot(err error, limit time.Duration, answering bool) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout() && answering:
		return fmt.Sprintf("the answer did not end within %v", limit)
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %v", limit)
	case brokeOff(err) && answering:
		return "the answer broke off"
	case brokeOff(err):
		return "the connection was closed without an answer"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks HTTP there, and not HTTPS"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return err.Error()
	}
	inner := err
	for next := err; next != nil; next = errors.Unwrap(next) {
		inner = next
	}
	if _, ok := errors.AsType[*net.OpError](err); !ok && inner != err { // net/http says in whose hands it broke, which helps nobody here
		return "what came is no HTTP answer: " + inner.Error()
	}
	return err.Error()
}

// signed is a message with its signature made anew at a moment, under every name that it has one.
func signed(m *Message, key webhook.Key, id hark.MessageID, body []byte, at time.Time) *Message {
	fresh := *m
	fresh.ID, fresh.Body = id, body
	fresh.Header = append([]hark.HeadField(nil), m.Header...)
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
