package match

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

func mustCompile(t testing.TB, rule Rule) *Matcher {
	t.Helper()
	m, err := Compile(rule)
	if err != nil {
		t.Fatalf("compile %s: %v", rule.Filter, err)
	}
	return m
}

func filter(text string) Rule { return Rule{Filter: json.RawMessage(text)} }

func TestMatch_TypesAndChannels(t *testing.T) {
	long := make([]string, 20)
	for i := range long {
		long[i] = fmt.Sprintf("type.%d", i)
	}
	for _, c := range []struct {
		name     string
		rule     Rule
		typ      string
		channels []string
		clause   string // "" when it matches
	}{
		{"no rule", Rule{}, "a", nil, ""},
		{"no rule, message with channels", Rule{}, "a", []string{"x"}, ""},
		{"type listed", Rule{EventTypes: []string{"b", "a"}}, "a", nil, ""},
		{"type not listed", Rule{EventTypes: []string{"b"}}, "a", nil, ClauseEventTypes},
		{"types are not prefixes", Rule{EventTypes: []string{"a"}}, "a.b", nil, ClauseEventTypes},
		{"types are case sensitive", Rule{EventTypes: []string{"A"}}, "a", nil, ClauseEventTypes},
		{"type in a long list", Rule{EventTypes: long}, "type.19", nil, ""},
		{"type not in a long list", Rule{EventTypes: long}, "type.20", nil, ClauseEventTypes},
		{"channel listed", Rule{Channels: []string{"x", "y"}}, "a", []string{"z", "y"}, ""},
		{"channel not listed", Rule{Channels: []string{"x"}}, "a", []string{"z"}, ClauseChannels},
		{"message without channels", Rule{Channels: []string{"x"}}, "a", nil, ClauseChannels},
		{"channel in a long list", Rule{Channels: long}, "a", []string{"z", "type.3"}, ""},
		{"types decide before channels", Rule{EventTypes: []string{"b"}, Channels: []string{"x"}}, "a", nil, ClauseEventTypes},
		{"channels decide before the filter", Rule{Channels: []string{"x"}, Filter: json.RawMessage(`{"a":1}`)}, "a", nil, ClauseChannels},
		{"filter decides last", Rule{EventTypes: []string{"a"}, Filter: json.RawMessage(`{"a":1}`)}, "a", nil, ClauseFilter},
		{"null filter is none", filter(" null "), "a", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustCompile(t, c.rule)
			s := NewSubject(c.typ, c.channels, []byte(`{}`))
			if got := m.Match(s); got != (c.clause == "") {
				t.Errorf("matched %v", got)
			}
			v := m.Explain(s)
			if v.Matched != (c.clause == "") || v.Clause != c.clause || (v.Detail == "") != v.Matched {
				t.Errorf("verdict %+v, want clause %q", v, c.clause)
			}
		})
	}
}

