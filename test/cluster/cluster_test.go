package cluster

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

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/test/harness"
	"github.com/harkhq/hark/test/witness"
)

var (
	rounds = flag.Int("rounds", harness.Rounds(2, 4), "how many rounds of faults there are")
	keep   = flag.String("keep", "", "folder for the logs, kept afterwards; default: a temporary one")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	// lease is short, so that there can be many rounds. It is still many times what a commit takes.
	lease = 3 * time.Second
	// concurrency is what every endpoint is set to.
	concurrency = 8
	// patience is how long an answer is awaited: longer than a node itself waits for the database.
	patience = 5 * time.Second
	// publishers is how many requests are out at once: more than one frozen node can hold up.
	publishers = 12
)

// schedule retries fast, so that retries are under way at every fault.
var schedule = []float64{0.05, 0.1, 0.2, 0.5, 1, 1, 1, 1}

// TestCluster_LosesNothingAndNoTwoNodesDeliverTheSame does random things to a cluster under load, and
// judges by the log.
func TestCluster_LosesNothingAndNoTwoNodesDeliverTheSame(t *testing.T) {
	t.Parallel()
	harness.Binary(t)
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	c := newCampaign(t, dir)
	began := time.Now()
	c.run(t)
	c.finish(t)
	if err := c.journal.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := witness.ReadJournal(c.log)
	if err != nil {
		t.Fatal(err)
	}
	v := witness.Check(events, c.rules)
	t.Logf("%d rounds in %.0f s: %v; %d changes of configuration", *rounds, time.Since(began).Seconds(), v, 2*c.configurer.stories.Load())
	report(t, v)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if v.Acked == 0 || v.Entries == 0 || len(v.Faults) == 0 || v.Recorded == 0 || c.configurer.stories.Load() == 0 {
		t.Errorf("the campaign proved nothing: %v", v)
	}
}

// report shows how often each fault was made, and how long it silenced endpoints.
func report(t *testing.T, v *witness.Verdict) {
	for _, what := range slices.Sorted(maps.Keys(v.Faults)) {
		line := fmt.Sprintf("%-22s %3d", what, v.Faults[what])
		if p := v.Pauses[what]; len(p) > 0 {
			line += fmt.Sprintf("   %3d endpoints paused: p50 %v, at most %v", len(p),
				p[len(p)/2].Round(10*time.Millisecond), p[len(p)-1].Round(10*time.Millisecond))
		}
		t.Log(line)
	}
}

// campaign is a sequence of rounds on one database.
type campaign struct {
	log        string
	database   *postgrestest.Server
	nodes      []*node
	journal    *witness.Journal
	receiver   *witness.Receiver
	publisher  *witness.Publisher
	configurer *configurer
	readers    *witness.Readers
	endpoints  []endpoint
	rules      witness.Rules
}

