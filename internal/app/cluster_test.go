package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/transform"
)

func TestMain(m *testing.M) {
	transform.Work()
	postgrestest.Main(m)
}

// masterKey is the one of all nodes of a test.
const masterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// database is the configuration of a node on a fresh database.
func database(t *testing.T) config.Config {
	t.Helper()
	url := postgrestest.Shared(t).Database(t, "migrated", func(url string) error { return app.Migrate(t.Context(), url, false, false) })
	c := defaults(t)
	c.Database, c.MasterKey, c.Lease = config.Secret(url), masterKey, 3*time.Second
	return c
}

// arrivals counts what a receiver got, by path.
type arrivals struct {
	*httptest.Server
	mu sync.Mutex
	at map[string]int
}

func newArrivals(t *testing.T) *arrivals {
	a := &arrivals{at: map[string]int{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.at[r.URL.Path]++
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *arrivals) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[path]
}

// until waits for something that other nodes have to hear of first.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// shared waits until every node has its share of the shards.
func shared(t *testing.T, nodes ...*server) {
	t.Helper()
	until(t, "nodes share the shards", func() bool {
		fair := 0
		for _, n := range nodes[0].call("GET", "/nodes", nil)["data"].([]any) {
			if held := len(n.(map[string]any)["shards"].([]any)); held >= 256/len(nodes) {
				fair++
			}
		}
		return fair == len(nodes)
	})
}

func TestCluster_AChangeThroughOneNodeCountsAtOnceThroughEveryOther(t *testing.T) {
	t.Parallel()
	sink := newArrivals(t)
	c := database(t)
	nodes := []*server{start(t, c), start(t, c), start(t, c)}
	shared(t, nodes...)
	nodes[0].call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	publish := func(node int) {
		t.Helper()
		nodes[node%3].call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{}})
	}
	publish(1) // the application is known there, without endpoints
	publish(2)
	const endpoints = 24
	for i := range endpoints {
		nodes[i%3].call("POST", "/app/a/endpoint", map[string]any{"url": fmt.Sprint(sink.URL, "/", i), "uid": fmt.Sprint("e", i)})
		publish(i + 1)
	}
	for i := range endpoints {
		want := endpoints - i
		until(t, fmt.Sprint("endpoint ", i), func() bool { return sink.count(fmt.Sprint("/", i)) >= want })
	}
	nodes[0].call("PATCH", "/app/a/endpoint/e0", map[string]any{"disabled": true})
	publish(1)
	publish(2)
	until(t, "the last messages", func() bool { return sink.count("/1") >= endpoints+1 })
	for i := range endpoints {
		want := endpoints - i + 2
		if i == 0 {
			want = endpoints
		}
		until(t, fmt.Sprint("endpoint ", i), func() bool { return sink.count(fmt.Sprint("/", i)) >= want })
		if got := sink.count(fmt.Sprint("/", i)); got != want {
			t.Errorf("endpoint %d got %d messages, want %d", i, got, want)
		}
	}
	for _, n := range nodes {
		n.end()
	}
}

func TestCluster_ANodeThatLeavesHandsItsEndpointsOver(t *testing.T) {
	t.Parallel()
	sink := newArrivals(t)
	c := database(t)
	a, b := start(t, c), start(t, c)
	shared(t, a, b)
	a.call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	for i := range 8 {
		a.call("POST", "/app/a/endpoint", map[string]any{"url": fmt.Sprint(sink.URL, "/", i)})
	}
	b.end()
	a.call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{}})
	for i := range 8 {
		until(t, fmt.Sprint("endpoint ", i), func() bool { return sink.count(fmt.Sprint("/", i)) == 1 })
	}
	a.end()
}

func TestCluster_AReplayIsDoneOnceWhicheverNodeWasAsked(t *testing.T) {
	t.Parallel()
	sink := newArrivals(t)
	c := database(t)
	nodes := []*server{start(t, c), start(t, c)}
	shared(t, nodes...)
	since := time.Now().Add(-time.Minute)
	nodes[0].call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	const messages, endpoints = 40, 6
	for range messages {
		nodes[1].call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{}})
	}
	for i := range endpoints {
		uid := fmt.Sprint("e", i)
		nodes[i%2].call("POST", "/app/a/endpoint", map[string]any{"url": fmt.Sprint(sink.URL, "/", i), "uid": uid})
		nodes[1].call("POST", "/app/a/endpoint/"+uid+"/replay-missing", map[string]any{"since": since})
	}
	until(t, "the replays end", func() bool {
		return len(nodes[0].call("GET", "/background-task?status=finished", nil)["data"].([]any)) == endpoints
	})
	for i := range endpoints {
		path := fmt.Sprint("/", i)
		until(t, path, func() bool { return sink.count(path) >= messages })
		if got := sink.count(path); got != messages {
			t.Errorf("endpoint %d got %d messages, want %d", i, got, messages)
		}
	}
	for _, n := range nodes {
		n.end()
	}
}

func TestCluster_NodesThatStartTogetherMakeEverythingOnce(t *testing.T) {
	t.Parallel()
	c := database(t)
	c.BootstrapKey = ""
	apps := make([]*app.App, 4)
	var wg sync.WaitGroup
	for i := range apps {
		wg.Go(func() {
			c := c
			c.Data = t.TempDir()
			var err error
			if apps[i], err = app.New(t.Context(), app.Options{Config: c}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	keys := 0
	for _, a := range apps {
		keys += len(a.FirstKeys())
		if a.Environments().Live.ID != apps[0].Environments().Live.ID || a.Environments().Test.ID != apps[0].Environments().Test.ID {
			t.Errorf("environments %v and %v", a.Environments(), apps[0].Environments())
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if keys != 2 {
		t.Errorf("%d first keys were made, want one for each environment", keys)
	}
}

func TestNew_RefusesADatabaseSealedWithAnotherKey(t *testing.T) {
	t.Parallel()
	c := database(t)
	c.MasterKey = ""
	start(t, c).end() // its fresh key is in c.Data now
	other := c
	other.Data = t.TempDir()
	if _, err := app.New(t.Context(), app.Options{Config: other}); !errors.Is(err, app.ErrNoKey) {
		t.Errorf("New without the key = %v, want ErrNoKey", err)
	}
	if _, err := os.Stat(filepath.Join(other.Data, "master.key")); err == nil {
		t.Error("a second master key was made and left behind")
	}
	other.MasterKey = masterKey
	if _, err := app.New(t.Context(), app.Options{Config: other}); !errors.Is(err, app.ErrOtherKey) {
		t.Errorf("New with another key = %v, want ErrOtherKey", err)
	}
}

func TestNew_RefusesASchemaThatIsNotUpToDateUnlessAskedToMigrate(t *testing.T) {
	t.Parallel()
	c := defaults(t)
	c.Database = config.Secret(postgrestest.Shared(t).Database(t, "empty", func(string) error { return nil }))
	if _, err := app.New(t.Context(), app.Options{Config: c}); !errors.Is(err, app.ErrNotMigrated) {
		t.Errorf("New on an empty database = %v, want ErrNotMigrated", err)
	}
	c.Migrate = true
	start(t, c).end()
}
