package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/store"
)

// tenants are two environments with two applications each, and every kind of key.
func tenants(t *testing.T) *world {
	w := newWorld(t)
	w.api.Streams.Stop() // those that are opened end at once
	now := time.Now()
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"Secret A","uid":"a"}`, status: 201, save: "app_id=id"},
		{method: "POST", url: "/app", body: `{"name":"B","uid":"b"}`, status: 201, save: "b=id"},
		{method: "POST", url: "/event-type", body: `{"name":"secret.type","description":"d","featureFlags":["hidden"]}`, status: 201},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://secret.example.com","uid":"e"}`, status: 201, save: "endpoint_id=id"},
		{method: "POST", url: "/app/a/consumer", body: `{"description":"secret consumer","uid":"k"}`, status: 201, save: "sink_id=id"},
		{method: "POST", url: "/app/a/msg", body: `{"eventType":"secret.type","payload":{"secret":1},"eventId":"m"}`, status: 202, save: "msg_id=id"},
		{method: "POST", url: "/app/a/endpoint/e/replay-missing", body: `{"since":"2024-01-01T00:00:00Z"}`, status: 202, save: "task_id=id"},
		{method: "POST", url: "/app/a/api-poller", body: `{"uid":"p","name":"secret","everySeconds":60,"url":"https://secret.example.com","eventType":"a.b","paused":true}`, status: 201, save: "poller_id=id"},
		{method: "POST", url: "/key", body: `{"name":"secret key","scope":"admin"}`, status: 201, save: "key_id=id"},
		{method: "POST", url: "/key", body: `{"name":"r","scope":"read"}`, status: 201, save: "read=key"},
		{method: "POST", url: "/key", body: `{"name":"b","scope":"admin","applicationId":"b"}`, status: 201, save: "ofB=key"},
		{method: "POST", url: "/key", body: `{"name":"gone","scope":"admin"}`, status: 201, save: "revoked=key revokedID=id"},
		{method: "DELETE", url: "/key/{revokedID}", status: 204},
		{method: "POST", url: "/auth/app-portal-access/b", body: `{}`, status: 200, save: "portalOfB=token"},
		{method: "POST", url: "/auth/app-portal-access/a", body: `{}`, status: 200, save: "portalOfA=token"},
		{as: "test", method: "POST", url: "/app", body: `{"name":"Other","uid":"other"}`, status: 201},
		{method: "POST", url: "/source", body: `{"name":"secret source","provider":"stripe","secret":"secret of stripe","applicationId":"a","uid":"s"}`, status: 201, save: "source_id=id"},
	})
	w.run([]step{{method: "PATCH", url: "/app/a/endpoint/e/transformation", body: `{"code":"secret script","variables":{"A":"secret variable"}}`, status: 204}})
	w.names["request_id"] = string(w.receive("rejected"))
	attempt := hark.Attempt{ID: hark.NewAttemptID(now), Status: hark.Failed, Number: 1, StartedAt: now, StatusCode: 500, Response: []byte("secret answer")}
	w.settle(&attempt)
	w.names["attempt_id"], w.names["event_type_name"], w.names["consumer_id"] = string(attempt.ID), "secret.type", "group"
	w.names["version"] = "1"
	for _, who := range []string{"read", "ofB", "revoked", "portalOfA", "portalOfB"} {
		w.keys[who] = w.names[who]
	}
	w.keys["nobody"], w.keys["garbage"], w.keys["stranger"] = "", "hark_live_nonsense", w.keys["test"]
	return w
}

// receive keeps a request of the source source_id.
func (w *world) receive(body string) hark.RequestID {
	w.t.Helper()
	src, err := w.store.Source(w.t.Context(), w.environment(), w.names["source_id"])
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	head := hark.Head{SourceID: src.ID, Method: "POST", Path: "/secret", Header: []hark.HeadField{{Name: "X-A", Value: "1"}}}
	q := hark.Request{SourceRef: src.Ref, ID: hark.NewRequestID(now), ReceivedAt: now, Outcome: hark.RequestRejected, Cause: hark.VerificationFailed,
		Detail: "the secret does not match", EventType: "secret.type", Status: 401, Method: "POST", Remote: "192.0.2.1", Head: head.Encode(), Body: []byte(body), Size: len(body)}
	if err := w.store.InsertRequests(w.t.Context(), []hark.Request{q}); err != nil {
		w.t.Fatal(err)
	}
	return q.ID
}