func TestMatch_DoesNotAllocateForTypesAndChannels(t *testing.T) {
	m := mustCompile(t, Rule{EventTypes: []string{"a", "b"}, Channels: []string{"x", "y"}})
	s := NewSubject("b", []string{"z", "y"}, []byte(`not even JSON`))
	if n := testing.AllocsPerRun(100, func() { m.Match(s) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if s.parsed {
		t.Error("the payload was parsed although no filter needs it")
	}
}

func TestMatch_RuleIsCopied(t *testing.T) {
	types := []string{"a"}
	m := mustCompile(t, Rule{EventTypes: types})
	types[0] = "b"
	if !m.Match(NewSubject("a", nil, nil)) {
		t.Error("changing the rule's slice changed the matcher")
	}
}

func TestExplain_SaysWhy(t *testing.T) {
	const payload = `{"amount":42,"type":"order","empty":null,"tags":["a","b"],"lines":[{"sku":"A","qty":1}],
		"customer":{"name":"Zoë"},"long":"` + "0123456789012345678901234567890123456789012345678901234567890123456789" + `"}`
	for _, c := range []struct{ filter, want string }{
		{`{"amount":{"$gte":100}}`, `body.amount: wanted $gte 100, found 42`},
		{`{"amount":7}`, `body.amount: wanted 7, found 42`},
		{`{"type":"refund"}`, `body.type: wanted "refund", found "order"`},
		{`{"customer":{"age":{"$gt":1}}}`, `body.customer.age: wanted $gt 1, found nothing`},
		{`{"customer":5}`, `body.customer: wanted 5, found an object`},
		{`{"empty":false}`, `body.empty: wanted false, found null`},
		{`{"amount":null}`, `body.amount: wanted null, found 42`},
		{`{"tags":"c"}`, `body.tags: wanted "c", found ["a", "b"]`},
		{`{"tags":["a","c"]}`, `body.tags: no element matches item 1 of the filter's list`},
		{`{"type":["a"]}`, `body.type: wanted a list, found "order"`},
		{`{"lines":{"qty":2}}`, `body.lines[0].qty: wanted 2, found 1`},
		{`{"tags":{"x":2}}`, `body.tags: none of the 2 elements matches`},
		{`{"type":{"x":2}}`, `body.type: wanted an object, found "order"`},
		{`{"nope":{}}`, `body.nope: wanted something, found nothing`},
		{`{"nope":{"$exist":true}}`, `body.nope: wanted $exist true, found nothing`},
		{`{"amount":{"$exist":false}}`, `body.amount: wanted $exist false, found 42`},
		{`{"type":{"$not":"order"}}`, `body.type: matches what $not excludes, found "order"`},
		{`{"$or":[{"amount":1},{"amount":2}]}`, `body: none of the 2 alternatives of $or matches; the first: body.amount: wanted 1, found 42`},
		{`{"$or":[{"amount":1}]}`, `body.amount: wanted 1, found 42`},
		{`{"$and":[{"amount":42},{"type":"x"}]}`, `body.type: wanted "x", found "order"`},
		{`{"amount":{"$lt":{"$ref":"lines[0].qty"}}}`, `body.amount: wanted $lt 1 (lines[0].qty), found 42`},
		{`{"amount":{"$ref":"nope"}}`, `body.amount: wanted nothing (nope), found 42`},
		{`{"type":{"$in":["a","b"]}}`, `body.type: wanted $in ["a", "b"], found "order"`},
		{`{"long":"x"}`, `body.long: wanted "x", found "0123456789012345678901234567890123456789012345678901234567890123…"`},
	} {
		v := mustCompile(t, filter(c.filter)).Explain(NewSubject("a", nil, []byte(payload)))
		if diff := cmp.Diff(Verdict{Clause: ClauseFilter, Detail: c.want}, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.filter, diff)
		}
	}
	v := mustCompile(t, filter(`{"a":1}`)).Explain(NewSubject("a", nil, []byte(`{`)))
	if v.Detail != "the payload is not JSON" {
		t.Errorf("a broken payload: %+v", v)
	}
	v = mustCompile(t, Rule{EventTypes: []string{"b", "c"}}).Explain(NewSubject("a", nil, nil))
	if v.Detail != "wanted one of b, c, found a" {
		t.Errorf("an unwanted type: %+v", v)
	}
	v = mustCompile(t, Rule{Channels: []string{"x"}}).Explain(NewSubject("a", nil, nil))
	if v.Detail != "wanted one of x, found none" {
		t.Errorf("a message without channels: %+v", v)
	}
}

func TestCompile_RefusesWithThePlace(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + `1` + strings.Repeat(`}`, n) }
	for _, c := range []struct{ filter, loc, msg string }{
		{`{`, "", "must be JSON"},
		{`{} {}`, "", "must be JSON"},
		{`5`, "", "must be an object"},
		{`[]`, "", "must be an object"},
		{`"x"`, "", "must be an object"},
		{`{"a":{"$foo":1}}`, "a.$foo", "unknown operator $foo; the operators are $eq $neq $gt $gte $lt $lte $in $nin $startsWith $endsWith $exist $or $and $not $ref"},
		{`{"a":1,"b":{"c":2,"c":3}}`, "b.c", "twice"},
		{`{"a":{"$gt":true}}`, "a.$gt", "$gt takes a number, text or a $ref"},
		{`{"a":{"$lte":[1]}}`, "a.$lte", "$lte takes"},
		{`{"a":{"$in":{"x":1}}}`, "a.$in", "$in takes"},
		{`{"a":{"$startsWith":5}}`, "a.$startsWith", "$startsWith takes text"},
		{`{"a":{"$endsWith":["x",5]}}`, "a.$endsWith", "$endsWith takes text"},
		{`{"a":{"$exist":"yes"}}`, "a.$exist", "true or false"},
		{`{"$or":{}}`, "$or", "a list of at least one"},
		{`{"$and":[]}`, "$and", "a list of at least one"},
		{`{"$or":[{"a":1},{"b":{"$nope":1}}]}`, "$or.1.b.$nope", "unknown operator"},
		{`{"a":[1,{"$nope":1}]}`, "a.1.$nope", "unknown operator"},
		{`{"$not":{"$nope":1}}`, "$not.$nope", "unknown operator"},
		{`{"a":{"$ref":5}}`, "a.$ref", "a reference is a path"},
		{`{"a":{"$gt":{"$ref":""}}}`, "a.$gt.$ref", "a reference is a path"},
		{`{"a":{"$ref":"a..b"}}`, "a.$ref", "a reference is a path"},
		{`{"a":{"$ref":"a[x]"}}`, "a.$ref", "a reference is a path"},
		{`{"a":{"$ref":"a[-1]"}}`, "a.$ref", "a reference is a path"},
		{`{"a":{"$ref":"a[0"}}`, "a.$ref", "a reference is a path"},
		{deep(MaxFilterDepth), strings.TrimSuffix(strings.Repeat("a.", MaxFilterDepth), "."), "levels deep"},
		{`{"a":[` + strings.TrimSuffix(strings.Repeat("1,", MaxFilterNodes), ",") + `]}`, fmt.Sprintf("a.%d", MaxFilterNodes-2), "at most 1000 values"},
		{`{"a":"` + strings.Repeat("x", MaxFilterBytes) + `"}`, "", "at most 16384 bytes"},
	} {
		_, err := Compile(filter(c.filter))
		e, ok := err.(*hark.Error)
		if !ok || e.Code != hark.Invalid || len(e.Fields) != 1 {
			t.Errorf("%.60s: error %v, want one invalid field", c.filter, err)
			continue
		}
		want := strings.TrimSuffix("body.filter."+c.loc, ".")
		if got := strings.Join(e.Fields[0].Loc, "."); got != want || !strings.Contains(e.Fields[0].Msg, c.msg) {
			t.Errorf("%.60s: %s: %s, want %s: …%s…", c.filter, got, e.Fields[0].Msg, want, c.msg)
		}
	}
	mustCompile(t, filter(deep(MaxFilterDepth-1)))
	mustCompile(t, filter(`{"a":[`+strings.TrimSuffix(strings.Repeat("1,", MaxFilterNodes-2), ",")+`]}`))
}

