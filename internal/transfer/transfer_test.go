package transfer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgres"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/store/storetest"
	"github.com/harkhq/hark/internal/transfer"
	"github.com/harkhq/hark/internal/vault"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

var now = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func quiet(string, int64, int64) {}

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.Parse(vault.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// movable is a store that can be moved.
type movable interface {
	store.Store
	store.Mover
}

func newSQLite(t testing.TB, keys *vault.Vault) movable {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newPostgres(t testing.TB, keys *vault.Vault) movable {
	t.Helper()
	url := postgrestest.Shared(t).Database(t, "hark", func(url string) error {
		return postgres.Migrate(context.Background(), url, postgres.Options{})
	})
	s, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func export(t testing.TB, from store.Mover, keys *vault.Vault, plain bool) ([]byte, transfer.Counts) {
	t.Helper()
	var file bytes.Buffer
	counts, err := transfer.Export(t.Context(), from, &file, keys, transfer.Source{Version: "1.2.3", Store: "sqlite", Plain: plain}, now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), counts
}

func importInto(t testing.TB, to store.Mover, file []byte, keys *vault.Vault) (transfer.Counts, error) {
	t.Helper()
	r, err := transfer.NewReader(bytes.NewReader(file), keys)
	if err != nil {
		return transfer.Counts{}, err
	}
	return transfer.Import(t.Context(), r, to, 0, quiet)
}

// records are a store's, each as JSON with its secrets, sorted: refs that begin with a day may bring
// messages into another order.
func records(t *testing.T, s movable) []store.Record {
	t.Helper()
	all := storetest.Records(t, s)
	for i := range all {
		if task := all[i].Task; task != nil { // what the file leaves out on purpose
			var fields map[string]any
			if err := json.Unmarshal(task.Data, &fields); err != nil {
				t.Fatal(err)
			}
			delete(fields, "cursor")
			task.Data, _ = json.Marshal(fields)
		}
	}
	slices.SortStableFunc(all, func(a, b store.Record) int {
		if a.Message == nil || b.Message == nil {
			return 0
		}
		return strings.Compare(string(a.Message.ID), string(b.Message.ID))
	})
	return all
}

func TestImport_KeepsEveryRecordThereAndBack(t *testing.T) {
	keys := newVault(t)
	first := newSQLite(t, keys)
	messages := 1000
	if os.Getenv("HARK_TESTS") == "all" {
		messages = 3000
	}
	storetest.Furnish(t, first, messages)
	want := records(t, first)

	file, wrote := export(t, first, keys, false)
	second := newPostgres(t, keys)
	read, err := importInto(t, second, file, keys)
	if err != nil {
		t.Fatal(err)
	}
	if read != wrote || read.Messages != int64(messages)+16 || read.Restarted != 1 {
		t.Errorf("exported %+v, imported %+v", wrote, read)
	}
	storetest.SameRecords(t, "SQLite to PostgreSQL", records(t, second), want)

	file, _ = export(t, second, keys, true)
	third := newSQLite(t, keys)
	if _, err := importInto(t, third, file, keys); err != nil {
		t.Fatal(err)
	}
	storetest.SameRecords(t, "and back", records(t, third), want)
	if wrong, err := third.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %v %v", wrong, err)
	}
}

// furnished is a small file.
func furnished(t testing.TB, keys *vault.Vault, plain bool) []byte {
	s := newSQLite(t, keys)
	if inner, ok := t.(*testing.T); ok {
		storetest.Furnish(inner, s, 12)
	}
	file, _ := export(t, s, keys, plain)
	return file
}

func check(file []byte, keys *vault.Vault) (transfer.Counts, error) {
	r, err := transfer.NewReader(bytes.NewReader(file), keys)
	if err != nil {
		return transfer.Counts{}, err
	}
	return transfer.Check(context.Background(), r, quiet)
}

func TestExport_HidesSecrets(t *testing.T) {
	keys := newVault(t)
	file := furnished(t, keys, true)
	for _, secret := range []string{"bmV3IHNlY3JldCBuZXcgc2VjcmV0", "b2xkIHNlY3JldCBvbGQgc2VjcmV0", "hidden header", "token of app_", "whsec_1"} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the file shows %q", secret)
		}
	}
}

func TestCheck_FindsEveryDamage(t *testing.T) {
	keys := newVault(t)
	cuts, step := 20, 499
	if os.Getenv("HARK_TESTS") == "all" {
		cuts, step = 100, 97
	}
	for _, plain := range []bool{true, false} {
		file := furnished(t, keys, plain)
		if _, err := check(file, keys); err != nil {
			t.Fatal(err)
		}
		if _, err := check(file, newVault(t)); !errors.Is(err, transfer.ErrKey) {
			t.Errorf("another key: %v", err)
		}
		for cut := range cuts {
			if _, err := check(file[:len(file)*cut/cuts], keys); err == nil {
				t.Errorf("cut at %d of %d: no error", cut, cuts)
			}
		}
		for at := 2; at < len(file); at += step {
			bent := bytes.Clone(file)
			bent[at] ^= 0x04
			if _, err := check(bent, keys); err == nil && (plain || !bytes.Equal(unzipped(bent), unzipped(file))) {
				t.Errorf("byte %d of %d bent: no error", at, len(file))
			}
		}
		if _, err := check(append(bytes.Clone(file), "more\n"...), keys); err == nil {
			t.Error("something behind the end: no error")
		}
	}
}

