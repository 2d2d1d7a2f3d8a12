package api

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

func TestApplications(t *testing.T) {
	newWorld(t).run([]step{
		{method: "GET", url: "/app", status: 200, want: `{"data":[],"iterator":null,"prevIterator":"-","done":true}`}, // "-": not there
		{method: "POST", url: "/app", body: `{"name":"One","uid":"one","rateLimit":7,"unknown":1}`, status: 201, save: "one=id",
			want: `{"id":"*","name":"One","uid":"one","throttleRate":7,"rateLimit":7,"metadata":{},"createdAt":"*","updatedAt":"*"}`},
		{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 409, want: `{"code":"conflict","detail":"*","existing":"{one}"}`},
		{method: "POST", url: "/app?get_if_exists=true", body: `{"name":"One","uid":"one"}`, status: 200, want: `{"id":"{one}"}`},
		{method: "POST", url: "/app", body: `{"name":"Two","metadata":null}`, status: 201, save: "two=id", want: `{"uid":"-","rateLimit":"-","throttleRate":null,"metadata":{}}`},
		{method: "POST", url: "/app", body: `{"name":""}`, status: 422, want: `{"detail":[{"loc":["body","name"],"msg":"*","type":"value_error"}]}`},
		{method: "POST", url: "/app", body: `{"name":7}`, status: 422, want: `{"detail":[{"loc":["body","name"],"msg":"*","type":"value_error.jsondecode"}]}`},
		{method: "POST", url: "/app", body: `{"name":"x","uid":[]}`, status: 422, want: `{"detail":[{"loc":["body","uid"],"msg":"expected a string, not array","type":"value_error.jsondecode"}]}`},
		{method: "POST", url: "/app", body: ``, status: 422, want: `{"detail":[{"loc":["body"],"msg":"*","type":"value_error.jsondecode"}]}`},
		{method: "POST", url: "/app", body: `{"name":"x","uid":"app_x"}`, status: 422},
		{method: "GET", url: "/app/one", status: 200, want: `{"id":"{one}"}`},
		{method: "GET", url: "/app/{one}/", status: 200, want: `{"id":"{one}"}`},
		{method: "PUT", url: "/app/one", body: `{"name":"Uno","uid":"one"}`, status: 200, want: `{"id":"{one}","name":"Uno"}`},
		{method: "PATCH", url: "/app/{one}", body: `{"uid":"uno","throttleRate":null}`, status: 200, want: `{"uid":"uno","name":"Uno","throttleRate":null}`},
		{method: "PUT", url: "/app/three", body: `{"name":"Three"}`, status: 201, save: "three=id"},
		{method: "GET", url: "/app?limit=2", status: 200, want: `{"data":[{"id":"{one}"},{"id":"{two}"}],"iterator":"{two}","prevIterator":"-{one}","done":false}`},
		{method: "GET", url: "/app?limit=2&iterator={two}", status: 200, want: `{"data":[{"id":"{three}"}],"iterator":"{three}","done":true}`},
		{method: "GET", url: "/app?limit=2&iterator=-{three}", status: 200, want: `{"data":[{"id":"{one}"},{"id":"{two}"}]}`},
		{method: "GET", url: "/app?order=descending&limit=1", status: 200, want: `{"data":[{"id":"{three}"}]}`},
		{method: "GET", url: "/app?limit=251", status: 422, want: `{"detail":[{"loc":["query","limit"],"msg":"*","type":"value_error"}]}`},
		{method: "GET", url: "/app?limit=abc", status: 400, want: `{"code":"generic_error","detail":"*"}`},
		{method: "GET", url: "/app?iterator=ep_x", status: 422},
		{method: "DELETE", url: "/app/{two}", status: 204},
		{method: "GET", url: "/app/{two}", status: 404, want: `{"code":"not_found","detail":"Entity not found"}`},
		{method: "GET", url: "/app?exclude_apps_with_no_endpoints=true", status: 200, want: `{"data":[]}`},
	})
}

