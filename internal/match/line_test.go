package match

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLine_FindsTheValue(t *testing.T) {
	const payload = ` { "a" : { "b" : [ 10 , { "c" : "x\"}," } ] , "" : "empty" } , "a/b" : 1 , "m~n" : 2 , "é" : 3, "t":true, "n":null, "s":"}" } `
	for pointer, same := range map[string]string{
		"/a/b/0":   `10`,
		"/a/b/1/c": `"x\"},"`,
		"/a/b":     `[10,{"c":"x\"},"}]`,
		"/a/":      `"empty"`,
		"/a~1b":    `1`,
		"/m~0n":    `2`,
		"/é":       `3`,
		"/t":       `true`,
		"/s":       `"}"`,
	} {
		want, ok := hashValue([]byte(same))
		if !ok {
			t.Fatal(same)
		}
		if got, ok := Line([]byte(payload), pointer); !ok || got != want {
			t.Errorf("%s: line %x (%v), want that of %s", pointer, got, ok, same)
		}
	}
	for _, pointer := range []string{"/x", "/a/x", "/a/b/2", "/a/b/-", "/a/b/00", "/a/b/1/c/0", "/t/x", "/n", "/s/0", "a", "/a/b/0/0"} {
		if line, ok := Line([]byte(payload), pointer); ok {
			t.Errorf("%s: line %x, want none", pointer, line)
		}
	}
}

func TestLine_EscapedNamesAreTheSame(t *testing.T) {
	a, ok1 := Line([]byte(`{"\u0061\/":"\u0078"}`), "/a~1")
	b, ok2 := Line([]byte(`{"a/":"x"}`), "/a~1")
	if !ok1 || !ok2 || a != b {
		t.Errorf("lines %x (%v) and %x (%v)", a, ok1, b, ok2)
	}
}

func TestLine_SameValueSameLine(t *testing.T) {
	groups := [][]string{
		{`1`, `1.0`, `10e-1`, ` 1 `},
		{`"1"`, "\"\\u0031\""},
		{`-1`}, {`0`, `-0`, `0.00`}, {`10`, `1e1`}, {`"10"`}, {`true`}, {`"true"`}, {`false`}, {`""`},
		{`{"a":1,"b":2}`, `{ "b" : 2, "a" : 1 }`}, {`[1,2]`, `[1, 2]`}, {`[2,1]`}, {`{}`}, {`[]`},
	}
	seen := map[uint64]string{}
	for _, group := range groups {
		first, _ := Line([]byte(`{"k":`+group[0]+`}`), "/k")
		for _, value := range group {
			if line, ok := Line([]byte(`{"k":`+value+`}`), "/k"); !ok || line != first {
				t.Errorf("%s is not in the line of %s", value, group[0])
			}
		}
		if other, taken := seen[first]; taken {
			t.Errorf("%s is in the line of %s", group[0], other)
		}
		seen[first] = group[0]
	}
}

func TestLine_IsStableAcrossVersions(t *testing.T) {
	// Lines are stored: a change here would let queued deliveries overtake each other.
	for payload, want := range map[string]uint64{
		`{"k":"cus_1"}`: 0xfd1d8952756c394f,
		`{"k":42}`:      0xb8007eb9a99d23cf,
	} {
		if got, _ := Line([]byte(payload), "/k"); got != want {
			t.Errorf("%s: line %#x, want %#x", payload, got, want)
		}
	}
}

func TestValidPointer(t *testing.T) {
	for _, good := range []string{"/", "/a", "/a/0/b", "/a~0~1b", "//", "/é"} {
		if err := ValidPointer(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a", "#/a", "/a~", "/a~2", "/~~0", "/" + strings.Repeat("x", maxPointerBytes)} {
		if ValidPointer(bad) == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"x"]}}`), "/a/b/1")
	f.Add([]byte(`{"a" `), "/a")
	f.Add([]byte(`["`), "/0")
	f.Fuzz(func(t *testing.T, payload []byte, pointer string) {
		line, ok := Line(payload, pointer)
		if ValidPointer(pointer) != nil || !json.Valid(payload) {
			return
		}
		// White space around and inside the payload must not matter.
		indented, err := json.MarshalIndent(json.RawMessage(payload), " ", "\t")
		if err != nil {
			return
		}
		if again, okAgain := Line(indented, pointer); again != line || okAgain != ok {
			t.Errorf("%s of %s: line %x (%v), indented %x (%v)", pointer, payload, line, ok, again, okAgain)
		}
	})
}
