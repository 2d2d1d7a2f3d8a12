package scenario

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
)

// call makes the request of a step, again while it may.
func (r *Runner) call(ctx context.Context, s *Scenario, fill *filler, report *Report) {
	step := report.Step
	request, body, err := r.request(s, step.Request, fill)
	if err != nil {
		report.Err = err
		return
	}
	report.Method, report.URL = request.Method, request.URL.String()
	deadline := r.Now().Add(step.Retry.For)
	for {
		report.Tries++
		report.Err = r.exchange(ctx, request.Clone(ctx), body, &report.Answer)
		if report.Err == nil {
			report.Err = step.judge(&report.Answer, fill)
		}
		if report.Err == nil || !r.Now().Add(step.Retry.Every).Before(deadline) || sleep(ctx, step.Retry.Every) != nil {
			return
		}
	}
}

// request makes a request without its body.
func (r *Runner) request(s *Scenario, q *Request, fill *filler) (*http.Request, []byte, error) {
	target, err := fill.target(q.URL)
	own := false
	if q.Path != "" {
		var base, path string
		if base, own, err = r.base(s, q, fill); err != nil {
			return nil, nil, err
		}
		path, err = fill.target(q.Path)
		target = strings.TrimSuffix(base, "/") + path
	}
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, nil, fmt.Errorf("%w: %q is no http or https URL", ErrFile, target)
	}
	request, err := http.NewRequest(q.Method, target, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	body, kind, err := q.content(fill)
	if err != nil {
		return nil, nil, err
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if own {
		for name, values := range r.Header {
			request.Header[name] = values
		}
	}
	filled, err := fill.header(q.Header)
	for name, values := range filled {
		request.Header[name] = values
	}
	return request, body, err
}

// base is the API of a path, and whether it is the one that the caller's headers are for.
func (r *Runner) base(s *Scenario, q *Request, fill *filler) (string, bool, error) {
	if q.Base != "" {
		base, err := fill.text(q.Base)
		return base, false, err
	}
	if r.API != "" {
		return r.API, true, nil
	}
	if s.API == "" {
		return "", false, noAPI(q)
	}
	base, err := fill.text(s.API)
	return base, true, err
}

func noAPI(q *Request) error {
	return fmt.Errorf("%w: there is no API that %s could be a path of", ErrFile, q.Path)
}

// content is the body of a request and its type. Where nothing is sent, a form goes into the URL.
func (q *Request) content(fill *filler) ([]byte, string, error) {
	switch {
	case q.Form != nil:
		v, err := fill.fill(*q.Form)
		if err != nil {
			return nil, "", err
		}
		return []byte(encodeForm(v)), "application/x-www-form-urlencoded", nil
	case q.Body != nil:
		v, err := fill.fill(*q.Body)
		if err != nil {
			return nil, "", err
		}
		if text, ok := v.(string); ok {
			return []byte(text), "text/plain; charset=utf-8", nil
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return nil, "", fmt.Errorf("write body: %w", err)
		}
		return bytes.TrimSpace(b.Bytes()), "application/json", nil
	}
	return nil, "", nil
}

// encodeForm writes a form as Stripe and many others read it: a[b]=c, a[0]=c.
func encodeForm(v any) string {
	form := url.Values{}
	var add func(key string, v any)
	add = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if key != "" {
					name = key + "[" + name + "]"
				}
				add(name, inner)
			}
		case []any:
			for i, inner := range v {
				add(fmt.Sprintf("%s[%d]", key, i), inner)
			}
		default:
			form.Set(key, plain(v))
		}
	}
	add("", v)
	return form.Encode()
}

// exchange sends a request once. A form of a GET or DELETE goes into the URL.
func (r *Runner) exchange(ctx context.Context, request *http.Request, body []byte, a *Answer) error {
	isForm := request.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
	if isForm && (request.Method == http.MethodGet || request.Method == http.MethodDelete) {
		request.Header.Del("Content-Type")
		query := request.URL.RawQuery
		if query != "" && len(body) > 0 {
			query += "&"
		}
		request.URL.RawQuery, body = query+string(body), nil
	}
	if len(body) > 0 {
		request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "hark-fixtures")
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	began := r.Now()
	resp, err := r.HTTP.Do(request)
	a.Took = r.Now().Sub(began)
	if err != nil {
		if uerr, ok := errors.AsType[*url.Error](err); ok { // its text would have the whole URL again
			err = uerr.Err
		}
		return fmt.Errorf("%w: %s %s: %w", ErrUnreachable, request.Method, request.URL.Redacted(), err)
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes+1)); err != nil {
		return fmt.Errorf("%w: the answer broke off: %w", ErrUnreachable, err)
	}
	a.Took = r.Now().Sub(began)
	if len(a.Body) > MaxAnswerBytes {
		a.Body = nil
		return fmt.Errorf("%w: the answer is larger than %d bytes", ErrUnexpected, MaxAnswerBytes)
	}
	return nil
}
