package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// cluster is the leases of several engines over one store, as a database keeps them.
type cluster struct {
	w     *world
	mu    sync.Mutex
	lease [store.Shards]struct {
		owner string
		epoch int64
		until time.Time
	}
	alive map[string]time.Time
	told  []func([]hark.Delivery)
}

// clusterNode is one engine with its view of the cluster. It is its engine's store, too.
type clusterNode struct {
	*cluster
	deliver.Store
	id     string
	engine *deliver.Engine
	stop   func()
	cut    bool          // it reaches the leases no more
	slow   time.Duration // how long messages take to be read
	fenced int
}

func (n *clusterNode) Beat(_ context.Context, node store.Node, now time.Time, ttl time.Duration, release []int) (store.Leases, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return store.Leases{}, errors.New("no connection")
	}
	n.alive[node.ID] = now.Add(ttl)
	for _, shard := range release {
		if n.lease[shard].owner == node.ID {
			n.lease[shard].owner = ""
		}
	}
	living := 0
	for _, until := range n.alive {
		if until.After(now) {
			living++
		}
	}
	out := store.Leases{Held: map[int]int64{}}
	fair := (store.Shards + living - 1) / living
	for shard := range n.lease {
		if l := &n.lease[shard]; l.owner == node.ID {
			l.until = now.Add(ttl)
			out.Held[shard] = l.epoch
		}
	}
	for shard := range n.lease {
		l := &n.lease[shard]
		if l.owner != node.ID && (l.owner == "" || !l.until.After(now)) && len(out.Held) < fair {
			l.owner, l.epoch, l.until = node.ID, l.epoch+1, now.Add(ttl)
			out.Held[shard] = l.epoch
		}
	}
	for shard := range out.Held {
		if len(out.Surplus) < len(out.Held)-fair {
			out.Surplus = append(out.Surplus, shard)
		}
	}
	return out, nil
}

func (n *clusterNode) Leave(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return errors.New("no connection")
	}
	delete(n.alive, id)
	for shard := range n.lease {
		if n.lease[shard].owner == id {
			n.lease[shard].owner = ""
		}
	}
	return nil
}

func (n *clusterNode) BacklogsOf(ctx context.Context, shards []int) ([]store.Backlog, error) {
	all, err := n.w.store.Backlogs(ctx)
	return slices.DeleteFunc(all, func(b store.Backlog) bool { return !slices.Contains(shards, store.ShardOf(b.EndpointRef)) }), err
}

func (n *clusterNode) ReadQueues(ctx context.Context, starts []store.QueueStart, limit int) (all [][]hark.Delivery, err error) {
	for _, start := range starts {
		rows, err := n.w.store.ReadQueue(ctx, start.EndpointRef, start.After, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, rows)
	}
	return all, nil
}

func (n *clusterNode) Nodes(context.Context, time.Time) ([]store.NodeStatus, error) { return nil, nil }
func (n *clusterNode) OnWake(func([]hark.Ref))                                      {}
func (n *clusterNode) OnChange(func([]hark.Ref))                                    {}
func (n *clusterNode) OnLeases(func())                                              {}
func (n *clusterNode) Watch(context.Context) error                                  { return nil }

// Settle leaves out what another node owns now.
func (n *clusterNode) Settle(ctx context.Context, all []store.Settlement) error {
	var kept []store.Settlement
	n.mu.Lock()
	for i := range all {
		if l := n.lease[store.ShardOf(all[i].Delivery.EndpointRef)]; l.owner != n.id || l.epoch != all[i].Epoch {
			all[i].Fenced = true
			n.fenced++
		} else {
			kept = append(kept, all[i])
		}
	}
	n.mu.Unlock()
	return n.w.store.Settle(ctx, kept)
}

func (n *clusterNode) MessagesByRef(ctx context.Context, refs []hark.Ref) ([]hark.Message, error) {
	n.mu.Lock()
	slow := n.slow
	n.mu.Unlock()
	time.Sleep(slow)
	return n.Store.MessagesByRef(ctx, refs)
}