func TestEndpoints(t *testing.T) {
	w := newWorld(t)
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201},
		{method: "POST", url: "/event-type", body: `{"name":"a.b","description":"d"}`, status: 201},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://EXAMPLE.com","filterTypes":["a.b"],"channels":["c:1"],"headers":{"X-A":"1"},"uid":"e","version":2}`, status: 201, save: "e=id",
			want: `{"id":"*","url":"https://example.com/","description":"","version":2,"disabled":false,"eventTypes":["a.b"],"filterTypes":["a.b"],"channels":["c:1"],"uid":"e",
				"throttleRate":null,"rateLimit":null,"metadata":{},"createdAt":"*","updatedAt":"*","retrySchedule":"*","timeoutSeconds":30,"concurrency":64,"ordering":"none","verifyTls":true,"filter":null,"paused":false,"disabledReason":null,"delaySeconds":0,"retryOn":null,"throttleUnit":"second"}`},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://example.com","eventTypes":["nope"]}`, status: 422, want: `{"detail":[{"loc":["body","eventTypes"],"msg":"*","type":"value_error"}]}`},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"ftp://example.com"}`, status: 422},
		{method: "POST", url: "/app/none/endpoint", body: `{"url":"https://example.com"}`, status: 404},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://example.com","verifyTls":"no"}`, status: 422, want: `{"detail":[{"loc":["body","verifyTls"],"msg":"expected a boolean, not string","type":"value_error.jsondecode"}]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{},"deliverAt":"soon"}`, status: 422, want: `{"detail":[{"loc":["body","deliverAt"],"msg":"expected a time such as 2026-01-31T15:04:05Z","type":"value_error.jsondecode"}]}`},
		{method: "GET", url: "/app/one/endpoint/e", status: 200, want: `{"id":"{e}"}`},
		{method: "PATCH", url: "/app/one/endpoint/e", body: `{"retrySchedule":[1,2.5],"timeoutSeconds":5,"ordering":"/customer","filter":{"amount":{"$gt":5}},"paused":true,"filterTypes":null,"delaySeconds":60,"retryOn":[">=500"],"throttleRate":10,"throttleUnit":"minute"}`, status: 200,
			want: `{"retrySchedule":[1,2.5],"timeoutSeconds":5,"ordering":"/customer","filter":{"amount":{"$gt":5}},"paused":true,"eventTypes":null,"filterTypes":null,"delaySeconds":60,"retryOn":[">=500"],"throttleRate":10,"throttleUnit":"minute"}`},
		{method: "PUT", url: "/app/one/endpoint/e", body: `{"url":"https://example.com/x","description":"d","uid":"e"}`, status: 200, want: `{"url":"https://example.com/x","timeoutSeconds":5,"paused":true,"channels":null}`},
		{method: "POST", url: "/app/one/endpoint/e/resume", status: 200, want: `{"paused":false}`},
		{method: "POST", url: "/app/one/endpoint/e/pause", status: 200, want: `{"paused":true}`},
		{method: "GET", url: "/app/one/endpoint/e/headers", status: 200, want: `{"headers":{"X-A":"1"},"sensitive":[]}`},
		{method: "PATCH", url: "/app/one/endpoint/e/headers", body: `{"headers":{"Authorization":"Bearer s","X-B":"2"},"deleteHeaders":["X-A"]}`, status: 204},
		{method: "GET", url: "/app/one/endpoint/e/headers", status: 200, want: `{"headers":{"X-B":"2","X-A":"-"},"sensitive":["Authorization"]}`},
		{method: "PATCH", url: "/app/one/endpoint/e/headers", body: `{"headers":{"X-B":null}}`, status: 204},
		{method: "PUT", url: "/app/one/endpoint/e/headers", body: `{"headers":{"User-Agent":"x"}}`, status: 422},
		{method: "PUT", url: "/app/one/endpoint/e/headers", body: `{}`, status: 422},
		{method: "PUT", url: "/app/one/endpoint/e/headers", body: `{"headers":{}}`, status: 204},
		{method: "GET", url: "/app/one/endpoint/e/headers", status: 200, want: `{"headers":{},"sensitive":[]}`},
		{method: "GET", url: "/app/one/endpoint/e/secret", status: 200, want: `{"key":"*"}`, save: "secret=key"},
		{method: "POST", url: "/app/one/endpoint/e/secret/rotate", body: `{"key":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, status: 204},
		{method: "GET", url: "/app/one/endpoint/e/secret", status: 200, want: `{"key":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`},
		{method: "POST", url: "/app/one/endpoint/e/secret/rotate", status: 204},
		{method: "POST", url: "/app/one/endpoint/e/secret/rotate", body: `{"key":"short"}`, status: 422},
		{method: "GET", url: "/app/one/endpoint/e/stats", status: 200, want: `{"success":0,"pending":0,"sending":0,"fail":0}`},
		{method: "GET", url: "/app/one/endpoint/e/stats?since=2020-01-01T00:00:00Z", status: 400, want: `{"code":"invalid_range"}`},
		{method: "PUT", url: "/app/one/endpoint/new", body: `{"url":"https://example.com/y"}`, status: 201, save: "new=id"},
		{method: "GET", url: "/app/one/endpoint", status: 200, want: `{"data":[{"id":"{new}"},{"id":"{e}"}],"done":true}`},
		{method: "GET", url: "/app/one/endpoint?order=ascending&limit=1", status: 200, want: `{"data":[{"id":"{e}"}],"done":false,"iterator":"{e}"}`},
		{method: "POST", url: "/app/one/endpoint/e/recover", body: `{"since":"2020-01-01T00:00:00Z"}`, status: 422},
		{method: "GET", url: "/app/one/endpoint/e/replay-count?status=all&since=2024-01-01T00:00:00Z&event_types=a.b,c.d", status: 200, want: `{"messages":0,"complete":true}`},
		{method: "GET", url: "/app/one/endpoint/e/replay-count?since=2024-01-01T00:00:00Z", status: 422, want: `{"detail":[{"loc":["query","since"],"msg":"must not be more than 14 days ago","type":"*"}]}`},
		{method: "GET", url: "/app/one/endpoint/e/replay-count?status=some&tag=%20", status: 422},
		{method: "POST", url: "/app/one/endpoint/e/replay-missing", body: `{"since":"2024-01-01T00:00:00Z"}`, status: 202, want: `{"id":"*","status":"running","task":"endpoint.replay","updatedAt":"*"}`, save: "task=id"},
		{method: "POST", url: "/app/one/endpoint/e/bulk-replay", body: `{"since":"2024-01-01T00:00:00Z","status":2,"tag":"x"}`, status: 202, want: `{"task":"endpoint.bulk-replay"}`},
		{method: "GET", url: "/background-task/{task}", status: 200, want: `{"id":"{task}","data":{}}`},
		{method: "GET", url: "/background-task?task=endpoint.replay", status: 200, want: `{"data":[{"id":"{task}"}]}`},
		{method: "DELETE", url: "/app/one/endpoint/e", status: 204},
		{method: "GET", url: "/app/one/endpoint/e", status: 404},
	})
	if !strings.HasPrefix(w.names["secret"], "whsec_") {
		t.Errorf("got secret %s", w.names["secret"])
	}
}

func TestEventTypes(t *testing.T) {
	newWorld(t).run([]step{
		{method: "POST", url: "/event-type", body: `{"name":"b","description":"d","schemas":{"1":{"type":"object","examples":[{"x":1}]}},"featureFlags":["f"],"groupName":"g"}`, status: 201,
			want: `{"name":"b","description":"d","archived":false,"deprecated":false,"schemas":{"1":{"type":"object"}},"featureFlag":"f","featureFlags":["f"],"groupName":"g","createdAt":"*","updatedAt":"*"}`},
		{method: "POST", url: "/event-type", body: `{"name":"a","description":"d"}`, status: 201, want: `{"featureFlag":null,"featureFlags":null,"schemas":null}`},
		{method: "POST", url: "/event-type", body: `{"name":"a","description":"d"}`, status: 409, want: `{"code":"event_type_exists"}`},
		{method: "POST", url: "/event-type", body: `{"name":"c","description":"d","schemas":{"1":{"type":"nope"}}}`, status: 422},
		{method: "GET", url: "/event-type?order=descending", status: 200, want: `{"data":[{"name":"a"},{"name":"b","schemas":null}],"iterator":"b","done":true}`},
		{method: "GET", url: "/event-type?with_content=true&limit=1&iterator=a", status: 200, want: `{"data":[{"name":"b","schemas":{"1":{}}}]}`},
		{method: "PATCH", url: "/event-type/a", body: `{"deprecated":true}`, status: 200, want: `{"deprecated":true,"description":"d"}`},
		{method: "PUT", url: "/event-type/a", body: `{"description":"e"}`, status: 200, want: `{"description":"e","deprecated":false}`},
		{method: "PUT", url: "/event-type/new", body: `{"description":"e"}`, status: 201, want: `{"name":"new"}`},
		{method: "DELETE", url: "/event-type/a", status: 204},
		{method: "GET", url: "/event-type/a", status: 200, want: `{"archived":true}`},
		{method: "GET", url: "/event-type?include_archived=true", status: 200, want: `{"data":["*","*","*"]}`},
		{method: "POST", url: "/event-type", body: `{"name":"a","description":"again"}`, status: 201, want: `{"archived":false}`},
		{method: "DELETE", url: "/event-type/a?expunge=true", status: 204},
		{method: "GET", url: "/event-type/a", status: 404},
		{method: "DELETE", url: "/event-type/b?expunge=maybe", status: 400},
	})
}

func TestMessages(t *testing.T) {
	w := newWorld(t)
	w.run([]step{
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{}}`, status: 404},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{},"application":{"name":"One"}}`, status: 422, want: `{"detail":[{"type":"application_uid_missing"}]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{},"application":{"name":"One","uid":"two"}}`, status: 422, want: `{"detail":[{"type":"application_uid_mismatch"}]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a.b","payload":{"n":1.0,"a":[1, 2]},"eventId":"first","channels":["c"],"tags":["t"],"application":{"name":"One","uid":"one"}}`, status: 202, save: "m1=id",
			want: `{"id":"*","eventType":"a.b","eventId":"first","payload":{"n":1,"a":[1,2]},"channels":["c"],"tags":["t"],"timestamp":"*","deliverAt":null,"endpoints":"-"}`},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201, save: "e=id"},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://example.com","uid":"f","channels":["other"]}`, status: 201, save: "f=id"},
		{method: "POST", url: "/app/one/msg?with_content=false&with_endpoints=true", body: `{"eventType":"b","data":{"n":2}}`, status: 202, save: "m2=id",
			want: `{"payload":{},"eventId":null,"channels":null,"tags":null,"endpoints":[{"id":"{e}"}]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{},"eventId":"first"}`, status: 409, want: `{"code":"conflict","existing":"{m1}"}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":[]}`, status: 422, want: `{"detail":[{"loc":["body","payload"]}]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"a b","payload":{},"tags":["1","2","3","4","5","6"],"payloadRetentionHours":0}`, status: 422, want: `{"detail":["*","*","*"]}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"c","payload":{},"deliverAt":"2020-01-01T00:00:00Z"}`, status: 422},
		{method: "GET", url: "/app/one/msg", status: 200, want: `{"data":[{"id":"{m2}"},{"id":"{m1}","payload":{"n":1}}],"iterator":"{m1}","prevIterator":"-{m2}","done":true}`},
		{method: "GET", url: "/app/one/msg?event_types=b,c&with_content=false", status: 200, want: `{"data":[{"id":"{m2}","payload":{}}]}`},
		{method: "GET", url: "/app/one/msg?event_types[]=b&event_types[]=a.b&limit=1", status: 200, want: `{"data":[{"id":"{m2}"}],"done":false}`},
		{method: "GET", url: "/app/one/msg?tag=t", status: 200, want: `{"data":[{"id":"{m1}"}]}`},
		{method: "GET", url: "/app/one/msg?channel=c&before=2000-01-01T00:00:00Z", status: 200, want: `{"data":[],"iterator":null,"done":true}`},
		{method: "GET", url: "/app/one/msg?iterator=app_x", status: 422},
		{method: "GET", url: "/app/one/msg/first", status: 200, want: `{"id":"{m1}","payload":{"a":[1,2]}}`},
		{method: "GET", url: "/app/one/msg/{m1}?with_content=false", status: 200, want: `{"payload":{}}`},
		{method: "GET", url: "/app/one/msg/{m2}/trace", status: 200, want: `{"message":{"id":"{m2}"},"endpoints":["*","*"]}`},
		{method: "POST", url: "/app/one/msg/precheck/active", body: `{"eventType":"x"}`, status: 200, want: `{"active":true}`},
		{method: "GET", url: "/app/one/msg/{m2}/endpoint", status: 200, want: `{"data":[],"done":true}`},
		{method: "GET", url: "/app/one/attempt/msg/{m2}?expanded_statuses=true&status=0&endpoint_id=e", status: 200, want: `{"data":[],"iterator":null,"done":true}`},
		{method: "GET", url: "/app/one/attempt/endpoint/e?with_msg=true&status_code_class=200", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/app/one/attempt/endpoint/e?status=9", status: 422},
		{method: "GET", url: "/app/one/msg/{m2}/attempt", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/app/one/msg/{m2}/endpoint/e/attempt", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/app/one/endpoint/e/msg", status: 200, want: `{"done":true}`},
		{method: "POST", url: "/app/one/msg/{m2}/endpoint/e/resend", status: 202, want: `{}`},
		{method: "POST", url: "/app/one/endpoint/e/send-example", body: `{"eventType":"svix.ping"}`, status: 200, want: `{"payload":{},"eventType":"svix.ping"}`},
		{method: "DELETE", url: "/app/one/msg/first/content", status: 204},
		{method: "GET", url: "/app/one/msg/first", status: 200, want: `{"payload":{"expired":true}}`},
		{method: "POST", url: "/app/one/msg/first/endpoint/e/resend", status: 400, want: `{"code":"missing_payload"}`},
		{method: "POST", url: "/app/one/msg/bulk-expunge", body: `{"ids":["{m2}","nope"]}`, status: 200, want: `{"results":{"{m2}":"expunged","nope":"not-found"}}`},
		{method: "POST", url: "/app/one/msg/expunge-all-contents", status: 202, want: `{"task":"application.purge_content"}`},
		{method: "POST", url: "/app/one/msg/batch?with_endpoints=true", body: `{"messages":[{"eventType":"a","payload":{"i":0}},{"eventType":"a b","payload":{}},{"eventType":"a","payload":{},"eventId":"first"}]}`, status: 200,
			want: `{"data":[{"status":202,"message":{"payload":{},"endpoints":[{"id":"{e}"}]}},{"status":422,"error":{"code":"invalid","fields":[{"loc":["body","eventType"]}]}},{"status":409,"error":{"existing":"{m1}"}}],"done":false}`},
		{method: "POST", url: "/app/one/msg/batch", body: `{"messages":[]}`, status: 422},
		{method: "POST", url: "/app/none/msg/batch", body: `{"messages":[{"eventType":"a","payload":{}}]}`, status: 404},
		{method: "GET", url: "/app/one/msg/{m1}/attempt/atmpt_x", status: 404},
		{method: "GET", url: "/app/one/msg/msg_x", status: 404},
	})
}

