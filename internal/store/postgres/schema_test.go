package postgres

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/store/row"
	"github.com/harkhq/hark/internal/store/storetest"
)

const (
	dumpTablesSQL = `SELECT c.oid::bigint, c.relname::text, coalesce(pg_get_partkeydef(c.oid), ''), coalesce(array_to_string(c.reloptions, ', '), '')
FROM pg_class c WHERE c.relnamespace = 'hark'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`

	dumpColumnsSQL = `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(l.collname::text, ''),
  CASE WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') END
FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

	dumpIndexesSQL = `SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::oid ORDER BY NOT indisprimary, pg_get_indexdef(indexrelid)`

	dumpChecksSQL = `SELECT 'CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'c' ORDER BY conname`

	dumpTriggersSQL = `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal ORDER BY tgname`
)

// dumpSchema describes all tables, from the catalog.
func dumpSchema(c *conn) (string, error) {
	var b strings.Builder
	b.WriteString("-- The schema after all migrations, written by TestSchema_IsTheGoldenFile. To change it, add a migration.\n")
	type table struct {
		oid                      int64
		name, partition, options string
	}
	tables, err := row.Collect(c.query, func(r row.Row) (table, error) { return table{r.Int(0), r.Text(1), r.Text(2), r.Text(3)}, nil }, dumpTablesSQL)
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		columns, err := row.Collect(c.query, func(r row.Row) (string, error) {
			text := r.Text(0) + " " + r.Text(1)
			if r.Text(3) != "" {
				text += ` COLLATE "` + r.Text(3) + `"`
			}
			if r.Bool(2) {
				text += " NOT NULL"
			}
			return text + r.Text(4), nil
		}, dumpColumnsSQL, t.oid)
		if err != nil {
			return "", err
		}
		checks, err := row.Collect(c.query, scanText, dumpChecksSQL, t.oid)
		if err != nil {
			return "", err
		}
		columns = append(columns, checks...)
		fmt.Fprintf(&b, "\nCREATE TABLE %s (\n  %s\n)", t.name, strings.Join(columns, ",\n  "))
		if t.partition != "" {
			b.WriteString(" PARTITION BY " + t.partition)
		}
		if t.options != "" {
			b.WriteString(" WITH (" + t.options + ")")
		}
		b.WriteString(";\n")
		for _, query := range []string{dumpIndexesSQL, dumpTriggersSQL} {
			parts, err := row.Collect(c.query, scanText, query, t.oid)
			if err != nil {
				return "", err
			}
			for _, text := range parts {
				b.WriteString(strings.ReplaceAll(text, "hark.", "") + ";\n")
			}
		}
	}
	return b.String(), nil
}

func scanText(r row.Row) (string, error) { return r.Text(0), nil }

// UPDATE_GOLDEN=1 rewrites schema.sql.
func TestSchema_IsTheGoldenFile(t *testing.T) {
	s := openTest(t, newDatabase(t, Options{}), Options{})
	var got string
	if err := s.read(t.Context(), func(c *conn) (err error) { got, err = dumpSchema(c); return err }); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("schema.sql is not what the migrations make (-file +migrations):\n%s", diff)
	}
}

