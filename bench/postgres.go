package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/test/harness"
)

// database is a PostgreSQL of the benchmark's own, with every commit synced to the disk. Hark's nodes
// share it; its costs are counted beside theirs.
type database struct {
	*postgrestest.Server
	key   string // the nodes' master key
	first string // ref of the first message that is counted; "" counts all
}

const databaseName = "hark"

// databaseSettings are what an operator would set on a machine of this size; the rest are PostgreSQL's
// defaults: fsync, synchronous_commit and full_page_writes are on.
var databaseSettings = []string{
	"shared_buffers=256MB", "max_wal_size=4GB", "max_connections=100",
	"shared_preload_libraries=pg_stat_statements",
}

// shownSettings are what the report says of the database.
var shownSettings = []string{
	"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_compression",
	"shared_buffers", "max_wal_size", "checkpoint_timeout", "autovacuum",
}

func (b *bench) startDatabase(ctx context.Context, r *report) (*database, error) {
	// PostgreSQL refuses to run as root: its own user must be able to reach its folder.
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return nil, err
	}
	s, err := postgrestest.Start(postgrestest.Options{Fsync: true, Dir: b.dir, Settings: databaseSettings})
	if err != nil {
		return nil, err
	}
	d := &database{Server: s, key: masterKey()}
	if err := d.prepare(ctx, r); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return d, nil
}

func masterKey() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return base64.StdEncoding.EncodeToString(key[:])
}

func (d *database) prepare(ctx context.Context, r *report) error {
	if err := d.Exec(ctx, "postgres", "CREATE DATABASE "+databaseName); err != nil {
		return err
	}
	if err := d.Exec(ctx, databaseName, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return fmt.Errorf("count statements: %w", err)
	}
	var shown []string
	for _, name := range shownSettings {
		rows, err := d.Query(ctx, databaseName, "SHOW "+name)
		if err != nil {
			return err
		}
		shown = append(shown, name+" "+rows[0][0])
	}
	r.About += "; PostgreSQL: " + strings.Join(shown, ", ")
	return nil
}

func (d *database) end() {
	_ = d.Remove() // the folder above is removed as well
}

