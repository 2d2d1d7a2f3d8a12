package sqlite

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
	"github.com/harkhq/hark/internal/store/storetest"
)

func openTest(t testing.TB, dir string, options Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestStore_KeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return openTest(t, dir, Options{}) })
}

func TestOpen_RefusesASecondProcess(t *testing.T) {
	dir := t.TempDir()
	openTest(t, dir, Options{})
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
	s := openTest(t, dir, Options{ReadOnly: true})
	if _, err := s.ListEnvironments(t.Context()); err != nil {
		t.Errorf("read beside: %v", err)
	}
	if err := s.Ping(t.Context()); hark.CodeOf(err) != hark.Unavailable {
		t.Errorf("write beside: %v, want Unavailable", err)
	}
}

func TestQueries_ArePreparedAgainstTheSchema(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	all := storetest.Queries(t)
	if len(all) < 50 {
		t.Fatalf("found only %d queries", len(all))
	}
	w := s.writer
	for _, b := range w.bulks() {
		for _, text := range []string{b.large, b.middle, b.single} {
			all[text[:30]+strconv.Itoa(len(text))] = text
		}
	}
	for _, part := range []string{"insertMessageSQL", "insertPayloadSQL", "insertQueueSQL", "insertAttemptSQL", "deleteQueueSQL", "insertRequestSQL", "insertContentSQL", "insertFeedSQL"} {
		delete(all, part) // heads of the above
	}
	err := s.apart(func(c *conn) error {
		if _, err := c.exec(sortQueueSQL); err != nil { // others read it
			return err
		}
		delete(all, "sortQueueSQL")
		for name, text := range all {
			if strings.HasPrefix(name, "open") { // scripts, run by every Open
				continue
			}
			if _, err := c.prepare(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const dumpSchemaSQL = `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid`

// UPDATE_GOLDEN=1 rewrites schema.sql.
func TestSchema_IsTheGoldenFile(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	var b strings.Builder
	b.WriteString("-- The schema after all migrations, written by TestSchema_IsTheGoldenFile. To change it, add a migration.\n")
	err := s.apart(func(c *conn) error {
		return c.query(func(r row.Row) error {
			text := r.Text(0)
			if strings.HasPrefix(text, "CREATE TABLE") {
				b.WriteString("\n")
			}
			b.WriteString(text + ";\n")
			return nil
		}, dumpSchemaSQL)
	})
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("schema.sql", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("schema.sql is not what the migrations make (-file +migrations):\n%s", diff)
	}
}