// settle records an attempt of the message msg_id at the endpoint endpoint_id.
func (w *world) settle(attempt *hark.Attempt) {
	w.t.Helper()
	ctx := w.t.Context()
	env := w.environment()
	app, err := w.store.Application(ctx, env, w.names["app_id"])
	if err != nil {
		w.t.Fatal(err)
	}
	ep, err := w.store.Endpoint(ctx, app.Ref, w.names["endpoint_id"])
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := w.store.Message(ctx, app.Ref, w.names["msg_id"], false)
	if err != nil {
		w.t.Fatal(err)
	}
	attempt.ApplicationRef, attempt.MessageRef, attempt.EndpointRef, attempt.URL = app.Ref, msg.Ref, ep.Ref, ep.URL
	delivery := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: app.Ref, MessageRef: msg.Ref, Due: msg.CreatedAt.UnixMilli()}
	if err := w.store.Settle(ctx, []store.Settlement{{Delivery: delivery, Attempt: attempt}}); err != nil {
		w.t.Fatal(err)
	}
}

// environment is the live environment.
func (w *world) environment() hark.EnvironmentID {
	w.t.Helper()
	p, err := w.auth.Authenticate(w.t.Context(), w.keys["live"])
	if err != nil {
		w.t.Fatal(err)
	}
	return p.EnvironmentID
}

// TestIsolation_EveryRouteWithEveryWrongKey walks the operations table: whoever may not reach
// application a gets 401, 403 or 404 with the address of its things, and no word of them.
func TestIsolation_EveryRouteWithEveryWrongKey(t *testing.T) {
	w := tenants(t)
	before := w.snapshot()
	for _, op := range operations() {
		if op.access == everyone {
			continue
		}
		path := op.path
		if op.root != "" {
			path = op.fullPath()
		}
		for _, body := range []string{"{}", "not JSON"} {
			for who, want := range map[string]string{
				"nobody": "401", "garbage": "401", "revoked": "401",
				"stranger": wantOfStranger(&op), "ofB": wantOfNeighbour(&op), "portalOfB": wantOfNeighbour(&op),
				"read": wantOfReader(&op), "portalOfA": wantOfCustomer(&op),
			} {
				if want == "" {
					continue
				}
				rec := w.do(step{as: who, method: op.method, url: path, body: body})
				if !strings.Contains(want, strconv.Itoa(rec.Code)) {
					t.Errorf("%s %s as %s: got %d, want %s: %s", op.method, op.path, who, rec.Code, want, rec.Body)
				}
				asksForSecrets := rec.Code == 422 && strings.HasSuffix(op.id, "source.create") || rec.Code == 422 && strings.HasSuffix(op.id, "source.update")
				if !asksForSecrets && who != "portalOfA" && who != "read" && strings.Contains(strings.ToLower(rec.Body.String()), "secret") {
					t.Errorf("%s %s as %s tells: %s", op.method, op.path, who, rec.Body)
				}
			}
		}
	}
	if after := w.snapshot(); after != before {
		t.Errorf("something was changed\nbefore %s\n after %s", before, after)
	}
}

// snapshot is what the things of application a look like to their owner.
func (w *world) snapshot() string {
	var b strings.Builder
	for _, op := range operations() {
		if op.method == http.MethodGet && (strings.Contains(op.path, "{app_id}") || op.root == "" && strings.Contains(op.path, "{source_id}")) {
			b.WriteString(w.do(step{method: op.method, url: op.path}).Body.String())
		}
	}
	return b.String()
}

// wantOfStranger: to an administrator of another environment nothing of this one exists. Only
// what makes things in its own environment, or lists them, can be done.
func wantOfStranger(op *operation) string {
	switch {
	case op.id == "hark.provider.list":
		return "" // everybody's, and full of the word
	case op.makesApp:
		return "404 422"
	case op.id == "v1.event-type.update":
		return "422"
	case strings.Contains(op.path, "{"):
		return "404 422"
	case op.in != typeNone:
		return "422 200"
	}
	return "200 204"
}

// wantOfNeighbour: a key or token of application b reaches nothing of a, and nothing of the environment.
func wantOfNeighbour(op *operation) string {
	if strings.HasPrefix(op.path, "/event-type") && op.method == http.MethodGet || op.id == "hark.provider.list" {
		return "" // event types are the environment's; their flags are tested by themselves
	}
	if op.makesApp {
		return "403 404 422"
	}
	if op.path == "/source" || op.path == "/request" || op.path == "/tail" || op.id == "hark.authentication.whoami" {
		return "200 403 422" // its own, of which there are none but itself
	}
	return "403 404"
}

