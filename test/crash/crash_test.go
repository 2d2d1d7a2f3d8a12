package crash

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
	"github.com/harkhq/hark/test/witness"
)

var (
	rounds = flag.Int("rounds", harness.Rounds(6, 20), "how often the server is killed")
	keep   = flag.String("keep", "", "folder for the data and the log, kept afterwards; default: a temporary one")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// concurrency is what every endpoint is set to: so many attempts may be out at a kill, and as many
// answered in the commit that was under way.
const concurrency = 16

// TestCrash_LosesNothingAcknowledged kills the server at random under load, and judges by the log.
func TestCrash_LosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	log := filepath.Join(dir, "crash.log")
	j, err := witness.NewJournal(log)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	c := &campaign{
		options:  harness.Options{Binary: harness.Binary(t), Dir: filepath.Join(dir, "data"), Addr: addr, Args: []string{"--log-level", "warn"}},
		journal:  j,
		receiver: witness.NewReceiver(t, j),
		rules:    witness.Rules{Before: recordLimit, Ordered: map[string]witness.Order{}},
	}
	c.publisher = &witness.Publisher{
		Nodes: []*harness.Client{harness.NewClient("http://"+addr, harness.Key)}, Journal: j, Pace: 2 * time.Millisecond,
	}
	c.readers = &witness.Readers{Nodes: c.publisher.Nodes, Journal: j}
	began := time.Now()
	for i := range *rounds {
		c.round(t, i)
	}
	c.finish(t)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := witness.ReadJournal(log)
	if err != nil {
		t.Fatal(err)
	}
	v := witness.Check(events, c.rules)
	t.Logf("%d rounds in %.0f s, slowest start %v: %v", *rounds, time.Since(began).Seconds(), c.slowest.Round(time.Millisecond), v)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if v.Acked == 0 || v.Entries == 0 || v.Faults[aKill] != *rounds {
		t.Errorf("the campaign proved nothing: %v", v)
	}
}

// aKill is what the only kind of fault is called.
const aKill = "kill -9"

// recordLimit is how long after its answer a delivery has to be recorded at the latest: what comes
// again after a longer time was not in flight by any reading.
const recordLimit = 5 * time.Second

// campaign is a sequence of rounds on one data folder.
type campaign struct {
	options   harness.Options
	journal   *witness.Journal
	receiver  *witness.Receiver
	publisher *witness.Publisher
	readers   *witness.Readers
	rules     witness.Rules
	slowest   time.Duration // start
}

// round starts the server, publishes for a random time, and kills it.
func (c *campaign) round(t *testing.T, i int) {
	s := c.start(t)
	defer s.Kill()
	if i == 0 {
		c.setup(t, s.Client())
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { c.publisher.Run(ctx) })
	}
	time.Sleep(100*time.Millisecond + rand.N(900*time.Millisecond))
	s.Kill()
	stop()
	wg.Wait()
	c.receiver.Quiet() // what it got before the kill must stand before it in the log
	c.journal.Fault(aKill, false)()
	if err := c.journal.Sync(); err != nil {
		t.Fatal(err)
	}
}

func (c *campaign) start(t *testing.T) *harness.Server {
	t.Helper()
	s, err := harness.Start(t.Context(), c.options)
	if err != nil {
		t.Fatal(err)
	}
	c.slowest = max(c.slowest, s.Startup)
	return s
}

// setup makes four applications: with one endpoint, with two, with an ordered one, each of whose failures
// holds up all behind it, and one whose messages come in through a source. The first has a consumer, too,
// and the last one for some of its messages.
func (c *campaign) setup(t *testing.T, client *harness.Client) {
	for app, endpoints := range [][]map[string]any{{nil}, {nil, nil}, {{"ordering": "endpoint"}}, {nil}} {
		a := witness.App{ID: client.Application(t, fmt.Sprintf("crash %d", app)), Share: []int{5, 5, 1, 5}[app]}
		if app == 3 {
			a.Source = witness.NewSource(t, client, a.ID)
		}
		for i, settings := range endpoints {
			path := fmt.Sprintf("/crash/%d/%d", app, i)
			in := map[string]any{"concurrency": concurrency, "retrySchedule": []float64{0.05, 0.1, 0.2, 0.5, 1, 1, 1, 1}}
			for k, v := range settings {
				in[k] = v
				c.rules.Ordered[path] = witness.ByEndpoint
			}
			a.Endpoint(t, client, c.receiver, path, in)
			c.rules.InFlight += 2 * concurrency
		}
		switch app {
		case 0:
			a.Feed(t, client, c.readers, "all", "", witness.ByEvents, witness.BySocket, witness.ByPoll)
		case 3:
			a.Feed(t, client, c.readers, "some", witness.LineOf(2), witness.ByEvents, witness.ByEvents)
		}
		c.publisher.Apps = append(c.publisher.Apps, a)
	}
}

// finish starts the server a last time, settles what is in doubt, and waits until nothing arrives
// any more.
func (c *campaign) finish(t *testing.T) {
	s := c.start(t)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", s.Tail())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := c.publisher.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.journal.Complete(c.rules, 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	c.receiver.Silence(3 * time.Second)
	c.readers.Silence(3 * time.Second)
	c.readers.Stop()
	if err := s.Stop(time.Minute); err != nil {
		t.Errorf("the last server did not end well: %v", err)
	}
}
