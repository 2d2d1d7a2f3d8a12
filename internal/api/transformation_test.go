package api

import (
	"strconv"
	"testing"
	"time"

	"github.com/harkhq/hark"
)

func TestTransformation_IsReadAndChanged(t *testing.T) {
	w := newWorld(t)
	const path = "/app/a/endpoint/e/transformation"
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"A","uid":"a"}`, status: 201},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201},
		{method: "POST", url: "/app/a/consumer", body: `{"description":"d","uid":"k"}`, status: 201, save: "sink=id"},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":null,"version":null}`},
		{method: "PATCH", url: path, body: `{"code":"function handler(w) { return w }","enabled":true,"variables":{"KEY":"value"}}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"function handler(w) { return w }","enabled":true,"variables":{"KEY":"value"},"updatedAt":"*","version":1}`},
		{method: "PATCH", url: path, body: `{"enabled":false}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"*","enabled":false,"variables":{"KEY":"value"},"version":1}`},
		{method: "PATCH", url: path, body: `{"code":"broken"}`, status: 422, want: `{"detail":[{"loc":["body","code"],"msg":"The script does not compile: it is broken (line 1, column 1).","type":"value_error"}]}`},
		{method: "PATCH", url: path, body: `{"code":""}`, status: 422},
		{method: "PATCH", url: path, body: `{"code":"a\u0000b"}`, status: 422},
		{method: "PATCH", url: path, body: `{"variables":{"":"x"}}`, status: 422},
		{method: "PATCH", url: path, body: `{"code":null,"variables":null}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":"*","version":1}`},
		{method: "PATCH", url: "/app/a/endpoint/k/transformation", body: `{"enabled":true}`, status: 400, want: `{"detail":"A consumer reads messages as they are: only endpoints have transformations."}`},
		{method: "GET", url: "/app/a/endpoint/{sink}/transformation", status: 400},
		{method: "GET", url: "/app/a/endpoint/nobody/transformation", status: 404},
	})
}

func TestTransformation_OfASourcesEndpoint(t *testing.T) {
	w := newWorld(t)
	const path = "/ingest/api/v1/source/s/endpoint/{endpoint}/transformation"
	w.run([]step{
		{method: "POST", url: "/ingest/api/v1/source", body: `{"name":"shop","uid":"s","type":"generic-webhook"}`, status: 201},
		{method: "POST", url: "/ingest/api/v1/source/s/endpoint", body: `{"url":"https://example.com"}`, status: 201, save: "endpoint=id"},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":"-"}`},
		{method: "PATCH", url: path, body: `{"code":"function handler(w) { return w }","enabled":true}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"function handler(w) { return w }","enabled":true,"variables":null}`},
	})
}

func TestTransformation_IsTriedWithoutSending(t *testing.T) {
	w := newWorld(t)
	const path = "/app/a/endpoint/e/transformation/simulate"
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"A","uid":"a"}`, status: 201},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com/x","uid":"e"}`, status: 201},
		{method: "POST", url: "/app/a/msg", body: `{"eventType":"a.b","payload":{"n": 1.0}}`, status: 202, save: "msg=id"},
		{method: "POST", url: path, body: `{"payload":{}}`, status: 422, want: `{"detail":[{"loc":["body","code"]}]}`},
		{method: "POST", url: path, body: `{"code":"function handler(w) { return w }","eventType":"a.b","channels":["x"],"payload":{ "n" : 1.0 }}`, status: 200,
			want: `{"url":"https://example.com/x","method":"POST","payload":"{ \"n\" : 1.0 }","cancel":false,"eventType":"a.b","changed":[],"console":[],"error":null,"before":{"url":"*"}}`},
		{method: "POST", url: path, body: `{"code":"function handler(w) { return w }","messageId":"{msg}"}`, status: 200, want: `{"payload":"{\"n\": 1.0}","eventType":"a.b"}`},
		{method: "POST", url: path, body: `{"code":"broken","messageId":"{msg}"}`, status: 200, want: `{"error":{"message":"The script does not compile: it is broken (line 1, column 1).","line":1,"column":1,"stack":[]}}`},
		{method: "POST", url: path, body: `{"code":"x","messageId":"msg_nobody"}`, status: 404},
		{method: "POST", url: path, body: `{"code":"x","messageId":"{msg}","payload":{}}`, status: 422},
		{method: "POST", url: path, body: `{"code":"x"}`, status: 422},
		{method: "DELETE", url: "/app/a/msg/{msg}/content", status: 204},
		{method: "POST", url: path, body: `{"code":"x","messageId":"{msg}"}`, status: 400, want: `{"code":"missing_payload"}`},
	})
}

func TestTransformation_KeepsVersionsAndALog(t *testing.T) {
	w := newWorld(t)
	const path = "/app/a/endpoint/e/transformation"
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"A","uid":"a"}`, status: 201},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com/x","uid":"e"}`, status: 201},
		{method: "GET", url: path + "/version", status: 200, want: `{"data":[]}`},
		{method: "PATCH", url: path, body: `{"code":"first","enabled":true,"variables":{"A":"1"}}`, status: 204},
		{method: "PATCH", url: path, body: `{"code":"second"}`, status: 204},
		{method: "GET", url: path + "/version", status: 200, want: `{"data":[{"version":2,"hash":"*","createdAt":"*","code":"-"},{"version":1}]}`},
		{method: "GET", url: path + "/version/1", status: 200, want: `{"version":1,"code":"first"}`},
		{method: "GET", url: path + "/version/3", status: 404},
		{method: "GET", url: path + "/version/x", status: 404},
		{method: "POST", url: path + "/version/1/rollback", status: 200, want: `{"code":"first","enabled":true,"variables":{"A":"1"},"version":3}`},
		{method: "POST", url: path + "/version/9/rollback", status: 404},
		{method: "GET", url: path + "/log", status: 200, want: `{"data":[],"done":true}`},
	})
	app, err := w.store.Application(t.Context(), w.environment(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := w.store.Endpoint(t.Context(), app.Ref, "e")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 3 {
		at := now.Add(time.Duration(i) * time.Second)
		x := hark.Execution{EndpointRef: ep.Ref, AttemptID: hark.NewAttemptID(at), MessageID: hark.NewMessageID(at), Version: 3, StartedAt: at,
			Duration: 1500 * time.Microsecond, Outcome: hark.ExecutionFailed, Error: "it threw", Log: []hark.LogLine{{Level: "warn", Text: "hm"}}}
		if err := w.store.LogExecutions(t.Context(), []hark.Execution{x}); err != nil {
			t.Fatal(err)
		}
		w.names["attempt"+strconv.Itoa(i)] = string(x.AttemptID)
	}
	w.run([]step{
		{method: "GET", url: path + "/log?limit=2", status: 200, want: `{"data":[{"attemptId":"{attempt2}","msgId":"*","version":3,"outcome":"failed","error":"it threw","console":[{"level":"warn","text":"hm"}],
			"consoleCut":false,"durationMs":1.5,"timestamp":"*"},{"attemptId":"{attempt1}"}],"iterator":"{attempt1}","done":false}`},
		{method: "GET", url: path + "/log?limit=2&iterator={attempt1}", status: 200, want: `{"data":[{"attemptId":"{attempt0}"}],"done":true}`},
		{method: "GET", url: path + "/log?iterator=nonsense", status: 422},
	})
}
