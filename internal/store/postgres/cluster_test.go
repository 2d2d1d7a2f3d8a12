package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// town is a database with an application, an endpoint and some nodes.
type town struct {
	*testing.T
	url   string
	nodes []*Store
	app   hark.Application
	eps   []hark.Endpoint
	now   time.Time // of the leases
}

func newTown(t *testing.T, nodes, endpoints int, options Options) *town {
	t.Helper()
	c := &town{T: t, url: newDatabase(t, options), now: time.Now()}
	for range nodes {
		c.nodes = append(c.nodes, openTest(t, c.url, options))
	}
	at := time.Now()
	env := hark.NewEnvironmentID(at)
	c.ok(c.nodes[0].InsertEnvironment(t.Context(), hark.Environment{ID: env, CreatedAt: at}))
	var err error
	c.app, err = c.nodes[0].InsertApplication(t.Context(), hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: env})
	c.ok(err)
	for range endpoints {
		ep, err := c.nodes[0].InsertEndpoint(t.Context(), hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: c.app.Ref})
		c.ok(err)
		c.eps = append(c.eps, ep)
	}
	return c
}

func (c *town) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

const ttl = 10 * time.Second

func (c *town) beat(node int, release ...int) store.Leases {
	c.Helper()
	leases, err := c.nodes[node].Beat(c.Context(), store.Node{ID: fmt.Sprint("node", node)}, c.now, ttl, release)
	c.ok(err)
	return leases
}

// settleIn beats until everybody has a fair share.
func (c *town) settleIn() {
	c.Helper()
	for range 2 * store.Shards / drainAtOnce {
		for i := range c.nodes {
			if surplus := c.beat(i).Surplus; len(surplus) > 0 {
				c.beat(i, surplus...)
			}
		}
	}
}

func (c *town) accept(node int, ep hark.Endpoint) *store.Acceptance {
	c.Helper()
	at := time.Now()
	a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: c.app.Ref, EventType: "t", Payload: []byte(`{}`),
		CreatedAt: at, Matched: []hark.Ref{ep.Ref}}, Deliveries: []hark.Delivery{{EndpointRef: ep.Ref, Due: at.UnixMilli()}}}
	c.ok(c.nodes[node].Accept(c.Context(), []*store.Acceptance{a}))
	return a
}

func success(d hark.Delivery, epoch int64) store.Settlement {
	at := time.Now()
	return store.Settlement{Delivery: d, Succeeded: true, Epoch: epoch,
		Attempt: &hark.Attempt{ID: hark.NewAttemptID(at), URL: "u", Number: 1, StatusCode: 200, StartedAt: at}}
}

func (c *town) attempts(message hark.Ref) int {
	c.Helper()
	all, err := c.nodes[0].AttemptsByMessage(c.Context(), message, store.AttemptFilter{}, store.Page{Limit: 100})
	c.ok(err)
	return len(all)
}

func TestBeat_SharesTheShardsFairly(t *testing.T) {
	c := newTown(t, 3, 0, Options{})
	if n := len(c.beat(0).Held); n != store.Shards {
		t.Errorf("alone: %d shards", n)
	}
	if leases := c.beat(1); len(leases.Held) != 0 {
		t.Errorf("a newcomer took %d shards that another node holds", len(leases.Held))
	}
	if n := len(c.beat(0).Surplus); n != drainAtOnce {
		t.Errorf("surplus %d, want %d", n, drainAtOnce)
	}
	c.settleIn()
	owner := make(map[int]int)
	for i := range c.nodes {
		leases := c.beat(i)
		if n := len(leases.Held); n < store.Shards/3 || n > store.Shards/3+1 || len(leases.Surplus) != 0 {
			t.Errorf("node %d holds %d, surplus %d", i, n, len(leases.Surplus))
		}
		for shard := range leases.Held {
			owner[shard]++
		}
	}
	for shard := range store.Shards {
		if owner[shard] != 1 {
			t.Errorf("shard %d has %d owners", shard, owner[shard])
		}
	}
	// One goes silent: the others have all of its shards when its time is up, and not before.
	c.now = c.now.Add(ttl - time.Second)
	c.beat(0)
	before := c.beat(1)
	c.now = c.now.Add(2 * time.Second)
	after := c.beat(1)
	if len(after.Held) != store.Shards/2 || len(c.beat(0).Held) != store.Shards/2 {
		t.Errorf("after one was lost: %d", len(after.Held))
	}
	for shard, epoch := range before.Held {
		if after.Held[shard] != epoch {
			t.Errorf("shard %d: epoch %d became %d although it stayed", shard, epoch, after.Held[shard])
		}
	}
	// One leaves in order: nobody waits.
	c.ok(c.nodes[1].Leave(t.Context(), "node1"))
	if n := len(c.beat(0).Held); n != store.Shards {
		t.Errorf("after one left: %d", n)
	}
	all, err := c.nodes[0].Nodes(t.Context(), c.now)
	c.ok(err)
	if len(all) != 2 || !all[0].Alive || len(all[0].Shards) != store.Shards || all[1].Alive || len(all[1].Shards) != 0 {
		t.Errorf("nodes: %+v", all)
	}
}

