package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// marker stands in everything that the live environment owns. Whoever reads it elsewhere has
// crossed over.
const marker = "LIVE-ONLY-b7f3"

// open are the routes that need no key.
var open = []string{"/health", "/health/ping", "/openapi.json", "/auth/logout"}

// TestIsolation_NoWrongKeyCrossesOver walks every route of the server's own OpenAPI document with
// ids of the live environment and every kind of wrong key, and then finds live unchanged.
func TestIsolation_NoWrongKeyCrossesOver(t *testing.T) {
	t.Parallel()
	s := harness.Run(t)
	live := s.Client()
	testKey := regexp.MustCompile(`hark_test_[0-9A-Za-z]+`).FindString(s.Tail())
	if testKey == "" {
		t.Fatalf("the first start shows no admin key of the test environment:\n%s", s.Tail())
	}
	expired := expiringKey(t, live)
	ids := populate(t, live)
	routes := routesOf(t, live)
	strangers := map[string]string{
		"no key":               "",
		"a key that is none":   "hark_live_0000000000000000000000000000000000000000000",
		"a changed key":        harness.Key[:len(harness.Key)-1] + "0",
		"an unsigned token":    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcmdfMjNyYjhZZEdxTVQwcUl6cGdHd2RYZkhpck11In0.",
		"a revoked key":        revokedKey(t, live),
		"an expired key":       expired(),
		"test's key":           testKey,
		"a customer elsewhere": customerElsewhere(t, live),
	}
	before := snapshot(t, live, ids)
	walked := 0
	for _, name := range slices.Sorted(maps.Keys(strangers)) {
		c := harness.NewClient(s.URL, strangers[name])
		for _, r := range routes {
			if !slices.Contains(open, r.path) {
				r.walk(t, c, name, ids)
				walked++
			}
		}
	}
	if after := snapshot(t, live, ids); after != before {
		t.Errorf("live has changed:\nbefore %s\nafter  %s", before, after)
	}
	t.Logf("%d calls on %d routes with %d wrong keys", walked, len(routes), len(strangers))
}

type route struct{ method, path string }

// url is the route's address on the server: the clients made for Svix ask for some outside of /api/v1.
func url(path string) string {
	if strings.HasPrefix(path, "/ingest/") {
		return path
	}
	return "/api/v1" + path
}

// walk calls a route with live's ids.
func (r route) walk(t *testing.T, c *harness.Client, who string, ids map[string]string) {
	t.Helper()
	path, foreign := r.path, false
	for name, id := range ids {
		if strings.Contains(path, "{"+name+"}") {
			path = strings.ReplaceAll(path, "{"+name+"}", id)
			foreign = true
		}
	}
	if strings.Contains(path, "{") {
		t.Errorf("%s %s has a parameter that this test does not know", r.method, r.path)
		return
	}
	body := `{"name":"x","url":"http://127.0.0.1:1/","description":"x","eventType":"x.y","payload":{},"headers":{},"scope":"read","since":"2026-01-01T00:00:00Z","messages":[],"ids":["` + ids["msg_id"] + `"]}`
	status, answer, err := r.call(t, c, path, body)
	if err != nil {
		t.Errorf("%s: %s %s: %v", who, r.method, r.path, err)
		return
	}
	// A customer may read the event types of the environment that it belongs to.
	catalogue := who == "a customer elsewhere" && strings.HasPrefix(r.path, "/event-type")
	if bytes.Contains(answer, []byte(marker)) && !catalogue {
		t.Errorf("%s: %s %s = %d shows what is live's: %.200q", who, r.method, r.path, status, answer)
	}
	var allowed []int
	switch {
	case who != "test's key" && who != "a customer elsewhere":
		allowed = []int{401}
	case !foreign || strings.HasPrefix(r.path, "/event-type/"):
		return // its own environment's: only the marker counts
	case r.method == http.MethodPut && !strings.Contains(strings.TrimSuffix(r.path, "}"), "}"):
		allowed = []int{200, 201, 403, 404, 422} // an upsert makes one of its own, if it is well described
	case strings.HasSuffix(r.path, "app-portal-access/{app_id}"), strings.HasSuffix(r.path, "{app_id}/msg"):
		allowed = []int{403, 404, 422} // may ask for a new application, under rules of its own
	default:
		allowed = []int{403, 404}
	}
	if !slices.Contains(allowed, status) {
		t.Errorf("%s: %s %s = %d %.200q, want one of %v", who, r.method, r.path, status, answer, allowed)
	}
	if status >= 400 && !json.Valid(answer) {
		t.Errorf("%s: %s %s = %d without JSON: %.100q", who, r.method, r.path, status, answer)
	}
}

// call is one call. Of an answer that does not end, what it shows at once will do.
func (r route) call(t *testing.T, c *harness.Client, path, body string) (status int, answer []byte, err error) {
	if r.path != "/tail" {
		status, _, answer, err = c.Raw(t.Context(), r.method, url(path), strings.NewReader(body), nil)
		return status, answer, err
	}
	path += "?since=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for limit := time.Second; status == 0 && limit < patience; limit *= 2 { // a busy machine may not have begun to answer
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		status, _, answer, err = c.Raw(ctx, r.method, url(path), strings.NewReader(body), nil)
		cancel()
	}
	if status == http.StatusOK {
		err = nil // it was cut off
	}
	return status, answer, err
}

