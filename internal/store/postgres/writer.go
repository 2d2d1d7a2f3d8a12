package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// A group is bounded, so that those who come next do not wait long for it.
const (
	groupItems = 1024
	smallGroup = 128 // fewer are not worth a second writer: they wait, and grow meanwhile
	groupBytes = 16 << 20
)

// write is one call that waits for a writer. Whatever can be computed beforehand was, on the
// caller's goroutine.
type write struct {
	accept   []acceptance
	settle   []settlement
	enqueue  []hark.Delivery
	requests []request

	items, bytes int
	queued       []hark.Delivery // what Enqueue added
	err          error
	done         chan struct{} // closed when err is final
}

// writers are the goroutines of the hot path, and what waits for them.
type writers struct {
	store   *Store
	all     []*writer
	running sync.WaitGroup

	mu      sync.Mutex
	change  *sync.Cond // something waits, a writer is free, or it is over
	waiting row.Waiting[*write]
	busy    int // writers that have a group
	stopped bool

	hook     func([]hark.Delivery)
	hookTurn sync.Mutex // it is never called concurrently

	untold sync.Mutex // guards the writers' making
	refs   refBlock
}

// writer is one of them.
type writer struct {
	*writers
	name string    // of its connection
	id   string    // of its row: the name and a number; guarded by Store.beat, too, when it changes
	raw  *pgx.Conn // nil until it is needed, and after it was lost
	stmt map[string]*statement
	seq  int64 // of the last transaction

	// What it knows of its row, and of the leases of its node at that version.
	version int64
	held    map[int]int64
	marks   int // how often it has changed its row since that has its id

	making *making     // what others wait for that it has not told of; nil: nothing
	leases *membership // under which it began to write that; nil: what comes of it may be told of too late
	doubt  *doubt      // a transaction that may have been committed; its callers were told no
	group  group
	tables tables
}

// doubt is what is left to do for a transaction of which nobody knows whether it was committed.
type doubt struct {
	seq    int64
	queued []hark.Delivery
}

func startWriters(ctx context.Context, s *Store, options Options) (*writers, error) {
	ws := &writers{
		store: s,
		waiting: row.Waiting[*write]{
			MaxItems: cmp.Or(options.MaxWaiting, DefaultMaxWaiting),
			MaxBytes: cmp.Or(options.MaxWaitingBytes, DefaultMaxWaitingBytes),
		},
	}
	ws.change = sync.NewCond(&ws.mu)
	for range cmp.Or(options.Writers, DefaultWriters) {
		var id [12]byte
		_, _ = rand.Read(id[:]) // never fails
		w := &writer{writers: ws, name: hex.EncodeToString(id[:]), tables: newTables()}
		w.id = w.name + ".0"
		if err := w.connect(ctx); err != nil {
			for _, w := range ws.all {
				w.disconnect()
			}
			return nil, err
		}
		ws.all = append(ws.all, w)
	}
	for _, w := range ws.all {
		ws.running.Go(w.run)
	}
	return ws, nil
}

// submit hands op to a writer and waits until it is committed. When ctx ends first, op is withdrawn
// if it is still waiting; else its outcome is awaited, because it may be committed.
func (ws *writers) submit(ctx context.Context, op *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	op.done = make(chan struct{})
	if err := ws.push(op); err != nil {
		return err
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		if ws.withdraw(op) {
			return ctx.Err()
		}
		<-op.done
	}
	return op.err
}

func (ws *writers) push(op *write) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.stopped {
		return row.ErrClosed
	}
	if err := ws.waiting.Push(op, op.items, op.bytes, op.accept != nil || op.requests != nil); err != nil {
		return err
	}
	if ws.isWorth() {
		ws.change.Signal()
	}
	return nil
}

// isWorth says whether what waits is worth a group now. A small one is, if nobody writes.
func (ws *writers) isWorth() bool {
	return ws.waiting.Len() > 0 && (ws.busy == 0 || ws.waiting.Items >= smallGroup || ws.waiting.Bytes >= groupBytes/8 || ws.stopped)
}

func (ws *writers) withdraw(op *write) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.waiting.Withdraw(op)
}

// take waits for a group worth writing; nil says that nothing will come.
func (ws *writers) take() []*write {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for !ws.isWorth() {
		if ws.stopped {
			return nil
		}
		ws.change.Wait()
	}
	ws.busy++
	return ws.waiting.Cut(groupItems, groupBytes)
}

// free says that a writer's group is done.
func (ws *writers) free() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.busy--
	ws.change.Signal()
}

func (ws *writers) depth() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.waiting.Items
}

// stop writes what is waiting and ends.
func (ws *writers) stop() {
	ws.mu.Lock()
	ws.stopped = true
	ws.change.Broadcast()
	ws.mu.Unlock()
	ws.running.Wait()
}

