package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// vector is a request with a known verdict. Those of official.json come from the vendors' own
// documentation and SDK tests; those of made.json were computed, with other code than this
// package's, from what the source says.
type vector struct {
	Provider        string            `json:"provider"`
	Made            bool              `json:"made"`
	Source          string            `json:"source"`
	Secret          string            `json:"secret"`
	SecondarySecret string            `json:"secondary_secret"`
	SecretKey       string            `json:"secret_key"`
	Params          map[string]string `json:"params"`
	PublicKey       string            `json:"public_key"`
	Method          string            `json:"method"`
	URL             string            `json:"url"`
	Query           string            `json:"query"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	Fetched         map[string]string `json:"fetched"`
	Timestamp       int64             `json:"timestamp"`
	Valid           bool              `json:"valid"`
	Outcome         Outcome           `json:"outcome"`
	Kind            string            `json:"kind"`
	Expected        string            `json:"expected_response"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, name := range []string{"testdata/official.json", "testdata/made.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var some []vector
		if err := json.Unmarshal(text, &some); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, some...)
	}
	return all
}

func (v vector) String() string {
	kind := "official"
	if v.Made {
		kind = "made"
	}
	return fmt.Sprintf("%s (%s, %s)", v.Provider, kind, v.Source)
}

func (v vector) options() Options {
	o := Options{Params: v.Params}
	if v.Secret != "" {
		o.Secrets = append(o.Secrets, v.Secret)
	}
	if v.SecondarySecret != "" {
		o.Secrets = append(o.Secrets, v.SecondarySecret)
	}
	if v.PublicKey != "" {
		o.Params = map[string]string{"public_key": v.PublicKey}
	}
	if v.Fetched != nil {
		o.Client = files(v.Fetched)
	}
	return o
}

func (v vector) verifier(t testing.TB) *Verifier {
	t.Helper()
	if v.Provider == "generic-hmac" {
		s := Scheme{Algorithm: "hmac-sha512", Signed: "{body}", Header: "X-Convoy-Signature"}
		out, err := NewSchemeVerifier(s, v.options())
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out, err := NewVerifier(v.Provider, v.options())
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return out
}

func (v vector) request() Request {
	r := Request{Method: v.Method, URL: v.URL, Header: http.Header{}, Body: []byte(v.Body)}
	for name, value := range v.Headers {
		r.Header.Set(name, value)
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if v.Query != "" {
		r.Method, r.URL = http.MethodGet, "https://example.com/in?"+v.Query
	}
	return r
}

func (v vector) now() time.Time { return time.Unix(v.Timestamp, 0) }

// files is a Client that answers from memory, and counts.
type files map[string]string

func (f files) Do(r *http.Request) (*http.Response, error) {
	text, ok := f[r.URL.String()]
	if !ok {
		return &http.Response{StatusCode: http.StatusNotFound, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func TestVectors_AllGiveTheirVerdict(t *testing.T) {
	official, made := 0, 0
	for _, v := range readVectors(t) {
		if v.Made {
			made++
		} else {
			official++
		}
		if v.Kind == "challenge" {
			answer, ok := v.verifier(t).Challenge(context.Background(), v.request(), v.now())
			if !ok || string(answer.Body) != v.Expected {
				t.Errorf("%v: answer %q, %v; want %q", v, answer.Body, ok, v.Expected)
			}
			continue
		}
		want := v.Outcome
		switch {
		case !v.Valid:
			want = Failed
		case want == "":
			want = Verified
		}
		got := v.verifier(t).Verify(context.Background(), v.request(), v.now())
		if got.Outcome != want {
			t.Errorf("%v: %s (%s), want %s", v, got.Outcome, got.Detail, want)
		}
		if !v.Valid && got.Cause != ErrNoSignatureMatch {
			t.Errorf("%v: cause %q, want %q", v, got.Cause, ErrNoSignatureMatch)
		}
		if got.OK() && v.Secret != "" && got.Secret != 0 {
			t.Errorf("%v: secret %d matched, want 0", v, got.Secret)
		}
	}
	t.Logf("%d official vectors, %d made from documentation", official, made)
}

func TestVectors_EveryProviderHasOne(t *testing.T) {
	have := map[string]bool{}
	for _, v := range readVectors(t) {
		have[v.Provider] = true
		if v.Source == "" {
			t.Errorf("a vector of %s does not say where it is from", v.Provider)
		}
	}
	list := Providers()
	if len(list) < 90 {
		t.Errorf("%d providers, want at least 90", len(list))
	}
	for i, p := range list {
		if !have[p.Name] {
			t.Errorf("%s has no vector", p.Name)
		}
		if i > 0 && list[i-1].Name == p.Name {
			t.Errorf("%s is there twice", p.Name)
		}
	}
}
