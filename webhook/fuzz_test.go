package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzHeaders gives one hostile value to every header that a provider reads, for all providers.
// Nothing may panic, and nothing may be accepted: nobody guesses a MAC.
func FuzzHeaders(f *testing.F) {
	verifiers := map[string]*Verifier{}
	vectors := readVectors(f)
	for _, v := range vectors {
		if v.Kind != "challenge" && v.Valid {
			verifiers[v.String()] = v.verifier(f)
			for _, value := range v.Headers {
				f.Add(value, "{}")
			}
		}
	}
	f.Add("t=1,v1=,v1==,,=,t=", "a=b&c=%zz")
	f.Add(strings.Repeat("v1=00,", 40), "[]")
	genuine := map[string]bool{}
	for _, v := range vectors {
		for _, value := range v.Headers {
			genuine[value] = true
		}
	}
	f.Fuzz(func(t *testing.T, value, body string) {
		for _, v := range vectors {
			verifier := verifiers[v.String()]
			if verifier == nil {
				continue
			}
			r := v.request()
			for name := range r.Header {
				r.Header[name] = []string{value}
			}
			r.Body = []byte(body)
			if got := verifier.Verify(context.Background(), r, v.now()); got.OK() && !genuine[value] && !strings.Contains(body, "sign") && len(v.Headers) > 0 && v.Provider != "microsoft-graph" {
				t.Errorf("%v: accepted %q with body %q", v, value, body)
			}
		}
	})
}

// FuzzBody gives hostile bodies to those who look inside before they verify, and to handshakes.
func FuzzBody(f *testing.F) {
	var verifiers []*Verifier
	var requests []Request
	for _, v := range readVectors(f) {
		if v.Valid && (signedParts[v.Provider] != nil || v.Provider == "kinde" || v.Provider == "paddle-classic" || v.Provider == "alipay") {
			verifiers, requests = append(verifiers, v.verifier(f)), append(requests, v.request())
			f.Add([]byte(v.Body), "")
		}
	}
	for _, h := range handshakes {
		v, err := NewVerifier(h.provider, Options{Params: h.options.Params})
		if err != nil {
			f.Fatal(err)
		}
		verifiers, requests = append(verifiers, v), append(requests, h.request)
		f.Add(h.request.Body, h.request.URL)
	}
	f.Fuzz(func(t *testing.T, body []byte, url string) {
		for i, v := range verifiers {
			r := requests[i]
			original := r.Body
			r.Body = body
			if url != "" {
				r.URL = url
			}
			v.Verify(context.Background(), r, time.Unix(1764061200, 0))
			if answer, ok := v.Challenge(context.Background(), r, time.Unix(1764061200, 0)); ok && !bytes.Equal(body, original) && len(answer.Body) > 4096 {
				t.Errorf("%s: a long answer: %.100q", v.Name(), answer.Body)
			}
		}
	})
}

// FuzzJSONValue compares the reader of single values with encoding/json.
func FuzzJSONValue(f *testing.F) {
	for _, text := range []string{`{"a":{"b":["x",1]},"id":"1"}`, `[{"id":true}]`, `{"a\u0062":"c\n"}`, `{"a":[[],{}],"id":1e9}`, ` { "id" : null } `, `{"a":"\"","id":"z"}`, `{"id`} {
		f.Add([]byte(text))
	}
	paths := map[string][]step{}
	for _, path := range []string{"$.id", "$.a.b", "$[].id", "$.a[].b", "$.ab", "$.*"} {
		steps, err := parsePath(path)
		if err != nil {
			f.Fatal(err)
		}
		paths[path] = steps
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for path, steps := range paths {
			got, _ := jsonValue(text, steps)
			if !json.Valid(text) || !utf8.Valid(text) || duplicateNames(text) || path == "$.*" {
				continue // any answer will do, as long as there is one
			}
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			var value any
			if d.Decode(&value) != nil {
				continue
			}
			if want := walk(value, steps); got != want {
				t.Errorf("%s in %q: %q, want %q", path, text, got, want)
			}
		}
	})
}

func walk(value any, steps []step) string {
	for _, s := range steps {
		switch v := value.(type) {
		case []any:
			if !s.list || len(v) == 0 {
				return ""
			}
			value = v[0]
		case map[string]any:
			if s.list {
				return ""
			}
			value = v[s.key]
		default:
			return ""
		}
	}
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return map[bool]string{true: "true", false: "false"}[v]
	}
	return ""
}

// FuzzScheme compiles hostile schemes; those that compile must verify what they sign, and nothing else.
func FuzzScheme(f *testing.F) {
	f.Add("hmac-sha256", "{timestamp}.{body}", "X-Sig", ",", "v1=", "hex", "t=")
	f.Add("hmac-sha1", "{url}{body}{header:X-Other}", "X-Sig | X-Old", "", "", "base64", "")
	f.Add("sha256", "{secret}{body}", "X-Sig", "", "", "base64-hex", "X-Time")
	f.Fuzz(func(t *testing.T, algorithm, signed, header, separator, prefix, encoding, timestamp string) {
		s := Scheme{Algorithm: algorithm, Signed: signed, Header: header, Separator: separator, Prefix: prefix, Encoding: encoding, Timestamp: timestamp}
		o := Options{Secrets: []string{"k3y"}}
		v, err := NewSchemeVerifier(s, o)
		if err != nil {
			return
		}
		r := Request{Method: "POST", URL: "https://a.example/b?c", Header: http.Header{}, Body: []byte(`{"a":1}`)}
		for _, value := range []string{"", prefix, separator, prefix + separator + timestamp} {
			r.Header = http.Header{}
			for name := range strings.SplitSeq(header, "|") {
				r.Header[canonical(strings.TrimSpace(name))] = []string{value}
			}
			if got := v.Verify(context.Background(), r, time.Unix(1764061200, 0)); got.OK() {
				t.Errorf("%+v: accepted %q", s, value)
			}
		}
	})
}