func TestBeat_AfterAnOutageEveryNodeKeepsWhatItHad(t *testing.T) {
	c := newTown(t, 3, 0, Options{})
	c.settleIn()
	had := []store.Leases{c.beat(0), c.beat(1), c.beat(2)}
	c.now = c.now.Add(3 * ttl) // the database was away from all
	for i := range had {
		if diff := cmp.Diff(had[i].Held, c.beat(i).Held); diff != "" {
			t.Errorf("node %d (-before +after):\n%s", i, diff)
		}
	}
	c.now = c.now.Add(3 * ttl) // and once more, which the last of them did not survive
	c.beat(0)
	c.beat(1)
	c.now = c.now.Add(ttl / 3)
	if a, b := len(c.beat(0).Held), len(c.beat(1).Held); a != store.Shards/2 || b != store.Shards/2 {
		t.Errorf("after one did not come back: %d and %d", a, b)
	}
}

func TestSettle_IsFencedForALostLease(t *testing.T) {
	c := newTown(t, 2, 2, Options{})
	held := c.beat(0).Held
	epoch := func(ep hark.Endpoint) int64 { return held[store.ShardOf(ep.Ref)] }
	mine, lost, again := c.accept(0, c.eps[0]), c.accept(1, c.eps[1]), c.accept(1, c.eps[1])
	batch := []store.Settlement{success(mine.Deliveries[0], epoch(c.eps[0]))}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	if batch[0].Fenced || c.attempts(mine.Message.Ref) != 1 {
		t.Errorf("own shard: %+v", batch[0])
	}
	// The other node takes everything over, while this one sleeps.
	c.now = c.now.Add(2 * ttl)
	if n := len(c.beat(1).Held); n != store.Shards {
		t.Fatalf("took over %d", n)
	}
	batch = []store.Settlement{success(lost.Deliveries[0], epoch(c.eps[1])), success(again.Deliveries[0], 0)}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	rows, err := c.nodes[0].ReadQueue(t.Context(), c.eps[1].Ref, store.Position{}, 10)
	c.ok(err)
	if !batch[0].Fenced || !batch[1].Fenced || len(rows) != 2 || c.attempts(lost.Message.Ref) != 0 {
		t.Errorf("a lost shard: %v, %v; %d rows, %d attempts", batch[0].Fenced, batch[1].Fenced, len(rows), c.attempts(lost.Message.Ref))
	}
	told := success(lost.Deliveries[0], 0)
	told.Told = true
	batch = []store.Settlement{told}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	if batch[0].Fenced || c.attempts(lost.Message.Ref) != 1 {
		t.Error("what a reader told was fenced")
	}
	batch = []store.Settlement{success(lost.Deliveries[0], 0)}
	c.ok(c.nodes[1].Settle(t.Context(), batch))
	if batch[0].Fenced || c.attempts(lost.Message.Ref) != 2 {
		t.Error("the new owner was fenced")
	}
	// Back again, under a new epoch: what was sent under the old one does not count.
	c.ok(c.nodes[1].Leave(t.Context(), "node1"))
	now := c.beat(0).Held[store.ShardOf(c.eps[1].Ref)]
	batch = []store.Settlement{success(again.Deliveries[0], epoch(c.eps[1]))}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	if !batch[0].Fenced || now <= epoch(c.eps[1]) {
		t.Errorf("under epoch %d, now %d: %v", epoch(c.eps[1]), now, batch[0].Fenced)
	}
	batch[0].Epoch = now
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	if batch[0].Fenced || c.attempts(again.Message.Ref) != 1 {
		t.Error("fenced under the new epoch")
	}
}

