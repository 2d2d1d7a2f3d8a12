package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(text string) (*Scenario, error) { return Read("f.yaml", strings.NewReader(text)) }

func TestRead_SaysWhereAMistakeIs(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "f.yaml: cannot be run: EOF",
		"7":                                  "f.yaml:1: cannot be run: a scenario must be a mapping",
		"api: x":                             "it has no steps",
		"steps: []":                          "f.yaml:1: cannot be run: steps must be a list with at least one",
		"steps:\n- {}":                       "f.yaml:2: step 1: cannot be run: a step has either trigger or request",
		"steps:\n- trigger: a\n  request: b": "a step has either trigger or request",
		"steps:\n- trigger: a\n  retry: {for: 1s}":                                                        `f.yaml:3: step 1: cannot be run: such a step has no "retry"`,
		"steps:\n- trigger: a\n  overide: {}":                                                             `such a step has no "overide"; there are provider, to,`,
		"steps:\n- request: FETCH\n":                                                                      "a request has either a path",
		"steps:\n- request: get /\n":                                                                      `"get" is no method`,
		"steps:\n- request: {path: orders}":                                                               "does not begin with /",
		"steps:\n- request: {path: /, body: 1, form: {a: b}}":                                             "a body or a form",
		"steps:\n- request: GET /\n  expect: {status: ok}":                                                `"ok" is no status`,
		"steps:\n- request: GET /\n  wait: 1h":                                                            "wait must be a time of up to 10m0s",
		"steps:\n- request: GET /\n  retry: {every: 1s}":                                                  "retry needs for",
		"steps:\n- request: GET /\n  name: 1st":                                                           `"1st" cannot be a name`,
		"steps:\n- request: GET /\n  name: env":                                                           `"env" cannot be a name`,
		"steps:\n- {request: GET /, name: a}\n- {request: GET /, name: a}":                                `f.yaml:3: step 2 (a): cannot be run: another step is named "a"`,
		"steps:\n- {request: 'GET /${b.id}', name: a}\n- {request: GET /, name: b}":                       `f.yaml:2: step 1 (a): cannot be run: there is no step named "b" before it`,
		"steps:\n- {request: 'GET /${a.id}', name: a}":                                                    `there is no step named "a" before it`,
		"steps:\n- request: GET /${a":                                                                     "does not end",
		"steps:\n- request: GET /${}":                                                                     "${} is no reference",
		"steps:\n- request: GET /${env.A-B}":                                                              "is no reference",
		"steps:\n- request: {path: /, body: {a: [{b: '${nobody}'}]}}":                                     `no step named "nobody"`,
		"steps:\n- {request: GET /, name: &x a}\n- *x":                                                    "anchors and aliases",
		"steps: &a\n- *a":                                                                                 "mapping",
		"steps:\n- request: {path: /, body: &a [*a]}":                                                     "anchors and aliases",
		"steps:\n- request: {path: /, body: {a: 1, a: 2}}":                                                `"a" stands twice`,
		"steps:\n- request: {path: /, body: {<<: {a: 1}}}":                                                "plain text",
		"steps:\n- request: {path: /, body: .nan}":                                                        "no number that JSON has",
		"steps:\n- request: {path: /, body: !!binary aGk=}":                                               "JSON does not have",
		"steps:\n- request: {path: /, body: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}": "too deep",
		"steps:" + strings.Repeat("\n- request: GET /", 1001):                                             "1000 is the limit",
		"steps: #" + strings.Repeat("x", 1<<20):                                                           "larger than",
		"steps:\n- request: GET /\n---\nsteps: []":                                                        "more than one document",
		"fixtures:\n- {name: a, path: /v1/x, method: post, params: {a: '${b:id}'}}":                       `f.yaml:2: step 1 (a): cannot be run: there is no step named "b"`,
		"fixtures:\n- {name: a, path: /v1/x, wat: 1}":                                                     `a fixture has no "wat"`,
	} {
		s, err := read(text)
		if err == nil {
			t.Errorf("%.80q was read: %+v", text, s)
			continue
		}
		if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q\n got %q\nwant %q", text, err, want)
		}
	}
}