// numbers answers the only row of a statement.
func (d *database) numbers(ctx context.Context, statement string) ([]float64, error) {
	rows, err := d.Query(ctx, databaseName, statement)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%d rows, want one: %s", len(rows), statement)
	}
	var all []float64
	for _, text := range rows[0] {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// counters are what the database has done so far.
type counters struct {
	CPU                             time.Duration
	WAL, Statements, Commits, Syncs float64
}

// costs are counters for each message. CPU is in microseconds, WAL in bytes.
type costs struct {
	CPU        float64 `json:"cpu_us_per_message"`
	WAL        float64 `json:"wal_bytes_per_message"`
	Statements float64 `json:"statements_per_message"`
	Commits    float64 `json:"commits_per_message"`
	Syncs      float64 `json:"syncs_per_message"`
}

// read answers nothing without a database.
func (d *database) read(ctx context.Context) (c counters, err error) {
	if d == nil {
		return c, nil
	}
	n, err := d.numbers(ctx, `SELECT pg_current_wal_lsn() - '0/0', (SELECT sum(calls) FROM pg_stat_statements),
  (SELECT sum(xact_commit) FROM pg_stat_database), (SELECT wal_sync FROM pg_stat_wal)`)
	if err != nil {
		return c, err
	}
	return counters{CPU: harness.FamilyCPU(d.PID()), WAL: n[0], Statements: n[1], Commits: n[2], Syncs: n[3]}, nil
}

func (c counters) minus(before counters) counters {
	return counters{c.CPU - before.CPU, c.WAL - before.WAL, c.Statements - before.Statements, c.Commits - before.Commits, c.Syncs - before.Syncs}
}

// each divides by the number of messages; nothing was counted without a database.
func (c counters) each(messages int64) *costs {
	if c == (counters{}) || messages == 0 {
		return nil
	}
	n := float64(messages)
	return &costs{micros(c.CPU, messages), c.WAL / n, c.Statements / n, c.Commits / n, c.Syncs / n}
}

// startNodes starts servers that share the database.
func (b *bench) startNodes(ctx context.Context, d *database, n int) (*hark, error) {
	h := &hark{database: d}
	for i := range n {
		one, err := b.startOn(ctx, d, i == 0)
		if err != nil {
			h.end()
			return nil, err
		}
		if i == 0 {
			h.Server, h.client, h.dir, h.profiles = one.Server, one.client, one.dir, one.profiles
		} else {
			h.others = append(h.others, one)
		}
	}
	return h, h.balanced(ctx)
}

func (b *bench) startOn(ctx context.Context, d *database, migrate bool) (*hark, error) {
	args := []string{"--database", d.URL(databaseName)}
	if migrate {
		args = append(args, "--migrate")
	}
	return b.startServer(ctx, "", args, []string{"HARK_MASTER_KEY=" + d.key})
}

// balanced waits until every node has its share.
func (h *hark) balanced(ctx context.Context) error {
	nodes := 1 + len(h.others)
	for range 600 {
		n, err := h.database.numbers(ctx, `SELECT count(*), coalesce(min(n), 0) FROM (SELECT count(*) AS n FROM hark.lease WHERE node <> '' GROUP BY node) AS s`)
		if err != nil {
			return err
		}
		if int(n[0]) == nodes && int(n[1]) >= 256/nodes {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the nodes do not share the work")
}

// recorded counts the successful attempts at messages behind d.first, in the database itself: the
// server's statistics over a long history would take longer than what is measured.
func (d *database) recorded(ctx context.Context) (int64, error) {
	n, err := d.numbers(ctx, `SELECT count(*) FROM hark.attempt WHERE message >= `+cmp.Or(d.first, "0")+` AND status = 0`)
	if err != nil {
		return 0, err
	}
	return int64(n[0]), nil
}

// statements adds to the report what the database did for how long.
func (d *database) statements(ctx context.Context, r *report, messages int64) error {
	rows, err := d.Query(ctx, databaseName, `SELECT left(regexp_replace(query, '\s+', ' ', 'g'), 48), sum(calls), sum(total_exec_time) * 1000
FROM pg_stat_statements GROUP BY 1 ORDER BY 3 DESC LIMIT 12`)
	if err != nil {
		return err
	}
	if r.Values == nil {
		r.Values = map[string]float64{}
	}
	for _, row := range rows {
		calls, _ := strconv.ParseFloat(row[1], 64)
		took, _ := strconv.ParseFloat(row[2], 64)
		r.Values["µs per message: "+row[0]] = took / float64(max(messages, 1))
		r.Values["calls: "+row[0]] = calls
	}
	return nil
}

// forget starts counting statements anew.
func (d *database) forget(ctx context.Context) error {
	return d.Exec(ctx, databaseName, "SELECT pg_stat_statements_reset()")
}

// load writes a history of ten days, until now, straight into the tables: a day's tables are filled and
// then attached, so that their indexes are built at once. Each message was delivered by one attempt.
func (d *database) load(ctx context.Context, messages int64) error {
	const days = 10
	today := time.Now().Unix() / 86400
	for i := range int64(days) {
		day, n := today-days+1+i, (messages*(i+1))/days-(messages*i)/days
		seconds := int64(86000)
		if day == today {
			seconds = time.Now().Unix() % 86400
		}
		if err := d.loadDay(ctx, day, n, max(seconds, 1)); err != nil {
			return fmt.Errorf("load history: %w", err)
		}
	}
	rows, err := d.Query(ctx, databaseName, `SELECT max(ref) + 1 FROM hark.message`)
	if err != nil {
		return err
	}
	d.first = rows[0][0]
	// As in a database that has run for long: statistics are there, and nothing waits to be cleaned up.
	_, err = d.Query(ctx, databaseName, "VACUUM (ANALYZE) hark.message")
	for _, statement := range []string{"VACUUM (ANALYZE) hark.payload", "VACUUM (ANALYZE) hark.attempt", "CHECKPOINT"} {
		if err == nil {
			_, err = d.Query(ctx, databaseName, statement)
		}
	}
	return err
}

func (d *database) loadDay(ctx context.Context, day, messages, seconds int64) error {
	here, err := d.numbers(ctx, fmt.Sprintf("SELECT count(*) FROM hark.day WHERE day = %d", day))
	if err != nil {
		return err
	}
	suffix := time.Unix(day*86400, 0).UTC().Format("_20060102")
	expand := strings.NewReplacer("{suffix}", suffix, "{day}", strconv.FormatInt(day, 10), "{n}", strconv.FormatInt(messages, 10),
		"{seconds}", strconv.FormatInt(seconds, 10))
	script := "SET work_mem = '256MB'; SET maintenance_work_mem = '256MB'; SET search_path = hark;"
	if here[0] == 0 {
		script += makeDaySQL
	}
	script += fillDaySQL
	if here[0] == 0 {
		script += attachDaySQL
	}
	_, err = d.Query(ctx, databaseName, expand.Replace(script))
	return err
}

const (
	makeDaySQL = `
CREATE TABLE message{suffix} (LIKE message INCLUDING DEFAULTS INCLUDING STORAGE);
CREATE TABLE payload{suffix} (LIKE payload INCLUDING DEFAULTS INCLUDING STORAGE);
CREATE TABLE attempt{suffix} (LIKE attempt INCLUDING DEFAULTS INCLUDING STORAGE);
INSERT INTO day (day) VALUES ({day});`

	// A message's ref is its day and a number that all days share; its id is a KSUID.
	fillDaySQL = `
CREATE TEMPORARY TABLE target AS
SELECT row_number() OVER (ORDER BY ref) - 1 AS i, ref AS endpoint, application, url FROM endpoint;
CREATE TEMPORARY TABLE fresh AS
WITH numbers AS (UPDATE counter SET next = next + {n} WHERE name = 'message' RETURNING next - {n} AS first)
SELECT ({day}::bigint << 44) + first + n AS ref, t.application, t.endpoint, t.url, at,
  int4send((at / 1000 - 1400000000)::integer) || '\x00'::bytea || substr(sha256(int8send(first + n)), 1, 15) AS id
FROM numbers CROSS JOIN generate_series(0::bigint, {n} - 1) AS n
JOIN target AS t ON t.i = n % (SELECT count(*) FROM target)
CROSS JOIN LATERAL (SELECT ({day}::bigint * 86400 + n * {seconds} / {n}) * 1000 AS at) AS times;
INSERT INTO message{suffix} (ref, application, created_at, deliver_at, payload_expires_at, expunged, id, event_type, matched)
SELECT ref, application, at, 0, 0, false, id, 'bench.event', decode(lpad(to_hex(endpoint % 128), 2, '0'), 'hex') FROM fresh;
INSERT INTO payload{suffix} (message, body)
SELECT ref, convert_to('{"sentAt":0,"seq":0,"pad":"' || repeat('x', 995) || '"}', 'UTF8') FROM fresh;
INSERT INTO attempt{suffix} (message, endpoint, started_at, next_attempt, duration, dns, connect, tls, first_byte, number, status_code, status,
  manual, id, url)
SELECT ref, endpoint, at, 0, 900, 0, 0, 0, 700, 1, 200, 0, 0, id, url FROM fresh;
DROP TABLE fresh, target;`

	attachDaySQL = `
ALTER TABLE message ATTACH PARTITION message{suffix} FOR VALUES FROM ({day}::bigint << 44) TO (({day}::bigint + 1) << 44);
ALTER TABLE payload ATTACH PARTITION payload{suffix} FOR VALUES FROM ({day}::bigint << 44) TO (({day}::bigint + 1) << 44);
ALTER TABLE attempt ATTACH PARTITION attempt{suffix} FOR VALUES FROM ({day}::bigint << 44) TO (({day}::bigint + 1) << 44);`
)

// churn queues rows for the endpoints in turn and removes them, so many at a time that nobody sees them:
// they are dead at once. They were due before those to come, where their lanes are read from.
func (d *database) churn(ctx context.Context, rows int64) error {
	const step = 100_000
	due := time.Now().UnixMilli() - rows
	for from := int64(0); from < rows; from += step {
		if _, err := d.Query(ctx, databaseName, fmt.Sprintf(churnSQL, from, due, min(step, rows-from))); err != nil {
			return fmt.Errorf("churn: %w", err)
		}
	}
	// It took a minute instead of many: what it wrote would be on the disk by now.
	_, err := d.Query(ctx, databaseName, "CHECKPOINT")
	return err
}

// One query is one transaction. The shard is the highest byte of the product that Hark takes.
const churnSQL = `INSERT INTO hark.queue (shard, manual, attempts, endpoint, due, message, retry_at, line)
SELECT trunc(e.ref * 11400714819323198485 %% 18446744073709551616 / 72057594037927936), 0, 0, e.ref, %[2]d + n, n + 1, 0, 0
FROM generate_series(%[1]d::bigint, %[1]d::bigint + %[3]d - 1) AS n
JOIN (SELECT ref, row_number() OVER (ORDER BY ref) - 1 AS i FROM hark.endpoint) AS e ON e.i = n %% (SELECT count(*) FROM hark.endpoint);
DELETE FROM hark.queue WHERE message > %[1]d AND message <= %[1]d::bigint + %[3]d`
