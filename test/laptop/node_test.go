package laptop

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/harkhq/hark/test/harness"
)

// node is a place where a server runs, now one process and now another.
type node struct {
	options harness.Options
	client  *harness.Client
	server  *harness.Server
}

// newNode starts a node in a folder of its own.
func (c *campaign) newNode(t *testing.T, i int, args, env []string) *node {
	t.Helper()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{client: harness.NewClient("http://"+addr, harness.Key)}
	n.options = harness.Options{
		Binary: harness.Binary(t), Dir: filepath.Join(c.dir, fmt.Sprint("node-", i)), Addr: addr,
		Args: append([]string{"--log-level", "warn"}, args...), Env: env,
	}
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.server.Kill()
		if t.Failed() {
			t.Logf("end of the log of node %d:\n%s", i, n.server.Tail())
		}
	})
	return n
}

func (n *node) start() (err error) {
	n.server, err = harness.Start(context.Background(), n.options)
	return err
}

// node is the one that the laptop connects to.
func (c *campaign) node() *node { return c.nodes[c.at] }
