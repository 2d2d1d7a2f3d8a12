package laptop

import (
	"syscall"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/test/harness"
)

// TestListen_GoesOnAtAnotherNode moves a laptop between two nodes that share a PostgreSQL database, because the one
// that it is connected to is killed, stopped, frozen or merely left.
func TestListen_GoesOnAtAnotherNode(t *testing.T) {
	harness.Binary(t)
	t.Parallel()
	c := newCampaign(t)
	db := postgrestest.New(t, postgrestest.Options{Fsync: true})
	args := []string{"--migrate", "--lease", "2s", "--database", db.Database(t, "empty", func(string) error { return nil })}
	env := []string{"HARK_MASTER_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	for i := range 2 {
		c.nodes = append(c.nodes, c.newNode(t, i, args, env))
	}
	c.first = c.ofNodes()
	c.kinds = append(c.ofLaptop(), c.first...)
	c.setup(t)
	c.prove(t, *rounds)
}

// ofNodes are the faults by which a laptop comes to another node.
func (c *campaign) ofNodes() []kind {
	some := [2]time.Duration{200 * time.Millisecond, 2 * time.Second}
	// move has the laptop connect to the other node from now on.
	move := func() *node {
		left := c.node()
		c.at = 1 - c.at
		c.proxy.Point(c.node().options.Addr)
		return left
	}
	cut := func() {
		c.proxy.Set(harness.Refused)
		c.proxy.Set(harness.Fine)
	}
	return []kind{
		{what: "node crashes", of: "server", length: some, make: func(length time.Duration) error {
			left := move()
			left.server.Kill()
			time.Sleep(length)
			return left.start()
		}},
		{what: "node restarts", of: "server", length: some, make: func(length time.Duration) error {
			left := move()
			if err := left.server.Stop(time.Minute); err != nil {
				return err
			}
			time.Sleep(length)
			return left.start()
		}},
		{what: "node frozen", of: "server", length: some, long: [2]time.Duration{15 * time.Second, 17 * time.Second}, make: func(length time.Duration) error {
			left := move()
			if err := left.server.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			cut()
			time.Sleep(length)
			return left.server.Signal(syscall.SIGCONT)
		}},
		{what: "node left", of: "server", length: some, make: func(length time.Duration) error {
			move()
			cut()
			time.Sleep(length)
			return nil
		}},
	}
}
