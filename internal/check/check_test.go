package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/examples/shop"
	"github.com/harkhq/hark/internal/check"
	"github.com/harkhq/hark/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a sound one; a test plants one fault.
type receiver struct {
	verifier *webhook.Verifier
	before   func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	accept   func(r webhook.Request) bool                      // true: without a good signature
	after    func(w http.ResponseWriter, r webhook.Request) bool
	refuse   int
	maxBody  int64
}

func sound(t *testing.T, provider, secret string) *receiver {
	t.Helper()
	verifier, err := webhook.NewVerifier(provider, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	return &receiver{verifier: verifier, refuse: http.StatusUnauthorized, maxBody: 2 << 20}
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if v.before != nil && v.before(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, v.maxBody))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	req := webhook.Request{Method: r.Method, URL: "http://" + r.Host + r.URL.String(), Header: r.Header, Body: body}
	if !v.verifier.Verify(r.Context(), req, time.Now()).OK() && (v.accept == nil || !v.accept(req)) {
		w.WriteHeader(v.refuse)
		return
	}
	if v.after != nil && v.after(w, req) {
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func run(t *testing.T, h http.Handler, change func(*check.Options)) check.Report {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	o := check.Options{URL: server.URL + "/hooks", Secret: secret, Timeout: time.Minute, Slow: 50 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	report, err := check.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// found lists the checks with a result other than pass and skip, as "name result".
func found(r check.Report) []string {
	list := []string{}
	for _, v := range r.Verdicts {
		if v.Result == check.Fail || v.Result == check.Warn {
			list = append(list, v.Check+" "+string(v.Result))
		}
	}
	return list
}

func means(r check.Report) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		b.WriteString(v.Check + " " + string(v.Result) + ": " + v.Means + "\n")
	}
	return b.String()
}

func TestRun_SoundReceiversPassEverything(t *testing.T) {
	verifier, err := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := webhook.NewHandler(webhook.HandlerOptions{Verifier: verifier, Work: func(context.Context, *webhook.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	example, err := shop.New(secret, "http://127.0.0.1:1", func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.Handler{"by hand": sound(t, webhook.StandardWebhooks, secret), "webhook.Handler": handler, "examples/shop": example} {
		t.Run(name, func(t *testing.T) {
			r := run(t, h, nil)
			if !r.Sound || len(found(r)) > 0 || len(r.Verdicts) != len(check.Names()) {
				t.Errorf("sound is %v:\n%s", r.Sound, means(r))
			}
		})
	}
}

func TestRun_ProvidersAreSpokenToInTheirScheme(t *testing.T) {
	for _, tt := range []struct {
		provider, secret string
		skipped          []string
	}{
		{"stripe", "whsec_stripe_secret", []string{"other-id"}},
		{"github", "It's a secret", []string{"rotation", "other-id", "stale", "future"}},
		{"slack", "8f742231b10e8888abcd99yyyzzz85a5", []string{"rotation", "other-id"}},
		{"shopify", "hush_hush_secret", []string{"other-id", "stale", "future"}},
		{"twilio", "12345", []string{"rotation", "raw-body", "other-id", "stale", "future"}},
		{"plivo-v3", "plivo-auth-token", []string{"raw-body", "other-id", "stale", "future"}},
		{"gitlab", "token-0123456789", []string{"rotation", "altered-body", "other-id", "stale", "future"}},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			r := run(t, sound(t, tt.provider, tt.secret), func(o *check.Options) { o.Provider, o.Secret = tt.provider, tt.secret })
			skipped := []string{}
			for _, v := range r.Verdicts {
				if v.Result == check.Skip {
					skipped = append(skipped, v.Check)
				}
			}
			if !r.Sound || len(found(r)) > 0 {
				t.Errorf("sound is %v:\n%s", r.Sound, means(r))
			}
			if diff := cmp.Diff(tt.skipped, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s\n%s", diff, means(r))
			}
		})
	}
}

func TestRun_FormsKeepTheFieldsOfOnesOwn(t *testing.T) {
	seen := make(chan url.Values, 100)
	v := sound(t, "twilio", "12345")
	v.after = func(_ http.ResponseWriter, r webhook.Request) bool {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s: %s, %v", r.Header.Get("Content-Type"), r.Body, err)
		}
		seen <- form
		return false
	}
	r := run(t, v, func(o *check.Options) {
		o.Provider, o.Secret, o.Body, o.Only = "twilio", "12345", []byte("From=%2B1500&Body=a+b&SmsStatus=received"), []string{"duplicate"}
	})
	one, two, three := <-seen, <-seen, <-seen
	if !r.Sound || one.Get("Body") != "a b" || one.Get("From") != "+1500" || one.Get("SmsStatus") != "received" {
		t.Errorf("sent %v:\n%s", one, means(r))
	}
	if one.Get("MessageSid") == two.Get("MessageSid") || two.Get("MessageSid") != three.Get("MessageSid") {
		t.Errorf("ids: %q, then twice %q and %q", one.Get("MessageSid"), two.Get("MessageSid"), three.Get("MessageSid"))
	}
}

// signedAs says whether the request would verify with some of it as before.
func signedAs(t *testing.T, change func(*webhook.Request), tolerance time.Duration) func(webhook.Request) bool {
	t.Helper()
	verifier, err := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{secret}, Tolerance: tolerance})
	if err != nil {
		t.Fatal(err)
	}
	return func(r webhook.Request) bool {
		r.Header = r.Header.Clone()
		if change != nil {
			change(&r)
		}
		return verifier.Verify(context.Background(), r, time.Now()).OK()
	}
}

func has(name string) func(webhook.Request) bool {
	return func(r webhook.Request) bool { return r.Header.Get(name) != "" }
}

func TestRun_EachFaultIsFoundByItsCheck(t *testing.T) {
	answers := func(status int, when func(webhook.Request) bool) func(http.ResponseWriter, webhook.Request) bool {
		return func(w http.ResponseWriter, r webhook.Request) bool {
			if !when(r) {
				return false
			}
			w.WriteHeader(status)
			return true
		}
	}
	for name, tt := range map[string]struct {
		plant func(*receiver)
		want  []string
	}{
		"accepts without a signature": {func(v *receiver) {
			v.accept = func(r webhook.Request) bool { return r.Header.Get(webhook.HeaderSignature) == "" }
		}, []string{"missing-signature fail"}},
		"passes over what is no signature": {func(v *receiver) {
			v.accept = func(r webhook.Request) bool { return r.Header.Get(webhook.HeaderSignature) == "not-a-signature" }
		}, []string{"malformed-signature fail"}},
		"looks only whether there is a signature": {func(v *receiver) {
			v.accept = func(r webhook.Request) bool { return strings.HasPrefix(r.Header.Get(webhook.HeaderSignature), "v1,") }
		}, []string{"raw-body fail", "wrong-key fail", "altered-body fail", "other-id fail", "stale fail", "future fail"}},
		"verifies nothing": {func(v *receiver) { v.accept = has("Webhook-Id") },
			[]string{"raw-body fail", "missing-signature fail", "malformed-signature fail", "wrong-key fail", "altered-body fail", "other-id fail", "stale fail", "future fail"}},
		"verifies the parsed body": {func(v *receiver) {
			v.accept = signedAs(t, func(r *webhook.Request) {
				var out bytes.Buffer
				if json.Compact(&out, r.Body) == nil {
					r.Body = out.Bytes()
				}
			}, 0)
		}, []string{"raw-body fail"}},
		"does not look at the timestamp": {func(v *receiver) { v.accept = signedAs(t, nil, -1) }, []string{"stale fail", "future fail"}},
		"refuses the old, not the early": {func(v *receiver) {
			late := signedAs(t, nil, -1)
			v.accept = func(r webhook.Request) bool {
				seconds, _ := time.ParseDuration(r.Header.Get(webhook.HeaderTimestamp) + "s")
				return late(r) && time.Unix(int64(seconds/time.Second), 0).After(time.Now())
			}
		}, []string{"future fail"}},
		"answers 500 to forgeries": {func(v *receiver) { v.refuse = http.StatusInternalServerError },
			[]string{"missing-signature warn", "malformed-signature warn", "wrong-key warn", "altered-body warn", "other-id warn", "stale warn", "future warn"}},
		"crashes on GET": {func(v *receiver) {
			v.before = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		}, []string{"get fail"}},
		"is slow": {func(v *receiver) {
			var n atomic.Int32
			v.after = func(http.ResponseWriter, webhook.Request) bool {
				if n.Add(1) == 2 { // fast is the second
					time.Sleep(1100 * time.Millisecond)
				}
				return false
			}
		}, []string{"fast warn"}},
		"refuses repeats": {func(v *receiver) {
			seen := make(chan map[string]bool, 1)
			seen <- map[string]bool{}
			v.after = answers(http.StatusConflict, func(r webhook.Request) bool {
				ids := <-seen
				defer func() { seen <- ids }()
				id := r.Header.Get(webhook.HeaderID)
				was := ids[id]
				ids[id] = true
				return was
			})
		}, []string{"duplicate fail", "concurrent fail"}},
		"refuses types that it does not know": {func(v *receiver) {
			v.after = answers(http.StatusBadRequest, func(r webhook.Request) bool { return bytes.Contains(r.Body, []byte("check.unknown")) })
		}, []string{"unknown-type fail"}},
		"falls over another content type": {func(v *receiver) {
			v.after = answers(http.StatusInternalServerError, func(r webhook.Request) bool { return r.Header.Get("Content-Type") != "application/json" })
		}, []string{"content-type fail"}},
		"falls over a large body": {func(v *receiver) {
			v.after = answers(http.StatusInternalServerError, func(r webhook.Request) bool { return len(r.Body) > 1<<20 })
		}, []string{"large-body fail"}},
		"says 413 to a large body": {func(v *receiver) { v.maxBody = 1 << 16 }, []string{}},
		"takes one signature only": {func(v *receiver) {
			v.after = answers(http.StatusUnauthorized, func(r webhook.Request) bool {
				return strings.Contains(r.Header.Get(webhook.HeaderSignature), " ")
			})
		}, []string{"rotation fail"}},
		"closes every connection": {func(v *receiver) {
			v.before = func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set("Connection", "close"); return false }
		}, []string{"keep-alive warn"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := sound(t, webhook.StandardWebhooks, secret)
			tt.plant(v)
			r := run(t, v, nil)
			if diff := cmp.Diff(tt.want, found(r)); diff != "" {
				t.Errorf("found (-want +got):\n%s\n%s", diff, means(r))
			}
		})
	}
}

