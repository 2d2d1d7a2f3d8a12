package poll

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

const (
	maxBody      = 10 << 20 // bytes of one answer
	maxRedirects = 3
)

// trouble is an answer that is none, or not what was asked for.
type trouble struct {
	text   string
	status int           // of the answer, 0 without one
	after  time.Duration // that the server asks to wait
}

func (t *trouble) Error() string { return t.text }

func troublef(format string, args ...any) error { return &trouble{text: fmt.Sprintf(format, args...)} }

// sameHost follows redirects that stay where the request went, and answers others as they are.
func sameHost(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects || !isSameHost(next.URL, before[0].URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

func isSameHost(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}

// answer is what a server said.
type answer struct {
	url    *url.URL
	status int
	header http.Header
	body   []byte
}

// fetch asks for one page. conditional asks only for what is not as it was.
func (r *Runner) fetch(ctx context.Context, p *hark.Poller, at *url.URL, conditional bool) (*answer, error) {
	method := p.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(p.Body))
	if err != nil {
		return nil, troublef("the request cannot be made")
	}
	if p.Body == "" {
		req.Body, req.ContentLength, req.GetBody = http.NoBody, 0, nil
	} else {
		req.Header.Set("Content-Type", cmp.Or(p.ContentType, "application/json"))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", r.userAgent)
	if conditional && p.State.ETag != "" {
		req.Header.Set("If-None-Match", p.State.ETag)
	}
	if conditional && p.State.LastModified != "" {
		req.Header.Set("If-Modified-Since", p.State.LastModified)
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	if err := r.authorize(ctx, p, req); err != nil {
		return nil, err
	}
	a, err := r.exchange(req, maxBody)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusUnauthorized {
		r.tokens.forget(p.ID)
	}
	if a.status >= 300 && a.status != http.StatusNotModified {
		return a, &trouble{text: fmt.Sprintf("the server answered %d", a.status), status: a.status, after: retryAfter(a.header, time.Now())}
	}
	return a, nil
}

// exchange does one request. Errors do not quote its URL, in which there may be a key.
func (r *Runner) exchange(req *http.Request, most int64) (*answer, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, troublef("the request got no answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, troublef("the answer broke off: %v", err)
	}
	if int64(len(body)) > most {
		return nil, troublef("the answer is larger than %d bytes", most)
	}
	return &answer{url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// retryAfter reads the header of that name, in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// pages goes from one page to the next.
type pages struct {
	p      *hark.Poller
	first  *url.URL
	at     *url.URL // nil: there is none
	number int
	seen   map[string]bool
}

// newPages starts at the first page.
func newPages(p *hark.Poller) (*pages, error) {
	first, err := url.Parse(p.URL)
	if err != nil {
		return nil, troublef("the URL cannot be read")
	}
	since := p.State.Since
	if since == "" {
		since = p.Since.Initial
	}
	if p.Since.Param != "" && since != "" {
		first = withParam(first, p.Since.Param, since)
	}
	g := &pages{p: p, first: first, at: first, number: p.Paging.First, seen: map[string]bool{}}
	if p.Paging.Type == "page" {
		switch g.number {
		case 0:
			g.number = 1
		case -1:
			g.number = 0
		}
		g.at = withParam(first, p.Paging.Param, strconv.Itoa(g.number))
	}
	g.seen[g.at.String()] = true
	if rest := p.State.Rest; rest != nil {
		if g.at, err = url.Parse(rest.URL); err != nil {
			return nil, troublef("the URL of the next page cannot be read")
		}
		g.at.User = first.User
		g.number, g.seen[rest.URL] = rest.Number, true
	}
	return g, nil
}

// maxRest is how long the URL of a page may be that is kept.
const maxRest = 8 << 10

// rest is the page that is next, for another run. What proves who the poller is does not stand in it.
func (g *pages) rest() (*hark.PollerRest, error) {
	at := *g.at
	at.User = nil
	if g.p.Auth.Type == "query" {
		q := at.Query()
		q.Del(g.p.Auth.Name)
		at.RawQuery = q.Encode()
	}
	rest := &hark.PollerRest{URL: at.String(), Number: g.number}
	if len(rest.URL) > maxRest {
		return nil, troublef("there are more than %d pages, and the link to the next is too long to be kept", maxPages)
	}
	return rest, nil
}

func withParam(u *url.URL, name, value string) *url.URL {
	out := *u
	q := out.Query()
	q.Set(name, value)
	out.RawQuery = q.Encode()
	return &out
}

// next finds the page behind an answer that had so many items.
func (g *pages) next(a *answer, items int) error {
	var to *url.URL
	var err error
	switch g.p.Paging.Type {
	case "link":
		to, err = g.linked(a, nextLink(a.header))
	case "next":
		to, err = g.linked(a, g.fromBody(a))
	case "cursor":
		if cursor := g.fromBody(a); cursor != "" {
			to = withParam(g.first, g.p.Paging.Param, cursor)
		}
	case "page":
		if items > 0 {
			g.number++
			to = withParam(g.first, g.p.Paging.Param, strconv.Itoa(g.number))
		}
	}
	g.at = to
	if to == nil || err != nil {
		return err
	}
	if g.seen[to.String()] {
		return troublef("the pages go in a circle")
	}
	g.seen[to.String()] = true
	return nil
}

func (g *pages) fromBody(a *answer) string {
	raw, _ := lookup(a.body, g.p.Paging.Path)
	return plain(raw)
}

// linked resolves a link to the next page, which must not lead to another host: the request carries
// what the poller proves itself with.
func (g *pages) linked(a *answer, link string) (*url.URL, error) {
	if link == "" {
		return nil, nil
	}
	to, err := a.url.Parse(link)
	if err != nil {
		return nil, troublef("the link to the next page cannot be read")
	}
	if !isSameHost(to, g.first) {
		return nil, troublef("the link to the next page leads to another host, %s", to.Host)
	}
	to.User, to.Fragment = g.first.User, ""
	return to, nil
}

// nextLink finds the target of the link with rel=next in Link headers (RFC 8288).
func nextLink(h http.Header) string {
	for _, line := range h.Values("Link") {
		for {
			_, rest, ok := strings.Cut(line, "<")
			if !ok {
				break
			}
			target, rest, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, more := cutUnquoted(rest, ',')
			if relatesNext(params) {
				return target
			}
			line = more
		}
	}
	return ""
}

// cutUnquoted cuts text at the first sep outside quotes.
func cutUnquoted(text string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func relatesNext(params string) bool {
	for part := ""; params != ""; {
		part, params = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(part, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
		return false // only the first counts
	}
	return false
}

// render fills in a scheduled message's payload. What is filled in needs no escape in JSON.
func render(payload json.RawMessage, now, due time.Time, late bool) []byte {
	moment := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return []byte(strings.NewReplacer("{{now}}", moment(now), "{{scheduled}}", moment(due), "{{late}}", strconv.FormatBool(late)).
		Replace(string(bytes.TrimSpace(payload))))
}