func TestMessages_TheAnswerToAPublishIsTheMessage(t *testing.T) {
	w := newWorld(t)
	w.run([]step{{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201}})
	published := w.do(step{method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{"b": 1.50, "a":"\u00e9"},"eventId":"e"}`}).Body.String()
	read := w.do(step{method: "GET", url: "/app/one/msg/e"}).Body.String()
	if !strings.Contains(published, `"payload":{"b": 1.50, "a":"\u00e9"}`) {
		t.Errorf("not verbatim: %s", published)
	}
	if published != read {
		t.Errorf("published %s\n     read %s", published, read)
	}
}

func TestAdministration(t *testing.T) {
	w := newWorld(t)
	w.run([]step{
		{method: "GET", url: "/health", as: "nobody", status: 200, want: `{"database":{"status":"ok"},"queue":{"status":"ok"},"cache":{"status":"ok"}}`},
		{method: "HEAD", url: "/health/ping", as: "nobody", status: 204},
		{method: "GET", url: "/health/ping", as: "nobody", status: 204},
		{method: "POST", url: "/auth/logout", status: 501, want: `{"code":"not_implemented"}`},
		{method: "GET", url: "/environment", status: 200, want: `{"id":"*","name":"live","retentionDays":90,"createdAt":"*"}`},
		{method: "GET", url: "/auth/whoami", status: 200, want: `{"environment":{"id":"*","name":"live"},"scope":"admin","applicationId":null,"keyId":"*","name":"*"}`},
		{method: "PATCH", url: "/environment", body: `{"retentionDays":7}`, status: 200, want: `{"retentionDays":7}`},
		{method: "PATCH", url: "/environment", body: `{"retentionDays":0}`, status: 422},
		{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201, save: "one=id"},
		{method: "POST", url: "/auth/app-portal-access/one", body: `{"featureFlags":["f"],"expiry":3600}`, status: 200, want: `{"url":"*"}`, save: "token=token"},
		{method: "POST", url: "/auth/app-portal-access/one", status: 200, want: `{"url":"*","token":"*"}`},
		{method: "POST", url: "/auth/dashboard-access/one", status: 200, want: `{"url":"*","token":"*"}`},
		{method: "POST", url: "/key", body: `{"name":"k","scope":"publish","applicationId":"one"}`, status: 201, save: "key=key id=id",
			want: `{"id":"*","name":"k","scope":"publish","applicationId":"{one}","prefix":"*","createdAt":"*","expiresAt":null,"revokedAt":null,"key":"*"}`},
		{method: "POST", url: "/key", body: `{"name":"k","scope":"king"}`, status: 422},
		{method: "GET", url: "/key", status: 200, want: `{"data":["*",{"id":"{id}","key":"-"}],"done":true}`},
		{method: "POST", url: "/key/{id}/rotate", body: `{"overlapSeconds":60}`, status: 201, want: `{"key":"*","scope":"publish"}`, save: "next=id"},
		{method: "POST", url: "/key/{next}/revoke", status: 204},
		{method: "DELETE", url: "/key/{next}", status: 204},
		{method: "DELETE", url: "/key/key_x", status: 404},
	})
	w.keys["key"], w.keys["portal"] = w.names["key"], w.names["token"]
	w.run([]step{
		{as: "key", method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{}}`, status: 202},
		{as: "key", method: "POST", url: "/app", body: `{"name":"x"}`, status: 403, want: `{"code":"insufficient access"}`},
		{as: "key", method: "GET", url: "/auth/whoami", status: 200, want: `{"environment":{"id":"*","name":"live"},"scope":"publish","applicationId":"{one}","keyId":"{id}","name":"k"}`},
		{as: "portal", method: "GET", url: "/auth/whoami", status: 403},
		{as: "portal", method: "GET", url: "/app/one", status: 200},
		{as: "portal", method: "GET", url: "/app/one/msg", status: 200},
		{as: "portal", method: "POST", url: "/app/one/msg", body: `{"eventType":"a","payload":{}}`, status: 403},
		{as: "portal", method: "POST", url: "/auth/app/one/expire-all", status: 403},
		{method: "POST", url: "/auth/app/one/expire-all", body: `{"expiry":60}`, status: 422, want: `{"detail":[{"loc":["body","expiry"],"msg":"*","type":"value_error"}]}`},
		{method: "POST", url: "/auth/app/one/expire-all", body: `{"sessionIds":["s"]}`, status: 422},
		{method: "POST", url: "/auth/app/none/expire-all", status: 404},
		{as: "portal", method: "GET", url: "/app/one", status: 200},
		{method: "POST", url: "/auth/app/one/expire-all", body: `{"expiry":null,"sessionIds":[]}`, status: 204},
		{as: "portal", method: "GET", url: "/app/one", status: 401},
		{as: "key", method: "GET", url: "/app/one", status: 200},
	})
}