// Two nodes take the shards from each other again and again, and both try to settle everything. Each
// delivery is settled by one of them.
func TestSettle_IsDoneByOneOwnerOnly(t *testing.T) {
	c := newTown(t, 2, 20, Options{})
	c.beat(0)
	const messages = 400
	var deliveries []hark.Delivery
	for i := range messages {
		deliveries = append(deliveries, c.accept(i%2, c.eps[i%len(c.eps)]).Deliveries[0])
	}
	ctx, cancel := context.WithCancel(t.Context())
	var stealing, settling sync.WaitGroup
	stealing.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			c.now = c.now.Add(2 * ttl)
			if _, err := c.nodes[i%2].Beat(ctx, store.Node{ID: fmt.Sprint("node", i%2)}, c.now, ttl, nil); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(60 * time.Millisecond) // they lose their connections each time
		}
	})
	settled := make([]int, messages)
	var mu sync.Mutex
	for i := range deliveries {
		for node := range c.nodes {
			if i%8 != 0 && node != i/8%2 { // an eighth by both
				continue
			}
			settling.Go(func() {
				s := []store.Settlement{success(deliveries[i], 0)}
				for range 300 {
					if err := c.nodes[node].Settle(ctx, s); hark.CodeOf(err) == hark.Unavailable {
						continue // its connection was taken away too often; what was committed is found then
					} else if err != nil {
						t.Error(err)
						return
					}
					if !s[0].Fenced {
						mu.Lock()
						settled[i]++
						mu.Unlock()
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	settling.Wait()
	cancel()
	stealing.Wait()
	fenced := 0
	for i, d := range deliveries {
		if n := c.attempts(d.MessageRef); n != settled[i] {
			t.Fatalf("message %d: %d attempts are kept, %d settlements were not fenced", i, n, settled[i])
		}
		if settled[i] == 0 {
			fenced++
		}
	}
	t.Logf("%d were never settled", fenced)
}

func TestWatch_WakesTheOwner(t *testing.T) {
	c := newTown(t, 2, 40, Options{})
	c.settleIn()
	var own, woken [2][]hark.Ref
	var mu sync.Mutex
	c.nodes[0].OnQueued(func(ds []hark.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			own[0] = append(own[0], d.EndpointRef)
		}
	})
	var watching sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer watching.Wait()
	defer cancel()
	for i, s := range c.nodes {
		s.OnWake(func(refs []hark.Ref) {
			mu.Lock()
			defer mu.Unlock()
			woken[i] = append(woken[i], refs...)
		})
		watching.Go(func() {
			if err := s.Watch(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	c.listening(2)
	start := time.Now()
	for _, ep := range c.eps {
		c.accept(0, ep)
	}
	soon(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(woken[1])
		woken[1] = slices.Compact(woken[1])
		return len(own[0])+len(woken[1]) == len(c.eps)
	})
	t.Logf("%d by hand, %d woken, %v", len(own[0]), len(woken[1]), time.Since(start))
	if len(own[0]) == 0 || len(woken[1]) == 0 || len(woken[0]) != 0 {
		t.Errorf("own %d, woken %d, woken itself %d", len(own[0]), len(woken[1]), len(woken[0]))
	}
	for _, ref := range own[0] {
		if !c.nodes[0].owns(ref) {
			t.Errorf("told of endpoint %d, which is another node's", ref)
		}
	}
	// What the hooks miss stands in the backlog of the owner's shards.
	leases := c.beat(1)
	var shards []int
	for shard := range leases.Held {
		shards = append(shards, shard)
	}
	all, err := c.nodes[1].BacklogsOf(t.Context(), shards)
	c.ok(err)
	if len(all) != len(woken[1]) {
		t.Errorf("%d backlogs, want %d", len(all), len(woken[1]))
	}
	nodes, err := c.nodes[0].Nodes(t.Context(), time.Now().Add(time.Second))
	c.ok(err)
	if got := nodes[0].Queued + nodes[1].Queued; got != int64(len(c.eps)) || nodes[1].Oldest.IsZero() {
		t.Errorf("nodes: %+v", nodes)
	}
}

func TestReadQueues_AnswersEveryEndpointsRowsInOrder(t *testing.T) {
	c := newTown(t, 1, 3, Options{})
	c.beat(0)
	want := make([][]hark.Delivery, 3)
	var starts []store.QueueStart
	for i := range want {
		for range 3 {
			c.accept(0, c.eps[i])
		}
		rows, err := c.nodes[0].ReadQueue(t.Context(), c.eps[i].Ref, store.Position{}, 10)
		c.ok(err)
		start := store.QueueStart{EndpointRef: c.eps[i].Ref}
		if i == 1 { // behind the first of them
			start.After = store.Position{Due: rows[0].Due, MessageRef: rows[0].MessageRef}
			rows = rows[1:]
		}
		want[i] = rows[:2]
		starts = append(starts, start)
	}
	nobody := store.QueueStart{EndpointRef: 1 << 40}
	got, err := c.nodes[0].ReadQueues(t.Context(), append(starts, nobody), 2)
	c.ok(err)
	if diff := cmp.Diff(append(want, nil), got); diff != "" {
		t.Error(diff)
	}
}

// listening waits until n connections listen.
// begin opens a transaction of its own, on a connection of the first node. It may do nothing for long.
func (c *town) begin() pgx.Tx {
	c.Helper()
	tx, err := c.nodes[0].pool.Begin(c.Context())
	c.ok(err)
	_, err = tx.Exec(c.Context(), `SET LOCAL idle_in_transaction_session_timeout = 0`)
	c.ok(err)
	return tx
}

func (c *town) listening(n int64) {
	c.Helper()
	soon(c.T, func() bool {
		var listeners int64
		c.ok(c.nodes[0].read(c.Context(), func(x *conn) (err error) {
			listeners, err = x.int(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
			return err
		}))
		return listeners == n
	})
}

func soon(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatal("it does not happen")
}

func TestWatch_TellsOfEveryChange(t *testing.T) {
	for name, options := range map[string]Options{"Notify": {}, "Poll": {NoNotify: true}} {
		t.Run(name, func(t *testing.T) {
			c := newTown(t, 2, 1, options)
			var mu sync.Mutex
			told := make(map[hark.Ref]int)
			leases := 0
			c.nodes[1].OnChange(func(refs []hark.Ref) {
				mu.Lock()
				defer mu.Unlock()
				for _, ref := range refs {
					told[ref]++
				}
			})
			c.nodes[1].OnLeases(func() { mu.Lock(); defer mu.Unlock(); leases++ })
			var watching sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			defer watching.Wait()
			defer cancel()
			watching.Go(func() { _ = c.nodes[1].Watch(ctx) })
			if !options.NoNotify {
				c.listening(1)
			}
			heard := func(ref hark.Ref) func() bool {
				return func() bool { mu.Lock(); defer mu.Unlock(); return told[ref] > 0 }
			}
			start, changed := time.Now(), time.Time{}
			soon(t, func() bool { // of what came before it had read where to begin, it need not tell
				if time.Since(changed) > time.Second {
					changed = time.Now()
					_, err := c.nodes[0].UpdateEndpoint(t.Context(), c.app.Ref, string(c.eps[0].ID), func(ep *hark.Endpoint) error { ep.Paused = !ep.Paused; return nil })
					c.ok(err)
				}
				return heard(c.app.Ref)()
			})
			t.Logf("told after %v", time.Since(changed))
			c.ok(c.nodes[0].InsertKey(t.Context(), hark.Key{ID: hark.NewKeyID(start), EnvironmentID: c.app.EnvironmentID, Scope: hark.ScopeRead}))
			soon(t, heard(0))
			c.beat(0)
			c.beat(1)
			c.beat(0, c.beat(0).Surplus...)
			soon(t, func() bool { mu.Lock(); defer mu.Unlock(); return leases > 0 })
		})
	}
}

// Guards hold between nodes: of the same event sent to all of them at once one is kept.
func TestAccept_IsGuardedAcrossNodes(t *testing.T) {
	c := newTown(t, 3, 1, Options{})
	for round := range 20 {
		outcomes := make([]*store.Acceptance, 12)
		var sending sync.WaitGroup
		for i := range outcomes {
			at := time.Now()
			a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: c.app.Ref, EventType: "t", Payload: []byte(`{}`), CreatedAt: at}}
			if i%2 == 0 {
				a.Message.EventID = fmt.Sprint("event", round)
			}
			if i%3 == 0 {
				a.Key = &store.IdempotencyKey{Hash: [32]byte{byte(round)}, ExpiresAt: at.Add(time.Hour)}
			}
			outcomes[i] = a
			sending.Go(func() {
				if err := c.nodes[i%3].Accept(t.Context(), []*store.Acceptance{a}); err != nil {
					t.Error(err)
				}
			})
		}
		sending.Wait()
		byEvent, byKey := 0, 0
		for _, a := range outcomes {
			if a.Outcome == store.Accepted && a.Message.EventID != "" {
				byEvent++
			}
			if a.Outcome == store.Accepted && a.Key != nil {
				byKey++
			}
			if a.Outcome != store.Accepted && a.Existing == "" {
				t.Errorf("outcome %d of nothing", a.Outcome)
			}
		}
		if byEvent > 1 || byKey > 1 || byEvent+byKey == 0 {
			t.Fatalf("round %d: %d were accepted with the event id, %d with the key", round, byEvent, byKey)
		}
	}
	if wrong, err := c.nodes[0].Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
}

func TestAccept_MakesOneOfEqualDeliveriesAcrossNodes(t *testing.T) {
	c := newTown(t, 3, 2, Options{})
	for round := range 20 {
		all := make([]*store.Acceptance, 24)
		var sending sync.WaitGroup
		for i := range all {
			at := time.Now()
			a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: c.app.Ref, EventType: "t", Payload: []byte(`{}`), CreatedAt: at}}
			for e, ep := range c.eps {
				a.Message.Matched = append(a.Message.Matched, ep.Ref)
				a.Deliveries = append(a.Deliveries, hark.Delivery{EndpointRef: ep.Ref, Due: at.UnixMilli()})
				a.Unique = append(a.Unique, store.UniqueDelivery{Index: e, Hash: [32]byte{byte(round), byte(e), byte(i % 2)}, ExpiresAt: at.Add(time.Hour)})
			}
			all[i] = a
		}
		for n := range c.nodes { // in batches and alone, with equal ones in each
			mine := all[n*8 : n*8+8]
			sending.Go(func() {
				if err := c.nodes[n].Accept(t.Context(), mine[:4]); err != nil {
					t.Error(err)
				}
			})
			for i := range mine[4:] {
				sending.Go(func() {
					if err := c.nodes[n].Accept(t.Context(), mine[4+i:5+i]); err != nil {
						t.Error(err)
					}
				})
			}
		}
		sending.Wait()
		made := make(map[[2]int64]hark.MessageID) // by endpoint and parity
		for i, a := range all {
			for _, ref := range a.Message.Matched {
				if other := made[[2]int64{ref, int64(i % 2)}]; other != "" {
					t.Fatalf("round %d: %s and %s were both delivered", round, other, a.Message.ID)
				}
				made[[2]int64{ref, int64(i % 2)}] = a.Message.ID
			}
		}
		for i, a := range all {
			for _, d := range a.Message.Duplicates {
				if want := made[[2]int64{d.EndpointRef, int64(i % 2)}]; d.Of != want {
					t.Fatalf("round %d: a duplicate of %s, want %s", round, d.Of, want)
				}
			}
			if len(a.Message.Matched)+len(a.Message.Duplicates) != len(c.eps) {
				t.Fatalf("round %d: %d matched, %d duplicates", round, len(a.Message.Matched), len(a.Message.Duplicates))
			}
		}
	}
}

// A row whose dead versions cannot be cleaned up is not looked for under the same id for ever; and what it
// is for goes on: the transactions of a node that lost its leases are stopped.
func TestWriter_RowGetsAnotherIDAndIsFencedAllTheSame(t *testing.T) {
	c := newTown(t, 2, 8, Options{Writers: 1})
	c.beat(0)
	first := c.nodes[0].writers.ids()[0]
	for range rowLife + 1 {
		c.accept(0, c.eps[0])
	}
	soon(t, func() bool {
		c.nodes[0].beat.Lock()
		defer c.nodes[0].beat.Unlock()
		return c.nodes[0].writers.ids()[0] != first
	})
	c.ok(c.nodes[0].read(t.Context(), func(x *conn) error {
		n, err := x.int(`SELECT count(*) FROM writer WHERE node = 'node0'`)
		if n != 1 {
			t.Errorf("node0 has %d rows, want 1", n)
		}
		return err
	}))
	a := c.accept(0, c.eps[0])
	c.now = c.now.Add(2 * ttl)
	c.beat(1) // node0 was not heard of
	at := time.Now()
	settlements := []store.Settlement{{Delivery: a.Deliveries[0], Succeeded: true, Attempt: &hark.Attempt{ID: hark.NewAttemptID(at), StartedAt: at, Number: 1}}}
	c.ok(c.nodes[0].Settle(t.Context(), settlements))
	if !settlements[0].Fenced {
		t.Error("a node that lost its leases has settled")
	}
}

// A writer makes its row anew, because retention took it or a change of its id got lost, while another node
// takes its node's shards over. What it settles then is fenced as under a row that was there before.
func TestWriter_ARowThatIsMadeDuringATakeoverIsFencedAllTheSame(t *testing.T) {
	c := newTown(t, 2, 1, Options{Writers: 1})
	epoch := c.beat(0).Held[store.ShardOf(c.eps[0].Ref)]
	a := c.accept(0, c.eps[0])
	exec := func(tx pgx.Tx, query string, args ...any) {
		t.Helper()
		_, err := tx.Exec(t.Context(), query, args...)
		c.ok(err)
	}
	c.nodes[0].terminate(t.Context(), []string{"node0"})
	lose := c.begin()
	exec(lose, `DELETE FROM writer WHERE node = 'node0'`)
	c.ok(lose.Commit(t.Context()))
	row := c.begin()
	exec(row, `SELECT 1 FROM queue WHERE message = $1 FOR UPDATE`, a.Message.Ref)
	takeover := c.begin() // as Beat does it
	exec(takeover, lockLeasesSQL, 0)
	exec(takeover, fenceSQL, []string{"node0"})
	exec(takeover, takeLeasesSQL, "node1", allShards())

	settlement := []store.Settlement{success(a.Deliveries[0], epoch)}
	var settling sync.WaitGroup
	settling.Go(func() {
		if err := c.nodes[0].Settle(t.Context(), settlement); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(300 * time.Millisecond) // as far as it gets
	c.ok(takeover.Commit(t.Context()))
	rows, err := c.nodes[1].ReadQueue(t.Context(), c.eps[0].Ref, store.Position{}, 10)
	c.ok(err)
	c.ok(row.Rollback(t.Context()))
	settling.Wait()
	if len(rows) != 1 || !settlement[0].Fenced || c.attempts(a.Message.Ref) != 0 {
		t.Errorf("the new owner reads %d rows; the old one's settlement was fenced: %v, and %d attempts are kept",
			len(rows), settlement[0].Fenced, c.attempts(a.Message.Ref))
	}
}

// A consumer's feed grows by its owner's settlements alone: what a node settles under a lost lease, or
// twice, feeds nothing.
func TestSettle_FeedsUnderItsLeaseOnly(t *testing.T) {
	c := newTown(t, 2, 1, Options{})
	ep := c.eps[0]
	epoch := c.beat(0).Held[store.ShardOf(ep.Ref)]
	first, second := c.accept(1, ep), c.accept(1, ep)
	fed := func(a *store.Acceptance, epoch int64) store.Settlement {
		return store.Settlement{Delivery: a.Deliveries[0], FedAt: time.Now(), Epoch: epoch}
	}
	check := func(what string, want ...hark.MessageID) {
		t.Helper()
		entries, err := c.nodes[1].ReadFeed(t.Context(), ep.Ref, 0, 10)
		c.ok(err)
		if len(entries) != len(want) {
			t.Fatalf("%s: %d entries, want %d", what, len(entries), len(want))
		}
		for i, e := range entries {
			if e.Seq != int64(i+1) || e.Message.ID != want[i] {
				t.Errorf("%s: entry %d is %d, %s", what, i, e.Seq, e.Message.ID)
			}
		}
	}
	batch := []store.Settlement{fed(first, epoch)}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	check("own shard", first.Message.ID)
	c.now = c.now.Add(2 * ttl)
	now := c.beat(1).Held[store.ShardOf(ep.Ref)]
	batch = []store.Settlement{fed(first, epoch), fed(second, epoch)}
	c.ok(c.nodes[0].Settle(t.Context(), batch))
	check("a lost shard", first.Message.ID)
	if !batch[0].Fenced || !batch[1].Fenced {
		t.Error("not fenced")
	}
	batch = []store.Settlement{fed(first, now), fed(second, now)}
	for range 2 {
		c.ok(c.nodes[1].Settle(t.Context(), batch))
		check("the new owner", first.Message.ID, second.Message.ID)
	}
}

func TestWatch_WakesReadersOnOtherNodes(t *testing.T) {
	c := newTown(t, 2, 1, Options{})
	fed := make(chan []hark.Ref, 10)
	c.nodes[1].OnFed(func(refs []hark.Ref) { fed <- refs })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.nodes[1].Watch(ctx) }()
	c.beat(0)
	for deadline := time.Now().Add(10 * time.Second); ; {
		a := c.accept(0, c.eps[0])
		c.ok(c.nodes[0].Settle(t.Context(), []store.Settlement{{Delivery: a.Deliveries[0], FedAt: time.Now()}}))
		select {
		case refs := <-fed:
			if len(refs) != 1 || refs[0] != c.eps[0].Ref {
				t.Errorf("told of %v", refs)
			}
		case <-time.After(200 * time.Millisecond): // it may not listen yet
			if time.Now().After(deadline) {
				t.Fatal("nobody was told")
			}
			continue
		}
		break
	}
	cancel()
	c.ok(<-done)
}

// Nodes overtake each other: whoever watches on another sees all that they commit, once.
func TestTail_SeesWhatEveryNodeCommits(t *testing.T) {
	c := newTown(t, 3, 4, Options{})
	tail := c.nodes[2].OpenTail(store.TailScope{EnvironmentID: c.app.EnvironmentID, Messages: true, Attempts: true}, c.now.Add(-time.Minute))
	const writers, each = 4, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			node := c.nodes[w%2]
			for range each {
				at := time.Now()
				a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: c.app.Ref, EventType: "t", Payload: []byte(`{}`), CreatedAt: at},
					Deliveries: []hark.Delivery{{EndpointRef: c.eps[w].Ref, Due: at.UnixMilli()}}}
				if err := node.Accept(t.Context(), []*store.Acceptance{a}); err != nil {
					t.Error(err)
					return
				}
				d := a.Deliveries[0]
				s := success(d, 0)
				s.Attempt.MessageRef, s.Attempt.EndpointRef, s.Attempt.ApplicationRef = d.MessageRef, d.EndpointRef, c.app.Ref
				if err := node.Settle(t.Context(), []store.Settlement{s}); err != nil || s.Fenced {
					t.Error("settle: ", err, s.Fenced)
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	seen := map[string]int{}
	for last := false; ; {
		entries, skipped, err := tail.Next(t.Context(), time.Now(), 10_000)
		c.ok(err)
		if skipped > 0 {
			t.Errorf("%d skipped", skipped)
		}
		for _, e := range entries {
			if e.Message != nil {
				seen[string(e.Message.ID)]++
			} else {
				seen[string(e.Attempt.ID)]++
			}
		}
		if last {
			break
		}
		select {
		case <-ended:
			last = true
		case <-time.After(time.Millisecond):
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(seen) != 2*writers*each {
		t.Errorf("saw %d, want %d", len(seen), 2*writers*each)
	}
}
