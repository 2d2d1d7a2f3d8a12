package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/store"
)

var update = flag.Bool("update", false, "rewrite openapi.json")

func TestOpenAPI_IsTheGoldenFile(t *testing.T) {
	got := openAPIText(operations())
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("openapi.json is out of date (go test ./internal/api -update):\n%s", diff)
	}
}

func TestOpenAPI_EveryReferenceLeadsSomewhere(t *testing.T) {
	text := openAPIText(operations())
	var document struct {
		Components map[string]map[string]any `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"#/components/(\w+)/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		if _, ok := document.Components[m[1]][m[2]]; !ok {
			t.Errorf("nothing at %s", m[0])
		}
	}
}

func TestOperations_AreDescribedOnce(t *testing.T) {
	ids := map[string]bool{}
	for _, op := range operations() {
		if ids[op.id] || op.summary == "" || op.tag == "" || len(op.status) == 0 || op.serve == nil {
			t.Errorf("%s %s (%s) is repeated or incomplete", op.method, op.path, op.id)
		}
		ids[op.id] = true
		bare := op.status[0] == http.StatusNoContent || op.status[0] == http.StatusSwitchingProtocols
		if bare != (op.out == typeNone) {
			t.Errorf("%s: status %d with body %v", op.id, op.status[0], op.out)
		}
	}
}

func TestUnknown_IsJSON(t *testing.T) {
	for _, tt := range []struct {
		method, url string
		status      int
		allow       string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/api/v1/app/a/nothing", 404, ""},
		{"POST", "/api/v1/app//msg", 404, ""},
		{"GET", "/api/v1/app/../key", 404, ""},
		{"GET", "/api/v1/app/a/msg/m/endpoint/e/f", 404, ""},
		{"DELETE", "/api/v1/app", 405, "GET, POST"},
		{"GET", "/api/v1/app/a/msg/batch/x", 404, ""},
		{"BREW", "/api/v1/app/a", 405, "GET, PUT, PATCH, DELETE"},
		{"POST", "/docs", 405, "GET"},
	} {
		w := serve(&accepting{}, tt.method, tt.url, "")
		var body HTTPError
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Code == "" || body.Detail == "" {
			t.Errorf("%s %s: body %q: %v", tt.method, tt.url, w.Body, err)
		}
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d, Allow %q, want %d, %q", tt.method, tt.url, w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
		}
	}
}

func TestPaths_MayEndInASlash(t *testing.T) {
	if w := serve(&accepting{}, "POST", "/api/v1/app/a/msg/", `{"eventType":"a","payload":{}}`); w.Code != 202 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAuthorization_IsRequiredAndBearer(t *testing.T) {
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic x", "x"} {
		w := serve(&accepting{}, "POST", "/api/v1/app/a/msg", `not JSON`, "Authorization", header)
		if w.Code != 401 || w.Body.String() != `{"code":"authentication_failed","detail":"Invalid token"}`+"\n" {
			t.Errorf("%q: got %d %s", header, w.Code, w.Body)
		}
	}
	if w := serve(&accepting{}, "POST", "/api/v1/app/a/msg", `{"eventType":"a","payload":{}}`, "Authorization", "bearer x"); w.Code != 202 {
		t.Errorf("lower case: got %d", w.Code)
	}
}

func TestBody_LargerThanTheLimitIs413(t *testing.T) {
	large := `{"eventType":"a","payload":{"x":"` + strings.Repeat("x", maxBody) + `"}}`
	const want = `{"code":"payload_too_large","detail":"Request payload is too large."}` + "\n"
	for _, chunked := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/api/v1/app/a/msg", strings.NewReader(large))
		if chunked {
			r.ContentLength = -1
		}
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		newServer(Options{Auth: anyone{}}, &accepting{}).ServeHTTP(w, r)
		if w.Code != 413 || w.Body.String() != want {
			t.Errorf("chunked %v: got %d %s", chunked, w.Code, w.Body)
		}
	}
	if w := serve(&accepting{}, "POST", "/api/v1/app/a/msg/batch", `{"messages":[`+large+`]}`); w.Code != 202 {
		t.Errorf("batch: got %d %.100s", w.Code, w.Body)
	}
}

func TestCORS_IsOpen(t *testing.T) {
	w := serve(&accepting{}, "OPTIONS", "/api/v1/app/a/msg", "", "Origin", "https://shop.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-custom")
	h := w.Header()
	if w.Code/100 != 2 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "authorization,x-custom" ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") || h.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: got %d %v", w.Code, h)
	}
	if w := serve(&accepting{}, "GET", "/nothing", "", "Origin", "https://shop.example"); w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error("an error is not readable to a page")
	}
}

func TestRequestID_IsEchoedIfItIsSane(t *testing.T) {
	w := serve(&accepting{}, "GET", "/nothing", "", "svix-req-id", "123")
	if w.Header().Get("svix-req-id") != "123" || w.Header().Get("x-request-id") != "123" {
		t.Errorf("got %v", w.Header())
	}
	if w := serve(&accepting{}, "GET", "/nothing", "", "x-request-id", "a b"); w.Header().Get("x-request-id") == "a b" || w.Header().Get("x-request-id") == "" {
		t.Errorf("got %v", w.Header())
	}
}

// panicking panics, as a bug would.
type panicking struct{ *accepting }

func (panicking) Publish(context.Context, manage.Caller, string, *manage.PublishIn, *store.IdempotencyKey) (manage.Published, error) {
	panic("bug")
}

func TestPanic_IsAnEmpty500AndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	var observed int
	s := newServer(Options{Auth: anyone{}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Observe: func(_ *http.Request, operation string, status int, _ time.Duration) {
			if operation != "v1.message.create" {
				t.Errorf("observed %s", operation)
			}
			observed = status
		}}, panicking{})
	r := httptest.NewRequest("POST", "/api/v1/app/a/msg", strings.NewReader(`{"eventType":"a","payload":{}}`))
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("X-Request-Id", "req-7")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 500 || w.Body.String() != "{}\n" || observed != 500 {
		t.Errorf("got %d %s, observed %d", w.Code, w.Body, observed)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "request=req-7") || strings.Contains(text, "Bearer") {
		t.Errorf("log: %s", text)
	}
}

func TestDocs_AreReadableWithoutOutsideAssets(t *testing.T) {
	if w := serve(&accepting{}, "GET", "/", ""); w.Code != 307 || w.Header().Get("Location") != "/docs" {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	w := serve(&accepting{}, "GET", "/docs", "")
	page := w.Body.String()
	for _, op := range operations() {
		if !op.hidden && !strings.Contains(page, `id="`+op.id+`"`) {
			t.Errorf("%s is not documented", op.id)
		}
	}
	for _, bad := range []string{"src=", "<script", "style=", "<style", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(page, "http://localhost:8071/api", ""), bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	if w := serve(&accepting{}, "GET", "/docs/style.css", ""); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d", w.Code)
	}
	if w := serve(&accepting{}, "GET", "/api/v1/openapi.json", ""); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("document: %d", w.Code)
	}
}

// FuzzPath: whatever the address and the method, the answer is JSON unless it is a page or empty.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "//", "*", "/api/v1/app/./x", "/api/v1/app/a/msg/", "/api/v1/app/%2F", "/docs/../docs", "/api/v1/app/a/endpoint/e/..", "/\x00", "x"} {
		f.Add("GET", seed)
		f.Add("CONNECT", seed)
	}
	s := newServer(Options{Auth: anyone{}}, &accepting{})
	f.Fuzz(func(t *testing.T, method, path string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}, Body: http.NoBody, Host: "hark", RequestURI: path}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if kind := w.Header().Get("Content-Type"); kind == "application/json" && method != http.MethodHead && !json.Valid(w.Body.Bytes()) ||
			kind != "application/json" && w.Code/100 != 2 {
			t.Fatalf("%d %s %q", w.Code, kind, w.Body)
		}
	})
}
