package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// group is what one transaction is to do.
type group struct {
	accept   []*acceptance
	settle   []*settlement
	enqueue  []enqueued
	requests []*request
}

// enqueued is a delivery with the write that brought it.
type enqueued struct {
	op *write
	d  *hark.Delivery
}

// tables are the rows that a group writes, in the order in which they are written: what goes first,
// so that a row which is queued beside a success that removes others stays.
type tables struct {
	remove, removeAll, makeRoom, move          *table
	messages, payloads, expiries, queue, added *table
	attempts, requests, contents               *table
	fed, feed                                  *table // queue rows that feed consumers; what an import knows to be fed
	outbox                                     *table // rows whose messages are accepted
}

func newTables() tables {
	return tables{
		remove:    newTable("remove", oidInt2, oidInt8, oidInt8, oidInt8),
		removeAll: newTable("remove all", oidInt8, oidInt8),
		makeRoom:  newTable("make room", oidInt2, oidInt8, oidInt8, oidInt8, oidInt8),
		move:      newTable("move", oidInt2, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt4),
		messages: newTable("insert messages", oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidBool, oidByte, oidText, oidText,
			oidText, oidText, oidByte),
		payloads: newTable("insert payloads", oidInt8, oidByte, oidByte, oidByte),
		expiries: newTable("insert expiries", oidInt8, oidInt8),
		queue:    newTable("insert queue", oidInt2, oidInt2, oidInt4, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8),
		added:    newTable("enqueue", oidInt2, oidInt2, oidInt4, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8),
		attempts: newTable("insert attempts", oidInt8, oidInt8, oidInt8, oidInt8, oidInt4, oidInt4, oidInt4, oidInt4, oidInt4, oidInt4,
			oidInt2, oidInt2, oidInt2, oidByte, oidText, oidText, oidByte, oidByte),
		outbox: newTable("take outbox", oidInt8),
		requests: newTable("insert requests", oidInt8, oidInt8, oidInt8, oidInt4, oidInt4, oidInt4, oidInt2, oidInt2, oidBool, oidByte, oidByte,
			oidText, oidText, oidText, oidText, oidText, oidText),
		fed:      newTable("feed", oidInt2, oidInt8, oidInt8, oidInt8, oidInt8),
		feed:     newTable("insert feed", oidInt8, oidInt8, oidInt8, oidInt8),
		contents: newTable("insert contents", oidInt8, oidInt8, oidByte, oidByte, oidByte),
	}
}

func (t *tables) all() [15]*table {
	return [...]*table{t.outbox, t.fed, t.remove, t.removeAll, t.makeRoom, t.move, t.messages, t.payloads, t.expiries, t.queue, t.added, t.attempts, t.requests, t.contents, t.feed}
}

// attempt runs the group in one transaction. After an error nothing of it is left, unless the
// error is an errDoubt.
func (w *writer) attempt(ops []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	defer func() { // however it ended, even by a panic
		if w.raw != nil && (w.raw.IsClosed() || w.raw.PgConn().TxStatus() != 'I') {
			w.disconnect()
		}
	}()
	return guarded(func() error {
		if err := w.connect(ctx); err != nil {
			return err
		}
		if err := w.prepare(ctx, ops); err != nil {
			return err
		}
		err := errNeedsAnswers
		if w.isPlain() {
			err = w.swiftly(ctx)
		}
		if errors.Is(err, errNeedsAnswers) || codeOf(err) == codeDivision || isUnique(err) {
			err = w.carefully(ctx)
		}
		if codeOf(err) == codeDivision {
			err = errAgain
		}
		return err
	})
}

// errNeedsAnswers says that a group cannot be written without asking the database something first.
var errNeedsAnswers = errors.New("the group needs answers")

