package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// A group is bounded, so that those who come next do not wait long for it.
const (
	groupItems = 1024
	smallGroup = 64 // fewer are worth waiting for more
	groupBytes = 16 << 20
)

// write is one call that waits for the writer. Whatever can be computed beforehand was, on the
// caller's goroutine: the writer's time is what limits the store.
type write struct {
	accept   []acceptance
	settle   []settlement
	enqueue  []hark.Delivery
	requests []request
	change   func(*conn) error // anything else

	items, bytes int
	queued       []hark.Delivery // what Enqueue added
	err          error
	done         chan struct{} // closed when err is final
}

// writer owns the writing connection and the goroutine that uses it.
type writer struct {
	store *Store
	c     *conn

	mu      sync.Mutex
	waiting row.Waiting[*write]
	stopped bool

	wake     chan struct{}
	finished chan struct{}
	hook     func([]hark.Delivery)
	fedHook  func([]hark.Ref)
	log      *checkpointer
	disk     *syncer

	// What follows belongs to the goroutine.
	messages, payloads, queue, attempts, removals, requests, contents, feeds *bulk

	nextMessage hark.Ref
	nextAttempt hark.Ref
	listing
	firstMessage hark.Ref           // of the transaction
	accepted     []*acceptance      // in the transaction, in the order of their refs
	versions     map[hark.Ref]int64 // of applications; forgotten with every change
	terms        map[string]int64
	newTerms     []string // of the transaction
	ends         feedEnds // of consumers; forgotten with every change
	strays       bool     // there may be rows in stray
	straysLeft   bool     // rows of stray were removed in the transaction
}

func startWriter(s *Store, c *conn, options Options) (*writer, error) {
	w := &writer{
		store: s, c: c,
		waiting: row.Waiting[*write]{
			MaxItems: cmp.Or(options.MaxWaiting, DefaultMaxWaiting),
			MaxBytes: cmp.Or(options.MaxWaitingBytes, DefaultMaxWaitingBytes),
		},
		wake:     make(chan struct{}, 1),
		finished: make(chan struct{}),
		versions: make(map[hark.Ref]int64),
		terms:    make(map[string]int64),
		messages: newBulk(insertMessageSQL, 13, ""),
		payloads: newBulk(insertPayloadSQL, 4, ""),
		queue:    newBulk(insertQueueSQL, 7, ""),
		attempts: newBulk(insertAttemptSQL, 21, ""),
		removals: newBulk(deleteQueueSQL, 3, ")"),
		requests: newBulk(insertRequestSQL, 16, ""),
		contents: newBulk(insertContentSQL, 4, ""),
		feeds:    newBulk(insertFeedSQL, 4, ""),
	}
	w.ends.forget()
	if err := w.load(); err != nil {
		return nil, translate(err)
	}
	var err error
	if w.log, err = startCheckpointer(s, w); err != nil {
		return nil, err
	}
	if w.disk, err = startSyncer(w); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

const (
	nextMessageSQL = `SELECT max(coalesce((SELECT max(ref) FROM message), 0) + 1,
  coalesce((SELECT next FROM counter WHERE name = 'message'), 1))`

	nextAttemptSQL = `SELECT max(coalesce((SELECT max(ref) FROM attempt), 0) + 1,
  coalesce((SELECT next FROM counter WHERE name = 'listed attempt'), 1))`

	anyStraySQL = `SELECT EXISTS (SELECT 1 FROM stray)`
)

// load reads what the writer keeps in memory.
func (w *writer) load() (err error) {
	if w.nextMessage, err = w.c.int(nextMessageSQL); err != nil {
		return err
	}
	if w.nextAttempt, err = w.c.int(nextAttemptSQL); err != nil {
		return err
	}
	if err := w.loadListing(); err != nil {
		return err
	}
	strays, err := w.c.int(anyStraySQL)
	w.strays = strays != 0
	return err
}

// submit hands op to the goroutine and waits until it is committed. When ctx ends first, op is
// withdrawn if it is still waiting; else its outcome is awaited, because it may be committed.
func (w *writer) submit(ctx context.Context, op *write) error {
	op.done = make(chan struct{})
	if err := w.push(op); err != nil {
		return err
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		if w.withdraw(op) {
			return ctx.Err()
		}
		<-op.done
	}
	return op.err
}

func (w *writer) push(op *write) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return row.ErrClosed
	}
	if err := w.waiting.Push(op, op.items, op.bytes, op.accept != nil || op.requests != nil); err != nil {
		return err
	}
	w.nudge()
	return nil
}