func TestRead_TakesJSONAsItIs(t *testing.T) {
	text := `{
	"steps": [{
		"request": {"method": "POST", "path": "\/", "body": ["\ud83e\udd56", "\\ud83e \u00e9\t", 12345678901234567890, 1e3, -0.5, null, true, {}]}}]
}`
	s, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(*s.Steps[0].Request.Body)
	if want := `["🥖","\\ud83e é\t",12345678901234567890,1e3,-0.5,null,true,{}]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestPieces_AreTakenApart(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"plain $5 {x}":        "plain $5 {x}|",
		"a${b.c}d":            "a|<b c>|d|",
		"${b:c.0.d|e f}":      "<b c.0.d>|",
		"$${b} and $$${b}":    "${|b} and $${|b}|",
		"${env.A}${.env:B|x}": "<$A>|<$B>|",
	} {
		list, err := pieces(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var b strings.Builder
		for _, p := range list {
			switch {
			case p.ref == nil:
				b.WriteString(p.text + "|")
			case p.ref.variable != "":
				b.WriteString("<$" + p.ref.variable + ">|")
			default:
				b.WriteString("<" + p.ref.step + " " + p.ref.path + ">|")
			}
		}
		if b.String() != want {
			t.Errorf("%q: got %q, want %q", text, b.String(), want)
		}
	}
}

func TestExpect_NamesWhatIsMissing(t *testing.T) {
	for _, tt := range []struct{ want, got, said string }{
		{`{"a": 1}`, `{"a": 1.0, "b": 2}`, ""},
		{`{"a": {"b": [1, {"c": null}]}}`, `{"a": {"b": [1, {"c": null, "d": 1}]}}`, ""},
		{`"thank you"`, "thank you\n", ""},
		{`{"a": {"b": 1}}`, `{"a": {"b": 2}}`, "expected 1 of a.b, got 2"},
		{`{"a": {"b": 1}}`, `{"a": {}}`, "expected 1 of a.b, got nothing"},
		{`{"a": [1]}`, `{"a": [1, 2]}`, "expected [1] of a, got [1,2]"},
		{`{"a": 1}`, `{"a": "1"}`, `expected 1 of a, got "1"`},
		{`{"a": null}`, `{"a": {}}`, `expected null of a, got {}`},
		{`{"a": 1e999999999}`, `{"a": 1}`, "expected 1e999999999 of a, got 1"},
		{`[]`, `oops`, `expected [] of the body, got "oops"`},
	} {
		want, err := decode([]byte(tt.want))
		if err != nil {
			t.Fatal(err)
		}
		err = (&Expect{}).check(200, []byte(tt.got), &want)
		if tt.said == "" && err != nil || tt.said != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.said)) {
			t.Errorf("%s of %s: %v, want %q", tt.want, tt.got, err, tt.said)
		}
	}
}

// api is a server that remembers what it was asked, and answers by its handler.
func api(t *testing.T, answer func(n int, r *http.Request) (int, string)) (*httptest.Server, *[]string) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), body))
		status, text := answer(len(asked), r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server, &asked
}

func run(t *testing.T, r Runner, text string) ([]Report, error) {
	t.Helper()
	s, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	var reports []Report
	r.HTTP, r.Now = &http.Client{}, time.Now
	r.Tell = func(p Report) { reports = append(reports, p) }
	if r.Env == nil {
		r.Env = func(string) (string, bool) { return "", false }
	}
	err = r.Run(context.Background(), s)
	return reports, err
}

func TestRun_StepsUseWhatCameBefore(t *testing.T) {
	server, asked := api(t, func(_ int, r *http.Request) (int, string) {
		return 200, `{"id": "a/../b?c&d", "n": 9007199254740993, "list": [{"x": true}], "nothing": null, "link": "http://` + r.Host + `/linked"}`
	})
	var sent Event
	r := Runner{
		Header: http.Header{"Authorization": {"key"}},
		Env:    func(name string) (string, bool) { return "from outside", name == "SET" },
		Send: func(_ context.Context, e Event) (Answer, error) {
			sent = e
			return Answer{Status: 204, Document: []byte(`{"data": {"id": 5}}`)}, nil
		},
	}
	_, err := run(t, r, `
api: `+server.URL+`
to: http://x/${env.UNSET|hook}
env: {SET: from file, FILE: of file}
steps:
- {name: a, request: POST /first}
- request: GET /${a.id}?q=${a:id}
- request: {method: POST, path: /, body: {n: "${a.n}", t: "n=${a.n}", x: "${a.list.0.x}", all: "${a.list}", no: "${a.nothing}", d: "${a.b.c|none}", e: "${env.SET} ${env.FILE}", plain: "$${a}"}}
- request: {url: "${a.link}"}
- {name: e, trigger: some.event, override: {data.id: "${a.n}"}}
- {request: {path: "/${e.data.id}", headers: {Authorization: own}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST /first key ",
		"GET /a%2F..%2Fb%3Fc%26d?q=a%2F..%2Fb%3Fc%26d key ",
		`POST / key {"all":[{"x":true}],"d":"none","e":"from outside of file","n":9007199254740993,"no":null,"plain":"${a}","t":"n=9007199254740993","x":true}`,
		"GET /linked  ", // another URL does not get what is for the API
		"GET /5 own ",
	}
	if diff := cmp.Diff(want, *asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if sent.To != "http://x/hook" || sent.Override[0].Value != json.Number("9007199254740993") {
		t.Errorf("sent %+v", sent)
	}
}

func TestRun_AsksAgainUntilItIsAsExpected(t *testing.T) {
	server, asked := api(t, func(n int, _ *http.Request) (int, string) { return 200, fmt.Sprintf(`{"n": %d}`, n) })
	reports, err := run(t, Runner{API: server.URL}, `
steps:
- request: {method: POST, path: /, body: "${uuid}"}
  expect: {body: {n: 3}}
  retry: {for: 5s, every: 10ms}
`)
	if err != nil || reports[0].Tries != 3 || (*asked)[0] != (*asked)[2] {
		t.Errorf("%v, %+v, %q", err, reports, *asked)
	}
	_, err = run(t, Runner{API: server.URL}, "steps:\n- request: GET /\n  expect: {status: [404, 5xx]}\n  retry: {for: 30ms, every: 10ms}")
	if !errors.Is(err, ErrUnexpected) || !strings.HasPrefix(err.Error(), `f.yaml:2: step 1: unexpected answer: expected 404 or 5xx, got 200: {"n": `) {
		t.Errorf("%v", err)
	}
}

func TestRun_SaysWhatIsMissingBeforeAnythingIsSent(t *testing.T) {
	server, asked := api(t, func(int, *http.Request) (int, string) { return 200, "" })
	for steps, want := range map[string]string{
		"[{request: GET " + server.URL + "}, {request: GET /x}]":                                       "step 2: cannot be run: there is no API that /x could be a path of",
		"[{request: GET " + server.URL + "}, {request: {url: 'http://x/', body: ['${env.NOT_SET}']}}]": "step 2: a reference leads to nothing: the variable NOT_SET is not set",
		"[{request: GET " + server.URL + "}, {trigger: x, to: '${env.NOT_SET}'}]":                      "step 2: a reference leads to nothing: the variable NOT_SET is not set",
	} {
		if _, err := run(t, Runner{}, "steps: "+steps); err == nil || !strings.HasSuffix(err.Error(), want) || len(*asked) > 0 {
			t.Errorf("%s: %v, asked %d times", steps, err, len(*asked))
		}
	}
}

func TestRun_EndsWithTheFirstThatFails(t *testing.T) {
	server, asked := api(t, func(int, *http.Request) (int, string) { return 200, strings.Repeat("x", 3<<20) })
	for steps, want := range map[string]error{
		"[{request: GET /, expect: {status: 404}}, {request: GET /}]":               ErrUnexpected,
		"[{request: 'GET /${env.NOT_SET}'}, {request: GET /}]":                      ErrReference,
		"[{request: GET /, name: a}, {request: 'GET /${a.b}'}]":                     ErrReference,
		"[{request: GET /, name: a}, {request: {path: /, body: ['${a}', '${a}']}}]": ErrReference, // 6 MiB
		"[{request: GET http://127.0.0.1:1/}, {request: GET /}]":                    ErrUnreachable,
		"[{request: {url: 'ftp://x/'}}, {request: GET /}]":                          ErrFile,
		"[{trigger: x}, {request: GET /}]":                                          errSend,
	} {
		*asked = nil
		r := Runner{API: server.URL, Send: func(context.Context, Event) (Answer, error) { return Answer{}, errSend }}
		if _, err := run(t, r, "steps: "+steps); !errors.Is(err, want) || len(*asked) > 1 {
			t.Errorf("%s: %v, asked %d times", steps, err, len(*asked))
		}
	}
}

var errSend = errors.New("not sent")

func FuzzRead(f *testing.F) {
	f.Add("steps:\n- {name: a, request: GET /x}\n- {trigger: b, override: {c: '${a.d|e}'}, wait: 1s}")
	f.Add(`{"fixtures": [{"name": "a", "path": "/v1/x", "method": "post", "params": {"a": "${.env:B|c}"}}], "env": {"B": "x"}}`)
	f.Add("steps: &a\n- *a")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		for i := range s.Steps {
			for _, v := range s.Steps[i].values() {
				fill := filler{env: func(string) (string, bool) { return "", true }, known: map[string]any{}}
				_, _ = fill.fill(v) // must not crash
			}
		}
	})
}
