package api

import (
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
)

func TestSources_LifeOfOne(t *testing.T) {
	w := newWorld(t)
	w.run([]step{
		{method: "POST", url: "/source", body: `{"provider":"stripe","uid":"pay","secret":"whsec_1"}`, status: 201, save: "source_id=id app=applicationId url=url",
			want: `{"name":"stripe","uid":"pay","provider":"stripe","secrets":[{"createdAt":"*","expiresAt":null}],"maxBytes":5242880,"deduplicate":{"off":false,"by":null,"windowHours":72},"failingSince":null}`},
		{method: "GET", url: "/app/{app}", status: 200, want: `{"name":"stripe"}`},
		{method: "GET", url: "/source/pay", status: 200, want: `{"id":"{source_id}","url":"{url}"}`},
		{method: "PATCH", url: "/source/pay", body: `{"rateLimit":5,"answer":{"status":202,"body":"ok"},"deduplicate":{"by":["header:X","/id"],"windowHours":1},"eventType":"header:X-Topic","methods":["GET"],"allowIps":["192.0.2.0/24"]}`,
			status: 200, want: `{"rateLimit":5,"answer":{"status":202,"body":"ok"},"deduplicate":{"by":["header:X","/id"],"windowHours":1},"eventType":"header:X-Topic"}`},
		{method: "PATCH", url: "/source/pay", body: `{"rateLimit":null,"answer":null,"deduplicate":null,"eventType":null}`, status: 200,
			want: `{"rateLimit":null,"answer":null,"deduplicate":{"by":null,"windowHours":72},"eventType":null,"methods":["GET"]}`},
		{method: "POST", url: "/source/pay/secret/rotate", body: `{"key":"whsec_2"}`, status: 200, want: `{"secrets":[{"expiresAt":null},{"expiresAt":"*"}]}`},
		{method: "POST", url: "/source/pay/token/rotate", status: 200},
		{method: "POST", url: "/source/pay/token/rotate", status: 200},
		{method: "POST", url: "/source/pay/token/rotate", status: 200},
		{method: "POST", url: "/source/pay/token/rotate", status: 400, want: `{"code":"limit_reached"}`},
		{method: "GET", url: "/source?application_id={app}", status: 200, want: `{"data":[{"id":"{source_id}"}],"done":true}`},
		{method: "POST", url: "/source", body: `{"provider":"github","uid":"pay","secret":"x"}`, status: 409},
		{method: "DELETE", url: "/source/pay", status: 204},
		{method: "GET", url: "/source/{source_id}", status: 404},
		{method: "GET", url: "/provider", status: 200},
	})
	if !strings.HasPrefix(w.names["url"], "http://hark.test/in/") {
		t.Errorf("url: %s", w.names["url"])
	}
}