func TestCompile_KnowsEveryOperatorItLists(t *testing.T) {
	for name := range comparisons {
		if !slices.Contains(knownOperators, name) {
			t.Errorf("%s is not listed", name)
		}
	}
	if got, want := len(knownOperators), len(comparisons)+6; got != want {
		t.Errorf("%d operators listed, %d known", got, want)
	}
}

func TestMatch_EndsOnAnyPayload(t *testing.T) {
	elements := strings.TrimSuffix(strings.Repeat(`{"x":1},`, 20_000), ",")
	hostile := map[string]string{
		"many nodes over a long list": `{"l":[` + strings.TrimSuffix(strings.Repeat(`{"x":2},`, 300), ",") + `]}`,
		"a list against itself":       `{"l":{"$in":{"$ref":"l"},"$nin":[5],"$neq":{"$ref":"m"}}}`,
		"not contained":               `{"$not":{"l":{"$ref":"m"}}}`,
		"long numbers":                `{"l":{"x":{"$lt":{"$ref":"n"},"$gt":{"$ref":"n"}}}}`,
		"long text":                   `{"l":{"x":{"$startsWith":{"$ref":"s"}}}}`,
	}
	payload := []byte(`{"l":[` + elements + `],"m":[` + elements + `,{"x":2}],"n":` + strings.Repeat("7", 100_000) + `,"s":["a"]}`)
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			m := mustCompile(t, filter(text))
			s := NewSubject("a", nil, payload)
			s.document()
			start := time.Now()
			m.Match(s)
			m.Explain(s)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestMatch_OutOfStepsIsNoMatch(t *testing.T) {
	// Each element of the filter's list looks at the whole list of the payload before it gives up.
	m := mustCompile(t, filter(`{"$not":{"l":{"$not":[`+strings.TrimSuffix(strings.Repeat(`{"x":{"$neq":1}},`, 200), ",")+`]}}}`))
	m2 := mustCompile(t, filter(`{"$not":{"l":{"$or":[`+strings.TrimSuffix(strings.Repeat(`{"x":2},`, 200), ",")+`]}}}`))
	payload := []byte(`{"l":[` + strings.TrimSuffix(strings.Repeat(`{"x":1},`, 20_000), ",") + `]}`)
	if m.Match(NewSubject("a", nil, payload)) {
		t.Error("matched what is excluded")
	}
	s := NewSubject("a", nil, payload)
	if m2.Match(s) {
		t.Error("a filter that ran out of steps matched")
	}
	if v := m2.Explain(s); !strings.Contains(v.Detail, "steps") {
		t.Errorf("verdict %+v, want a word about steps", v)
	}
}

func FuzzFilter(f *testing.F) {
	for _, c := range filterCases {
		f.Add(c.filter, c.payload)
	}
	f.Fuzz(func(t *testing.T, text, payload string) {
		m, err := Compile(filter(text))
		if err != nil {
			if hark.CodeOf(err) != hark.Invalid {
				t.Fatalf("error %v is not Invalid", err)
			}
			return
		}
		s := NewSubject("a", nil, []byte(payload))
		matched, v := m.Match(s), m.Explain(s)
		if matched != v.Matched || matched == (v.Detail != "") {
			t.Errorf("%s on %s: matched %v, verdict %+v", text, payload, matched, v)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	payload := []byte(`{"type":"invoice.paid","data":{"id":"in_1","amount":4200,"currency":"eur","customer":{"id":"cus_1","plan":"pro"},` +
		`"lines":[{"sku":"A","qty":1},{"sku":"B","qty":2}],"note":"` + strings.Repeat("x", 800) + `"}}`)
	types := mustCompile(b, Rule{EventTypes: []string{"a", "b", "invoice.paid"}, Channels: []string{"x", "eu"}})
	filtered := mustCompile(b, filter(`{"data":{"amount":{"$gte":1000},"customer":{"plan":{"$in":["pro","team"]}},"lines":{"sku":"B"}}}`))
	b.Run("types and channels", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			types.Match(NewSubject("invoice.paid", []string{"eu"}, payload))
		}
	})
	b.Run("filter with parsing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !filtered.Match(NewSubject("invoice.paid", nil, payload)) {
				b.Fatal("no match")
			}
		}
	})
	b.Run("filter alone", func(b *testing.B) {
		s := NewSubject("invoice.paid", nil, payload)
		b.ReportAllocs()
		for b.Loop() {
			filtered.Match(s)
		}
	})
	b.Run("line", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Line(payload, "/data/customer/id")
		}
	})
}
