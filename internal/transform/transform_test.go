package transform_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/internal/transform"
)

func TestSvix_Handler(t *testing.T) {
	in := transform.Input{
		Message: transform.Message{
			EventType: "invoice.paid", URL: "https://example.com/in", Payload: []byte(`{"id": "in_1", "amount": 1250}`),
			Headers: map[string]string{"x-team": "billing", "authorization": "secret"},
		},
		Env: map[string]string{"CHANNEL": "#money"},
	}
	for _, test := range []struct {
		name, script string
		want         func(*transform.Output)
	}{
		{"that changes nothing", `function handler(webhook) { return webhook }`, func(*transform.Output) {}},
		{"as a constant", `const handler = webhook => webhook`, func(*transform.Output) {}},
		{"that changes the payload", `function handler(webhook) { webhook.payload.paid = true; return webhook }`,
			func(o *transform.Output) {
				o.Payload, o.Changed.Payload = []byte(`{"id":"in_1","amount":1250,"paid":true}`), true
			}},
		{"that replaces the payload by a list", `function handler(webhook) { webhook.payload = [1, "two"]; return webhook }`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`[1,"two"]`), true }},
		{"that replaces the payload by text", `function handler(webhook) { webhook.payload = "paid: " + webhook.payload.id; return webhook }`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`paid: in_1`), true }},
		{"that changes the address", `function handler(webhook) { webhook.url = "https://other.example/x?y=1"; webhook.method = "PUT"; return webhook }`,
			func(o *transform.Output) {
				o.URL, o.Changed.URL, o.Method, o.Changed.Method = "https://other.example/x?y=1", true, "PUT", true
			}},
		{"that changes the event type", `function handler(webhook) { webhook.eventType = webhook.eventType + ".v2"; return webhook }`,
			func(o *transform.Output) { o.EventType, o.Changed.EventType = "invoice.paid.v2", true }},
		{"that changes headers", `function handler(webhook) {
			webhook.headers["X-Team"] = "sales"; webhook.headers.n = 5; delete webhook.headers.authorization; return webhook }`,
			func(o *transform.Output) {
				o.Headers, o.Changed.Headers = map[string]string{"X-Team": "sales", "n": "5"}, true
			}},
		{"that brings headers of its own", `function handler(webhook) { return { ...webhook, headers: { a: "b" } } }`,
			func(o *transform.Output) { o.Headers, o.Changed.Headers = map[string]string{"a": "b"}, true }},
		{"that returns only what it cares for", `function handler(webhook) { return { payload: webhook.payload } }`, func(*transform.Output) {}},
		{"that cancels", `function handler(webhook) { webhook.cancel = webhook.payload.amount > 1000; webhook.payload = {}; return webhook }`,
			func(o *transform.Output) { o.Canceled = true }},
		{"that is async", `async function handler(webhook) { webhook.payload = await Promise.resolve([await 1]); return webhook }`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`[1]`), true }},
		{"that reads its variables", `const { CHANNEL } = process.env; function handler(webhook) { webhook.payload = [CHANNEL, webhook.variables.CHANNEL]; return webhook }`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`["#money","#money"]`), true }},
		{"that logs", `function handler(webhook) { console.log("got", webhook.payload, 1, null); console.error(new Error("no").message); return webhook }`,
			func(o *transform.Output) {
				o.Log = []transform.Line{{Level: "info", Text: `got {"id":"in_1","amount":1250} 1 null`}, {Level: "error", Text: "no"}}
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := transform.Output{Message: in.Message}
			want.Method = "POST"
			test.want(&want)
			got, err := run(t, test.script, in)
			if err != nil {
				t.Fatal(err)
			}
			got.CPU = 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("(-want +got)\n" + diff)
			}
		})
	}
}

