package listen

import (
	"context"
	"sync"

	"github.com/harkhq/hark"
)

// line is what has come and is not done with, in the order of the server. The connection fills it and the
// worker empties it, from the front. The two need each other for nothing else: an exchange with the local
// address goes on while the connection is made again, and its answer waits here.
//
//	message ─▶ waiting ─▶ worker: forward ─▶ answers ─▶ said, if it is the first of those that wait
//	             ▲                              │
//	             └── again, after a reconnect ──┘ acked: forgotten
type line struct {
	mu      sync.Mutex
	changed chan struct{} // closed when something has
	conn    *connection   // nil while there is none that is ready
	standby bool
	waiting []item
	answers map[int64]answer
	manual  []reply // of retries, said when there is a connection
	place   int64   // the server knows what became of everything up to it
	tally   Tally
}

// item is a message or a gap that waits for its turn.
type item struct {
	seq     int64
	message *Message // nil: a gap
	gap     Gap
}

// answer is what is to be said about a number.
type answer struct {
	id    hark.MessageID // "" for a gap
	reply reply
	ok    bool
	gone  int64 // of a gap
}

// maxManual bounds what is remembered of retries while there is no connection.
const maxManual = 100

func (q *line) init() { q.changed, q.answers = make(chan struct{}), map[int64]answer{} }

// change runs f and wakes whoever waits.
func (q *line) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.changed)
	q.changed = make(chan struct{})
}

// ready says that a connection goes on behind a number. What waited comes again.
func (q *line) ready(c *connection, after int64) (manual []reply) {
	q.change(func() {
		q.conn, q.standby, q.waiting = c, false, nil
		q.settle(after)
		q.place = after
		manual, q.manual = q.manual, nil
	})
	return manual
}

// standBy forgets what has not been begun: another listener gets it.
func (q *line) standBy() { q.change(func() { q.standby, q.waiting = true, nil }) }

// lost says that a connection is none any more. What waits stays, so that the worker goes on holding it.
func (q *line) lost(c *connection) {
	q.change(func() {
		if q.conn == c {
			q.conn = nil
		}
	})
}

func (q *line) add(it item) { q.change(func() { q.waiting = append(q.waiting, it) }) }

// acked says that the server knows the answers up to a number.
func (q *line) acked(seq int64) { q.change(func() { q.settle(seq) }) }

// settle counts and forgets the answers up to a number.
func (q *line) settle(seq int64) {
	q.place = max(q.place, seq)
	for n, a := range q.answers {
		if n > seq {
			continue
		}
		delete(q.answers, n)
		if a.id == "" {
			q.tally.Gone += a.gone
			continue
		}
		q.tally.Messages++
		if a.ok {
			q.tally.Succeeded++
		}
	}
}

// known is the place behind what the server knows of.
func (q *line) known() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.place
}

// sofar is what it has come to.
func (q *line) sofar() Tally {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tally
}

// heardOf waits until the server knows an answer, or has to be told again.
func (q *line) heardOf(ctx context.Context, seq int64) (known bool, err error) {
	for {
		q.mu.Lock()
		changed := q.changed
		_, pending := q.answers[seq]
		again := q.conn == nil || len(q.waiting) > 0 && q.waiting[0].seq <= seq
		q.mu.Unlock()
		if !pending || again {
			return !pending, nil
		}
		if err := await(ctx, changed); err != nil {
			return false, err
		}
	}
}

// owes says that there are answers which the server does not know yet, and a connection on which to hear that it does.
func (q *line) owes() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.conn != nil && len(q.answers) > 0
}

// first is the item whose turn it is; if it was answered already, with what is to be said, and to whom:
// then it leaves the line.
func (q *line) first() (it item, found bool, say *reply, to *connection, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return it, false, nil, nil, q.changed
	}
	it = q.waiting[0]
	if a, ok := q.answers[it.seq]; ok && a.id == it.id() {
		if q.conn == nil {
			return it, false, nil, nil, q.changed // it comes again
		}
		q.waiting = q.waiting[1:]
		return it, true, &a.reply, q.conn, nil
	}
	return it, true, nil, nil, q.changed
}

func (it *item) id() hark.MessageID {
	if it.message == nil {
		return ""
	}
	return it.message.ID
}

// answered keeps what is to be said about an item. While another listener has the turn it is said at once,
// for it is not waited for here any more.
func (q *line) answered(it *item, a answer) (say *connection) {
	q.change(func() {
		if q.standby {
			say = q.conn
			return
		}
		q.answers[it.seq] = a
	})
	return say
}

// wants says whether an item is still to be dealt with here, and what is closed when that may have changed.
func (q *line) wants(it *item) (yes bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn == nil && !q.standby {
		return true, q.changed
	}
	return len(q.waiting) > 0 && q.waiting[0].seq == it.seq && q.waiting[0].id() == it.id(), q.changed
}

// retried is the connection to tell of a retry; without one it is told later.
func (q *line) retried(r reply) *connection {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn == nil && len(q.manual) < maxManual {
		q.manual = append(q.manual, r)
	}
	return q.conn
}
