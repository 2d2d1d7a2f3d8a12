package app

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/observe"
	"github.com/harkhq/hark/internal/store"
)

// Where several nodes share a database, they tell each other what they have changed and queued.

// upkeepShard stands for work that is nobody's in particular: whoever delivers for this shard does it.
const upkeepShard = 0

func (a *App) isUpkeeper() bool { return a.engine.Holds(upkeepShard) }

// newNode names this process: by its machine, for people, and so that no other has the name.
func newNode(addr net.Addr, build observe.Build, now time.Time) store.Node {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	at := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = net.JoinHostPort(host, strconv.Itoa(tcp.Port))
	}
	host, _, _ = strings.Cut(host, ".")
	return store.Node{
		ID: host + "-" + strings.ToLower(rand.Text()[:8]), Addr: at, Version: build.Version, StartedAt: now,
	}
}

// join has this node hear of what the others do. Call it before the cluster is watched.
func (a *App) join(dir *directory.Directory, tokens *auth.Authenticator) {
	if a.cluster == nil {
		return
	}
	a.cluster.OnWake(a.engine.Wake)
	a.cluster.OnLeases(a.engine.LeasesFree)
	a.cluster.OnChange(func(apps []hark.Ref) {
		if apps == nil {
			dir.ForgetAll()
			a.ingest.ForgetAll()
			tokens.Forget()
			a.engine.ApplicationsChanged(nil)
			return
		}
		if slices.Contains(apps, 0) {
			tokens.Forget()
			apps = slices.DeleteFunc(apps, func(ref hark.Ref) bool { return ref == 0 })
		}
		for _, ref := range apps {
			dir.Forget(ref)
			a.ingest.Forget(ref)
		}
		a.engine.ApplicationsChanged(apps)
	})
}

// mostCounted bounds what is counted of a queue for people.
const mostCounted = 10_000

// nodes are the servers on this store, with what they are late with.
func (a *App) nodes(ctx context.Context, now time.Time) ([]store.NodeStatus, error) {
	if a.cluster != nil {
		return a.cluster.Nodes(ctx, now)
	}
	only := store.NodeStatus{Node: a.node, SeenAt: now, Alive: true, Shards: make([]int, store.Shards)}
	for shard := range only.Shards {
		only.Shards[shard] = shard
	}
	backlogs, err := a.store.Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range backlogs {
		if b.First.Due > now.UnixMilli() {
			continue
		}
		if at := time.UnixMilli(b.First.Due).UTC(); only.Oldest.IsZero() || at.Before(only.Oldest) {
			only.Oldest = at
		}
		if only.Queued >= mostCounted {
			continue
		}
		rows, err := a.store.ReadQueue(ctx, b.EndpointRef, store.Position{}, 1000)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Due <= now.UnixMilli() {
				only.Queued++
			}
		}
	}
	return []store.NodeStatus{only}, nil
}
