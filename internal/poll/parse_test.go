package poll

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/harkhq/hark"
)

func TestNextLink_ReadsRFC8288(t *testing.T) {
	for line, want := range map[string]string{
		`<https://a/?page=2>; rel="next"`:                                   "https://a/?page=2",
		`<https://a/1>; rel=prev, <https://a/3>; rel=next`:                  "https://a/3",
		`<https://a/1>;title="a, <b>; rel=next";rel=last, <c>;rel="x NEXT"`: "c",
		`<https://a/?q=1,2>; rel="next"`:                                    "https://a/?q=1,2",
		`<a>; rel=prev; rel=next`:                                           "", // only the first counts
		`<a>; nexus="next"`:                                                 "",
		`a; rel=next`:                                                       "",
		`<a; rel=next`:                                                      "",
		``:                                                                  "",
	} {
		if got := nextLink(http.Header{"Link": {line}}); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if got := nextLink(http.Header{"Link": {`<a>; rel=prev`, `<b>; rel=next`}}); got != "b" {
		t.Errorf("two fields: got %q", got)
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<https://a/1>;title="a, <b>";rel=last, <c>;rel="x NEXT"`)
	f.Add(`<a>; rel="\"`)
	f.Fuzz(func(_ *testing.T, line string) { nextLink(http.Header{"Link": {line}}) })
}

func TestLookup_FollowsRFC6901(t *testing.T) {
	const doc = `{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"deep":{"er":[{"x":null}]}}`
	for pointer, want := range map[string]string{
		"": doc, "/foo": `["bar","baz"]`, "/foo/0": `"bar"`, "/": "0", "/a~1b": "1", "/m~0n": "8", "/deep/er/0/x": "null",
		"/foo/2": "", "/foo/-1": "", "/foo/x": "", "/none": "", "/foo/0/x": "", "/deep/er/0/x/y": "",
	} {
		got, ok := lookup(json.RawMessage(doc), pointer)
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q: got %s, %v", pointer, got, ok)
		}
	}
}

func FuzzItems(f *testing.F) {
	f.Add(`{"data":[{"id":1,"at":"2026"},{"id":"x"}]}`, "/data", "/id")
	f.Add(`[[1],[2]]`, "", "/0")
	f.Fuzz(func(t *testing.T, body, items, id string) {
		if !ValidPointer(items) || !ValidPointer(id) {
			return
		}
		s := hark.PollerSettings{IDPath: id}
		all, err := itemsOf([]byte(body), items)
		if err != nil {
			return
		}
		for _, raw := range all {
			one, err := newItem(&s, raw)
			if err != nil {
				continue
			}
			again, err := newItem(&s, canonical(raw))
			if err != nil || again.key != one.key || again.content != one.content {
				t.Fatalf("%s is not what %s is", canonical(raw), raw)
			}
		}
	})
}

func TestLater_ComparesNumbersAndTimes(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"", "1", true}, {"1", "", false}, {"9", "10", true}, {"10", "9", false}, {"1.5", "1.25", false}, {"9007199254740993", "9007199254740992", false},
		{"2026-01-31T10:00:00Z", "2026-02-01T09:00:00Z", true}, {"b", "a", false}, {"a", "a", false},
	} {
		if got := later(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %v", tt.a, tt.b, got)
		}
	}
}