func newCampaign(t *testing.T, dir string) *campaign {
	c := &campaign{log: filepath.Join(dir, "cluster.log")}
	c.database = postgrestest.New(t, postgrestest.Options{Fsync: true, Settings: []string{"synchronous_commit=on"}})
	url := c.database.Database(t, "empty", func(string) error { return nil })
	var err error
	if c.journal, err = witness.NewJournal(c.log); err != nil {
		t.Fatal(err)
	}
	c.receiver = witness.NewReceiver(t, c.journal)
	c.publisher = &witness.Publisher{Journal: c.journal, Pace: 80 * time.Millisecond, Patience: patience}
	target := fmt.Sprintf("127.0.0.1:%d", c.database.Port())
	for i := range 3 {
		n := newNode(t, i, dir, target, postgrestest.Name(url))
		c.nodes = append(c.nodes, n)
		c.publisher.Nodes = append(c.publisher.Nodes, n.client)
	}
	c.readers = &witness.Readers{Nodes: c.publisher.Nodes, Journal: c.journal}
	c.configurer = &configurer{nodes: c.nodes, publisher: c.publisher, receiver: c.receiver}
	// After a fault that is over, a node may need this long until it has recorded what it had to, or
	// has found out that it may not.
	c.rules = witness.Rules{Before: 5 * time.Second, After: 5 * time.Second, Ordered: map[string]witness.Order{}}
	var starting sync.WaitGroup
	for _, n := range c.nodes { // all at once: they have to agree on who migrates
		starting.Go(func() {
			if err := n.start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if starting.Wait(); t.Failed() {
		t.FailNow()
	}
	otherType := map[string]any{"name": "witness.other", "description": "What nobody publishes"}
	c.nodes[0].client.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/event-type", otherType, nil)
	c.setup(t)
	return c
}

// setup makes applications whose endpoints are spread over all nodes: some without order, two that
// keep it, and two that keep it by lines. The messages of one come in through a source. That one and the
// first have a consumer, too.
func (c *campaign) setup(t *testing.T) {
	plain, ordered, byLine := map[string]any{}, map[string]any{"ordering": "endpoint"}, map[string]any{"ordering": "/line"}
	for i, settings := range [][]map[string]any{{plain, plain, plain}, {plain, plain, plain}, {ordered, byLine}, {byLine, ordered}, {plain, plain}} {
		client := c.nodes[i%len(c.nodes)].client
		// Where order is kept, one delivery waits for the one before to be recorded: half a share is enough.
		app := witness.App{ID: client.Application(t, fmt.Sprint("load ", i)), Share: []int{2, 2, 1, 1, 2}[i]}
		if i == 4 {
			app.Source = witness.NewSource(t, client, app.ID)
		}
		for j, s := range settings {
			path := fmt.Sprintf("/load/%d/%d", i, j)
			in := map[string]any{"concurrency": concurrency, "retrySchedule": schedule}
			switch order, _ := s["ordering"].(string); {
			case order == "endpoint":
				c.rules.Ordered[path], in["ordering"] = witness.ByEndpoint, order
			case order != "":
				c.rules.Ordered[path], in["ordering"] = witness.ByLine, order
			}
			id := app.Endpoint(t, client, c.receiver, path, in)
			c.endpoints = append(c.endpoints, endpoint{app.ID, id, path})
			c.rules.InFlight += 2 * concurrency
		}
		switch i {
		case 0:
			app.Feed(t, client, c.readers, "all", "", witness.ByEvents, witness.BySocket, witness.ByPoll)
		case 4:
			app.Feed(t, client, c.readers, "some", witness.LineOf(2), witness.ByEvents, witness.ByEvents)
		}
		c.publisher.Apps = append(c.publisher.Apps, app)
	}
}

// run makes the rounds, under load.
func (c *campaign) run(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range publishers {
		load.Go(func() { c.publisher.Run(ctx) })
	}
	var configuring error
	load.Go(func() { configuring = c.configurer.run(ctx) })
	for i := range *rounds {
		c.round(t, i)
	}
	stop()
	load.Wait()
	if configuring != nil {
		t.Error(configuring)
	}
}

// round makes a fault, or two, and waits until all is mended. Every other round waits until the nodes
// have shared everything again; the others strike while they are at it.
func (c *campaign) round(t *testing.T, i int) {
	t.Helper()
	calm := i%2 == 0
	if calm {
		c.await(t, 2*time.Minute)
		time.Sleep(time.Second)
	}
	time.Sleep(rand.N(time.Second))
	faults := c.pick()
	if err := c.strike(t.Context(), faults, calm); err != nil {
		t.Fatalf("round %d: %v", i, err)
	}
	if err := c.journal.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		if err := n.well(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	names := make([]string, len(faults))
	for j, f := range faults {
		names[j] = fmt.Sprintf("%s (%d)", f.what, f.node)
	}
	t.Logf("round %d: %s", i, strings.Join(names, " and "))
}

// await waits until the nodes share everything fairly.
func (c *campaign) await(t *testing.T, limit time.Duration) {
	t.Helper()
	harness.Eventually(t, limit, func() error { return balanced(t.Context(), c.nodes) })
}

// drainLimit is how long what has come together behind the last faults may take on a busy machine, at
// endpoints that take one delivery after the other.
const drainLimit = 4 * time.Minute

// finish settles what is in doubt, waits until nothing is to be delivered any more, and reads what
// was recorded.
func (c *campaign) finish(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+drainLimit)
	defer cancel()
	if err := c.publisher.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	c.await(t, 2*time.Minute)
	harness.Eventually(t, drainLimit, func() error {
		all, err := c.nodes[0].statuses(ctx)
		for _, s := range all {
			if s.Due > 0 {
				err = fmt.Errorf("%s is late with %d deliveries", s.ID, s.Due)
			}
		}
		return err
	})
	if err := c.journal.Complete(c.rules, time.Minute); err != nil {
		t.Fatal(err)
	}
	c.receiver.Silence(3 * time.Second)
	c.readers.Silence(3 * time.Second)
	c.readers.Stop()
	for i, e := range append(c.endpoints, c.configurer.made...) {
		if err := witness.Audit(t.Context(), c.nodes[i%len(c.nodes)].client, c.journal, e.app, e.id, e.path); err != nil {
			t.Fatal(err)
		}
	}
	c.journal.Write(witness.Event{Kind: witness.Audited})
	for _, n := range c.nodes {
		if err := n.running().Stop(time.Minute); err != nil {
			t.Errorf("%s did not end well: %v", n.name, err)
		}
	}
}
