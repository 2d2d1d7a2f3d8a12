package match

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func decodeStandard(payload []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func TestParse_RefusesWhatIsNoJSON(t *testing.T) {
	for _, payload := range []string{
		"", " ", "{", "[", `"`, `"\`, `"\"`, "{]", "[}", "[1", "[1,", "[1 2]", "[,]", `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`,
		`{a:1}`, `{"a":1 "b":2}`, "tru", "nul", "x", "1 2", "{} {}", `"\x"`, `"\u12"`, strings.Repeat("[", maxPayloadDepth+2),
	} {
		if v, ok := parse([]byte(payload)); ok {
			t.Errorf("%.40q gave %v", payload, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range filterCases {
		f.Add([]byte(c.payload))
	}
	f.Add([]byte(" [ 1 , -2.5e+7 , \"\\ud83d\\ude00\\n\" , { \"\" : [ ] , \"x\" : { } } , true , false , null ] "))
	f.Add([]byte(`"\ud800"`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, ok := parse(payload)
		if !json.Valid(payload) || !utf8.Valid(payload) {
			return // only that it returns
		}
		want, err := decodeStandard(payload)
		if ok != (err == nil) {
			t.Fatalf("%q: ok %v, encoding/json says %v", payload, ok, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-encoding/json +parse):\n%s", payload, diff)
		}
	})
}