// prepare collects what the writes want, gives out refs, sees to the days' tables, and waits for other
// writers where they must tell first.
func (w *writer) prepare(ctx context.Context, ops []*write) error {
	w.made() // nothing, when it was tried before
	g := &w.group
	clear(g.accept)
	clear(g.requests)
	g.accept, g.settle, g.enqueue, g.requests = g.accept[:0], g.settle[:0], g.enqueue[:0], g.requests[:0]
	for _, op := range ops {
		op.err, op.queued = nil, op.queued[:0]
		for i := range op.accept {
			g.accept = append(g.accept, &op.accept[i])
		}
		for i := range op.settle {
			op.settle[i].Fenced = false
			g.settle = append(g.settle, &op.settle[i])
		}
		for i := range op.requests {
			g.requests = append(g.requests, &op.requests[i])
		}
		for i := range op.enqueue {
			g.enqueue = append(g.enqueue, enqueued{op, &op.enqueue[i]})
		}
	}
	var number int64
	if n := len(g.accept); n > 0 {
		var err error
		if number, err = w.refs.take(ctx, w.store, int64(n)); err != nil {
			return err
		}
		for i, a := range g.accept {
			a.Outcome, a.Existing = store.Accepted, ""
			for u := range a.Unique {
				a.Unique[u].Existing = ""
			}
			a.ref = a.day<<dayShift | (number + int64(i))
		}
	}
	if err := w.ensureDays(ctx); err != nil {
		return err
	}
	return w.begin(ctx, number)
}

func (w *writer) ensureDays(ctx context.Context) error {
	for _, a := range w.group.accept {
		if err := w.store.ensureDay(ctx, a.day); err != nil {
			return err
		}
		if a.request == nil {
			continue
		}
		if err := w.store.ensureDay(ctx, dayOf(a.request.id)); err != nil {
			return err
		}
	}
	for _, q := range w.group.requests {
		if err := w.store.ensureDay(ctx, dayOf(q.id)); err != nil {
			return err
		}
	}
	for _, s := range w.group.settle {
		if s.Attempt == nil {
			continue
		}
		if err := w.store.ensureDay(ctx, s.Delivery.MessageRef>>dayShift); err != nil {
			return err
		}
	}
	return nil
}

// isPlain says whether nothing needs to be asked before the group can be written.
func (w *writer) isPlain() bool {
	for _, a := range w.group.accept {
		if a.Key != nil || a.Message.EventID != "" || len(a.Unique) > 0 {
			return false
		}
	}
	if w.store.node.Load() == nil {
		return true
	}
	for _, s := range w.group.settle {
		if !w.holds(s) {
			return false
		}
	}
	return true
}

// holds says whether the node holds the lease under which a settlement's attempt was made, if it needs one.
func (w *writer) holds(s *settlement) bool {
	epoch, ok := w.held[store.ShardOf(s.Delivery.EndpointRef)]
	return s.Told || ok && (s.Epoch == 0 || s.Epoch == epoch)
}

// swiftly writes the group in one round trip. A batch is a transaction: the server commits at its
// end, or nothing of it.
func (w *writer) swiftly(ctx context.Context) error {
	w.seq++
	b := w.batch()
	if refs, versions := w.configVersions(); refs.n > 0 {
		b.add("assert versions", refs.param(), versions.param())
	}
	w.fill()
	added := w.addTables(b)
	b.add("mark", []byte(w.id), wireParam(w.seq), wireParam(w.version))
	results, err := b.send(ctx)
	if err != nil {
		return w.failed(ctx, err, false)
	}
	w.marks++
	w.noteAdded(results, added)
	return nil
}

// configVersions are the applications' versions by which the messages were matched.
func (w *writer) configVersions() (refs, versions *column) {
	refs, versions = &column{oid: oidInt8}, &column{oid: oidInt8}
	var last [2]int64 // most of a group's messages are of few applications
	seen := make(map[[2]int64]bool)
	for _, a := range w.group.accept {
		key := [2]int64{a.Message.ApplicationRef, a.ConfigVersion}
		if a.ConfigVersion == 0 || key == last || seen[key] {
			continue
		}
		last, seen[key] = key, true
		refs.int8(key[0])
		versions.int8(key[1])
	}
	return refs, versions
}

// carefully writes the group in a transaction that asks first: which messages are stale or came
// before, and which shards the node still delivers for.
func (w *writer) carefully(ctx context.Context) error {
	w.seq++
	if err := w.askFirst(ctx); err != nil {
		return w.failed(ctx, err, true)
	}
	b := w.batch()
	w.fill()
	w.tables.queue.statement, w.tables.attempts.statement = "insert new queue", "insert new attempts"
	added := w.addTables(b)
	w.tables.queue.statement, w.tables.attempts.statement = "insert queue", "insert attempts"
	b.add("mark", []byte(w.id), wireParam(w.seq), wireParam(w.version))
	b.add("commit")
	results, err := b.send(ctx)
	if err != nil {
		return w.failed(ctx, err, false)
	}
	w.marks++
	w.noteAdded(results, added)
	return nil
}

