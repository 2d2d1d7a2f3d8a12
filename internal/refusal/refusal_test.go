package refusal_test

import (
	"testing"

	"github.com/harkhq/hark/internal/refusal"
)

func TestRead_UnderstandsBothShapesAndNothingElse(t *testing.T) {
	for body, want := range map[string]refusal.Refusal{
		`{"code":"not_found","detail":"There is none."}`: {Code: "not_found", Detail: "There is none."},
		`{"code":"invalid","detail":[{"loc":["body","filter","a"],"msg":"must be a number"},{"loc":["query"],"msg":"what is this"}]}`: {
			Code: "invalid", Detail: "filter.a: must be a number; query: what is this", Field: "filter.a",
		},
		`{"code":"invalid","detail":[{"loc":[],"msg":"no"}]}`: {Code: "invalid", Detail: ": no"},
		`{"code":"odd","detail":{"a":1}}`:                     {Code: "odd"},
		`{"code":"odd","detail":[1]}`:                         {Code: "odd"},
		`{"code":"odd"}`:                                      {Code: "odd"},
		`{"code":"odd","detail":null}`:                        {Code: "odd"},
		`{"code":7,"detail":"x"}`:                             {},
		`<html>Bad Gateway</html>`:                            {},
		``:                                                    {},
	} {
		if got := refusal.Read([]byte(body)); got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
}
