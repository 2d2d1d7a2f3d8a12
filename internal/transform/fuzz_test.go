package transform_test

import (
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/transform"
)

// FuzzRun gives the engine any script and any payload. Whatever they are, the answer is a message or an
// Error, and never that the engine broke.
func FuzzRun(f *testing.F) {
	all := os.Getenv("HARK_TESTS") == "all" || flag.Lookup("test.fuzz").Value.String() != ""
	for i, test := range hostile {
		if !all && i%5 > 0 {
			continue // TestHostile has run them
		}
		f.Add("function handler(webhook) {"+test.body+"}", `{"n":1}`)
	}
	f.Add(`addHandler("transform", async (request, { env }) => { request.headers.a = env.B; return request })`, "a=b")
	f.Add(`const handler = w => (w.payload.a = [...w.payload.b].reverse(), w)`, `{"b":[12345678901234567890, 1e5, -0.0]}`)
	limits := transform.Limits{Time: 50 * time.Millisecond, Memory: 8 << 20}
	f.Fuzz(func(t *testing.T, source, payload string) {
		s, err := engine(t).Compile(t.Context(), source, nil)
		if err != nil {
			if kind := kindOf(err); kind == "" || kind == transform.Crashed {
				t.Fatalf("compile: %v", err)
			}
			return
		}
		out, err := s.Run(t.Context(), transform.Input{Message: transform.Message{Payload: []byte(payload)}}, limits)
		if kind := kindOf(err); err != nil && (kind == "" || kind == transform.Crashed) {
			t.Fatalf("run: %v", err)
		}
		if err == nil && out.Changed.Payload == (string(out.Payload) == payload) {
			t.Fatalf("%q became %q, changed %v", payload, out.Payload, out.Changed.Payload)
		}
	})
}

// FuzzDigits changes one thing in a payload. Everything else must stay, to the last digit.
func FuzzDigits(f *testing.F) {
	f.Add(`{"a":12345678901234567890,"b":[1.0,2.5e-7,{"c":9007199254740993}]}`)
	f.Add(`{"a":9007199254740993,"b":9007199254740992}`)
	f.Add(`[1e400]`)
	s := compile(f, `function handler(w) { w.payload = [w.payload, "added"]; return w }`)
	f.Fuzz(func(t *testing.T, payload string) {
		var before any
		if !json.Valid([]byte(payload)) || decode(payload, &before) != nil {
			return
		}
		out, err := s.Run(t.Context(), transform.Input{Message: transform.Message{Payload: []byte(payload)}}, transform.Limits{Time: 10 * time.Second})
		if kind := kindOf(err); kind == transform.BadResult || kind == transform.Threw {
			return // it said that it could not; that is allowed
		}
		var after []any
		if err != nil || decode(string(out.Payload), &after) != nil || len(after) != 2 || !same(before, after[0]) {
			t.Fatalf("%s became %s, %v", payload, out.Payload, err)
		}
	})
}

// decode reads a payload with its numbers as they are written.
func decode(payload string, into any) error {
	d := json.NewDecoder(strings.NewReader(payload))
	d.UseNumber()
	return d.Decode(into)
}

// same compares two payloads; of numbers it compares the value, exactly.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key := range a {
			if !same(a[key], b[key]) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, okX := new(big.Rat).SetString(a.String())
		y, okY := new(big.Rat).SetString(b.String())
		return okX && okY && x.Cmp(y) == 0
	}
	return a == b
}