// failed ends a transaction that went wrong. certain says that its commit was not sent yet.
func (w *writer) failed(ctx context.Context, err error, certain bool) error {
	if !certain && inDoubt(err) {
		w.disconnect()
		return &errDoubt{err, w.seq}
	}
	if w.raw != nil && !w.raw.IsClosed() && w.raw.PgConn().TxStatus() != 'I' {
		b := w.batch()
		b.add("rollback")
		_, _ = b.send(ctx) // else the connection goes
	}
	return err
}

// addTables adds the tables' statements; it answers which result says what Enqueue added.
func (w *writer) addTables(b *batch) (added int) {
	for _, t := range w.tables.all() {
		n := b.addTable(t)
		if t == w.tables.added {
			added = n
		}
	}
	return added
}

// noteAdded tells the Enqueue calls which of their deliveries were new.
func (w *writer) noteAdded(results []*pgconn.Result, added int) {
	if added < 0 {
		return
	}
	type place struct{ endpoint, due, message int64 }
	fresh := make(map[place]bool, len(results[added].Rows))
	for _, r := range results[added].Rows {
		fresh[place{wireInt(r[0]), wireInt(r[1]), wireInt(r[2])}] = true
	}
	for _, e := range w.group.enqueue {
		p := place{e.d.EndpointRef, e.d.Due, e.d.MessageRef}
		if fresh[p] {
			e.op.queued = append(e.op.queued, *e.d)
			delete(fresh, p) // given twice, it is one row
		}
	}
}

// fill writes the group's rows into the tables.
func (w *writer) fill() {
	for _, t := range w.tables.all() {
		t.reset()
	}
	for _, s := range w.group.settle {
		if !s.Fenced {
			w.tables.settle(s)
		}
	}
	for _, a := range w.group.accept {
		if a.Outcome == store.Accepted {
			w.tables.accept(a)
		}
	}
	for _, e := range w.group.enqueue {
		w.tables.added.queue(e.d)
	}
	for _, q := range w.group.requests {
		w.tables.request(q)
		w.tables.content(q)
	}
}

const (
	versionsSQL = `SELECT ref, version FROM application WHERE ref = ANY ($1::bigint[]) AND deleted_at = 0`

	assertVersionsSQL = `SELECT 1 / (CASE WHEN count(*) = cardinality($1::bigint[]) THEN 1 ELSE 0 END)
FROM unnest($1::bigint[], $2::bigint[]) AS v (ref, version)
JOIN application AS a ON a.ref = v.ref AND a.version = v.version AND a.deleted_at = 0`

	leasesSQL = `SELECT shard, epoch FROM lease WHERE node = $1`
)

// askFirst opens the transaction and decides what becomes of each of the group's parts.
func (w *writer) askFirst(ctx context.Context) error {
	m := w.store.node.Load()
	node := ""
	if m != nil {
		node = m.node
	}
	apps, _ := w.configVersions()
	b := w.batch()
	b.add("begin")
	b.add("version", []byte(w.id))
	b.add("versions", apps.param())
	b.add("leases", []byte(node))
	outbox := w.lockOutbox(b)
	results, err := b.send(ctx)
	if err != nil {
		return err
	}
	if len(results[1].Rows) == 0 {
		return w.registerAgain(ctx)
	}
	w.version = wireInt(results[1].Rows[0][0])
	w.held = make(map[int]int64, len(results[3].Rows))
	for _, r := range results[3].Rows {
		w.held[int(wireInt(r[0]))] = wireInt(r[1])
	}
	for _, s := range w.group.settle {
		s.Fenced = m != nil && !w.holds(s)
	}
	versions := make(map[hark.Ref]int64, len(results[2].Rows))
	for _, r := range results[2].Rows {
		versions[wireInt(r[0])] = wireInt(r[1])
	}
	for _, a := range w.group.accept {
		if a.ConfigVersion != 0 && a.ConfigVersion != versions[a.Message.ApplicationRef] {
			a.Outcome = store.Stale
		}
	}
	if outbox >= 0 {
		w.noteTaken(results[outbox])
	}
	return w.guard(ctx)
}

// registerAgain writes the writer's row that retention took for abandoned.
func (w *writer) registerAgain(ctx context.Context) error {
	w.disconnect() // and with it the transaction
	if err := w.connect(ctx); err != nil {
		return err
	}
	return errAgain
}
