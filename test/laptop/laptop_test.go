package laptop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
	"github.com/harkhq/hark/test/witness"
)

var (
	rounds  = flag.Int("rounds", harness.Rounds(3, 6), "how many rounds of faults there are; more than ten have long ones among them")
	seed    = flag.Uint64("seed", 0, "what the faults are made up from; 0: by chance")
	waiting = flag.Int("waiting", 1000, "how many messages wait for a listener that starts")
	keep    = flag.String("keep", "", "folder for the logs, kept afterwards; default: a temporary one")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestListen_LosesNothingAndKeepsOrder does random things to a laptop and what it is connected to, while
// messages come, and judges by the log.
func TestListen_LosesNothingAndKeepsOrder(t *testing.T) {
	harness.Binary(t)
	t.Parallel()
	c := newCampaign(t)
	c.kinds = append(c.ofLaptop(), c.ofServer()...)
	c.first = c.kinds
	c.nodes = []*node{c.newNode(t, 0, nil, nil)}
	c.setup(t)
	c.prove(t, *rounds)
}

// prove makes the rounds, and judges.
func (c *campaign) prove(t *testing.T, rounds int) {
	t.Helper()
	began := time.Now()
	c.run(t, rounds)
	v, n := c.finish(t)
	t.Logf("%d rounds in %.0f s, seed %d: %v; %d attempts, of which %d told an answer again and %d were cut off twice; connected again %d times",
		rounds, time.Since(began).Seconds(), c.seed, v, n.attempts, n.again, n.cut, c.reconnected)
	for _, what := range slices.Sorted(maps.Keys(v.Faults)) {
		t.Logf("%-26s %3d", what, v.Faults[what])
	}
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if v.Acked == 0 || len(v.Faults) == 0 || n.attempts == 0 || c.reconnected == 0 {
		t.Errorf("the campaign proved nothing: %v", v)
	}
	if t.Failed() {
		t.Logf("the listener said:\n%s", c.listener.said())
	}
}

// campaign is a sequence of rounds with one laptop.
type campaign struct {
	seed   uint64
	chance chance
	long   bool
	first  []kind // of which each round has one, in turns
	kinds  []kind // of which a round may have another
	turns  []int

	dir       string
	nodes     []*node
	at        int // the node that the laptop connects to
	app       string
	consumer  string
	proxy     *harness.Proxy
	listener  *listener
	other     *listener // of the same machine
	journal   *witness.Journal
	receiver  *receiver
	publisher *witness.Publisher

	reconnected int
}

func newCampaign(t *testing.T) *campaign {
	t.Helper()
	c := &campaign{seed: *seed, long: *rounds > 10, dir: filepath.Join(*keep, t.Name())}
	for c.seed == 0 {
		c.seed = rand.Uint64N(1_000_000)
	}
	t.Logf("-seed %d", c.seed)
	c.chance = chance{rand.New(rand.NewPCG(c.seed, 1))}
	if *keep == "" {
		c.dir = t.TempDir()
	}
	err := os.MkdirAll(c.dir, 0o700)
	if err == nil {
		c.journal, err = witness.NewJournal(filepath.Join(c.dir, "laptop.log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setup starts the listener, and makes the ways in: by the API, and as GitHub's webhooks.
func (c *campaign) setup(t *testing.T) {
	t.Helper()
	client := c.nodes[0].client
	c.proxy = harness.NewProxy(t, c.nodes[0].options.Addr)
	c.app = client.Application(t, "laptop")
	c.receiver = newReceiver(t, c.journal)
	to := "http://" + c.receiver.addr + hook
	c.listener = newListener(t, c.dir, "http://"+c.proxy.Addr, c.app, to)
	c.other = newListener(t, c.dir, "http://"+c.proxy.Addr, c.app, to)
	if err := c.listener.startAgain(startLimit); err != nil {
		t.Fatal(err)
	}
	ready, _ := c.listener.out().find("ready")
	c.consumer = ready.ConsumerID
	if err := c.receiver.trust(ready.Secret); err != nil {
		t.Fatal(err)
	}
	source := witness.NewSource(t, client, c.app)
	c.receiver.github = source.Secret
	c.publisher = &witness.Publisher{
		Journal: c.journal, Pace: 60 * time.Millisecond, Patience: 5 * time.Second,
		Apps: []witness.App{{ID: c.app, To: []string{hook}, Share: 2}, {ID: c.app, To: []string{hook}, Share: 1, Source: source}},
	}
	for _, n := range c.nodes {
		c.publisher.Nodes = append(c.publisher.Nodes, n.client)
	}
}

// publishers is how many requests are out at once.
const publishers = 3

func (c *campaign) run(t *testing.T, rounds int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range publishers {
		load.Go(func() { c.publisher.Run(ctx) })
	}
	defer load.Wait()
	defer stop()
	for i := range rounds {
		c.round(t, i)
		if i == 0 { // else the next might end the listener before it is connected again, and it would never be
			harness.Eventually(t, startLimit, func() error {
				if !c.listener.out().isBack() {
					return errors.New("the listener has not connected again")
				}
				return nil
			})
		}
	}
}

// round makes a fault, or two. Every other round begins when all that was published has arrived; the others
// strike while the listener is catching up.
func (c *campaign) round(t *testing.T, i int) {
	if i%2 == 0 {
		time.Sleep(c.chance.between(200*time.Millisecond, 600*time.Millisecond))
		c.await(t, time.Minute)
	}
	faults := c.pick(i)
	apart := c.chance.between(0, 600*time.Millisecond)
	before := c.receiver.seen()
	if err := c.strike(faults, apart); err != nil {
		t.Fatalf("round %d: %v\n%s", i, err, c.listener.said())
	}
	if err := c.journal.Sync(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.listener.running().Done():
		t.Fatalf("round %d: the listener has ended by itself:\n%s", i, c.listener.said())
	default:
	}
	names := make([]string, len(faults))
	for j, f := range faults {
		names[j] = fmt.Sprintf("%s (%v)", f.what, f.length.Round(10*time.Millisecond))
	}
	t.Logf("round %d: %s; %d messages came meanwhile", i, strings.Join(names, " and "), c.receiver.seen()-before)
}

// await waits until the listener is connected and has caught up.
func (c *campaign) await(t *testing.T, limit time.Duration) {
	t.Helper()
	harness.Eventually(t, limit, func() error {
		if !c.listener.isReady() {
			return fmt.Errorf("the listener is not ready: %s", c.listener.out().last("ready", "reconnecting", "standby"))
		}
		if n := c.behind(t); n > 3*window {
			return fmt.Errorf("the listener is behind by %d messages and more", n)
		}
		return nil
	})
}

// finish settles what is in doubt, waits until everything has arrived, and judges.
func (c *campaign) finish(t *testing.T) (*witness.Verdict, counts) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.publisher.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	// What a node accepted whose owner was lost is in the feed when another has taken over.
	deadline, acked := time.Now().Add(2*time.Minute), c.acked(t)
	for c.receiver.seen() < acked && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	first, stories, arrivals := c.receiver.stories()
	checkOrder(t, feedOrder(t, c.node().client, c.app, c.consumer), first)
	// The last answer has still to be told, and kept.
	harness.Eventually(t, time.Minute, func() error {
		if s := c.behind(t); s != 0 {
			return fmt.Errorf("%d messages are not acknowledged", s)
		}
		return nil
	})
	n := checkAttempts(t, attempts(t, c.node().client, c.app, first), stories)
	if err := c.listener.running().Stop(time.Minute); err != nil {
		t.Errorf("the listener did not end well: %v", err)
	}
	for _, l := range []*listener{c.listener, c.other} {
		for i, out := range l.all() {
			c.reconnected += checkRecords(t, out, fmt.Sprintf("listener %d", i))
		}
	}
	t.Logf("%d messages, %d arrivals", len(first), arrivals)
	if err := c.journal.Close(); err != nil {
		t.Fatal(err)
	}
	return witness.Check(c.events(t), c.rules()), n
}

// events are what the log says so far.
func (c *campaign) events(t *testing.T) []witness.Event {
	t.Helper()
	events, err := c.journal.Events()
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// acked is how many messages were acknowledged.
func (c *campaign) acked(t *testing.T) int {
	t.Helper()
	known := map[int64]bool{}
	for _, e := range c.events(t) {
		if e.Kind == witness.Acked {
			known[e.Seq] = true
		}
	}
	return len(known)
}

// rules say what may come twice: what was out at a fault, answered not long before it. The order of the feed is
// that of acceptance on one node only: what another has accepted is numbered when its owner hears of it.
func (c *campaign) rules() witness.Rules {
	r := witness.Rules{InFlight: window + 1, Before: 5 * time.Second, After: 10 * time.Second}
	if len(c.nodes) == 1 {
		r.Ordered = map[string]witness.Order{hook: witness.ByEndpoint}
	}
	return r
}

// window is how many messages a listener has at most.
const window = 16

// behind is how many messages of the feed, of the next 250, the listener has not dealt with.
func (c *campaign) behind(t *testing.T) int {
	t.Helper()
	var page struct{ Data []struct{ ID string } }
	c.node().client.Call(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/consumer/%s/messages?limit=250&group=listen", c.app, c.consumer), nil, &page)
	return len(page.Data)
}
