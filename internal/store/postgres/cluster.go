package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// membership is what this process knows of its place among the nodes.
type membership struct {
	node  string
	held  map[int]int64 // epochs by shard, as of the last Beat
	until time.Time     // when these leases end
}

// drainAtOnce is how many shards a node is asked to give up between two beats: moving a shard pauses
// it for some milliseconds, and a few at a time are not felt.
const drainAtOnce = 16

const (
	putNodeSQL = `INSERT INTO node (id, addr, version, started_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET addr = excluded.addr, version = excluded.version, seen_at = excluded.seen_at, expires_at = excluded.expires_at`

	nodesSQL = `SELECT id, addr, version, started_at, seen_at, expires_at FROM node ORDER BY id`

	allLeasesSQL = `SELECT shard, epoch, node FROM lease ORDER BY shard`

	takeLeasesSQL = `UPDATE lease SET node = $1, epoch = epoch + 1 WHERE shard = ANY ($2::smallint[])`

	freeLeasesSQL = `UPDATE lease SET node = '' WHERE node = $1 AND shard = ANY ($2::smallint[])`

	freeAllLeasesSQL = `UPDATE lease SET node = '' WHERE node = $1`

	// Stops the transactions of nodes' writers that have not begun yet, and waits for those that have.
	fenceSQL = `UPDATE writer SET version = version + 1 WHERE node = ANY ($1::text[])`

	bindWritersSQL = `UPDATE writer SET node = $1, at = $2 WHERE id = ANY ($3::text[])`

	deleteNodeSQL = `DELETE FROM node WHERE id = $1`

	expireNodesSQL = `DELETE FROM node WHERE expires_at < $1`

	lockLeasesSQL = `UPDATE counter SET next = next + $1 WHERE name = 'lease'`
)

// nodeLife is how long a node that is gone is still listed.
const nodeLife = time.Hour

// leaseTable is all that a Beat decides by.
type leaseTable struct {
	alive  []string // in the order of their ids
	epochs map[int]int64
	owners map[int]string
}

// share is how many shards a node should have: all of them together have all.
func (t *leaseTable) share(node string) int {
	i, ok := slices.BinarySearch(t.alive, node)
	if !ok {
		return 0
	}
	n := store.Shards / len(t.alive)
	if i < store.Shards%len(t.alive) {
		n++
	}
	return n
}

func (t *leaseTable) of(node string) (shards []int) {
	for shard := range store.Shards {
		if t.owners[shard] == node {
			shards = append(shards, shard)
		}
	}
	return shards
}

// free are the shards that nobody holds who is alive.
func (t *leaseTable) free() (shards []int) {
	for shard := range store.Shards {
		if _, alive := slices.BinarySearch(t.alive, t.owners[shard]); !alive {
			shards = append(shards, shard)
		}
	}
	return shards
}

// Beat renews, gives back and takes leases. Beats are made one after the other.
func (s *Store) Beat(ctx context.Context, node store.Node, now time.Time, ttl time.Duration, release []int) (leases store.Leases, err error) {
	s.beat.Lock()
	defer s.beat.Unlock()
	first := s.node.Load() == nil
	news := first || len(release) > 0 // the others have something to take, or to give
	err = s.change(ctx, func(c *conn) (err error) {
		raise := 0
		if news {
			raise = 1
		}
		if _, err := c.exec(lockLeasesSQL, raise); err != nil {
			return err
		}
		if first {
			if _, err := c.exec(bindWritersSQL, node.ID, now, s.writers.ids()); err != nil {
				return err
			}
		}
		if _, err := c.exec(putNodeSQL, node.ID, node.Addr, node.Version, node.StartedAt, now, now.Add(ttl)); err != nil {
			return err
		}
		if len(release) > 0 {
			if err := giveBack(c, node.ID, release); err != nil {
				return err
			}
		}
		leases, err = s.deal(c, node.ID, s.living(now, ttl))
		if err != nil {
			return err
		}
		_, err = c.exec(expireNodesSQL, now.Add(-nodeLife))
		return err
	})
	if err != nil {
		return store.Leases{}, err
	}
	if news {
		s.bell.leased()
	}
	s.join(&membership{node: node.ID, held: maps.Clone(leases.Held), until: now.Add(ttl)})
	return leases, nil
}

