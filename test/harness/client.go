package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Client is a small client of the HTTP API.
type Client struct {
	Base string // http://ADDR
	Key  string
	HTTP *http.Client
}

// NewClient speaks to the server at base with the given key.
func NewClient(base, key string) *Client {
	return &Client{Base: base, Key: key, HTTP: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
}

// Do makes one call: in is sent as JSON unless it is nil, and a JSON answer is read into out
// unless that is nil. Any status is an answer; an error means that there was none, or not JSON.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	status, _, answer, err := c.Raw(ctx, method, path, body, nil)
	if err != nil {
		return status, err
	}
	if out != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, out); err != nil {
			return status, fmt.Errorf("%s %s answered %d and not the JSON hoped for: %w: %.200q", method, path, status, err, answer)
		}
	}
	return status, nil
}

// Raw makes one call and returns the answer as it came.
func (c *Client) Raw(ctx context.Context, method, path string, body io.Reader, header http.Header) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return 0, nil, nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, answer, err
}

// Call makes one call that has to answer want; anything else ends the test.
func (c *Client) Call(t testing.TB, want int, method, path string, in, out any) {
	t.Helper()
	var raw json.RawMessage
	status, err := c.Do(t.Context(), method, path, in, &raw)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if status != want {
		t.Fatalf("%s %s = %d, want %d: %s", method, path, status, want, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
}

// Application makes an application and returns its id.
func (c *Client) Application(t testing.TB, name string) string {
	t.Helper()
	var out struct{ ID string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/app", map[string]any{"name": name}, &out)
	return out.ID
}

// Endpoint makes an endpoint and returns its id. Settings are further fields of the request.
func (c *Client) Endpoint(t testing.TB, app, url string, settings map[string]any) string {
	t.Helper()
	in := map[string]any{"url": url}
	for k, v := range settings {
		in[k] = v
	}
	var out struct{ ID string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/app/"+app+"/endpoint", in, &out)
	return out.ID
}

// Secret is an endpoint's signing secret.
func (c *Client) Secret(t testing.TB, app, endpoint string) string {
	t.Helper()
	var out struct{ Key string }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+endpoint+"/secret", nil, &out)
	return out.Key
}

// Publish sends one message and returns its id.
func (c *Client) Publish(t testing.TB, app, eventType string, payload any) string {
	t.Helper()
	var out struct{ ID string }
	c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/msg",
		map[string]any{"eventType": eventType, "payload": payload}, &out)
	return out.ID
}

// Attempt is one row of the lists of attempts.
type Attempt struct {
	ID                 string
	MsgID              string
	EndpointID         string
	Status             int
	StatusText         string
	Response           string
	ResponseStatusCode int
	ResponseDurationMs int64
	TriggerType        int
	Timestamp          time.Time
}

// Attempts lists the newest attempts at an endpoint, at most 250.
func (c *Client) Attempts(t testing.TB, app, endpoint, query string) []Attempt {
	t.Helper()
	var out struct{ Data []Attempt }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/attempt/endpoint/"+endpoint+"?limit=250"+query, nil, &out)
	return out.Data
}

// Counts are an endpoint's attempts by status.
type Counts struct {
	Success, Pending, Sending, Fail, Canceled int64
}

// Total is the number of attempts that have ended.
func (c Counts) Total() int64 { return c.Success + c.Fail + c.Sending }

// Stats reads an endpoint's counts of attempts.
func (c *Client) Stats(ctx context.Context, app, endpoint string) (Counts, error) {
	var out Counts
	status, err := c.Do(ctx, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+endpoint+"/stats", nil, &out)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("stats of %s answered %d", endpoint, status)
	}
	return out, err
}