// newCluster is a world without an engine of its own: nodes deliver in its place. Those that want to
// are told of all rows, as if each had accepted them; the wake-ups between nodes are left out, so
// that looking around must find what they missed.
func newCluster(t *testing.T) *cluster {
	w := newWorld(t, deliver.Options{})
	w.stop()
	c := &cluster{w: w, alive: map[string]time.Time{}}
	var err error
	if w.store, err = sqlite.Open(t.Context(), w.path, sqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	w.store.OnQueued(func(rows []hark.Delivery) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, tell := range c.told {
			tell(slices.Clone(rows))
		}
	})
	w.dir = directory.New(w.store, directory.Options{})
	w.eng = deliver.New(deliver.Options{Store: w.store, Directory: w.dir}) // never runs
	return c
}

func (c *cluster) close() {
	if err := c.w.store.Close(); err != nil {
		c.w.t.Errorf("Close: %v", err)
	}
	synctest.Wait()
}

func (c *cluster) join(id string, tell bool) *clusterNode {
	n := &clusterNode{cluster: c, Store: c.w.store, id: id}
	client := outbound.New(outbound.Options{Dial: c.w.net.dial, Resolver: c.w.net})
	n.engine = deliver.New(deliver.Options{
		Store: n, Directory: c.w.dir, Client: client, Cluster: n, Node: store.Node{ID: id},
	})
	if tell {
		c.mu.Lock()
		c.told = append(c.told, n.engine.Offer)
		c.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.engine.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			c.w.t.Errorf("Run: %v", err)
		}
		client.Close()
	}
	return n
}

// cut cuts a node from the leases, or mends that.
func (c *cluster) cut(n *clusterNode, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.cut = cut
}

// endpoints adds n endpoints that write into one journal.
func (c *cluster) endpoints(n int, handle http.HandlerFunc) {
	for i := range n {
		c.w.endpoint(fmt.Sprint("e", i), handle, nil)
	}
}

// eachOnce fails unless every one of n messages came once to every endpoint.
func (c *cluster) eachOnce(j *journal, messages, endpoints int) {
	c.w.t.Helper()
	times := map[string]int{}
	for _, body := range j.list() {
		times[body]++
	}
	for i := range messages {
		if got := times[fmt.Sprintf(`{"n":%d}`, i)]; got != endpoints {
			c.w.t.Errorf("message %d came %d times, want %d", i, got, endpoints)
		}
	}
	if n := c.w.queued(); n != 0 {
		c.w.t.Errorf("%d rows are left in the queue", n)
	}
}

func TestCluster_NodesShareTheEndpointsAndSendEachDeliveryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a, b := c.join("a", true), c.join("b", true)
		time.Sleep(20 * time.Second)
		var j journal
		c.endpoints(12, j.ok)
		for i := range 50 {
			c.w.publish(fmt.Sprintf(`{"n":%d}`, i))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c.eachOnce(&j, 50, 12)
		a.stop()
		b.stop()
	})
}

func TestCluster_LookingAroundMakesUpForLostWakeUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.join("a", false) // is told of nothing
		time.Sleep(20 * time.Second)
		var j journal
		c.endpoints(5, j.ok)
		for i := range 20 {
			c.w.publish(fmt.Sprintf(`{"n":%d}`, i))
			time.Sleep(700 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		c.eachOnce(&j, 20, 5)
		a.stop()
	})
}

func TestCluster_AJoiningNodeGetsItsShareWithoutARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.join("a", true)
		time.Sleep(20 * time.Second)
		var j journal
		c.endpoints(12, func(w http.ResponseWriter, r *http.Request) { time.Sleep(300 * time.Millisecond); j.note(r) })
		var b *clusterNode
		for i := range 100 {
			c.w.publish(fmt.Sprintf(`{"n":%d}`, i))
			time.Sleep(100 * time.Millisecond)
			if i == 10 {
				b = c.join("b", true)
			}
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		c.eachOnce(&j, 100, 12)
		shares := map[string]int{}
		for shard := range c.lease {
			shares[c.lease[shard].owner]++
		}
		if shares["a"] != 128 || shares["b"] != 128 {
			t.Errorf("shares = %v, want 128 each", shares)
		}
		a.stop()
		b.stop()
	})
}