// living says by the end of its leases whether a node counts as alive. A node that finds its own at an
// end was cut off, and so may all have been, because the database was away: those whose leases ended
// at about the same time are then left alone until the next Beat. Else the first to come back would
// take everything from the others, and they would fence what it has just made them lose.
func (s *Store) living(now time.Time, ttl time.Duration) func(end time.Time) bool {
	m := s.node.Load()
	return func(end time.Time) bool {
		return end.After(now) || m != nil && !m.until.After(now) && end.Sub(m.until).Abs() <= ttl/2
	}
}

// giveBack frees shards of a node, and sees to it that its writers notice.
func giveBack(c *conn, node string, shards []int) error {
	if _, err := c.exec(fenceSQL, []string{node}); err != nil {
		return err
	}
	_, err := c.exec(freeLeasesSQL, node, shards)
	return err
}

// deal takes what the node should have and others do not hold, and says what it has too much.
func (s *Store) deal(c *conn, node string, living func(end time.Time) bool) (leases store.Leases, err error) {
	t, err := readLeases(c, living)
	if err != nil {
		return leases, err
	}
	held := t.of(node)
	if missing := t.share(node) - len(held); missing > 0 {
		free := t.free()
		if err := s.take(c, t, node, free[:min(missing, len(free))]); err != nil {
			return leases, err
		}
		held = t.of(node)
	}
	leases.Held = make(map[int]int64, len(held))
	for _, shard := range held {
		leases.Held[shard] = t.epochs[shard]
	}
	if excess := len(held) - t.share(node); excess > 0 {
		leases.Surplus = held[len(held)-min(excess, drainAtOnce):]
	}
	return leases, nil
}

func readLeases(c *conn, living func(end time.Time) bool) (*leaseTable, error) {
	t := &leaseTable{epochs: make(map[int]int64, store.Shards), owners: make(map[int]string, store.Shards)}
	if err := c.query(func(r row.Row) error {
		if living(r.Time(5)) {
			t.alive = append(t.alive, r.Text(0))
		}
		return nil
	}, nodesSQL); err != nil {
		return nil, err
	}
	return t, c.query(func(r row.Row) error {
		t.epochs[int(r.Int(0))], t.owners[int(r.Int(0))] = r.Int(1), r.Text(2)
		return nil
	}, allLeasesSQL)
}

// take makes shards the node's, after those who held them were stopped.
func (s *Store) take(c *conn, t *leaseTable, node string, shards []int) error {
	if len(shards) == 0 {
		return nil
	}
	var victims []string
	for _, shard := range shards {
		if owner := t.owners[shard]; owner != "" && !slices.Contains(victims, owner) {
			victims = append(victims, owner)
		}
	}
	if len(victims) > 0 {
		s.terminate(c.ctx, victims)
		if _, err := c.exec(fenceSQL, victims); err != nil {
			return err
		}
	}
	if _, err := c.exec(takeLeasesSQL, node, shards); err != nil {
		return err
	}
	for _, shard := range shards {
		t.epochs[shard]++
		t.owners[shard] = node
	}
	return nil
}

// writerName is what the server knows a writer's connection by, with its id behind.
const writerName = "hark writer "