// unzipped is what a file says. Some of gzip's bits say nothing: the name and time in its header, and what
// fills a byte before a block that is stored as it is.
func unzipped(file []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil
	}
	text, _ := io.ReadAll(r) // as far as it can be read
	return text
}

func TestCheck_FindsWhatSomebodyChanged(t *testing.T) {
	keys := newVault(t)
	lines := bytes.SplitAfter(furnished(t, keys, true), []byte("\n"))
	for name, change := range map[string]func() [][]byte{
		"a line left out": func() [][]byte { return slices.Delete(slices.Clone(lines), len(lines)-5, len(lines)-4) },
		"two lines swapped": func() [][]byte {
			l := slices.Clone(lines)
			l[len(l)-4], l[len(l)-5] = l[len(l)-5], l[len(l)-4]
			return l
		},
		"another header": func() [][]byte {
			l := slices.Clone(lines)
			l[0] = bytes.Replace(l[0], []byte("1.2.3"), []byte("1.2.4"), 1)
			return l
		},
		"an unknown field": func() [][]byte {
			l := slices.Clone(lines)
			l[1] = bytes.Replace(l[1], []byte(`"id"`), []byte(`"more":1,"id"`), 1)
			return l
		},
	} {
		if _, err := check(bytes.Join(change(), nil), keys); !errors.Is(err, transfer.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := bytes.Replace(lines[0], []byte(`"format":1`), []byte(`"format":2`), 1)
	if _, err := check(newer, keys); !errors.Is(err, transfer.ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	for _, text := range []string{"", "{}", "hello", "{\"hark\":\"other\"}\n"} {
		if _, err := check([]byte(text), keys); !errors.Is(err, transfer.ErrNotExport) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestImport_RefusesAStoreThatIsNotEmpty(t *testing.T) {
	keys := newVault(t)
	file := furnished(t, keys, false)
	s := newSQLite(t, keys)
	if err := s.InsertEnvironment(t.Context(), hark.Environment{ID: hark.NewEnvironmentID(now), Name: "live"}); err != nil {
		t.Fatal(err)
	}
	if _, err := importInto(t, s, file, keys); hark.CodeOf(err) != hark.Conflict {
		t.Errorf("got %v, want Conflict", err)
	}
}

// forgetful loses a message when it is read back.
type forgetful struct{ store.Mover }

func (f forgetful) Export(ctx context.Context, visit func(*store.Record) error) error {
	lost := false
	return f.Mover.Export(ctx, func(r *store.Record) error {
		if r.Message != nil && !lost {
			lost = true
			r.Message.Payload = []byte("something else")
		}
		return visit(r)
	})
}

func TestImport_NoticesWhatTheStoreGotWrong(t *testing.T) {
	keys := newVault(t)
	file := furnished(t, keys, false)
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := importInto(t, forgetful{s}, file, keys); !errors.Is(err, transfer.ErrDiffers) {
		t.Errorf("got %v, want ErrDiffers", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), dir, sqlite.Options{Sealer: keys}); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("opened: %v", err)
	}
}

func TestExport_WorksBesideAWriter(t *testing.T) {
	keys := newVault(t)
	s := newSQLite(t, keys)
	storetest.Furnish(t, s, 200)
	var file bytes.Buffer
	added := false
	_, err := transfer.Export(t.Context(), s, &file, keys, transfer.Source{}, now, func(string, int64, int64) {
		if !added { // in the middle
			added = true
			if err := s.InsertEnvironment(t.Context(), hark.Environment{ID: hark.NewEnvironmentID(now), Name: "late"}); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	counts, err := check(file.Bytes(), keys)
	if err != nil || counts.Environments != 2 || !added {
		t.Errorf("environments: %d, %v", counts.Environments, err)
	}
}

func FuzzReader(f *testing.F) {
	keys := newVault(f)
	plain := furnished(f, keys, true)
	f.Add(plain)
	f.Add(furnished(f, keys, false))
	header, _, _ := bytes.Cut(plain, []byte("\n"))
	f.Add([]byte(`{"message":{"application":1,"id":"msg_","eventType":"a","payload":{"base64":"/w=="},"attempts":[{"id":"x"}],"queue":[{"line":1}]}}`))
	f.Add([]byte(`{"endpoint":{"number":1,"application":1,"id":"ep_1","url":"","sealed":"AA=="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, file := range [][]byte{text, slices.Concat(header, []byte("\n"), text)} {
			r, err := transfer.NewReader(bytes.NewReader(file), keys)
			if err != nil {
				continue
			}
			for range 100 {
				if _, err := r.Next(); err != nil {
					if errors.Is(err, io.EOF) && !bytes.Equal(file, plain) && !isZipped(file) {
						t.Errorf("taken for whole: %q", file)
					}
					break
				}
			}
		}
	})
}

func isZipped(file []byte) bool {
	_, err := gzip.NewReader(bytes.NewReader(file))
	return err == nil
}
