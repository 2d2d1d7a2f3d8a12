package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// between is a random time.
func between(least, most time.Duration) time.Duration { return least + rand.N(most-least) }

// fault is something that a round does to the cluster.
type fault struct {
	what  string
	node  int // whom it hits; -1: all
	make  func(ctx context.Context) error
	after func(ctx context.Context) error // what mends it, when its window is over
}

// The kinds of faults.
const (
	kill = iota
	freeze
	database
	cut
	kinds
)

// faultOf makes one up. Of a kind that hits a node, it hits this one.
func (c *campaign) faultOf(kind, node int) fault {
	n := c.nodes[node]
	switch kind {
	case kill:
		return fault{what: "kill", node: node,
			make: func(context.Context) error { n.running().Kill(); return nil },
			after: func(ctx context.Context) error {
				time.Sleep(between(0, lease+time.Second))
				return n.start(ctx)
			}}
	case freeze:
		what, length := "freeze", between(lease+300*time.Millisecond, lease+2*time.Second)
		if rand.IntN(4) == 0 {
			what, length = "short freeze", between(lease/10, lease/2)
		}
		return fault{what: what, node: node, make: func(context.Context) error {
			if err := n.signal(syscall.SIGSTOP); err != nil {
				return err
			}
			time.Sleep(length)
			return n.signal(syscall.SIGCONT)
		}}
	case database:
		length := between(0, time.Second)
		if rand.IntN(3) == 0 {
			length = between(3*time.Second, 5*time.Second) // publishes are turned away
		}
		return fault{what: "database", node: -1, make: func(context.Context) error {
			c.database.Crash()
			time.Sleep(length)
			return c.database.Start()
		}}
	default: // cut
		w := []harness.Weather{harness.Refused, harness.Swallow, harness.KeptBack}[rand.IntN(3)]
		what, length := "cut", between(lease+300*time.Millisecond, lease+2*time.Second)
		if rand.IntN(3) == 0 {
			what, length = "short cut", between(lease/10, lease/2)
		}
		return fault{what: fmt.Sprintf("%s, %s", what, w), node: node, make: func(context.Context) error {
			n.proxy.Set(w)
			time.Sleep(length)
			n.proxy.Set(harness.Fine)
			return nil
		}}
	}
}

// pick makes up what a round does: one fault, or two that hit different nodes or different things.
func (c *campaign) pick() []fault {
	nodes, kind := rand.Perm(len(c.nodes)), rand.Perm(kinds)
	faults := []fault{c.faultOf(kind[0], nodes[0])}
	if rand.IntN(3) == 0 {
		second := nodes[1]
		if kind[0] != kill && kind[1] != kill && rand.IntN(2) == 0 {
			second = nodes[0] // frozen and cut at once
		}
		faults = append(faults, c.faultOf(kind[1], second))
	}
	return faults
}

// strike makes a round's faults, and returns when all is mended.
func (c *campaign) strike(ctx context.Context, faults []fault, alone bool) error {
	var wg sync.WaitGroup
	errs := make([]error, len(faults))
	for i, f := range faults {
		wg.Go(func() {
			if i > 0 {
				time.Sleep(rand.N(lease))
			}
			ended := c.journal.Fault(f.what, alone && len(faults) == 1)
			errs[i] = f.make(ctx)
			ended()
			if errs[i] == nil && f.after != nil {
				errs[i] = f.after(ctx)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", faults[i].what, err)
		}
	}
	return nil
}