func TestHookdeck_Handler(t *testing.T) {
	in := transform.Input{
		Message: transform.Message{
			Payload: []byte(`{"id":1}`), Headers: map[string]string{"content-type": "application/json"},
			Path: "/in", Query: "a=1&b=2&b=3",
		},
		Env:        map[string]string{"KEY": "k"},
		Connection: json.RawMessage(`{"name":"shop"}`),
	}
	for _, test := range []struct {
		name, script string
		want         func(*transform.Output)
	}{
		{"that changes nothing", `return request`, func(*transform.Output) {}},
		{"that changes the body", `request.body.seen = true; return request`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`{"id":1,"seen":true}`), true }},
		{"that changes headers", `request.headers["x-key"] = context.env.KEY + process.env.KEY; return request`,
			func(o *transform.Output) {
				o.Headers, o.Changed.Headers = map[string]string{"content-type": "application/json", "x-key": "kk"}, true
			}},
		{"that reads the connection", `request.body = [context.connection.name]; return request`,
			func(o *transform.Output) { o.Payload, o.Changed.Payload = []byte(`["shop"]`), true }},
		{"that changes path and query", `request.path = "/out"; request.query = "c=4"; return request`,
			func(o *transform.Output) {
				o.Path, o.Changed.Path, o.Query, o.Changed.Query = "/out", true, "c=4", true
			}},
		{"that changes the parsed query", `request.parsed_query.a = [5, 6]; delete request.parsed_query.b; return request`,
			func(o *transform.Output) { o.Query, o.Changed.Query = "a=5&a=6", true }},
		{"that returns nothing", `if (request.body.id === 2) return request`, func(o *transform.Output) { o.Canceled = true }},
		{"that returns null", `return null`, func(o *transform.Output) { o.Canceled = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := transform.Output{Message: in.Message}
			want.Method = "POST"
			test.want(&want)
			for _, arrow := range []string{"(request, context) =>", "async (request, context) =>"} {
				got, err := run(t, `addHandler("transform", `+arrow+` {`+test.script+`})`, in)
				if err != nil {
					t.Fatal(err)
				}
				got.CPU = 0
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got)\n%s", arrow, diff)
				}
			}
		})
	}
}

func TestRun_BodiesThatAreNotJSON(t *testing.T) {
	for _, payload := range []string{"", "a=b&c=d", "<x/>", "\xff\xfe\x00binary", `"text"`, `[1, 2 ]`, `12345678901234567890`, `null`, "{"} {
		in := transform.Input{Message: transform.Message{Payload: []byte(payload)}}
		out, err := run(t, `addHandler("transform", request => request)`, in)
		if payload == "null" { // nothing to send: not what the handler was given to return
			continue
		}
		if err != nil || string(out.Payload) != payload || out.Changed.Payload {
			t.Errorf("%q: got %q, changed %v, %v", payload, out.Payload, out.Changed.Payload, err)
		}
	}
	in := transform.Input{Message: transform.Message{Payload: []byte("a=b")}}
	out, err := run(t, `addHandler("transform", r => { r.body = { form: r.body }; return r })`, in)
	if err != nil || string(out.Payload) != `{"form":"a=b"}` {
		t.Errorf("got %q, %v", out.Payload, err)
	}
}

func TestRun_AnUntouchedPayloadKeepsItsBytes(t *testing.T) {
	for _, payload := range []string{
		`{ "id" : 12345678901234567890, "n": 1.0, "e": 1E5, "s": "\u00e9\/", "a":[ ] }`,
		`{"big": 1e400, "small": 1e-400, "minus": -0}`,
		`{"b":1,"a":2,"b":3}`,
		`{"__proto__": {"x": 1}, "constructor": 2, "toString": null}`,
		"{\"line\":\"\u2028\u0000 \\ud800\"}",
	} {
		for _, script := range []string{
			`function handler(webhook) { return webhook }`,
			`function handler(webhook) { webhook.payload = JSON.parse(JSON.stringify(webhook.payload)); return webhook }`,
			`function handler(webhook) { webhook.payload.added = 1; delete webhook.payload.added; return webhook }`,
		} {
			out, err := run(t, script, transform.Input{Message: transform.Message{Payload: []byte(payload)}})
			if err != nil || string(out.Payload) != payload || out.Changed.Payload {
				t.Errorf("%s: got %s, changed %v, %v", payload, out.Payload, out.Changed.Payload, err)
			}
		}
	}
}

