package postgres

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

// ear hears what a node tells its engine.
type ear struct {
	mu    sync.Mutex
	told  []hark.Ref // messages
	woken []hark.Ref // endpoints
}

func (e *ear) listen(s *Store) {
	s.OnQueued(func(ds []hark.Delivery) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, d := range ds {
			e.told = append(e.told, d.MessageRef)
		}
	})
	s.OnWake(func(refs []hark.Ref) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.woken = append(e.woken, refs...)
	})
}

func (e *ear) heard(message hark.Ref) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.told, message)
}

func (e *ear) wasWoken(endpoint hark.Ref) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.woken, endpoint)
}

// newAwayTown is a town whose last node, the only one that has beaten and the holder of all shards, is
// behind a proxy.
func newAwayTown(t *testing.T, nodes int) (c *town, away *Store, p *proxy, e *ear) {
	c = newTown(t, nodes-1, 1, Options{})
	p, e = newProxy(t, postgrestest.Shared(t).Port()), &ear{}
	away = openTest(t, p.url(postgrestest.Name(c.url)), Options{})
	e.listen(away)
	c.nodes = append(c.nodes, away)
	c.beat(nodes - 1)
	soon(t, func() bool { // the day's tables are there, and every writer knows its leases: all goes in one go
		a := c.accept(nodes-1, c.eps[0])
		var first sync.WaitGroup
		first.Go(func() { c.settles(away, c.accept(nodes-1, c.eps[0]).Deliveries[0]) })
		c.ok(away.Settle(t.Context(), worthAWriter(a.Deliveries[0])))
		first.Wait()
		var ready int64
		c.ok(c.nodes[0].read(t.Context(), func(x *conn) (err error) {
			ready, err = x.int(`SELECT count(*) FROM writer WHERE node <> '' AND seq > 0`)
			return err
		}))
		return ready == DefaultWriters
	})
	return c, away, p, e
}

// worthAWriter settles a delivery as a success, and so much besides that another writer does it while one is busy.
func worthAWriter(d hark.Delivery) []store.Settlement {
	many := make([]store.Settlement, smallGroup)
	many[0] = success(d, 0)
	for i := 1; i < len(many); i++ {
		many[i].Delivery = hark.Delivery{EndpointRef: d.EndpointRef, MessageRef: d.MessageRef, Due: d.Due + int64(i)}
	}
	return many
}

// keptWrite accepts a message whose commit the database knows, and its writer does not before release is called.
func (c *town) keptWrite(p *proxy) (d hark.Delivery, release func()) {
	c.Helper()
	answer := p.keep()
	var writing sync.WaitGroup
	writing.Go(func() { c.accept(len(c.nodes)-1, c.eps[0]) })
	release = func() { answer(); writing.Wait() }
	c.Cleanup(release)
	return c.queued(), release
}

// settles settles a delivery as a success, and fails unless that counts.
func (c *town) settles(s *Store, d hark.Delivery) {
	c.Helper()
	settlement := []store.Settlement{success(d, 0)}
	c.ok(s.Settle(c.Context(), settlement))
	if settlement[0].Fenced {
		c.Error("the settlement was fenced")
	}
}

// queued waits for the only row of the endpoint's queue.
func (c *town) queued() (d hark.Delivery) {
	c.Helper()
	soon(c.T, func() bool {
		rows, err := c.nodes[0].ReadQueue(c.Context(), c.eps[0].Ref, store.Position{}, 10)
		c.ok(err)
		if len(rows) == 1 {
			d = rows[0]
		}
		return len(rows) == 1
	})
	return d
}

// One writer's commit is known in the database, and not here yet, when another writer settles what it has
// queued. Told of it only then, an engine would take it for new, and send it again.
func TestOnQueued_IsCalledBeforeAnotherWriterSettlesTheRow(t *testing.T) {
	t.Parallel()
	c, away, p, e := newAwayTown(t, 2)
	d, release := c.keptWrite(p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := away.Settle(t.Context(), worthAWriter(d)); err != nil {
			t.Error(err)
		}
		if !e.heard(d.MessageRef) {
			t.Error("a delivery was settled before it was told of")
		}
	}()
	select {
	case <-done:
	case <-time.After(300 * time.Millisecond):
	}
	release()
	<-done
	if n := c.attempts(d.MessageRef); n != 1 {
		t.Errorf("%d attempts are kept, want 1", n)
	}
}

