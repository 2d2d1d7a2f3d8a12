package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
)

func TestNewKey_MakesATextThatParsesAndIsKeptAsAHash(t *testing.T) {
	for name, segment := range map[string]string{"live": "live", "Test": "test", "späße-2": "spe2", "": "env", "--": "env"} {
		issued := NewKey(hark.Environment{ID: "org_x", Name: name}, hark.ScopeRead, "n", time.Now())
		env, err := ParseKey(issued.Text)
		if err != nil || env != segment {
			t.Errorf("%q: ParseKey(%q) = %q, %v; want %q", name, issued.Text, env, err, segment)
		}
		if issued.Key.Hash != HashKey(issued.Text) {
			t.Errorf("%q: the hash is of something else", name)
		}
		if !strings.HasPrefix(issued.Text, issued.Key.Prefix) || len(issued.Text)-len(issued.Key.Prefix) < 40 {
			t.Errorf("%q: prefix %q says too much or nothing", name, issued.Key.Prefix)
		}
	}
}

func TestParseKey_NoticesEveryTypingMistake(t *testing.T) {
	text := generateKey("live")
	for i := range text {
		for _, r := range []byte{'0', 'A', '_', ' '} {
			if text[i] == r {
				continue
			}
			if wrong := text[:i] + string(r) + text[i+1:]; parses(wrong) {
				t.Errorf("%q passes for %q", wrong, text)
			}
		}
	}
	for _, wrong := range []string{"", "hark_", "hark_live_", text + "0", text[:len(text)-1], strings.ToUpper(text), " " + text} {
		if parses(wrong) {
			t.Errorf("%q passes", wrong)
		}
	}
}

func parses(text string) bool {
	_, err := ParseKey(text)
	return err == nil
}

func FuzzParseKey(f *testing.F) {
	f.Add(generateKey("live"))
	f.Add("hark_live_")
	f.Add("hark__00000000000000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		env, err := ParseKey(text)
		if err == nil && (!strings.HasPrefix(text, "hark_"+env+"_") || len(text) > 80) {
			t.Errorf("%q is a key of %q", text, env)
		}
	})
}