// nudge wakes the goroutine, or makes it look once more before it sleeps.
func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) withdraw(op *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting.Withdraw(op)
}

// take takes what waits, up to a group's bounds; done says that nothing will come.
func (w *writer) take() (group []*write, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	group = w.waiting.Cut(groupItems, groupBytes)
	return group, w.stopped && len(group) == 0
}

func (w *writer) depth() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting.Items
}

func (w *writer) run() {
	defer close(w.finished)
	for {
		// While the last group is on its way to the disk the next is written behind it, if it is
		// worth a commit of its own; a small one waits, and grows meanwhile.
		if w.depth() < smallGroup {
			w.disk.wait()
		}
		group, done := w.take()
		if len(group) > 0 {
			w.commit(group)
			w.log.committed(w.c)
			continue
		}
		if done {
			w.disk.stop()
			return
		}
		w.log.finish(w.c)
		<-w.wake
	}
}

// stop writes what is waiting and ends.
func (w *writer) stop() error {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.nudge()
	<-w.finished
	return errors.Join(w.log.stop(), w.c.close())
}

// commit makes all of the group durable, or tells each caller why not. When the transaction
// fails for a reason that lies in one of the writes, each is tried alone, so that one bad write
// spoils no other.
func (w *writer) commit(group []*write) {
	err := w.disk.broken()
	if err == nil {
		err = w.transact(group)
	}
	switch {
	case err == nil:
		w.disk.sync(group)
	case len(group) > 1 && !passing(err):
		for i := range group {
			w.commit(group[i : i+1])
		}
	default:
		w.finish(group, err)
	}
}

// finish tells the hook of new deliveries, then wakes the callers. Groups that were committed are
// finished by the syncer, one after the other; others come to no hook.
func (w *writer) finish(group []*write, err error) {
	if err != nil {
		w.store.log.LogAttrs(context.Background(), slog.LevelError, "commit",
			slog.Int("writes", len(group)), slog.Any("err", err))
		err = translate(err)
	} else {
		w.store.commits.Add(1)
		w.tell(group)
		w.tellFed(group)
	}
	for _, op := range group {
		if op.err == nil {
			op.err = err
		}
		close(op.done)
	}
}

// tell calls the hook with what was queued.
func (w *writer) tell(group []*write) {
	if w.hook == nil {
		return
	}
	var queued []hark.Delivery
	for _, op := range group {
		for i := range op.accept {
			queued = row.AppendQueued(queued, op.accept[i].Acceptance)
		}
		queued = append(queued, op.queued...)
	}
	if len(queued) > 0 {
		w.hook(queued)
	}
}

// transact runs the group in one transaction. However it ends, even by a panic, no transaction
// is left open.
func (w *writer) transact(group []*write) (err error) {
	before := w.marks()
	w.firstMessage, w.accepted, w.newTerms, w.straysLeft = before.nextMessage, w.accepted[:0], w.newTerms[:0], false
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while writing: %v", p)
		}
		clear(w.accepted)
		if err != nil {
			w.rollback(before)
		}
	}()
	if _, err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, op := range group {
		op.err, op.queued = nil, op.queued[:0]
		if err := w.apply(op); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.unlisted >= listEvery {
		if err := w.list(); err != nil {
			return err
		}
	}
	if w.straysLeft {
		n, err := w.c.int(anyStraySQL)
		if err != nil {
			return err
		}
		w.strays = n != 0
	}
	if _, err = w.c.exec("COMMIT"); err == nil {
		w.behind.Store(int64(w.unlisted))
	}
	return err
}