func TestCluster_ANodeCutOffStopsBeforeAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a, b := c.join("a", true), c.join("b", true)
		time.Sleep(20 * time.Second)
		var j journal
		c.endpoints(12, j.ok)
		c.cut(a, true)
		for i := range 40 {
			c.w.publish(fmt.Sprintf(`{"n":%d}`, i))
			time.Sleep(time.Second)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		c.eachOnce(&j, 40, 12)
		if a.fenced != 0 {
			t.Errorf("%d settlements had to be fenced, though nothing was in flight for long", a.fenced)
		}
		for shard := range c.lease {
			if c.lease[shard].owner != "b" {
				t.Fatalf("shard %d is owned by %q", shard, c.lease[shard].owner)
			}
		}
		a.stop()
		b.stop()
	})
}

func TestCluster_WhatIsReadAfterTheLeaseIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.join("a", true)
		time.Sleep(20 * time.Second)
		var j journal
		c.endpoints(1, func(w http.ResponseWriter, r *http.Request) {
			if j.note(r); len(j.list()) == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		c.w.publish(`{"n":0}`)
		time.Sleep(2 * time.Second)
		c.mu.Lock()
		a.slow = 30 * time.Second // for the retry
		c.mu.Unlock()
		time.Sleep(6 * time.Second) // now it is being read
		c.cut(a, true)
		b := c.join("b", false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(j.list()); got != 2 || c.w.queued() != 0 {
			t.Errorf("%d requests, want 2: one that failed, and one by the new owner", got)
		}
		a.stop()
		b.stop()
	})
}

func TestCluster_WhatIsSettledAfterTheLeaseIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.join("a", true)
		time.Sleep(20 * time.Second)
		var j journal
		var came atomic.Bool
		c.endpoints(1, func(w http.ResponseWriter, r *http.Request) {
			j.note(r)
			if !came.Swap(true) {
				time.Sleep(25 * time.Second)
			}
		})
		m := c.w.publish(`{"n":0}`)
		time.Sleep(time.Second)
		c.cut(a, true)
		b := c.join("b", true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(j.list()); got != 2 {
			t.Errorf("%d requests, want 2: the one in flight is repeated", got)
		}
		if got := len(c.w.attempts(m)); got != 1 || a.fenced != 1 {
			t.Errorf("%d attempts recorded and %d fenced, want 1 and 1", got, a.fenced)
		}
		if n := c.w.queued(); n != 0 {
			t.Errorf("%d rows are left in the queue", n)
		}
		a.stop()
		b.stop()
	})
}

// A node loses a lease while an attempt of it is out, and has it again, under another epoch, before that
// ends. What the endpoint has by then is sent by the lane that the new lease has made, and by no other.
func TestCluster_WhatALeaseThatWasLostLeavesBehindTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.join("a", true)
		time.Sleep(20 * time.Second)
		var j journal
		var came atomic.Bool
		c.endpoints(1, func(w http.ResponseWriter, r *http.Request) {
			if !came.Swap(true) {
				time.Sleep(25 * time.Second)
				return
			}
			time.Sleep(2 * time.Second)
			j.note(r)
		})
		messages := []hark.Message{c.w.publish(`{"n":0}`)}
		c.cut(a, true)
		b := c.join("b", true)
		time.Sleep(20 * time.Second) // the other takes over, repeats what is out,
		b.stop()                     // and leaves
		c.cut(a, false)
		time.Sleep(4 * time.Second)
		for i := range 40 {
			messages = append(messages, c.w.publish(fmt.Sprintf(`{"n":%d}`, i+1)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		c.eachOnce(&j, len(messages), 1)
		for i, m := range messages {
			if got := len(c.w.attempts(m)); got != 1 {
				t.Errorf("message %d has %d attempts, want 1", i, got)
			}
		}
		if a.fenced != 1 {
			t.Errorf("%d settlements were fenced, want that of the attempt that outlived its lease", a.fenced)
		}
		a.stop()
	})
}