func TestRun_NumbersKeepTheirDigits(t *testing.T) {
	for _, test := range []struct{ name, payload, script, want string }{
		{"beside a change", `{"id":12345678901234567890,"n":1}`, `p.n = 2`, `{"id":12345678901234567890,"n":2}`},
		{"moved", `{"id":12345678901234567890}`, `w.payload = {data: [p], copy: p.id}`,
			`{"data":[{"id":12345678901234567890}],"copy":12345678901234567890}`},
		{"with a fraction", `{"x":0.12345678901234567890123,"n":1}`, `p.n = 2`, `{"x":0.12345678901234567890123,"n":2}`},
		{"in text that the script wrote", `{"id":9007199254740993}`, `w.payload = JSON.stringify({v: p})`, `{"v":{"id":9007199254740993}}`},
		{"two that look alike, in their places", `{"a":9007199254740993,"b":9007199254740992,"n":1}`, `p.n = 2`,
			`{"a":9007199254740993,"b":9007199254740992,"n":2}`},
		{"negative", `{"a":-12345678901234567891,"n":1}`, `p.n = 2`, `{"a":-12345678901234567891,"n":2}`},
		{"a digit string is no number", `{"a":"12345678901234567890","n":1}`, `p.n = 2`, `{"a":"12345678901234567890","n":2}`},
		{"computed", `{"a":9007199254740993}`, `p.a = p.a + 10`, `{"a":9007199254741002}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := `function handler(w) { const p = w.payload; ` + test.script + `; return w }`
			out, err := run(t, script, transform.Input{Message: transform.Message{Payload: []byte(test.payload)}})
			if err != nil || string(out.Payload) != test.want {
				t.Errorf("got %s, %v, want %s", out.Payload, err, test.want)
			}
		})
	}
}

func TestRun_AmbiguousNumbersAreRefused(t *testing.T) {
	for payload, script := range map[string]string{
		`{"a":9007199254740993,"b":9007199254740992}`: `webhook.payload = [webhook.payload.b, webhook.payload.a]`,
		`{"a":1e400,"b":1}`:                           `webhook.payload.b = 2`,
	} {
		_, err := run(t, `function handler(webhook) { `+script+`; return webhook }`, transform.Input{Message: transform.Message{Payload: []byte(payload)}})
		if got := kindOf(err); got != transform.BadResult {
			t.Errorf("%s: got %v", payload, err)
		}
	}
}

func TestCompile_SaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		source, message string
		kind            transform.Kind
		line            int
	}{
		{"", "has no handler", transform.Invalid, 0},
		{"let handler = 5", "has no handler", transform.Invalid, 0},
		{"function handler(webhook) { return webhook", "does not compile", transform.Invalid, 1},
		{"\n\nfunction handler(webhook) {\n  let = ;\n}", "does not compile", transform.Invalid, 4},
		{"export default w => w", "does not compile", transform.Invalid, 1},
		{"import fs from 'fs'", "does not compile", transform.Invalid, 1},
		{"\nmissing()", "ReferenceError: 'missing' is not defined", transform.Threw, 2},
		{"addHandler('filter', x => x)", "TypeError: addHandler knows only", transform.Threw, 1},
		{"addHandler('transform')", "TypeError: addHandler", transform.Threw, 1},
		{strings.Repeat(" ", transform.MaxSource+1), "at most 1048576 are allowed", transform.Invalid, 0},
		{strings.Repeat("[", 100_000), "does not compile", transform.Invalid, 1},
		{"\x00\xff", "does not compile", transform.Invalid, 1},
	} {
		_, err := engine(t).Compile(t.Context(), test.source, nil)
		broken, ok := errors.AsType[*transform.Error](err)
		if !ok || broken.Kind != test.kind || !strings.Contains(broken.Message, test.message) || broken.Line != test.line {
			t.Errorf("%.60q: got %#v, want %s in line %d: %s", test.source, err, test.kind, test.line, test.message)
		}
		if ok && test.line > 0 && broken.Column == 0 {
			t.Errorf("%.60q: no column", test.source)
		}
	}
}

func TestRun_SaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		script  string
		kind    transform.Kind
		message string
	}{
		{`function handler() {}`, transform.BadResult, "The handler must return the webhook, it returned undefined."},
		{`function handler(w) { return w.payload.list }`, transform.BadResult, "it returned an array"},
		{`function handler() { return 7 }`, transform.BadResult, "it returned a number"},
		{`function handler(w) { w.cancel = "no"; return w }`, transform.BadResult, "cancel must be true or false, it is a string"},
		{`function handler(w) { w.payload = undefined; return w }`, transform.BadResult, "payload must be an object, an array or a string, it is undefined"},
		{`function handler(w) { w.payload.self = w.payload; return w }`, transform.BadResult, "payload cannot be written as JSON"},
		{`function handler(w) { w.payload.n = 1n; return w }`, transform.BadResult, "payload cannot be written as JSON"},
		{`function handler(w) { w.payload = () => 1; return w }`, transform.BadResult, "payload must not be a function"},
		{`function handler(w) { w.method = "GET"; return w }`, transform.BadResult, "method must be POST, PUT, PATCH or DELETE"},
		{`function handler(w) { w.url = "file:///etc/passwd"; return w }`, transform.BadResult, "url must be an address"},
		{`function handler(w) { w.url = 5; return w }`, transform.BadResult, "url must be a string, it is a number"},
		{`function handler(w) { w.eventType = ""; return w }`, transform.BadResult, "eventType must have"},
		{`function handler(w) { w.headers = "x: y"; return w }`, transform.BadResult, "headers must be an object"},
		{`function handler(w) { w.headers.x = {}; return w }`, transform.BadResult, "The header x must be a string, it is an object"},
		{`function handler(w) { w.headers["a b"] = "c"; return w }`, transform.BadResult, `"a b" cannot be the name of a header`},
		{`function handler(w) { w.headers.a = "b\r\nc: d"; return w }`, transform.BadResult, "The header a has a value"},
		{`function handler(w) { for (let i = 0; i < 200; i++) w.headers["h" + i] = "1"; return w }`, transform.BadResult, "There are 200 headers"},
		{`function handler(w) { return new Promise(() => {}) }`, transform.BadResult, "a promise that nothing will ever resolve"},
		{`function handler(w) { w.payload = "x".repeat(5 << 20); return w }`, transform.BadResult, "The payload is 5 MiB long; at most 4 MiB"},
		{`addHandler("transform", () => "x")`, transform.BadResult, "The handler must return the request, it returned a string"},
		{`addHandler("transform", r => { r.path = "x"; return r })`, transform.BadResult, "path must begin with /"},
		{`addHandler("transform", r => { r.query = "a b"; return r })`, transform.BadResult, "query must be encoded"},
		{`addHandler("transform", r => { r.parsed_query = { a: {} }; return r })`, transform.BadResult, "The query parameter a must be a string"},

		{`function handler(w) { throw new Error("no amount") }`, transform.Threw, "The script threw Error: no amount"},
		{`async function handler(w) { await 0; throw new TypeError("later") }`, transform.Threw, "The script threw TypeError: later"},
		{`function handler(w) { return w.payload.a.b }`, transform.Threw, "The script threw TypeError: cannot read property 'b' of undefined"},
		{`function handler(w) { throw "text" }`, transform.Threw, "The script threw text"},
		{`function handler(w) { throw null }`, transform.Threw, "The script threw null"},
		{`function handler(w) { throw { toString() { throw 1 } } }`, transform.Threw, "something that cannot be shown"},
		{`function handler(w) { throw new Error("x".repeat(1e6)) }`, transform.Threw, "xxx…"},
		{`function handler(w) { w.payload = { toJSON() { throw new RangeError("r") } }; return w }`, transform.Threw, "RangeError: r"},
	} {
		in := transform.Input{Message: transform.Message{Payload: []byte(`{"list":[]}`), URL: "https://example.com", EventType: "a.b"}}
		_, err := run(t, test.script, in)
		broken, ok := errors.AsType[*transform.Error](err)
		if !ok || broken.Kind != test.kind || !strings.Contains(broken.Message, test.message) || len(broken.Message) > 1200 {
			t.Errorf("%s:\ngot  %.300v\nwant %s: %s", test.script, err, test.kind, test.message)
		}
	}
}

func TestRun_ThrownErrorsHaveAPlace(t *testing.T) {
	_, err := run(t, "function deep(x) {\n  return x.y.z;\n}\nfunction handler(w) {\n  return deep({});\n}", transform.Input{})
	broken, ok := errors.AsType[*transform.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if broken.Line != 2 || len(broken.Stack) != 2 || !strings.HasPrefix(broken.Stack[0], "deep (script:2:") ||
		!strings.HasPrefix(broken.Stack[1], "handler (script:5:") {
		t.Errorf("got line %d, stack %q", broken.Line, broken.Stack)
	}
}

func TestRun_LogIsBounded(t *testing.T) {
	s := compile(t, `function handler(w) { for (let i = 0; i < 1e3; i++) console.log("x".repeat(i)); throw 1 }`)
	for bound, limits := range map[int]transform.Limits{16 << 10: {}, 100: {Log: 100}, 0: {Log: -1}} {
		out, err := s.Run(t.Context(), transform.Input{}, limits)
		total := 0
		for _, l := range out.Log {
			total += len(l.Text)
		}
		if kindOf(err) != transform.Threw || !out.LogCut || len(out.Log) > 200 || total > bound {
			t.Errorf("%+v: got %d lines of %d bytes, cut %v, %v", limits, len(out.Log), total, out.LogCut, err)
		}
	}
}

func TestRun_SaysWhatItTook(t *testing.T) {
	quick, err := run(t, `function handler(w) { return w }`, transform.Input{})
	if err != nil {
		t.Fatal(err)
	}
	long, err := compile(t, `function handler(w) { for (;;) {} }`).Run(t.Context(), transform.Input{}, transform.Limits{Time: 200 * time.Millisecond})
	if kindOf(err) != transform.Timeout {
		t.Fatalf("got %v", err)
	}
	if quick.CPU <= 0 || long.CPU <= quick.CPU || long.CPU > 10*time.Second {
		t.Errorf("a quick run took %v, a loop %v", quick.CPU, long.CPU)
	}
}

func TestScript_HashIsOfTheSource(t *testing.T) {
	a, b := compile(t, `const handler = w => w`), compile(t, `const handler = w => w `)
	if a.Hash() == b.Hash() || a.Hash() != compile(t, `const handler = w => w`).Hash() || len(a.Hash()) != 64 {
		t.Errorf("got %s and %s", a.Hash(), b.Hash())
	}
	if a.Dialect() != transform.Svix || compile(t, `addHandler("transform", r => r)`).Dialect() != transform.Hookdeck {
		t.Error("the dialect is wrong")
	}
}

func TestMain(m *testing.M) {
	transform.Work()
	m.Run()
}

// shared is one engine for all tests, as a server has one for everybody: what a test leaves behind in it
// would be seen by the others.
var shared = transform.New(transform.Options{})

func engine(t testing.TB) *transform.Engine {
	t.Helper()
	return shared
}

func compile(t testing.TB, source string) *transform.Script {
	t.Helper()
	s, err := engine(t).Compile(context.Background(), source, nil)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return s
}

func run(t testing.TB, source string, in transform.Input) (transform.Output, error) {
	t.Helper()
	s, err := engine(t).Compile(t.Context(), source, in.Env)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return s.Run(t.Context(), in, unhurried)
}

// unhurried is for runs that end by themselves, on a busy machine.
var unhurried = transform.Limits{Time: 20 * time.Second}

func kindOf(err error) transform.Kind {
	if e, ok := errors.AsType[*transform.Error](err); ok {
		return e.Kind
	}
	return ""
}