// refuse tells everybody who waits that the database is away, so that nobody waits for longer than
// the first of them did.
func (ws *writers) refuse() {
	ws.mu.Lock()
	all := ws.waiting.All()
	ws.mu.Unlock()
	for _, op := range all {
		op.err = unavailable()
		close(op.done)
	}
}

func (w *writer) run() {
	defer w.retire()
	for {
		if w.doubt != nil && !w.clearDoubt() {
			if w.store.isClosed() {
				w.refuse()
				return
			}
			continue
		}
		group := w.take()
		if group == nil {
			return
		}
		w.commit(group)
		if w.marks >= rowLife && w.doubt == nil {
			w.renameRow()
		}
		w.free()
	}
}

// clearDoubt asks what became of the transaction in doubt, and does what is left to do.
func (w *writer) clearDoubt() bool {
	committed, err := w.ask(w.doubt.seq)
	if err != nil {
		w.refuse()
		time.Sleep(between)
		return false
	}
	if committed {
		w.tell(w.doubt.queued)
	}
	w.doubt = nil
	return true
}

// commit makes all of the group durable, or tells each caller why not. When the transaction fails
// for a reason that lies in one of the writes, each is tried alone, so that one bad write spoils no
// other.
func (w *writer) commit(group []*write) {
	end := time.Now().Add(patience)
	for try := 1; ; try++ {
		err := w.attempt(group)
		if err == nil {
			w.finish(group, nil)
			return
		}
		if d, ok := err.(*errDoubt); ok {
			if err = w.resolve(d, group, end); err == nil {
				return
			}
		}
		if codeOf(err) == codeNoPartition && try < 3 { // another node has dropped a day
			w.store.forgetDays()
			continue
		}
		if wait, again := w.store.again(err, try, end); again {
			time.Sleep(wait)
			continue
		}
		if len(group) > 1 && !isAway(err) && !isCollision(err) {
			for i := range group {
				w.commit(group[i : i+1])
			}
			return
		}
		w.finish(group, err)
		if isAway(err) {
			w.refuse()
		}
		return
	}
}

// resolve finds out whether a group was committed whose outcome got lost. It answers nil when the
// callers were told, and why the group must be tried again otherwise.
func (w *writer) resolve(d *errDoubt, group []*write, end time.Time) error {
	w.isLate()
	for {
		committed, err := w.ask(d.seq)
		switch {
		case err == nil && committed:
			for _, op := range group {
				op.queued = op.enqueue // the answer that said which were new is lost
			}
			w.finish(group, nil)
			return nil
		case err == nil:
			return d.error
		case time.Now().After(end) || w.store.isClosed():
			w.doubt = &doubt{seq: d.seq, queued: queuedBy(group, true)}
			w.finish(group, d.error)
			w.refuse()
			return nil
		}
		time.Sleep(between)
	}
}

// finish tells the hook of new deliveries, then wakes the callers.
func (w *writer) finish(group []*write, err error) {
	if err != nil {
		w.store.log.LogAttrs(context.Background(), slog.LevelError, "commit",
			slog.Int("writes", len(group)), slog.Any("err", err))
		err = translate(err)
	} else {
		w.store.commits.Add(1)
		w.tell(queuedBy(group, false))
		w.tellFed(fedBy(group))
	}
	w.made()
	for _, op := range group {
		if op.err == nil {
			op.err = err
		}
		close(op.done)
	}
}

// queuedBy are the deliveries that a group has queued. all counts those of Enqueue without knowing
// whether they were new.
func queuedBy(group []*write, all bool) (queued []hark.Delivery) {
	for _, op := range group {
		for i := range op.accept {
			queued = row.AppendQueued(queued, op.accept[i].Acceptance)
		}
		if all {
			queued = append(queued, op.enqueue...)
		} else {
			queued = append(queued, op.queued...)
		}
	}
	return queued
}

// refBlock gives out numbers for messages' refs. Nodes take them by the thousand, so that a message
// costs no statement for its ref.
type refBlock struct {
	mu        sync.Mutex
	next, end int64
}

const (
	refBlockSize = 8192

	takeRefsSQL = `UPDATE counter SET next = next + $1 WHERE name = 'message' RETURNING next - $1`
)

// take answers the first of n numbers in a row.
func (b *refBlock) take(ctx context.Context, s *Store, n int64) (first int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next+n > b.end {
		size := max(n, refBlockSize)
		// Numbers that are lost with a transaction are missed by nobody, so it is simply tried again.
		if err := s.read(ctx, func(c *conn) error {
			b.next, err = c.int(takeRefsSQL, size)
			return err
		}); err != nil {
			return 0, err
		}
		b.end = b.next + size
	}
	first = b.next
	b.next += n
	return first, nil
}
