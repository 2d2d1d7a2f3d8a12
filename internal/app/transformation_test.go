package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestTransformation_IsAppliedByAServerAndTheOneAfterIt goes from the API to the receiver and back.
func TestTransformation_IsAppliedByAServerAndTheOneAfterIt(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 10)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.Method + " " + r.Header.Get("X-Total") + " " + string(body)
	}))
	defer sink.Close()
	next := func() string {
		t.Helper()
		select {
		case body := <-bodies:
			return body
		case <-time.After(time.Minute):
			t.Fatal("nothing came")
			return ""
		}
	}
	c := defaults(t)
	s := start(t, c)
	s.publishTo(sink.URL)
	if got := next(); got != "POST  {}" {
		t.Errorf("before: %s", got)
	}
	s.call("PATCH", "/app/a/endpoint/e/transformation", map[string]any{"enabled": true, "variables": map[string]string{"FACTOR": "3"},
		"code": `function handler(webhook) {
			if (webhook.payload.n < 0) webhook.cancel = true;
			webhook.headers["X-Total"] = webhook.payload.n * webhook.variables.FACTOR;
			return webhook;
		}`})
	publish := func(n int) string {
		return s.call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{"n": n}})["id"].(string)
	}
	publish(2)
	if got := next(); got != `POST 6 {"n":2}` {
		t.Errorf("transformed: %s", got)
	}
	s.end()
	s = start(t, c)
	defer s.end()
	canceled := publish(-1)
	publish(5)
	if got := next(); got != `POST 15 {"n":5}` {
		t.Errorf("after a restart: %s", got)
	}
	var attempts []any
	until(t, "an attempt", func() bool {
		attempts = s.call("GET", "/app/a/attempt/msg/"+canceled+"?expanded_statuses=true", nil)["data"].([]any)
		return len(attempts) == 1
	})
	if a := attempts[0].(map[string]any); a["statusText"] != "canceled" || a["error"] != "canceled by the transformation" {
		t.Errorf("attempt: %v", a)
	}
}