func TestRun_RefusalsProveNothingWithoutADeliveryThatIsAccepted(t *testing.T) {
	r := run(t, sound(t, webhook.StandardWebhooks, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), nil)
	if r.Sound {
		t.Error("a receiver with another secret is said to be sound")
	}
	for _, v := range r.Verdicts[1:] {
		if v.Check != "get" && v.Result != check.Skip {
			t.Errorf("%s is %s: %s", v.Check, v.Result, v.Means)
		}
	}
}

func TestRun_SaysWhenNobodyIsThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := check.Run(context.Background(), check.Options{URL: server.URL, Secret: secret}); !errors.Is(err, check.ErrUnreachable) {
		t.Errorf("it ends with %v", err)
	}
	if _, err := check.Run(context.Background(), check.Options{URL: server.URL, Secret: secret, Only: []string{"wobble"}}); !errors.Is(err, check.ErrName) {
		t.Errorf("an unknown check ends with %v", err)
	}
}

func TestRun_OnlyAndSkip(t *testing.T) {
	r := run(t, sound(t, webhook.StandardWebhooks, secret), func(o *check.Options) {
		o.Only, o.Skip = []string{"get", "stale", "future"}, []string{"future"}
	})
	var got []string
	for _, v := range r.Verdicts {
		got = append(got, v.Check)
	}
	if diff := cmp.Diff([]string{"valid", "stale", "get"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRun_AnEventOfTheUsersOwnKeepsWhatItSays(t *testing.T) {
	var bodies [][]byte
	v := sound(t, webhook.StandardWebhooks, secret)
	v.after = func(_ http.ResponseWriter, r webhook.Request) bool { bodies = append(bodies, r.Body); return false }
	run(t, v, func(o *check.Options) {
		o.Body, o.Only = []byte(`{"id": "evt_1", "type": "invoice.paid", "amount": 12345678901234567890, "note": "<ü>"}`), []string{"valid"}
	})
	if len(bodies) != 1 || !bytes.Contains(bodies[0], []byte(`"amount":12345678901234567890`)) || !bytes.Contains(bodies[0], []byte(`"note":"<ü>"`)) ||
		!bytes.Contains(bodies[0], []byte(`"type":"invoice.paid"`)) || bytes.Contains(bodies[0], []byte("evt_1")) {
		t.Errorf("sent %s", bodies)
	}
}

func TestWriteJUnit_CountsAreThoseOfItsCases(t *testing.T) {
	v := sound(t, webhook.StandardWebhooks, secret)
	v.accept = func(r webhook.Request) bool { return r.Header.Get(webhook.HeaderSignature) == "" }
	r := run(t, v, func(o *check.Options) { o.Skip = []string{"slow-body"} })
	var out bytes.Buffer
	if err := r.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), secret) {
		t.Error("the secret is in the report")
	}
	var read struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Skipped  int `xml:"skipped,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil || len(read.Suites) != 1 {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	s := read.Suites[0]
	failures, skipped := 0, 0
	for _, c := range s.Cases {
		if c.Failure != nil {
			failures++
		}
		if c.Skipped != nil {
			skipped++
		}
	}
	if s.Tests != len(s.Cases) || s.Failures != failures || s.Skipped != skipped || failures != 1 {
		t.Errorf("%d tests, %d failures, %d skipped; its cases: %d, %d, %d", s.Tests, s.Failures, s.Skipped, len(s.Cases), failures, skipped)
	}
}
