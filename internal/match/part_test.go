package match

import (
	"net/http"
	"testing"
)

func TestPart_ReadsWhatSettingsName(t *testing.T) {
	header, body := http.Header{"X-Id": {"a", "b"}}, []byte(`{"id": 7 , "a": {"b": "c"}}`)
	for _, test := range []struct {
		part, want  string
		there, good bool
	}{
		{"header:x-id", "a\x00b", true, true},
		{"header:X-None", "", false, true},
		{"query:page", "2", true, true},
		{"query:none", "", false, true},
		{"/id", "7", true, true},
		{"/a/b", `"c"`, true, true},
		{"/none", "", false, true},
		{"body", string(body), true, true},
		{"/~", "", false, false},
		{"id", string(body), true, false}, // a word, that others may allow
		{"header:", string(body), true, false},
		{"", string(body), true, false},
	} {
		p := ParsePart(test.part)
		got, there := p.Value(header, "page=2&x=1", body)
		if got != test.want || there != test.there || (p.Check() == nil) != test.good {
			t.Errorf("%q: %q, %v, %v", test.part, got, there, p.Check())
		}
	}
}

func TestAppendParts_OtherValuesAreAnotherText(t *testing.T) {
	parts := []Part{ParsePart("/a"), ParsePart("/b")}
	seen := map[string]string{}
	for _, body := range []string{`{"a":"x","b":"y"}`, `{"a":"x"}`, `{"b":"x"}`, `{"a":"xy"}`, `{"a":"","b":"xy"}`, `{"a":null}`, `{}`} {
		text, ok := AppendParts(nil, parts, nil, "", []byte(body))
		if other, twice := seen[string(text)]; twice {
			t.Errorf("%s and %s are the same", body, other)
		}
		if seen[string(text)] = body; ok != (body != "{}") {
			t.Errorf("%s: %v", body, ok)
		}
	}
}
