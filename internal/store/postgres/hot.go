package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark/internal/store/row"
)

// A writer's connection: its statements are prepared once, and go to the server many at a time.

// statement is a prepared one.
type statement = pgconn.StatementDescription

// transactionTimeout is how long a group may take, from the first byte to the answer.
const transactionTimeout = 5 * time.Second

// The tables are too small and change too fast for the planner to know anything about them: every
// plan is the one that walks the key, made once.
const hotSettingsSQL = `SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
SET enable_mergejoin = off; SET enable_bitmapscan = off; SET jit = off`

const (
	// The first version is one that the row never had, should retention have taken it for abandoned.
	registerWriterSQL = `INSERT INTO writer (id, node, seq, version, at) VALUES ($1, $2, 0, $3, $3) ON CONFLICT DO NOTHING`

	// A node that may hold leases makes a row only while nobody deals them: whoever takes its shards over
	// would not see a row that is new just then, and not stop what is written under it.
	registerAgainSQL = `INSERT INTO writer (id, node, seq, version, at)
SELECT $1, $2, 0, $3, $3 FROM counter AS c
WHERE c.name = 'lease' AND NOT EXISTS (SELECT 1 FROM writer WHERE id = $1)
FOR SHARE OF c
ON CONFLICT DO NOTHING`
)

// hotStatements are what the hot path consists of.
var hotStatements = map[string]string{
	"begin": `BEGIN`, "commit": `COMMIT`, "rollback": `ROLLBACK`,
	"version": versionSQL, "mark": markSQL, "was committed": wasCommittedSQL, "leases": leasesSQL,
	"versions": versionsSQL, "assert versions": assertVersionsSQL,
	"find keys": findMessageKeysSQL, "put keys": putMessageKeysSQL, "insert event ids": insertEventIDsSQL,
	"find event ids": findEventIDsSQL, "delete event ids": deleteEventIDsSQL,
	"insert messages": insertMessagesSQL, "insert payloads": insertPayloadsSQL, "insert expiries": insertExpiriesSQL,
	"insert requests": insertRequestsSQL, "insert contents": insertContentsSQL,
	"feed": feedSQL, "insert feed": insertFeedSQL,
	"insert queue": insertQueueSQL, "enqueue": enqueueSQL, "remove": removeSQL, "remove all": removeAllSQL,
	"make room": makeRoomSQL, "move": moveSQL, "insert attempts": insertAttemptsSQL, "insert new attempts": insertNewAttemptsSQL,
	"insert new queue": insertNewQueueSQL, "take outbox": takeOutboxSQL, "lock outbox": lockOutboxSQL,
}

// connect makes the writer's connection, if it has none.
func (w *writer) connect(ctx context.Context) error {
	if w.raw != nil && !w.raw.IsClosed() {
		return nil
	}
	raw, err := w.store.connect(ctx, writerName+w.name)
	if err != nil {
		return err
	}
	pg := raw.PgConn()
	if _, err := pg.Exec(ctx, hotSettingsSQL).ReadAll(); codeOf(err) == "" && err != nil {
		_ = raw.Close(ctx) // lost already
		return err
	} // a database that does not know these settings does without
	w.stmt = make(map[string]*statement, len(hotStatements))
	for name, text := range hotStatements {
		if w.stmt[name], err = pg.Prepare(ctx, name, text, nil); err != nil {
			_ = raw.Close(ctx) // the reason is err
			return fmt.Errorf("prepare %s: %w", name, err)
		}
	}
	node, register := "", registerWriterSQL
	if m := w.store.node.Load(); m != nil {
		node, register = m.node, registerAgainSQL
	}
	if _, err := raw.Exec(ctx, register, w.id, node, row.Millis(time.Now())); err != nil {
		_ = raw.Close(ctx)
		return err
	}
	w.raw = raw
	return nil
}

// rowLife is how many transactions change a writer's row before it gets another id. As long as anybody
// keeps a transaction open, no version of a row that was replaced since can be cleaned up, and whoever
// looks for the id walks through all of them: with a new one, through few.
const rowLife = 256

const renameWriterSQL = `UPDATE writer SET id = $2 WHERE id = $1`

// renameRow gives the row another id. While a Beat is under way, which may name it, the next time will do.
func (w *writer) renameRow() {
	if w.raw == nil || w.raw.IsClosed() || !w.store.beat.TryLock() {
		return
	}
	defer w.store.beat.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	base, count, _ := strings.Cut(w.id, ".")
	n, _ := strconv.Atoi(count) // it is ours
	old := w.id
	w.id, w.marks = base+"."+strconv.Itoa(n+1), 0
	if _, err := w.raw.Exec(ctx, renameWriterSQL, old, w.id); err != nil {
		w.disconnect() // the next connection makes the row if it is not there
	}
}

func (w *writer) disconnect() {
	if w.raw == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.raw.Close(ctx) // there is nothing to lose any more
	w.raw = nil
}

const removeWriterSQL = `DELETE FROM writer WHERE id = $1`

// retire leaves nothing behind.
func (w *writer) retire() {
	if w.raw != nil && !w.raw.IsClosed() && w.doubt == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = w.raw.Exec(ctx, removeWriterSQL, w.id) // else retention does it
	}
	w.disconnect()
}

// batch is statements that go to the server together.
type batch struct {
	pgconn.Batch
	w *writer
	n int
}

var binary1 = []int16{1}

func (w *writer) batch() *batch { return &batch{w: w} }

func (b *batch) add(statement string, params ...[]byte) {
	b.ExecStatement(b.w.stmt[statement], params, binary1, binary1)
	b.n++
}

// addTable adds a table's statement, if it has rows. Its result is the one with the answered index.
func (b *batch) addTable(t *table) (result int) {
	if t.len() == 0 {
		return -1
	}
	b.add(t.statement, t.params()...)
	return b.n - 1
}

// send runs the batch and answers each statement's rows.
func (b *batch) send(ctx context.Context) ([]*pgconn.Result, error) {
	results, err := b.w.raw.PgConn().ExecBatch(ctx, &b.Batch).ReadAll()
	if err == nil && len(results) != b.n {
		err = fmt.Errorf("%d of %d statements were answered", len(results), b.n)
	}
	return results, err
}

// errDoubt says that a commit was on its way when something broke.
type errDoubt struct {
	error
	seq int64
}

func (e *errDoubt) Unwrap() error { return e.error }

const (
	versionSQL = `SELECT version FROM writer WHERE id = $1`

	// The last thing in every transaction of a writer. If somebody has raised the version meanwhile,
	// dividing by zero ends the transaction; if not, who wants to raise it waits for the commit.
	markSQL = `WITH mark AS (UPDATE writer SET seq = $2 WHERE id = $1 AND version = $3 RETURNING id)
SELECT 1 / count(*) FROM mark`

	// Raising the version keeps a transaction that is still on its way from being committed later.
	wasCommittedSQL = `UPDATE writer SET version = version + 1 WHERE id = $1 RETURNING seq, version`
)

// ask asks whether the transaction with the number was committed. If not, it never will be.
func (w *writer) ask(seq int64) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	w.disconnect()
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	b := w.batch()
	b.add("was committed", []byte(w.id))
	results, err := b.send(ctx)
	if err != nil {
		w.disconnect()
		return false, err
	}
	if len(results[0].Rows) == 0 {
		return false, errors.New("a writer's row is missing")
	}
	w.version, w.held = wireInt(results[0].Rows[0][1]), nil // who else has raised it, and why, is not known
	return wireInt(results[0].Rows[0][0]) == seq, nil
}
