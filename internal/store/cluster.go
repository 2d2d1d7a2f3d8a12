package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Shards is the number of parts that deliveries are divided into, by endpoint. It is fixed: each
// shard is delivered by one node at a time.
const Shards = 256

// ShardOf is the shard of an endpoint's deliveries. Refs that follow each other come as far apart as
// can be (Fibonacci hashing), so that the endpoints of one customer are shared by all nodes.
func ShardOf(endpoint hark.Ref) int { return int(uint64(endpoint) * 0x9e37_79b9_7f4a_7c15 >> 56) }

// Cluster is what a store offers whose data several nodes share. A store that one process has to
// itself does not implement it.
//
// A lease says which node delivers for a shard. Its epoch rises with every change of owner. After
// the first Beat, Settle changes nothing for shards whose lease the node does not hold any more at
// the settlement's epoch, and says so (Settlement.Fenced): a node that was away longer than its lease
// can do no harm when it wakes. OnQueued is then called for rows of the node's own shards only; the
// owners of the others are woken.
type Cluster interface {
	// Beat says that the node is alive until now+ttl. It renews the leases that the node holds, gives
	// back those of release, which the node has drained before, and takes free and expired ones until
	// it has its fair share among the nodes that are alive. It answers what the node holds now, and
	// which of it, a few at a time, it should drain because others have too little.
	Beat(ctx context.Context, node Node, now time.Time, ttl time.Duration, release []int) (Leases, error)
	// Leave gives everything back at once.
	Leave(ctx context.Context, node string) error
	// Nodes lists the nodes that were seen lately, with what they hold.
	Nodes(ctx context.Context, now time.Time) ([]NodeStatus, error)

	// BacklogsOf is Backlogs for some shards only: what a node reads when it gets them, and from time
	// to time, because a wake-up can be lost.
	BacklogsOf(ctx context.Context, shards []int) ([]Backlog, error)

	// ReadQueues is ReadQueue for many endpoints at once, up to limit rows of each: a node that is woken
	// for many asks once.
	ReadQueues(ctx context.Context, starts []QueueStart, limit int) ([][]hark.Delivery, error)

	// OnWake names the function that is told of endpoints for which another node has committed
	// deliveries, or this one, too late to tell of them (Messages.OnQueued). It must not block. Missing
	// calls are made up for by polling.
	OnWake(func(endpoints []hark.Ref))
	// OnChange names the function that is told of applications whose configuration was changed, by
	// this node or another. Ref 0 stands for what belongs to no application: environments, event
	// types, keys. Nil means that anything may have changed. It must not block; no change is missed
	// for longer than half a second while the database can be reached.
	OnChange(func(applications []hark.Ref))
	// OnLeases names the function that is told when leases were given back or a node has come: a Beat
	// soon makes the pause of their shards short. It must not block.
	OnLeases(func())
	// Watch listens and polls for all three until ctx ends; losing the database does not end it. The
	// functions are named before.
	Watch(ctx context.Context) error
}

// QueueStart is where to begin reading an endpoint's rows: behind After.
type QueueStart struct {
	EndpointRef hark.Ref
	After       Position
}

// Node is one process that delivers.
type Node struct {
	ID        string // new for every process: it is what leases are held by
	Addr      string // where its API is, for people
	Version   string
	StartedAt time.Time
}

// Leases is what a node holds.
type Leases struct {
	Held    map[int]int64 // epochs by shard
	Surplus []int         // shards of Held to drain, and then to name in Beat's release
}

// NodeStatus is a node as the others see it.
type NodeStatus struct {
	Node
	SeenAt time.Time
	Alive  bool
	Shards []int
	Queued int64     // rows that are due in its shards, up to a bound
	Oldest time.Time // the due time of the oldest of them; zero if there are none
}
