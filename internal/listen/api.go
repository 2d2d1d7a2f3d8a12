package listen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/refusal"
)

// APIError is an answer of the server's API other than 2xx.
type APIError struct {
	Status int
	Code   string
	Detail string
	What   string // that was asked for: "application \"shop\""; "" where it does not matter
}

func (e *APIError) Error() string {
	switch e.Status {
	case http.StatusUnauthorized:
		return "the server does not know this API key"
	case http.StatusForbidden:
		return "this API key may not do that"
	case http.StatusNotFound:
		if e.What != "" {
			return "no " + e.What
		}
	}
	if e.Detail != "" {
		return e.Detail
	}
	return fmt.Sprintf("the server answered %d", e.Status)
}

// UnreachableError says that the server did not answer.
type UnreachableError struct {
	Server string
	Err    error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("cannot reach %s: %v", e.Server, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// api speaks to the server's API, as far as a listener needs it.
type api struct {
	base, key, agent string
	http             *http.Client
}

// maxAnswer bounds what is read of an answer: they are small.
const maxAnswer = 4 << 20

func newAPI(server, key, agent string) (*api, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not a server's URL, which looks like http://127.0.0.1:8071", server)
	}
	if agent == "" {
		agent = "hark-listen"
	}
	return &api{base: strings.TrimSuffix(u.String(), "/"), key: key, agent: agent, http: &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would get the key
	}}, nil
}

// path is a path of the API.
func path(parts ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

func (a *api) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + a.key}, "User-Agent": {a.agent}}
}

// do sends one request, and reads its answer.
func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header = a.header()
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return a.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a.unreachable(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		return readError(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer like Hark: %w", a.base, err)
	}
	return nil
}

func (a *api) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return &UnreachableError{a.base, err}
}

func readError(status int, text []byte) error {
	r := refusal.Read(text)
	return &APIError{Status: status, Code: r.Code, Detail: r.Detail}
}

// isStatus says whether the server answered so.
func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Status == status
}
