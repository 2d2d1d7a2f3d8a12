package hark_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/harkhq/hark"
)

func TestKeepHeader_HidesCredentialsAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"Set-Cookie", "sid=s3cr3t; Path=/; HttpOnly", "sid=•••; Path=/; HttpOnly"},
		{"set-cookie", "s3cr3t", "•••"},
		{"Set-Cookie", "a=b=c", "a=•••"},
		{"Authorization", "x", "•••"},
		{"Authentication-Info", "nextnonce=1", "•••"},
		{"X-CSRF-Token", "x", "•••"},
		{"X-Api-Key", "x", "•••"},
		{"X-Auth", "x", "•••"},
		{"X-Debug", "Bearer abc", "•••"},
		{"Location", "https://me:pass@shop.test/a?b=c", "https://shop.test/a?b=c"},
		{"Location", "https://me:pa%ss@shop.test/%zz", "https://shop.test/%zz"},
		{"Content-Location", "//me:p@ss@shop.test?b@c", "//shop.test?b@c"},
		{"Location", "/a?b", "/a?b"},
		{"Location", "/a//b@c", "/a//b@c"},
		{"WWW-Authenticate", `Bearer realm="x"`, `Bearer realm="x"`},
		{"Access-Control-Allow-Credentials", "true", "true"},
		{"Content-Type", "text/plain", "text/plain"},
		{"X-Author", "Basic", "Basic"},
	} {
		got := hark.KeepHeader([]hark.HeadField{{Name: c.name, Value: c.value}})
		if len(got) != 1 || got[0].Name != c.name || got[0].Value != c.want {
			t.Errorf("%s: %s became %v, want %s", c.name, c.value, got, c.want)
		}
	}
}

func TestKeepHeader_IsBoundedAndSaysWhatItLeftOut(t *testing.T) {
	many := make([]hark.HeadField, hark.MaxResponseFields+7)
	for i := range many {
		many[i] = hark.HeadField{Name: "X-A", Value: "b"}
	}
	got := hark.KeepHeader(many)
	if len(got) != hark.MaxResponseFields+1 || got[hark.MaxResponseFields] != (hark.HeadField{Name: "…", Value: "7 more"}) {
		t.Errorf("%d fields, the last %v", len(got), got[len(got)-1])
	}
	if again := hark.KeepHeader(got); !slices.Equal(again, got) {
		t.Errorf("again: %v", again[len(again)-1])
	}
	long := hark.KeepHeader([]hark.HeadField{{Name: "X-Long", Value: strings.Repeat("é", 1<<20)}, {Name: "X-B", Value: "c"}})
	size := len(long[0].Name) + len(long[0].Value)
	if len(long) != 2 || size > hark.MaxResponseHeader || size < hark.MaxResponseHeader-4 || !strings.HasSuffix(long[0].Value, "é…") || !utf8.ValidString(long[0].Value) || long[1].Value != "1 more" {
		t.Errorf("%d bytes, then %v", size, long[1:])
	}
	if again := hark.KeepHeader(long); !slices.Equal(again, long) {
		t.Errorf("again: %v", again[1:])
	}
}

func FuzzKeepHeader(f *testing.F) {
	f.Add("Set-Cookie", "a=b; c", "…", "3 more")
	f.Add("Location", "//u@x", strings.Repeat("n", hark.MaxResponseHeader), "é")
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string) {
		kept := hark.KeepHeader([]hark.HeadField{{Name: name, Value: value}, {Name: name2, Value: value2}, {Name: name, Value: value2}})
		size := 0
		for _, f := range kept {
			size += len(f.Name) + len(f.Value)
		}
		if size > hark.MaxResponseHeader+20 {
			t.Fatalf("%d bytes", size)
		}
		if again := hark.KeepHeader(kept); !slices.Equal(again, kept) {
			t.Fatalf("%q, then %q", kept, again)
		}
		if back, err := hark.DecodeHeader(hark.EncodeHeader(kept)); err != nil || !slices.Equal(back, kept) {
			t.Fatalf("%q, %v", back, err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(hark.EncodeHeader([]hark.HeadField{{Name: "A", Value: "b"}}))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if fields, err := hark.DecodeHeader(encoded); err != nil && fields != nil {
			t.Error("fields and an error")
		}
	})
}
