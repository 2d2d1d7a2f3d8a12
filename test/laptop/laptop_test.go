package laptop

import (
	"context"
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
	rounds  = flag.Int("rounds", 5, "how many rounds of faults there are; more than ten have long ones among them")
	seed    = flag.Uint64("seed", 0, "what the faults are made up from; 0: by chance")
	waiting = flag.Int("waiting", 1000, "how many messages wait for a listener that starts")
	keep    = flag.String("keep", "", "folder for the logs, kept afterwards; default: a temporary one")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestListen_LosesNothingAndKeepsOrder does random things to a laptop and what it is connected to, while
// messages come, and judges by the log.
func TestListen_LosesNothingAndKeepsOrder(t *testing.T) {
	harness.Binary(t)
	c := newCampaign(t)
	began := time.Now()
	c.run(t)
	v, n := c.finish(t)
	t.Logf("%d rounds in %.0f s, seed %d: %v; %d attempts, of which %d told an answer again and %d were cut off twice; connected again %d times",
		*rounds, time.Since(began).Seconds(), c.seed, v, n.attempts, n.again, n.cut, c.reconnected)
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

// campaign is a sequence of rounds with one server and one laptop.
type campaign struct {
	seed   uint64
	chance chance
	long   bool
	turns  []int

	log       string
	options   harness.Options
	server    *harness.Server
	client    *harness.Client
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
	c := &campaign{seed: *seed, long: *rounds > 10}
	for c.seed == 0 {
		c.seed = rand.Uint64N(1_000_000)
	}
	t.Logf("-seed %d", c.seed)
	c.chance = chance{rand.New(rand.NewPCG(c.seed, 1))}
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	c.log = filepath.Join(dir, "laptop.log")
	var err error
	if c.journal, err = witness.NewJournal(c.log); err != nil {
		t.Fatal(err)
	}
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	c.options = harness.Options{Binary: harness.Binary(t), Dir: dir + "/data", Addr: addr, Args: []string{"--log-level", "warn"}}
	if err := c.serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.server.Kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", c.server.Tail())
		}
	})
	c.client = harness.NewClient("http://"+addr, harness.Key)
	c.proxy = harness.NewProxy(t, addr)
	c.setup(t, dir)
	return c
}

// serve starts the server on its folder, again.
func (c *campaign) serve() (err error) {
	c.server, err = harness.Start(context.Background(), c.options)
	return err
}

// setup starts the listener, and makes the ways in: by the API, and as GitHub's webhooks.
func (c *campaign) setup(t *testing.T, dir string) {
	c.app = c.client.Application(t, "laptop")
	c.receiver = newReceiver(t, c.journal)
	to := "http://" + c.receiver.addr + hook
	c.listener = newListener(t, dir, "http://"+c.proxy.Addr, c.app, to)
	c.other = newListener(t, dir, "http://"+c.proxy.Addr, c.app, to)
	if err := c.listener.startAgain(startLimit); err != nil {
		t.Fatal(err)
	}
	ready, _ := c.listener.out().find("ready")
	c.consumer = ready.ConsumerID
	if err := c.receiver.trust(ready.Secret); err != nil {
		t.Fatal(err)
	}
	source := witness.NewSource(t, c.client, c.app)
	c.receiver.github = source.Secret
	to = hook
	c.publisher = &witness.Publisher{
		Nodes: []*harness.Client{c.client}, Journal: c.journal, Pace: 60 * time.Millisecond, Patience: 5 * time.Second,
		Apps: []witness.App{{ID: c.app, To: []string{to}, Share: 2}, {ID: c.app, To: []string{to}, Share: 1, Source: source}},
	}
}

// publishers is how many requests are out at once.
const publishers = 3

func (c *campaign) run(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range publishers {
		load.Go(func() { c.publisher.Run(ctx) })
	}
	defer load.Wait()
	defer stop()
	for i := range *rounds {
		c.round(t, i)
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
	feed := feedOrder(t, c.client, c.app, c.consumer)
	deadline := time.Now().Add(2 * time.Minute)
	for c.receiver.seen() < len(feed) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	first, stories, arrivals := c.receiver.stories()
	checkOrder(t, feed, first)
	// The last answer has still to be told, and kept.
	harness.Eventually(t, 20*time.Second, func() error {
		if s := c.behind(t); s != 0 {
			return fmt.Errorf("%d messages are not acknowledged", s)
		}
		return nil
	})
	n := checkAttempts(t, attempts(t, c.client, c.app, first), stories)
	if err := c.listener.running().Stop(10 * time.Second); err != nil {
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
	events, err := witness.ReadJournal(c.log)
	if err != nil {
		t.Fatal(err)
	}
	return witness.Check(events, c.rules()), n
}

// rules say what may come twice: what was out at a fault, answered not long before it.
func (c *campaign) rules() witness.Rules {
	return witness.Rules{InFlight: window + 1, Before: 3 * time.Second, After: 5 * time.Second, Ordered: map[string]witness.Order{hook: witness.ByEndpoint}}
}

// window is how many messages a listener has at most.
const window = 16

// behind is how many messages of the feed, of the next 250, the listener has not dealt with.
func (c *campaign) behind(t *testing.T) int {
	t.Helper()
	var page struct{ Data []struct{ ID string } }
	c.client.Call(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/consumer/%s/messages?limit=250&group=listen", c.app, c.consumer), nil, &page)
	return len(page.Data)
}