func TestSources_WhatIsWrongIsSaid(t *testing.T) {
	w := newWorld(t)
	for body, field := range map[string]string{
		`{"provider":"nobody","secret":"x"}`: "provider",
		`{"provider":"stripe"}`:              "secrets",
		`{}`:                                 "name",
		`{"name":"x"}`:                       "secrets",
		`{"name":"x","scheme":{"algorithm":"rot13"},"secret":"x"}`:                   "scheme",
		`{"name":"x","scheme":{"algorithm":"token"},"provider":"x"}`:                 "scheme",
		`{"provider":"stripe","secret":"x","methods":["TRACE"]}`:                     "methods",
		`{"provider":"stripe","secret":"x","allowIps":["here"]}`:                     "allowIps",
		`{"provider":"stripe","secret":"x","maxBytes":26214401}`:                     "maxBytes",
		`{"scheme":{"algorithm":"token","header":"X-A","secrt":"y"},"secret":"x"}`:   "scheme",
		`{"scheme":{"algorithm":"token","header":"X A"},"secret":"x"}`:               "scheme",
		`{"provider":"stripe","secret":"x","rateLimit":0}`:                           "rateLimit",
		`{"provider":"stripe","secret":"x","signedUrl":"/x"}`:                        "url",
		`{"provider":"stripe","secret":"x","eventType":"a b"}`:                       "eventType",
		`{"provider":"stripe","secret":"x","deduplicate":{"by":["id"]}}`:             "deduplicate.by",
		`{"provider":"stripe","secret":"x","deduplicate":{"windowHours":721}}`:       "deduplicate.windowHours",
		`{"provider":"stripe","secret":"x","answer":{"status":302}}`:                 "answer.status",
		`{"provider":"stripe","secret":"x","answer":{"status":503}}`:                 "answer.status",
		`{"name":"n","unverified":true,"answer":{"status":302}}`:                     "answer.status",
		`{"provider":"stripe","secret":"x","answer":{"headers":{"X":"a\nb"}}}`:       "answer.headers.X",
		`{"provider":"stripe","secret":"x","answer":{"headers":{"Connection":"x"}}}`: "answer.headers.Connection",
		`{"provider":"stripe","secret":"x","applicationId":"nobody"}`:                "applicationId",
		`{"provider":"stripe","secret":"x","uid":"src_1"}`:                           "uid",
	} {
		rec := w.do(step{method: "POST", url: "/source", body: body})
		if rec.Code != 422 || !strings.Contains(rec.Body.String(), `["body","`+strings.ReplaceAll(field, ".", `","`)+`"]`) {
			t.Errorf("%s: got %d %s, want %s", body, rec.Code, rec.Body, field)
		}
	}
	w.run([]step{
		{method: "POST", url: "/source", body: `{"name":"x","unverified":true}`, status: 201},
		{method: "POST", url: "/source", body: `{"provider":"sns","params":{"topic":"t"}}`, status: 201},
		{method: "POST", url: "/source", body: `{"name":"own","scheme":{"algorithm":"hmac-sha256","signed":"{body}","header":"X-Sig"},"secret":"s"}`, status: 201, want: `{"provider":null,"scheme":{"header":"X-Sig"}}`},
		{method: "GET", url: "/source?limit=2", status: 200, want: `{"done":false}`},
	})
}

