package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

type nodesCmd struct {
	Remote
}

// Help is shown by hark nodes --help.
func (nodesCmd) Help() string {
	return `A node is one hark serve. Nodes on one database divide 256 shards of all endpoints among them, and
each delivers for its own. When one is lost the others take its shards over within --lease. LAG is how long
the oldest due delivery of a node has been waiting. On a data folder there is one node, with all shards.

Examples:

  hark nodes
  hark nodes --json | jq '.data[].lagMs'`
}

type nodeOut struct {
	ID        string    `json:"id"`
	Addr      string    `json:"addr"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"startedAt"`
	SeenAt    time.Time `json:"seenAt"`
	Alive     bool      `json:"alive"`
	Shards    []int     `json:"shards"`
	Due       int64     `json:"due"`
	LagMs     int64     `json:"lagMs"`
}

// Run lists nodes.
func (c *nodesCmd) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{path: "/nodes"}, func(list struct {
		Data []nodeOut `json:"data"`
	}) {
		t := newTable("NODE", "ADDRESS", "VERSION", "STATE", "SHARDS", "DUE", "LAG", "UP", "SEEN")
		now := time.Now()
		for _, n := range list.Data {
			state := "alive"
			if !n.Alive {
				state = "gone"
			}
			t.add(n.ID, n.Addr, n.Version, state, strconv.Itoa(len(n.Shards)), strconv.FormatInt(n.Due, 10),
				(time.Duration(n.LagMs) * time.Millisecond).String(), now.Sub(n.StartedAt).Round(time.Second).String(),
				fmt.Sprintf("%v ago", max(0, now.Sub(n.SeenAt)).Round(100*time.Millisecond)))
		}
		t.write(sh)
	})
}
