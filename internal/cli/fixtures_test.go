package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/webhook"
)

// bakery takes orders, and hears from Stripe what becomes of them.
type bakery struct {
	verifier *webhook.Verifier
	mu       sync.Mutex
	state    string
	intent   string
	keys     map[string]bool
}

func (b *bakery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch r.Method + " " + r.URL.Path {
	case "POST /orders":
		var in struct{ Customer string }
		_ = json.Unmarshal(body, &in)
		b.state, b.keys[r.Header.Get("Idempotency-Key")] = "open", true
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id": "or/7?", "total": 1300, "state": "open", "customer": %q}`, in.Customer)
	case "GET /orders/or/7?":
		fmt.Fprintf(w, `{"id": "or/7?", "state": %q, "customer": "rosa@bakery.example"}`, b.state)
	case "POST /hooks/stripe":
		request := webhook.Request{Method: r.Method, URL: r.URL.String(), Header: r.Header, Body: body}
		var event struct {
			Type string
			Data struct {
				Object struct {
					Total  int    `json:"amount_total"`
					Order  string `json:"client_reference_id"`
					Intent string `json:"payment_intent"`
				}
			}
		}
		switch err := json.Unmarshal(body, &event); {
		case err != nil || !b.verifier.Verify(r.Context(), request, time.Now()).OK():
			w.WriteHeader(http.StatusUnauthorized)
		case event.Type == "checkout.session.completed" && event.Data.Object.Order == "or/7?" && event.Data.Object.Total == 1300:
			b.state, b.intent = "paid", event.Data.Object.Intent
		case event.Type == "charge.refunded" && event.Data.Object.Intent == b.intent:
			b.state = "refunded"
		}
	default:
		http.NotFound(w, r)
	}
}

// fixtures runs hark fixtures, and answers the exit code and what it has written.
func fixtures(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	sh := newShell(strings.NewReader(""), &out, &errs)
	code := run(t.Context(), append([]string{"fixtures"}, args...), sh)
	return code, out.String(), errs.String()
}

func TestFixtures_TheExampleRuns(t *testing.T) {
	verifier, err := webhook.NewVerifier("stripe", webhook.Options{Secrets: []string{"whsec_bakery"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bakery{verifier: verifier, keys: map[string]bool{}}
	server := httptest.NewServer(b)
	defer server.Close()
	args := []string{"../../examples/fixtures/order.yaml", "--api-base", server.URL, "--to", server.URL + "/hooks/stripe", "--secret", "whsec_bakery"}
	for range 2 {
		code, out, errs := fixtures(t, args...)
		if code != exitOK || errs != "" || strings.Count(out, "\n") != 5 || !strings.Contains(out, "2 paid  checkout.session.completed evt_") {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
	}
	if len(b.keys) != 2 {
		t.Errorf("%d keys of two runs: %v", len(b.keys), b.keys)
	}
	// The wrong secret: the second step is not accepted, and nothing more is sent.
	code, out, errs := fixtures(t, append(args, "--secret", "whsec_wrong")...)
	if code != exitFailed || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "order.yaml:21: step 2 (paid): unexpected answer: expected 2xx, got 401") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestFixtures_StripesFormatGoesToTheAPIAsForms(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(fmt.Sprintln(r.Method, r.URL.RequestURI(), string(body), r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"))))
		switch r.URL.Path {
		case "/v1/customers":
			fmt.Fprint(w, `{"id": "cus_1", "sources": {"data": [{"id": "card_9"}]}}`)
		case "/v1/charges":
			w.WriteHeader(http.StatusPaymentRequired)
			fmt.Fprint(w, `{"error": {"type": "card_error"}}`)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "stripe.json")
	text := `{
	"_meta": {"template_version": 0},
	"fixtures": [
		{"name": "cust", "path": "/v1/customers", "method": "post", "idempotency_key": "k1",
			"params": {"email": "${.env:MAIL|rosa@bakery.example}", "address": {"line1": "Mill Lane"}, "preferred_locales": ["de", "en"]}},
		{"name": "seen", "path": "/v1/customers/${cust:id}", "method": "get", "params": {"expand": ["sources"]}},
		{"name": "charge", "path": "/v1/charges", "method": "post", "expected_error_type": "card_error",
			"params": {"amount": 12345678901234567890, "customer": "${cust:id}", "source": "${cust:sources.data.0.id|none}"}}
	]
}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := fixtures(t, file); code != exitUsage || !strings.Contains(errs, "--api-base") {
		t.Errorf("without a stand-in for Stripe: %d %s", code, errs)
	}
	code, out, errs := fixtures(t, file, "--api-base", server.URL, "--header", "Authorization: Bearer sk_test_1", "--json")
	want := []string{
		"POST /v1/customers address%5Bline1%5D=Mill+Lane&email=rosa%40bakery.example&preferred_locales%5B0%5D=de&preferred_locales%5B1%5D=en Bearer sk_test_1 k1",
		"GET /v1/customers/cus_1?expand%5B0%5D=sources  Bearer sk_test_1",
		"POST /v1/charges amount=12345678901234567890&customer=cus_1&source=card_9 Bearer sk_test_1",
	}
	if code != exitOK || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("exit %d\n%s%s\ngot\n%s", code, out, errs, strings.Join(got, "\n"))
	}
	if !strings.Contains(out, `{"step":3,"name":"charge","method":"POST","url":"`+server.URL+`/v1/charges","status":402,"tries":1,"ms":`) {
		t.Errorf("lines:\n%s", out)
	}
}
