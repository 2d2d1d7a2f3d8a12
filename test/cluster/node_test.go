package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// node is a place where a server runs, now one process and now another.
type node struct {
	name    string
	options harness.Options
	proxy   *harness.Proxy
	client  *harness.Client
	log     *os.File

	mu     sync.Mutex
	server *harness.Server
	starts int // that were tried in vain
}

// masterKey is the one of all nodes.
const masterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// newNode prepares a node whose way to the database leads through its own proxy.
func newNode(t *testing.T, i int, dir, target, database string) *node {
	t.Helper()
	n := &node{name: fmt.Sprint("node ", i), proxy: harness.NewProxy(t, target)}
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, fmt.Sprint("node-", i))
	if n.log, err = os.Create(folder + ".log"); err != nil {
		t.Fatal(err)
	}
	n.client = harness.NewClient("http://"+addr, harness.Key)
	n.options = harness.Options{
		Binary: harness.Binary(t), Dir: folder, Addr: addr, Log: n.log,
		Args: []string{"--migrate", "--lease", lease.String(), "--log-level", "warn"},
		Env: []string{
			"HARK_MASTER_KEY=" + masterKey,
			fmt.Sprintf("HARK_DATABASE=postgres://postgres@%s/%s", n.proxy.Addr, database),
		},
	}
	t.Cleanup(func() {
		if s := n.running(); s != nil {
			s.Kill()
			if t.Failed() {
				t.Logf("end of the log of %s:\n%s", n.name, s.Tail())
			}
		}
		n.log.Close()
	})
	return n
}

func (n *node) running() *harness.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// start starts the node as something that supervises it would: again, when the database is away.
func (n *node) start(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		s, err := harness.Start(ctx, n.options)
		n.mu.Lock()
		if err == nil {
			n.server = s
		} else {
			n.starts++
		}
		n.mu.Unlock()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s does not start: %w", n.name, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// well says what is wrong with the node's process: only faults may end it.
func (n *node) well() error {
	select {
	case <-n.running().Done():
		return fmt.Errorf("%s has ended by itself:\n%s", n.name, n.running().Tail())
	default:
		return nil
	}
}

func (n *node) signal(s syscall.Signal) error { return syscall.Kill(n.running().PID(), s) }

// status is a node as the API shows it.
type status struct {
	ID     string
	Addr   string
	Alive  bool
	Shards []int
	Due    int64
}

// statuses asks one node about all.
func (n *node) statuses(ctx context.Context) ([]status, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out struct{ Data []status }
	code, err := n.client.Do(ctx, http.MethodGet, "/api/v1/nodes", nil, &out)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("nodes of %s answered %d", n.name, code)
	}
	return out.Data, err
}

// balanced says whether all nodes share the shards fairly, and see it the same.
func balanced(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		all, err := n.statuses(ctx)
		if err != nil {
			return err
		}
		fair, sum := 0, 0
		for _, s := range all {
			if !s.Alive {
				continue
			}
			sum += len(s.Shards)
			if len(s.Shards) >= shards/len(nodes) {
				fair++
			}
		}
		if fair != len(nodes) || sum != shards {
			return fmt.Errorf("%s sees %d nodes with a fair share, and %d shards owned", n.name, fair, sum)
		}
	}
	return nil
}

// shards is how many there are.
const shards = 256