// The outcome of a commit is found out when others have read, sent and settled what it has queued. The
// endpoint is woken for it, so that the engine reads what is still there; told of it, it would send it again.
func TestOnQueued_IsNotCalledForWhatWasInDoubt(t *testing.T) {
	t.Parallel()
	c, away, p, e := newAwayTown(t, 2)
	p.cutAnswers.Store(1)
	p.silentAfterCut.Store(true)
	if err := away.Accept(t.Context(), []*store.Acceptance{freshOf(c)}); hark.CodeOf(err) != hark.Unavailable {
		t.Fatalf("while nobody knows: %v, want Unavailable", err)
	}
	busy := c.keepsInDoubt(away) // another one works already
	p.silent.Store(false)
	d := c.queued()
	soon(t, func() bool {
		settlement := []store.Settlement{success(d, 0)}
		return away.Settle(t.Context(), settlement) == nil && !settlement[0].Fenced
	})
	c.ok(busy.Rollback(t.Context()))
	soon(t, func() bool { return e.wasWoken(c.eps[0].Ref) || e.heard(d.MessageRef) })
	if e.heard(d.MessageRef) {
		t.Error("told of a delivery that is settled")
	}
}

// A commit's answer takes so long that another node has taken the shard, settled what it brought, and given
// the shard back.
func TestOnQueued_IsNotCalledForWhatAnotherNodeMayHaveSettled(t *testing.T) {
	t.Parallel()
	c, _, p, e := newAwayTown(t, 2)
	d, release := c.keptWrite(p)
	c.now = c.now.Add(2 * ttl)
	c.beat(0)
	c.settles(c.nodes[0], d)
	c.ok(c.nodes[0].Leave(t.Context(), "node0"))
	if len(c.beat(1).Held) != store.Shards {
		t.Fatal("the shards did not come back")
	}
	release()
	if e.heard(d.MessageRef) || !e.wasWoken(c.eps[0].Ref) {
		t.Errorf("told of a delivery that another node has settled: %v; woken to look: %v", e.heard(d.MessageRef), e.wasWoken(c.eps[0].Ref))
	}
}

// keepsInDoubt keeps the writer that is in doubt from asking what became of its commit, until the
// transaction ends.
func (c *town) keepsInDoubt(s *Store) (busy pgx.Tx) {
	c.Helper()
	i := slices.IndexFunc(s.writers.all, func(w *writer) bool { return w.doubt != nil })
	if i < 0 {
		c.Fatal("no writer is in doubt")
	}
	busy = c.begin()
	_, err := busy.Exec(c.Context(), `SELECT 1 FROM writer WHERE id = $1 FOR UPDATE`, s.writers.all[i].id)
	c.ok(err)
	return busy
}

// A settlement's connection is lost while the server still works at it, and its writer is in doubt for
// longer than anybody waits. The caller tries again, and another writer does it: whichever of the two comes
// first, the attempt is kept once.
func TestSettle_IsDoneOnceThoughItsCommitComesLate(t *testing.T) {
	t.Parallel()
	c, away, p, _ := newAwayTown(t, 2)
	a := c.accept(1, c.eps[0])
	slow := c.begin()
	_, err := slow.Exec(t.Context(), `SELECT 1 FROM queue WHERE message = $1 FOR UPDATE`, a.Message.Ref)
	c.ok(err)
	settlement := []store.Settlement{success(a.Deliveries[0], 0)}
	var settling sync.WaitGroup
	settling.Go(func() {
		if err := away.Settle(t.Context(), settlement); hark.CodeOf(err) != hark.Unavailable {
			t.Errorf("while nobody knows: %v, want Unavailable", err)
		}
	})
	c.waitingForLocks(1)
	p.silent.Store(true)
	p.lose()
	settling.Wait()
	busy := c.keepsInDoubt(away)
	p.lose() // what was said meanwhile is lost, too
	p.silent.Store(false)
	settling.Go(func() {
		soon(t, func() bool { return away.Settle(t.Context(), settlement) == nil })
	})
	c.waitingForLocks(3) // the first, the second behind it, and the writer that asks
	c.ok(slow.Rollback(t.Context()))
	c.waitingForLocks(3) // the first for its mark, the writer that asks, and the second for the first
	c.ok(busy.Rollback(t.Context()))
	settling.Wait()
	if n := c.attempts(a.Message.Ref); n != 1 || settlement[0].Fenced {
		t.Errorf("%d attempts are kept, want 1; fenced: %v", n, settlement[0].Fenced)
	}
	if rows, err := away.ReadQueue(t.Context(), c.eps[0].Ref, store.Position{}, 10); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are left: %v", len(rows), err)
	}
}

// waitingForLocks waits until n transactions of the database wait for others.
func (c *town) waitingForLocks(n int64) {
	c.Helper()
	soon(c.T, func() bool {
		var waiting int64
		c.ok(c.nodes[0].read(c.Context(), func(x *conn) (err error) {
			waiting, err = x.int(`SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted
  AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`)
			return err
		}))
		return waiting == n
	})
}

// freshOf is a message for the town's endpoint.
func freshOf(c *town) *store.Acceptance {
	a := fresh(c.eps[0].Ref)
	a.Message.ApplicationRef = c.app.Ref
	return a
}