func TestQueries_ArePreparedAgainstTheSchema(t *testing.T) {
	for _, options := range []Options{{}, {NoPartitions: true}} {
		s := openTest(t, newDatabase(t, options), options)
		all := storetest.Queries(t)
		if len(all) < 80 {
			t.Fatalf("found only %d queries", len(all))
		}
		if err := onConnection(t.Context(), s.config, func(c *conn) error {
			for name, text := range all {
				if name == "hotSettingsSQL" || name == "readSettingsSQL" { // scripts, run by every connection
					continue
				}
				if _, err := c.raw.(*pgx.Conn).Prepare(t.Context(), name, text); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// Every look at one message goes to its day's tables alone, however many days there are.
func TestQueries_ReadOneDayOnly(t *testing.T) {
	s := openTest(t, newDatabase(t, Options{}), Options{})
	for day := range int64(30) {
		if err := s.ensureDay(t.Context(), 20_000+day); err != nil {
			t.Fatal(err)
		}
	}
	ref := int64(20_007) << dayShift
	plan := func(query string, args ...any) string {
		var b strings.Builder
		if err := s.read(t.Context(), func(c *conn) error {
			return c.query(func(r row.Row) error { b.WriteString(r.Text(0) + "\n"); return nil }, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "+query, args...)
		}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for what, text := range map[string]string{
		"a message by id":   plan(messageByIDSQL, int64(1), make([]byte, 20), ref, ref+(1<<dayShift)),
		"messages by ref":   plan(messagesByRefSQL, []int64{ref + 5}),
		"payloads":          plan(payloadsSQL, []int64{ref + 5}),
		"states":            plan(deliveryStatesSQL, []int64{ref + 5}, []int64{1}),
		"removing messages": plan(deleteMessagesSQL, []int64{ref + 5}),
	} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, " on ") && strings.Contains(line, "_2024") && !strings.Contains(line, partitionOf("", 20_007)) && !strings.Contains(line, "never executed") {
				t.Errorf("%s reads %s", what, strings.TrimSpace(line))
			}
		}
	}
}

// A tail looks at what is behind its floor, of each owner, however much the day already has.
func TestQueries_ATailReadsByOwner(t *testing.T) {
	s := openTest(t, newDatabase(t, Options{}), Options{})
	day := int64(20_007)
	if err := s.ensureDay(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	first, _ := refsOfDay(day)
	floor := hark.KSUIDFloor(time.Unix(day*secondsOfDay, 0).Add(time.Hour))
	for query, want := range map[string]string{
		tailMessagesSQL: "(application = o.application) AND (id > ",
		tailAttemptsSQL: "(endpoint = o.endpoint) AND (id > ",
		tailRequestsSQL: "(source = o.source) AND (id > ",
	} {
		args := []any{[]int64{1, 2}, floor[:], first, row.TailRows, []string(nil)}
		if query == tailRequestsSQL {
			args = append(args, false)
		}
		var plan strings.Builder
		if err := s.read(t.Context(), func(c *conn) error {
			return c.query(func(r row.Row) error { plan.WriteString(r.Text(0) + "\n"); return nil }, "EXPLAIN "+query, args...)
		}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan.String(), want) {
			t.Errorf("%s\nis not read by %s:\n%s", query, want, plan.String())
		}
	}
}

func TestOpen_RefusesASchemaThatIsNotItsOwn(t *testing.T) {
	url := newDatabase(t, Options{})
	openTest(t, url, Options{})
	alter := func(statement string) {
		t.Helper()
		if err := apart(t.Context(), url, func(c *conn) error { _, err := c.exec(statement); return err }); err != nil {
			t.Fatal(err)
		}
	}
	refuses := func(why, want string) {
		t.Helper()
		if s, err := Open(t.Context(), url, Options{Migrate: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", why, err)
			if err == nil {
				_ = s.Close()
			}
		}
	}
	alter(`INSERT INTO migration (name, sha256) VALUES ('9999_future', 'x')`)
	refuses("a newer schema", "9999_future")
	alter(`DELETE FROM migration WHERE name = '9999_future'`)
	alter(`UPDATE migration SET sha256 = 'x' WHERE name = '0001_first'`)
	refuses("a changed migration", "another wording")
}

func TestOpen_SaysWhatCannotBeReached(t *testing.T) {
	_, err := Open(t.Context(), "postgres://somebody:secret@127.0.0.1:1/hark", Options{})
	if hark.CodeOf(err) != hark.Unavailable || !strings.Contains(err.Error(), "127.0.0.1, port 1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if _, err = Open(t.Context(), "postgres://somebody:secret@:x/hark", Options{}); hark.CodeOf(err) != hark.Invalid || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestOpen_MigratesOnlyWhenAskedTo(t *testing.T) {
	url := postgrestest.Shared(t).Database(t, "empty", func(string) error { return nil })
	if _, err := Open(t.Context(), url, Options{}); !errors.Is(err, ErrNotMigrated) {
		t.Errorf("an empty database: %v", err)
	}
	status, err := Migrations(t.Context(), url)
	if err != nil || len(status.Applied) != 0 || len(status.Pending) == 0 {
		t.Errorf("before: %+v, %v", status, err)
	}
	// Two nodes that start at once do not get into each other's way.
	errs := make(chan error)
	for range 3 {
		go func() {
			s, err := Open(t.Context(), url, Options{Migrate: true})
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	status, err = Migrations(t.Context(), url)
	if err != nil || len(status.Applied) == 0 || len(status.Pending)+len(status.Newer)+len(status.Changed) != 0 {
		t.Errorf("after: %+v, %v", status, err)
	}
}