// rollback forgets the transaction, in the database and in memory.
func (w *writer) rollback(to marks) {
	w.nextMessage, w.nextAttempt, w.listing.listed = to.nextMessage, to.nextAttempt, to.listed
	w.strays = true // at worst a look in vain
	clear(w.versions)
	w.ends.forget()
	for _, text := range w.newTerms {
		delete(w.terms, text)
	}
	for _, b := range w.bulks() {
		b.reset()
	}
	// SQLite may have rolled back by itself already; then this fails, and that is fine. Whether
	// the connection is usable shows at the next BEGIN: it works, or it is said to the callers.
	_, _ = w.c.exec("ROLLBACK")
}

// apply does one write inside the transaction. An error of a change is the caller's alone; any
// other fails the whole transaction.
func (w *writer) apply(op *write) error {
	if op.change != nil {
		return w.isolate(op)
	}
	for i := range op.accept {
		if err := w.accept(&op.accept[i]); err != nil {
			return err
		}
	}
	for i := range op.enqueue {
		if err := w.enqueue(op, &op.enqueue[i]); err != nil {
			return err
		}
	}
	for i := range op.settle {
		if err := w.settle(&op.settle[i]); err != nil {
			return err
		}
	}
	for i := range op.requests {
		if err := w.addRequest(&op.requests[i]); err != nil {
			return err
		}
		if err := w.addContent(&op.requests[i]); err != nil {
			return err
		}
	}
	return nil
}

// isolate runs a change in a savepoint, so that its failure takes back only itself.
func (w *writer) isolate(op *write) error {
	if err := w.flush(); err != nil { // a change sees what was accepted before it
		return err
	}
	if _, err := w.c.exec("SAVEPOINT change"); err != nil {
		return err
	}
	before := w.listing.listed
	clear(w.versions)
	w.ends.forget()
	if err := op.change(w.c); err != nil {
		if passing(err) {
			return err
		}
		op.err, w.listing.listed = translate(err), before
		if _, err := w.c.exec("ROLLBACK TO change"); err != nil {
			return err
		}
	}
	_, err := w.c.exec("RELEASE change")
	return err
}

// bulks are all of them, in the order in which they are written.
func (w *writer) bulks() [8]*bulk {
	return [...]*bulk{w.messages, w.payloads, w.queue, w.removals, w.attempts, w.requests, w.contents, w.feeds}
}

func (w *writer) flush() error {
	for _, b := range w.bulks() {
		if err := b.flush(w.c); err != nil {
			return err
		}
	}
	return w.writeFeedEnds()
}

// change runs f in the writer, in a transaction. f may run more than once.
func (s *Store) change(ctx context.Context, f func(*conn) error) error {
	if s.writer == nil {
		return errReadOnly
	}
	return s.writer.submit(ctx, &write{change: f, items: 1})
}

var errReadOnly = &hark.Error{Code: hark.Unavailable, Detail: "The store is open for reading only"}

// OnQueued names the function that is told of committed deliveries.
func (s *Store) OnQueued(hook func([]hark.Delivery)) {
	if s.writer != nil {
		s.writer.hook = hook
	}
}

var _ store.Queue = (*Store)(nil)

const (
	findTermSQL = `SELECT ref FROM term WHERE text = ?`

	insertTermSQL = `INSERT INTO term (text) VALUES (?) RETURNING ref`
)

// maxTerms bounds the memory for words that come again and again.
const maxTerms = 50_000

// term answers the short key of a word.
func (w *writer) term(text string) (int64, error) {
	if ref, ok := w.terms[text]; ok {
		return ref, nil
	}
	ref, err := w.c.int(findTermSQL, text)
	if err != nil {
		return 0, err
	}
	if ref == 0 {
		if ref, err = w.c.int(insertTermSQL, text); err != nil {
			return 0, err
		}
	}
	if len(w.terms) >= maxTerms {
		clear(w.terms)
	}
	w.terms[text] = ref
	w.newTerms = append(w.newTerms, text)
	return ref, nil
}
