package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/harkhq/hark/internal/refusal"
)

// client speaks to a server's API.
type client struct {
	base string
	key  string
	http *http.Client
	via  via
}

// maxAnswerBytes bounds what is read of an answer: 250 messages of the greatest size.
const maxAnswerBytes = 600 << 20

func newClient(base, key string) *client {
	return &client{base: base, key: key, http: &http.Client{
		Timeout: time.Minute,
		// The API redirects nowhere; following would hand the key to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// apiError is an answer other than 2xx.
type apiError struct {
	refusal.Refusal
	Status     int
	RetryAfter string
	Method     string
	Path       string
}

func (e *apiError) Error() string {
	switch e.Status {
	case http.StatusUnauthorized:
		return "the server does not know this API key: " + e.Detail
	case http.StatusForbidden:
		return "this API key may not do that: " + e.Detail
	}
	if e.Detail == "" {
		return fmt.Sprintf("the server answered %d to %s %s", e.Status, e.Method, e.Path)
	}
	return e.Detail
}

func (e *apiError) exitCode() int {
	switch e.Status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitForbidden
	}
	return exitFailed
}

// isMissing says whether the server answered that there is no such thing.
func isMissing(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.Status == http.StatusNotFound
}

// do sends one request. in, when not nil, goes as JSON; the answer is read into out when that is
// not nil. A *json.RawMessage as out gets the answer as it is.
func (c *client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", "hark-cli")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return hintf(exitUnreachable, c.via.elsewhere(), "cannot reach %s: %w", c.base, unwrapURL(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return hintf(exitUnreachable, "", "the answer of %s broke off: %w", c.base, err)
	}
	if resp.StatusCode/100 != 2 {
		return c.via.explain(readAPIError(resp, text, method, path), c.base)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return hintf(exitFailed, "another URL", "%s does not answer like Hark: %w", c.base, err)
	}
	return nil
}

// unwrapURL drops the part of a client error that repeats method and URL.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func readAPIError(resp *http.Response, text []byte, method, path string) error {
	e := &apiError{Refusal: refusal.Read(text), Status: resp.StatusCode, Method: method, Path: path, RetryAfter: resp.Header.Get("Retry-After")}
	if e.Detail != "" && e.RetryAfter != "" {
		e.Detail += " (again in " + e.RetryAfter + " s)"
	}
	return e
}

// listOf is one page of a list as the API answers it.
type listOf[T any] struct {
	Data         []T     `json:"data"`
	Iterator     *string `json:"iterator"`
	PrevIterator *string `json:"prevIterator,omitempty"`
	Done         bool    `json:"done"`
}

// pageSize is the most that the API gives at once.
const pageSize = 250

// list fetches up to --limit rows, over as many pages as that takes. The api is a client: a command
// would find its server anew for each.
func list[T any](ctx context.Context, api asker, q question, l Listing, bar *progress) (listOf[T], error) {
	defer bar.end()
	if q.query == nil {
		q.query = url.Values{}
	}
	put(q.query, "iterator", l.Iterator)
	var all listOf[T]
	for {
		q.query.Set("limit", strconv.Itoa(min(l.Limit-len(all.Data), pageSize)))
		var page listOf[T]
		if err := api.ask(ctx, q, &page); err != nil {
			return all, err
		}
		if all.Data == nil {
			all.PrevIterator = page.PrevIterator
		}
		all.Data = append(all.Data, page.Data...)
		all.Iterator, all.Done = page.Iterator, page.Done
		if page.Done || len(all.Data) >= l.Limit || page.Iterator == nil {
			return all, nil
		}
		bar.set(int64(len(all.Data)), int64(l.Limit), count)
		q.query.Set("iterator", *page.Iterator)
	}
}

// Listing are the flags of every list.
type Listing struct {
	Limit    int    `short:"n" default:"50" help:"At most this many (any number; fetched in pages)."`
	Iterator string `placeholder:"ID" help:"Go on behind this id: the iterator of an earlier --json answer."`
}