// wantOfReader: a key that may only read changes nothing.
func wantOfReader(op *operation) string {
	switch {
	case op.id == "v1.message.precheck" || op.may == "consumer.ack" && op.in != typeNone: // how far it has come, a reader may say
		return "422"
	case op.id == "hark.consumer.listen": // its answers are attempts
		return "403"
	case op.status[0] == http.StatusSwitchingProtocols:
		return "426"
	case op.method != http.MethodGet || strings.HasSuffix(op.id, ".get-secret") || op.tag == "Key" || op.may == "endpoint.transformation.get":
		return "403"
	}
	return "200"
}

// wantOfCustomer: an application token may not do what the documents say is for operators.
func wantOfCustomer(op *operation) string {
	switch {
	case op.access == operator:
		return "403"
	case op.status[0] == http.StatusSwitchingProtocols:
		return "426"
	case op.method == http.MethodGet:
		return "200 404" // 404: event types that are hidden from it
	}
	return "" // it may
}

func TestIsolation_FeatureFlagsHideEventTypes(t *testing.T) {
	w := tenants(t)
	w.run([]step{
		{as: "portalOfA", method: "GET", url: "/event-type", status: 200, want: `{"data":[]}`},
		{as: "portalOfA", method: "GET", url: "/event-type/secret.type", status: 404},
		{method: "POST", url: "/auth/app-portal-access/a", body: `{"featureFlags":["hidden"]}`, status: 200, save: "flagged=token"},
	})
	w.keys["flagged"] = w.names["flagged"]
	w.run([]step{{as: "flagged", method: "GET", url: "/event-type/secret.type", status: 200}})
}

func TestAttempts_AreShownAsTheyWere(t *testing.T) {
	w := tenants(t)
	w.run([]step{
		{method: "GET", url: "/app/a/attempt/msg/m", status: 200, want: `{"data":[{"id":"{attempt_id}","msgId":"{msg_id}","endpointId":"{endpoint_id}","url":"https://secret.example.com/",
			"response":"secret answer","responseStatusCode":500,"responseDurationMs":0,"status":2,"statusText":"fail","triggerType":0,"timestamp":"*","number":1,"eventType":"secret.type","error":null,"msg":"-"}],"done":true}`},
		{method: "GET", url: "/app/a/attempt/endpoint/e?with_content=false&with_msg=true&status_code_class=500", status: 200, want: `{"data":[{"response":"{}","msg":{"id":"{msg_id}","payload":{}}}]}`},
		{method: "GET", url: "/app/a/attempt/endpoint/e?status=0", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/app/a/endpoint/e/msg", status: 200, want: `{"data":[{"id":"{msg_id}","payload":{"secret":1},"status":2,"statusText":"fail","nextAttempt":null}]}`},
		{method: "GET", url: "/app/a/msg/m/endpoint", status: 200, want: `{"data":[{"id":"{endpoint_id}","status":2,"statusText":"fail","nextAttempt":null,"url":"*"}]}`},
		{method: "GET", url: "/app/a/msg/m/attempt/{attempt_id}", status: 200, want: `{"id":"{attempt_id}"}`},
		{method: "DELETE", url: "/app/a/msg/m/attempt/{attempt_id}/content", status: 204},
		{method: "GET", url: "/app/a/msg/m/attempt/{attempt_id}", status: 200, want: `{"response":"EXPUNGED"}`},
	})
}

func TestResponseText_IsTextWhereItCanBe(t *testing.T) {
	for _, tt := range []struct {
		attempt hark.Attempt
		want    string
	}{
		{hark.Attempt{StatusCode: 200, Response: []byte("é")}, "é"},
		{hark.Attempt{StatusCode: 200, Response: []byte("ab\xc3")}, "ab"},
		{hark.Attempt{StatusCode: 200, Response: []byte("\xff\xfe\x00\x01a")}, "//4AAWE="},
		{hark.Attempt{StatusCode: 204, Error: "x"}, ""},
		{hark.Attempt{Error: "no such host"}, "no such host"},
	} {
		if got := responseText(&tt.attempt, true); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.attempt.Response, got, tt.want)
		}
	}
}

func TestTokens_OfAnEnvironmentWork(t *testing.T) {
	w := newWorld(t)
	token, err := w.auth.IssueAppToken(auth.AppToken{EnvironmentID: w.environment(), ApplicationID: hark.NewApplicationID(time.Now())}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.keys["ghost"] = token
	w.run([]step{{as: "ghost", method: "GET", url: "/app/nobody", status: 404}})
}