// populate gives the live environment one of everything, and returns the ids by parameter name.
func populate(t *testing.T, c *harness.Client) map[string]string {
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) { fmt.Fprint(w, marker) })
	app := c.Application(t, marker)
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/event-type", object{"name": "live.only", "description": marker}, nil)
	endpoint := c.Endpoint(t, app, sink.URL+"/"+marker, object{"description": marker, "headers": map[string]string{"X-Mark": marker}})
	msg := c.Publish(t, app, "live.only", object{"mark": marker})
	var attempts []harness.Attempt
	harness.Eventually(t, patience, func() error {
		if attempts = c.Attempts(t, app, endpoint, ""); len(attempts) == 0 {
			return fmt.Errorf("no attempt yet")
		}
		return nil
	})
	var task, key struct{ ID, Status string }
	c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/endpoint/"+endpoint+"/recover", object{"since": time.Now().Add(-time.Hour)}, &task)
	harness.Eventually(t, patience, func() error {
		c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/background-task/"+task.ID, nil, &task)
		if task.Status != "finished" {
			return fmt.Errorf("the task is %s", task.Status)
		}
		return nil
	})
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/key", object{"name": marker, "scope": "read"}, &key)
	var consumer struct{ ID string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/app/"+app+"/consumer", object{"description": marker}, &consumer)
	var poller struct{ ID string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/app/"+app+"/api-poller",
		object{"name": marker, "everySeconds": 3600, "url": sink.URL, "eventType": "a.b", "paused": true}, &poller)
	source, request := received(t, c, app)
	return map[string]string{"app_id": app, "endpoint_id": endpoint, "msg_id": msg, "attempt_id": attempts[0].ID,
		"task_id": task.ID, "key_id": key.ID, "event_type_name": "live.only", "source_id": source, "request_id": request,
		"consumer_id": consumer.ID, "sink_id": consumer.ID, "poller_id": poller.ID, "version": "1"}
}

// received makes a source, and has it refuse a request.
func received(t *testing.T, c *harness.Client, app string) (source, request string) {
	var src struct{ ID, URL string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/source",
		object{"name": marker, "provider": "github", "secret": marker, "applicationId": app}, &src)
	res, err := http.Post(src.URL, "application/json", strings.NewReader(`{"mark":"`+marker+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	var list struct{ Data []struct{ ID string } }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/source/"+src.ID+"/request", nil, &list)
	if len(list.Data) != 1 {
		t.Fatalf("%d requests are listed", len(list.Data))
	}
	return src.ID, list.Data[0].ID
}

// routesOf reads the routes from the document that the server publishes.
func routesOf(t *testing.T, c *harness.Client) (routes []route) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/openapi.json", nil, &doc)
	for path, methods := range doc.Paths {
		for method := range methods {
			if slices.Contains([]string{"get", "post", "put", "patch", "delete"}, method) {
				routes = append(routes, route{strings.ToUpper(method), strings.TrimPrefix(path, "/api/v1")})
			}
		}
	}
	if len(routes) < 40 {
		t.Fatalf("the document has %d routes", len(routes))
	}
	slices.SortFunc(routes, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return routes
}

// snapshot is everything that live owns, as it reads itself.
func snapshot(t *testing.T, c *harness.Client, ids map[string]string) string {
	app := "/api/v1/app/" + ids["app_id"]
	endpoint := app + "/endpoint/" + ids["endpoint_id"]
	var all strings.Builder
	for _, path := range []string{"/api/v1/app", app, app + "/endpoint", endpoint, endpoint + "/headers", endpoint + "/secret", app + "/msg",
		app + "/msg/" + ids["msg_id"], app + "/attempt/msg/" + ids["msg_id"], "/api/v1/event-type?include_archived=true", "/api/v1/background-task", "/api/v1/environment"} {
		var raw json.RawMessage
		c.Call(t, http.StatusOK, http.MethodGet, path, nil, &raw)
		all.Write(raw)
	}
	return all.String()
}

func revokedKey(t *testing.T, c *harness.Client) string {
	id, key := newKey(t, c, object{"name": "revoked", "scope": "admin"})
	c.Call(t, http.StatusNoContent, http.MethodDelete, "/api/v1/key/"+id, nil, nil)
	return key
}

// expiringKey makes a key that is given out when it has expired.
func expiringKey(t *testing.T, c *harness.Client) (expired func() string) {
	expires := time.Now().Add(3 * time.Second)
	_, key := newKey(t, c, object{"name": "expired", "scope": "admin", "expiresAt": expires})
	return func() string {
		time.Sleep(time.Until(expires) + 50*time.Millisecond)
		return key
	}
}

func newKey(t *testing.T, c *harness.Client, in object) (id, key string) {
	var out struct{ ID, Key, Token, Secret string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/key", in, &out)
	if key = out.Key + out.Token + out.Secret; key == "" {
		t.Fatal("no key was shown when it was made")
	}
	return out.ID, key
}

func customerElsewhere(t *testing.T, c *harness.Client) string {
	other := c.Application(t, "another customer")
	var access struct{ Token string }
	c.Call(t, http.StatusOK, http.MethodPost, "/api/v1/auth/app-portal-access/"+other, object{}, &access)
	return access.Token
}
