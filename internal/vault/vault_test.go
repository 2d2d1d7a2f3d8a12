package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mustParse(t testing.TB, text string) *Vault {
	t.Helper()
	v, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpen_GivesBackWhatWasSealed(t *testing.T) {
	v := mustParse(t, NewKey())
	for _, plain := range []string{"", "whsec_abc", strings.Repeat("x", 10_000)} {
		got, err := v.Open(v.Seal([]byte(plain), []byte("place")), []byte("place"))
		if err != nil || string(got) != plain {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(plain))
		}
	}
	if a, b := v.Seal([]byte("same"), nil), v.Seal([]byte("same"), nil); bytes.Equal(a, b) {
		t.Error("the same text was sealed to the same bytes twice")
	}
}

func TestOpen_RefusesAnotherPlaceKeyOrAnyChangedByte(t *testing.T) {
	v := mustParse(t, NewKey())
	sealed := v.Seal([]byte("secret"), []byte("place"))
	if _, err := v.Open(sealed, []byte("elsewhere")); !errors.Is(err, ErrSealed) {
		t.Errorf("another place: %v", err)
	}
	if _, err := mustParse(t, NewKey()).Open(sealed, []byte("place")); !errors.Is(err, ErrSealed) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := v.Open(changed, []byte("place")); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := v.Open(sealed[:i], []byte("place")); !errors.Is(err, ErrSealed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestParse_FirstKeySealsAllOpen(t *testing.T) {
	a, b := NewKey(), NewKey()
	old := mustParse(t, a)
	both := mustParse(t, "# rotated\n"+b+"\n\n"+a+"\n")
	if _, err := both.Open(old.Seal([]byte("x"), nil), nil); err != nil {
		t.Errorf("open with the second key: %v", err)
	}
	if _, err := mustParse(t, b).Open(both.Seal([]byte("x"), nil), nil); err != nil {
		t.Errorf("sealed with the first key: %v", err)
	}
	if got, want := both.Derive("tokens"), mustParse(t, b).Derive("tokens"); got != want {
		t.Error("derived from another key than the first")
	}
}

func TestDerive_KeepsPurposesApart(t *testing.T) {
	v := mustParse(t, NewKey())
	if v.Derive("a") == v.Derive("b") {
		t.Error("two purposes share a key")
	}
	if first, again := v.Derive("a"), v.Derive("a"); first != again {
		t.Error("one purpose has two keys")
	}
}

func TestParse_RefusesWhatIsNoKey(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", "short", NewKey() + "x", NewKey() + "\nc2hvcnQ="} {
		if _, err := Parse(text); !errors.Is(err, ErrKey) {
			t.Errorf("Parse(%q): %v, want ErrKey", text, err)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the key")
		}
	}
}

func TestLoadOrCreate_MakesOneKeyForAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	derived := make([][32]byte, 8)
	var wg sync.WaitGroup
	for i := range derived {
		wg.Go(func() {
			v, err := LoadOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			derived[i] = v.Derive("x")
		})
	}
	wg.Wait()
	for _, d := range derived {
		if d != derived[0] {
			t.Fatal("two starts at once got different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoad_RefusesAFileThatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666} {
		if err := os.WriteFile(path, []byte(NewKey()), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrExposed) {
			t.Errorf("mode %o: %v, want ErrExposed", mode, err)
		}
	}
}

func TestVault_PrintsNoKey(t *testing.T) {
	v := mustParse(t, NewKey())
	for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s", v, v, v, v)} {
		if strings.Trim(text, "• ") != "" {
			t.Errorf("printed %q", text)
		}
	}
}

func FuzzOpen(f *testing.F) {
	v := mustParse(f, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	genuine := v.Seal([]byte("secret"), []byte("place"))
	f.Add(genuine, []byte("place"))
	f.Add(genuine[:20], []byte("place"))
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 2, 3}, []byte("place"))
	f.Fuzz(func(t *testing.T, sealed, about []byte) {
		plain, err := v.Open(sealed, about)
		// Only what was sealed opens: nobody can make more of it without the key.
		if err == nil && (string(plain) != "secret" || string(about) != "place") {
			t.Errorf("opened %x for %q: %q", sealed, about, plain)
		}
	})
}
