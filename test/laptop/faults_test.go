package laptop

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// fault is something that a round does.
type fault struct {
	what   string
	quiet  bool // nothing may come twice because of it
	length time.Duration
	make   func(length time.Duration) error // returns when it is over
}

// chance makes up what happens, from a seed.
type chance struct{ *rand.Rand }

func (c chance) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.Int64N(int64(most-least)))
}

// kind is a kind of fault.
type kind struct {
	what   string
	of     string // what it hits: two at once hit different things, and not all of the laptop
	length [2]time.Duration
	long   [2]time.Duration // instead, now and then, in a long campaign
	quiet  bool
	make   func(length time.Duration) error
}

// ofLaptop are the faults of a laptop, and of the network that it is in.
func (c *campaign) ofLaptop() []kind {
	const ms = time.Millisecond
	brief := [2]time.Duration{0, 1500 * ms}
	some := [2]time.Duration{200 * ms, 1500 * ms}
	long := [2]time.Duration{15 * time.Second, 18 * time.Second} // the server gives up after 14 s, the listener after 13
	weather := func(w harness.Weather) func(time.Duration) error {
		return func(length time.Duration) error {
			c.proxy.Set(w)
			time.Sleep(length)
			c.proxy.Set(harness.Fine)
			return nil
		}
	}
	return []kind{
		{what: "sleep", of: "listener", length: some, long: long, make: c.sleep},
		{what: "listener crashes", of: "listener", length: brief, make: func(length time.Duration) error {
			c.listener.running().Kill()
			time.Sleep(length)
			return c.listener.startAgain(startLimit)
		}},
		{what: "listener restarts", of: "listener", length: brief, make: func(length time.Duration) error {
			if err := c.listener.running().Stop(time.Minute); err != nil {
				return err
			}
			time.Sleep(length)
			return c.listener.startAgain(startLimit)
		}},
		{what: "takeover", of: "listener", length: some, make: c.takeOver},
		{what: "sockets cut", of: "network", length: [2]time.Duration{0, 10 * ms}, make: weather(harness.Refused)},
		{what: "connections refused", of: "network", length: some, long: long, make: weather(harness.Refused)},
		{what: "bytes swallowed", of: "network", length: some, long: long, make: weather(harness.Swallow)},
		{what: "bytes kept back", of: "network", length: some, long: long, make: weather(harness.KeptBack)},
		{what: "receiver down", of: "receiver", length: brief, long: long, make: c.fall},
		{what: "laptop crashes", of: "laptop", length: brief, make: func(length time.Duration) error {
			c.receiver.down()
			time.Sleep(length)
			c.listener.running().Kill() // while it holds a message
			if err := c.receiver.up(); err != nil {
				return err
			}
			return c.listener.startAgain(startLimit)
		}},
		{what: "receiver answers 500", of: "receiver", length: some, quiet: true, make: c.moody(http.StatusInternalServerError, 0)},
		{what: "receiver slow", of: "receiver", length: some, quiet: true, make: c.moody(http.StatusOK, 300*ms)},
	}
}

// ofServer are the faults of one server.
func (c *campaign) ofServer() []kind {
	brief := [2]time.Duration{0, 1500 * time.Millisecond}
	return []kind{
		{what: "server crashes", of: "server", length: brief, make: func(length time.Duration) error {
			c.node().server.Kill()
			time.Sleep(length)
			return c.node().start()
		}},
		{what: "server restarts", of: "server", length: brief, make: func(length time.Duration) error {
			if err := c.node().server.Stop(time.Minute); err != nil {
				return err
			}
			time.Sleep(length)
			return c.node().start()
		}},
	}
}

// startLimit is how long a start may take while other faults are under way.
const startLimit = 2 * time.Minute

// sleep stops the listener as a closed lid does.
func (c *campaign) sleep(length time.Duration) error {
	p := c.listener.running()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(length)
	return p.Signal(syscall.SIGCONT)
}

// takeOver starts another listener of this machine, which takes over, and kills it.
func (c *campaign) takeOver(length time.Duration) error {
	if err := c.other.startAgain(startLimit); err != nil {
		return err
	}
	time.Sleep(length)
	c.other.running().Kill()
	return nil
}

// fall ends the receiver in the middle of an answer, if there is something to answer.
func (c *campaign) fall(length time.Duration) error {
	c.receiver.mood(http.StatusNoContent, 100*time.Millisecond)
	time.Sleep(150 * time.Millisecond)
	c.receiver.down()
	c.receiver.mood(http.StatusNoContent, 0)
	time.Sleep(length)
	return c.receiver.up()
}

// moody makes the receiver answer otherwise for a while.
func (c *campaign) moody(status int, slow time.Duration) func(time.Duration) error {
	return func(length time.Duration) error {
		c.receiver.mood(status, slow)
		time.Sleep(length)
		c.receiver.mood(http.StatusNoContent, 0)
		return nil
	}
}

// pick makes up what a round does: one fault, or two that hit different things.
func (c *campaign) pick(round int) []fault {
	if round == 0 { // so that however few rounds there are, the connection is lost in one
		i := slices.IndexFunc(c.kinds, func(k kind) bool { return k.what == "sockets cut" })
		return []fault{c.faultOf(c.kinds[i])}
	}
	turn := (round - 1) % len(c.first)
	if turn == 0 {
		c.turns = c.chance.Perm(len(c.first))
	}
	first := c.first[c.turns[turn]]
	faults := []fault{c.faultOf(first)}
	if c.chance.IntN(2) == 0 {
		if second := c.kinds[c.chance.IntN(len(c.kinds))]; second.of != first.of && first.of != "laptop" && second.of != "laptop" {
			faults = append(faults, c.faultOf(second))
		}
	}
	return faults
}

func (c *campaign) faultOf(k kind) fault {
	f := fault{what: k.what, quiet: k.quiet, length: c.chance.between(k.length[0], k.length[1]), make: k.make}
	if c.long && k.long[1] > 0 && c.chance.IntN(3) == 0 {
		f.what, f.length = "long: "+k.what, c.chance.between(k.long[0], k.long[1])
	}
	return f
}

// strike makes a round's faults, and returns when all are over.
func (c *campaign) strike(faults []fault, apart time.Duration) error {
	var wg sync.WaitGroup
	errs := make([]error, len(faults))
	for i, f := range faults {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			ended := func() {}
			if !f.quiet {
				ended = c.journal.Fault(f.what, false)
			}
			errs[i] = f.make(f.length)
			ended()
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
