package manage

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Null is a field that was set to null.
func Null[T any]() Opt[T] { return Opt[T]{Set: true, Null: true} }

func TestOpt_TellsLeftOutFromNullFromGiven(t *testing.T) {
	type fields struct {
		A Opt[string]   `json:"a,omitzero"`
		B Opt[[]string] `json:"b,omitzero"`
		C Opt[int]      `json:"c,omitzero"`
	}
	for text, want := range map[string]fields{
		`{}`:                         {},
		`{"a":null,"b":null}`:        {A: Null[string](), B: Null[[]string]()},
		`{"a":"","b":[],"c":0}`:      {A: Some(""), B: Some([]string{}), C: Some(0)},
		`{"a":"x","b":["y"],"c":-1}`: {A: Some("x"), B: Some([]string{"y"}), C: Some(-1)},
	} {
		var got fields
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		back, err := json.Marshal(got)
		if err != nil || string(back) != text {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
}

func FuzzOpt(f *testing.F) {
	for _, text := range []string{`null`, ` null `, `{"a":1}`, `[]`, `"x"`, `1e9`, `nul`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var opt Opt[any]
		var plain any
		err, plainErr := json.Unmarshal(text, &opt), json.Unmarshal(text, &plain)
		if (err == nil) != (plainErr == nil) {
			t.Fatalf("%q: %v, plain %v", text, err, plainErr)
		}
		if err == nil && (!opt.Set || opt.Null != (plain == nil) || !cmp.Equal(opt.Value, plain)) {
			t.Errorf("%q: %+v, plain %v", text, opt, plain)
		}
	})
}