func TestReads_HaveETags(t *testing.T) {
	w := newWorld(t)
	w.run([]step{{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201}})
	large := `{"eventType":"a","payload":{"text":"` + strings.Repeat("x", 100<<10) + `"}}`
	w.run([]step{{method: "POST", url: "/app/one/msg", body: large, status: 202}})
	for _, url := range []string{"/app/one", "/app", "/app/one/msg", "/app/one/endpoint?limit=7"} {
		first := w.do(step{method: "GET", url: url})
		sum := sha256.Sum256(first.Body.Bytes())
		etag := first.Header().Get("ETag")
		if want := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`; etag != want {
			t.Fatalf("%s: ETag %s, want %s", url, etag, want)
		}
		for _, given := range []string{etag, `"x", ` + etag, "W/" + etag, "*"} {
			again := w.do(step{method: "GET", url: url, header: "If-None-Match: " + given})
			if again.Code != 304 || again.Body.Len() != 0 || again.Header().Get("ETag") != etag {
				t.Errorf("%s, If-None-Match: %s: %d with %d bytes, ETag %s", url, given, again.Code, again.Body.Len(), again.Header().Get("ETag"))
			}
		}
		for _, given := range []string{"", `"x"`, etag[:len(etag)-2] + `"`, strings.Trim(etag, `"`)} {
			if again := w.do(step{method: "GET", url: url, header: "If-None-Match: " + given}); again.Code != 200 {
				t.Errorf("%s, If-None-Match: %s: %d", url, given, again.Code)
			}
		}
	}
	one, list := w.do(step{method: "GET", url: "/app/one"}).Header().Get("ETag"), w.do(step{method: "GET", url: "/app/one/msg"}).Header().Get("ETag")
	w.run([]step{
		{method: "PATCH", url: "/app/one", body: `{"name":"Uno"}`, status: 200},
		{method: "GET", url: "/app/one", header: "If-None-Match: " + one, status: 200, want: `{"name":"Uno"}`},
		{method: "POST", url: "/app/one/msg", body: `{"eventType":"b","payload":{}}`, status: 202},
		{method: "GET", url: "/app/one/msg", header: "If-None-Match: " + list, status: 200},
		{method: "GET", url: "/app/none", header: "If-None-Match: *", status: 404},
	})
}

func TestIdempotency_AnswersAlike(t *testing.T) {
	w := newWorld(t)
	const key = "idempotency-key: k"
	w.run([]step{{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201}})
	for _, tt := range []struct{ url, body, other string }{
		{"/app", `{"name":"Two"}`, `{"name":"Three"}`},
		{"/key", `{"name":"k","scope":"read"}`, `{"name":"k","scope":"admin"}`},
		{"/app/one/msg", `{"eventType":"a","payload":{"x":1}}`, `{"eventType":"b","payload":{}}`},
		{"/app/one/msg/batch", `{"messages":[{"eventType":"a","payload":{"x":1}}]}`, ``},
		{"/app/one/endpoint", `{"url":"https://example.com"}`, `{"url":"https://example.org"}`},
	} {
		first := w.do(step{method: "POST", url: tt.url, body: tt.body, header: key})
		again := w.do(step{method: "POST", url: tt.url, body: tt.body, header: `idempotency-key: "k"`})
		if first.Code/100 != 2 || again.Code != first.Code || again.Body.String() != first.Body.String() {
			t.Errorf("%s: first %d %s, again %d %s", tt.url, first.Code, first.Body, again.Code, again.Body)
		}
		if tt.other != "" {
			w.run([]step{{method: "POST", url: tt.url, body: tt.other, header: key, status: 422, want: `{"detail":[{"loc":["header","idempotency-key"]}]}`}})
		}
		without := w.do(step{method: "POST", url: tt.url, body: tt.body})
		if without.Code != first.Code || without.Body.String() == first.Body.String() {
			t.Errorf("%s without a key: %d %s", tt.url, without.Code, without.Body)
		}
	}
	w.run([]step{ // a failure is not remembered
		{method: "POST", url: "/app", body: `{"name":""}`, header: "idempotency-key: f", status: 422},
		{method: "POST", url: "/app", body: `{"name":"Four"}`, header: "idempotency-key: f", status: 201},
	})
}