func TestRequests_AreShownAndAcceptedByHand(t *testing.T) {
	w := tenants(t)
	text := `{"type":"secret.type"}`
	id := string(w.receive(text))
	binary := string(w.receive("\xff\x00"))
	w.names["id"], w.names["binary"] = id, binary
	w.run([]step{
		{method: "GET", url: "/request?status=rejected&cause=verification_failed", status: 200, want: `{"done":true}`},
		{method: "GET", url: "/source/s/request?limit=1", status: 200, want: `{"data":[{"id":"*","sourceId":"{source_id}","status":"rejected","cause":"verification_failed","responseStatusCode":401,"msgId":null}],"done":false}`},
		{method: "GET", url: "/source/s/request?status=accepted", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/source/s/request?status=lost", status: 422},
		{method: "GET", url: "/source/s/request/{id}", status: 200, want: `{"path":"/secret","headers":{"X-A":["1"]},"body":"{\"type\":\"secret.type\"}","bodyBase64":null}`},
		{method: "GET", url: "/source/s/request/{binary}", status: 200, want: `{"body":null,"bodyBase64":"/wA="}`},
		{method: "GET", url: "/source/s/request/req_0", status: 404},
		{method: "GET", url: "/request/{id}", status: 200, want: `{"sourceId":"{source_id}","path":"/secret"}`},
		{method: "GET", url: "/request/req_0", status: 404},
		{as: "test", method: "GET", url: "/request/{id}", status: 404},
		{as: "test", method: "POST", url: "/request/{id}/accept", status: 404},
		{method: "GET", url: "/request?application_id=a&limit=1", status: 200, want: `{"data":[{"sourceId":"{source_id}"}]}`},
		{method: "GET", url: "/request?application_id=b", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/request?application_id=none", status: 404},
		{method: "POST", url: "/source/s/request/{id}/accept", status: 200, want: `{"status":"accepted","cause":"verification_failed"}`, save: "msg=msgId"},
		{method: "POST", url: "/request/{id}/accept", status: 200, want: `{"msgId":"{msg}"}`},
		{method: "GET", url: "/app/a/msg/{msg}", status: 200, want: `{"eventType":"secret.type","payload":{"type":"secret.type"}}`},
		{method: "GET", url: "/app/a/msg/{msg}/trace", status: 200, want: `{"endpoints":[{"matched":true},{}]}`},
		{method: "DELETE", url: "/request/{binary}/content", status: 204},
		{method: "GET", url: "/source/s/request/{binary}", status: 200, want: `{"expired":true,"bodyBase64":null}`},
		{method: "POST", url: "/source/s/request/{binary}/accept", status: 400, want: `{"code":"missing_payload"}`},
		{as: "read", method: "GET", url: "/source/s", status: 200, want: `{"url":null}`},
	})
	rec := w.do(step{method: "GET", url: "/source/s/request/{id}/body"})
	if rec.Body.String() != text || rec.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("body: %v %q", rec.Header(), rec.Body)
	}
	rec = w.do(step{method: "GET", url: "/request/{request_id}/body"})
	if rec.Body.String() != "rejected" {
		t.Errorf("body: %q", rec.Body)
	}
}

func TestIngest_SpeaksAsSvixDoes(t *testing.T) {
	w := newWorld(t)
	root := ingestRoot + "/source"
	w.run([]step{
		{method: "POST", url: root, body: `{"name":"Pay","uid":"pay","type":"stripe","config":{"secret":"whsec_1"},"metadata":{"a":"b"}}`, status: 201, save: "s=id url=ingestUrl",
			want: `{"type":"stripe","config":{},"metadata":{"a":"b"},"uid":"pay","name":"Pay"}`},
		{method: "POST", url: root, body: `{"name":"Any","type":"generic-webhook"}`, status: 201, want: `{"type":"generic-webhook"}`},
		{method: "POST", url: root, body: `{"name":"Hub","type":"github"}`, status: 201, want: `{"type":"github"}`},
		{method: "POST", url: root, body: `{"name":"Std","type":"psi-fi","config":{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}`, status: 201, want: `{"type":"psi-fi"}`},
		{method: "POST", url: root, body: `{"name":"No","type":"stripe"}`, status: 422},
		{method: "POST", url: root, body: `{"name":"No","type":"cron","config":{}}`, status: 422},
		{method: "POST", url: root, body: `{"name":"Tel","type":"telnyx","config":{"publicKey":"e5cVlEnmcJVmy/E8bBBvnHsqlwVYBBBdBUfTnPuDxGo="}}`, status: 201,
			want: `{"type":"telnyx","config":{"publicKey":"e5cVlEnmcJVmy/E8bBBvnHsqlwVYBBBdBUfTnPuDxGo="}}`},
		{method: "POST", url: root, body: `{"name":"Sign","type":"adobe-sign","config":{"clientId":"UB7E5BXCXY"}}`, status: 201, want: `{"type":"adobe-sign","config":{}}`},
		{method: "POST", url: root, body: `{"name":"Vault","type":"vgs","config":{"secret":"x"}}`, status: 422, want: `{"detail":[{"loc":["body","type"]}]}`},
		{method: "GET", url: root + "?limit=1", status: 200, want: `{"data":[{"id":"{s}"}],"done":false}`},
		{method: "PUT", url: root + "/pay", body: `{"name":"Pay 2","uid":"pay","type":"stripe","config":{"secret":"whsec_2"}}`, status: 200, want: `{"id":"{s}","name":"Pay 2","ingestUrl":"{url}"}`},
		{method: "PUT", url: root + "/new", body: `{"name":"New","uid":"new","type":"generic-webhook"}`, status: 201},
		{method: "POST", url: root + "/pay/token/rotate", status: 200, want: `{"ingestUrl":"*"}`},
		{method: "POST", url: root + "/pay/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201, save: "e=id", want: `{"url":"https://example.com/","disabled":false}`},
		{method: "GET", url: root + "/pay/endpoint", status: 200, want: `{"data":[{"id":"{e}"}]}`},
		{method: "GET", url: root + "/pay/endpoint/e", status: 200, want: `{"id":"{e}"}`},
		{method: "GET", url: root + "/new/endpoint/e", status: 404},
		{method: "PUT", url: root + "/pay/endpoint/e", body: `{"url":"https://example.org","uid":"e","disabled":true}`, status: 200, want: `{"disabled":true}`},
		{method: "GET", url: root + "/pay/endpoint/e/secret", status: 200, want: `{"key":"*"}`},
		{method: "POST", url: root + "/pay/endpoint/e/secret/rotate", body: `{}`, status: 204},
		{method: "PUT", url: root + "/pay/endpoint/e/headers", body: `{"headers":{"X-A":"b"}}`, status: 204},
		{method: "GET", url: root + "/pay/endpoint/e/headers", status: 200, want: `{"headers":{"X-A":"b"},"sensitive":[]}`},
		{method: "POST", url: root + "/pay/dashboard", body: `{}`, status: 200, want: `{"url":"*","token":"*"}`},
		{method: "DELETE", url: root + "/pay/endpoint/e", status: 204},
		{method: "DELETE", url: root + "/pay", status: 204},
		{method: "GET", url: root + "/pay", status: 404},
	})
}

func TestIngest_ACronSourceSendsOnASchedule(t *testing.T) {
	w := newWorld(t)
	root := ingestRoot + "/source"
	cron := func(name, schedule, payload, more string) string {
		return `{"name":"` + name + `","uid":"nightly","type":"cron","config":{"schedule":"` + schedule + `","payload":"` + payload + `"` + more + `}}`
	}
	w.run([]step{
		{method: "POST", url: root, body: cron("Nightly", "0 3 * * *", `{\"report\": true}`, `,"contentType":"application/json"`), status: 201, save: "s=id",
			want: `{"type":"cron","ingestUrl":null,"config":{"schedule":"0 3 * * *","payload":"{\"report\":true}","contentType":"application/json"}}`},
		{method: "GET", url: root + "/nightly", status: 200, want: `{"id":"{s}","config":{"schedule":"0 3 * * *","payload":"{\"report\":true}"}}`},
		{method: "GET", url: root, status: 200, want: `{"data":[{"id":"{s}","config":{"schedule":"0 3 * * *"}}]}`},
		{method: "GET", url: "/source/nightly", status: 200, save: "app_id=applicationId", want: `{"url":null}`},
		{method: "GET", url: "/app/{app_id}/api-poller/{s}", status: 200, want: `{"cron":"0 3 * * *","url":null,"payload":{"report":true},"state":"waiting"}`},
		{method: "PUT", url: root + "/nightly", body: cron("Hourly", "@hourly", `{}`, ""), status: 200, want: `{"name":"Hourly","config":{"schedule":"@hourly","payload":"{}"}}`},
		{method: "PATCH", url: "/source/nightly", body: `{"disabled":true}`, status: 200},
		{method: "GET", url: "/app/{app_id}/api-poller/{s}", status: 200, want: `{"cron":"@hourly","name":"Hourly","paused":true}`},
		{method: "POST", url: root + "/nightly/token/rotate", status: 409},
		{method: "PATCH", url: "/source/nightly", body: `{"provider":"github"}`, status: 409},
		{method: "PUT", url: root + "/nightly", body: `{"name":"Hub","type":"github"}`, status: 422},
		{method: "PUT", url: root + "/nightly", body: cron("Hourly", "whenever", `{}`, ""), status: 422, want: `{"detail":[{"loc":["body","config","schedule"]}]}`},
		{method: "POST", url: root, body: cron("N", "0 3 * * *", `text`, ""), status: 422, want: `{"detail":[{"loc":["body","config","payload"]}]}`},
		{method: "POST", url: root, body: cron("N", "0 3 * * *", `[]`, ""), status: 422, want: `{"detail":[{"loc":["body","config","payload"]}]}`},
		{method: "POST", url: root, body: cron("N", "0 3 * * *", `{}`, `,"contentType":"text/plain"`), status: 422, want: `{"detail":[{"loc":["body","config","contentType"]}]}`},
		{method: "DELETE", url: "/app/{app_id}/api-poller/{s}", status: 204},
		{method: "GET", url: root + "/nightly", status: 200, want: `{"config":{}}`},
		{method: "PUT", url: root + "/nightly", body: cron("Again", "@daily", `{}`, ""), status: 200, want: `{"config":{"schedule":"@daily"}}`},
		{method: "GET", url: "/app/{app_id}/api-poller/{s}", status: 200, want: `{"cron":"@daily"}`},
		{method: "DELETE", url: root + "/nightly", status: 204},
		{method: "GET", url: "/app/{app_id}/api-poller/{s}", status: 404},
		{method: "POST", url: root, body: `{"name":"Hub","uid":"hub","type":"github"}`, status: 201},
		{method: "PUT", url: root + "/hub", body: cron("Hub", "@daily", `{}`, ""), status: 422},
	})
}

func TestIngest_KnowsEveryTypeThatTakesASecret(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{
		"svix", "beehiiv", "brex", "clerk", "guesty", "incident-io", "lithic", "nash", "pleo", "psi-fi", "replicate", "resend", "safebase", "sardine", "stych",
		"open-ai", "render", "checkbook", "nango", "openclaw", "panda-doc", "port-io", "rutter", "shopify", "slack", "stripe", "zoom", "vapi", "veriff",
		"airwallex", "docusign", "easypost", "github", "hubspot", "segment", "tailscale", "meta",
	} {
		config := `{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","verifyToken":"t"}`
		w.run([]step{{method: "POST", url: ingestRoot + "/source", body: `{"name":"A source","type":"` + kind + `","config":` + config + `}`, status: 201, want: `{"type":"` + kind + `"}`}})
	}
}

func TestSources_AreListedByStatus(t *testing.T) {
	w := newWorld(t)
	for _, uid := range []string{"a", "b", "c", "d", "e"} {
		w.run([]step{{method: "POST", url: "/source", body: `{"uid":"` + uid + `","name":"` + uid + `","provider":"github","secret":"s"}`, status: 201, save: uid + "=id", want: `{"status":"enabled"}`}})
	}
	envs, err := w.store.ListEnvironments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var live hark.EnvironmentID
	for _, env := range envs {
		if env.Name == "live" {
			live = env.ID
		}
	}
	now := time.Now()
	for _, uid := range []string{"b", "d", "e"} {
		if _, err := w.store.UpdateSource(t.Context(), live, uid, func(s *hark.Source) error { s.FailingSince, s.FailingCause = now, "no"; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	w.run([]step{
		{method: "PATCH", url: "/source/e", body: `{"disabled":true}`, status: 200, want: `{"status":"disabled"}`},
		{method: "GET", url: "/source?status=failing", status: 200, want: `{"data":[{"uid":"b","status":"failing","failingCause":"no"},{"uid":"d"}],"done":true}`},
		{method: "GET", url: "/source?status=failing&limit=1", status: 200, want: `{"data":[{"uid":"b"}],"iterator":"{b}","done":false}`},
		{method: "GET", url: "/source?status=failing&limit=1&iterator={b}", status: 200, want: `{"data":[{"uid":"d"}],"done":true}`},
		{method: "GET", url: "/source?status=failing&limit=1&iterator=-{d}", status: 200, want: `{"data":[{"uid":"b"}]}`},
		{method: "GET", url: "/source?status=failing&limit=1&order=descending", status: 200, want: `{"data":[{"uid":"d"}],"done":false}`},
		{method: "GET", url: "/source?status=enabled", status: 200, want: `{"data":[{"uid":"a"},{"uid":"c"}],"done":true}`},
		{method: "GET", url: "/source?status=disabled", status: 200, want: `{"data":[{"uid":"e"}]}`},
		{method: "GET", url: "/source?status=odd", status: 422, want: `{"detail":[{"loc":["query","status"]}]}`},
	})
}
