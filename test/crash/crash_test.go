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
)

var (
	rounds = flag.Int("rounds", 20, "how often the server is killed")
	keep   = flag.String("keep", "", "folder for the data and the log, kept afterwards; default: a temporary one")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// concurrency is what every endpoint is set to: so many attempts may be out at a kill, and as many
// answered in the commit that was under way.
const concurrency = 16

// TestCrash_LosesNothingAcknowledged kills the server at random under load, and judges by the log.
func TestCrash_LosesNothingAcknowledged(t *testing.T) {
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	log := filepath.Join(dir, "crash.log")
	j, err := newJournal(log)
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
		receiver: newReceiver(t, j),
	}
	c.publisher = &publisher{client: harness.NewClient("http://"+addr, harness.Key), journal: j, pace: 2 * time.Millisecond}
	began := time.Now()
	for i := range *rounds {
		c.round(t, i)
	}
	c.finish(t)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	events, err := readJournal(log)
	if err != nil {
		t.Fatal(err)
	}
	v := check(events, c.endpoints, 2*concurrency*c.endpointCount())
	t.Logf("%d rounds in %.0f s, slowest start %v: %v", *rounds, time.Since(began).Seconds(), c.slowest.Round(time.Millisecond), v)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if v.Acked == 0 || v.Kills != *rounds {
		t.Errorf("the campaign proved nothing: %v", v)
	}
}

// campaign is a sequence of rounds on one data folder.
type campaign struct {
	options   harness.Options
	journal   *journal
	receiver  *receiver
	publisher *publisher
	endpoints map[int][]string // paths by application
	slowest   time.Duration    // start
}

func (c *campaign) endpointCount() (n int) {
	for _, paths := range c.endpoints {
		n += len(paths)
	}
	return n
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
		wg.Go(func() { c.publisher.run(ctx) })
	}
	time.Sleep(100*time.Millisecond + rand.N(900*time.Millisecond))
	s.Kill()
	stop()
	wg.Wait()
	c.receiver.quiet() // what it got before the kill must stand before it in the log
	c.journal.write(event{Kind: killed})
	if err := c.journal.sync(); err != nil {
		t.Fatal(err)
	}
}

func (c *campaign) start(t *testing.T) *harness.Server {
	t.Helper()
	s, err := harness.Start(t.Context(), c.options)
	if err != nil {
		t.Fatal(err)
	}
	c.journal.write(event{Kind: started})
	c.slowest = max(c.slowest, s.Startup)
	return s
}

// setup makes three applications: with one endpoint, with two, and with an ordered one.
func (c *campaign) setup(t *testing.T, client *harness.Client) {
	c.endpoints = map[int][]string{}
	for app, endpoints := range [][]map[string]any{{nil}, {nil, nil}, {{"ordering": "endpoint"}}} {
		id := client.Application(t, fmt.Sprintf("crash %d", app))
		c.publisher.apps = append(c.publisher.apps, id)
		for i, settings := range endpoints {
			path := fmt.Sprintf("/crash/%d/%d", app, i)
			in := map[string]any{"concurrency": concurrency, "retrySchedule": []float64{0.05, 0.1, 0.2, 0.5, 1, 1, 1, 1}}
			for k, v := range settings {
				in[k] = v
			}
			endpoint := client.Endpoint(t, id, c.receiver.url+path, in)
			c.receiver.trust(t, path, client.Secret(t, id, endpoint))
			c.endpoints[app] = append(c.endpoints[app], path)
		}
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.publisher.settle(ctx); err != nil {
		t.Fatal(err)
	}
	c.receiver.last.Store(time.Now().UnixNano())
	for time.Since(time.Unix(0, c.receiver.last.Load())) < 3*time.Second {
		time.Sleep(50 * time.Millisecond)
	}
	if err := s.Stop(20 * time.Second); err != nil {
		t.Errorf("the last server did not end well: %v", err)
	}
}