const terminateSQL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = current_user AND application_name IN (SELECT $1 || split_part(id, '.', 1) FROM writer WHERE node = ANY ($2::text[]))`

// terminate ends the transactions of nodes that are not heard of any more. One that was stopped in
// the middle of sending would keep its rows locked for as long as it sleeps. A database that cannot
// do this notices by itself, later.
func (s *Store) terminate(ctx context.Context, nodes []string) {
	_, _ = s.pool.Exec(ctx, terminateSQL, writerName, nodes)
}

// Leave gives everything back at once.
func (s *Store) Leave(ctx context.Context, node string) error {
	s.beat.Lock()
	defer s.beat.Unlock()
	err := s.change(ctx, func(c *conn) error {
		if _, err := c.exec(lockLeasesSQL, 1); err != nil {
			return err
		}
		if _, err := c.exec(fenceSQL, []string{node}); err != nil {
			return err
		}
		if _, err := c.exec(freeAllLeasesSQL, node); err != nil {
			return err
		}
		_, err := c.exec(deleteNodeSQL, node)
		return err
	})
	if err != nil {
		return err
	}
	if m := s.node.Load(); m != nil && m.node == node {
		s.join(&membership{node: node})
	}
	s.bell.leased()
	return nil
}

func (ws *writers) ids() []string {
	ids := make([]string, len(ws.all))
	for i, w := range ws.all {
		ids[i] = w.id
	}
	return ids
}

// dueBound is how many due rows of one endpoint are counted.
const dueBound = 1000

const dueSQL = `SELECT d.endpoint, (SELECT count(*) FROM (
  SELECT 1 FROM queue AS q WHERE q.shard = d.shard AND q.endpoint = d.endpoint AND q.due <= $3 LIMIT $4) AS due)
FROM unnest($1::smallint[], $2::bigint[]) AS d (shard, endpoint)`

// Nodes lists the nodes that were seen lately, with what they hold.
func (s *Store) Nodes(ctx context.Context, now time.Time) (all []store.NodeStatus, err error) {
	late, err := s.late(ctx, now)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(c *conn) error {
		t, err := readLeases(c, func(end time.Time) bool { return end.After(now) })
		if err != nil {
			return err
		}
		all, err = row.Collect(c.query, func(r row.Row) (store.NodeStatus, error) {
			return store.NodeStatus{
				Node:   store.Node{ID: r.Text(0), Addr: r.Text(1), Version: r.Text(2), StartedAt: r.Time(3)},
				SeenAt: r.Time(4), Alive: r.Time(5).After(now), Shards: t.of(r.Text(0)),
			}, nil
		}, nodesSQL)
		return err
	})
	for i := range all {
		for _, shard := range all[i].Shards {
			l := late[shard]
			all[i].Queued += l.queued
			if l.oldest != 0 && (all[i].Oldest.IsZero() || l.oldest < all[i].Oldest.UnixMilli()) {
				all[i].Oldest = row.Moment(l.oldest)
			}
		}
	}
	return all, err
}

// lateness is what is due in a shard.
type lateness struct{ queued, oldest int64 }

// late looks at what is due, by shard. Its cost follows the number of endpoints, not of deliveries.
func (s *Store) late(ctx context.Context, now time.Time) (map[int]lateness, error) {
	heads, err := s.backlogs(ctx, allShards())
	if err != nil {
		return nil, err
	}
	byShard := make(map[int]lateness)
	var shards []int
	var endpoints []hark.Ref
	for _, b := range heads {
		if b.Deleted || b.First.Due > now.UnixMilli() {
			continue
		}
		shard := store.ShardOf(b.EndpointRef)
		l := byShard[shard]
		l.oldest = min(cmp.Or(l.oldest, b.First.Due), b.First.Due)
		byShard[shard] = l
		shards, endpoints = append(shards, shard), append(endpoints, b.EndpointRef)
	}
	if len(shards) == 0 {
		return byShard, nil
	}
	err = s.read(ctx, func(c *conn) error {
		clearQueued(byShard)
		return c.query(func(r row.Row) error {
			shard := store.ShardOf(r.Int(0))
			l := byShard[shard]
			l.queued += r.Int(1)
			byShard[shard] = l
			return nil
		}, dueSQL, shards, endpoints, now, dueBound)
	})
	return byShard, err
}

// clearQueued makes counting possible more than once.
func clearQueued(byShard map[int]lateness) {
	for shard, l := range byShard {
		byShard[shard] = lateness{oldest: l.oldest}
	}
}
