package postgres

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

// BenchmarkAcceptSettle is the hot path: 256 callers accept a message of 1 KiB for one of 100
// endpoints, wait for the commit, settle its delivery, and wait again. Every commit is fsynced.
func BenchmarkAcceptSettle(b *testing.B) {
	for _, nodes := range []int{1, 2} {
		b.Run(strconv.Itoa(nodes)+"nodes", func(b *testing.B) { benchmarkAcceptSettle(b, nodes) })
	}
}

func benchmarkAcceptSettle(b *testing.B, nodes int) {
	server := postgrestest.New(b, postgrestest.Options{Fsync: true,
		Settings: []string{"max_wal_size=4GB", "shared_buffers=512MB", "shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=top"}})
	url := server.Database(b, "partitioned", func(url string) error { return Migrate(b.Context(), url, Options{}) })
	var stores []*Store
	for i := range nodes {
		s := openTest(b, url, Options{})
		if nodes > 1 {
			beatAll(b, s, strconv.Itoa(i))
		}
		stores = append(stores, s)
	}
	for i, s := range stores {
		if nodes > 1 {
			for range 40 { // until the shares are fair
				beatAll(b, s, strconv.Itoa(i))
			}
		}
	}
	meter := newMeter(b, server, stores[0])
	const callers, endpoints = 256, 100
	payload := []byte(strings.Repeat("abcdefghijklmnop", 64))
	waits := make([][]time.Duration, callers)
	var left atomic.Int64
	left.Store(int64(b.N))
	cpu, serverCPU := cpuTime(), meter.serverCPU()
	before := meter.read()
	b.ResetTimer()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				start := time.Now()
				endpoint := 1 + n%endpoints
				a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(start), ApplicationRef: 1 + n%10,
					EventType: "invoice.paid", Payload: payload, CreatedAt: start, Matched: []hark.Ref{endpoint}}}
				a.Deliveries = []hark.Delivery{{EndpointRef: endpoint, Due: start.UnixMilli()}}
				if err := stores[caller%nodes].Accept(context.Background(), []*store.Acceptance{a}); err != nil {
					b.Error(err)
					return
				}
				waits[caller] = append(waits[caller], time.Since(start))
				at := &hark.Attempt{ID: hark.NewAttemptID(start), URL: "https://example.com/hook", Number: 1, StatusCode: 200,
					Response: []byte("ok"), StartedAt: start, Duration: 5 * time.Millisecond, Phases: hark.Phases{FirstByte: 3 * time.Millisecond}}
				owner := slices.IndexFunc(stores, func(s *Store) bool { return s.owns(endpoint) })
				if err := stores[owner].Settle(context.Background(), []store.Settlement{{Delivery: a.Deliveries[0], Attempt: at, Succeeded: true}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	after, n := meter.read(), float64(b.N)
	all := slices.Concat(waits...)
	slices.Sort(all)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/n, "client-cpu-µs/msg")
	b.ReportMetric(float64((meter.serverCPU()-serverCPU).Microseconds())/n, "server-cpu-µs/msg")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(after.wal-before.wal)/n, "wal-B/msg")
	b.ReportMetric(float64(after.statements-before.statements)/n, "statements/msg")
	commits := int64(0)
	for _, s := range stores {
		commits += s.commits.Load()
	}
	b.ReportMetric(n/float64(commits), "msg/commit")
}

func (s *Store) owns(endpoint hark.Ref) bool {
	m := s.node.Load()
	if m == nil {
		return true
	}
	_, ok := m.held[store.ShardOf(endpoint)]
	return ok
}

func beatAll(t testing.TB, s *Store, id string) store.Leases {
	t.Helper()
	leases, err := s.Beat(t.Context(), store.Node{ID: id}, time.Now(), time.Hour, nil)
	if err == nil && len(leases.Surplus) > 0 {
		leases, err = s.Beat(t.Context(), store.Node{ID: id}, time.Now(), time.Hour, leases.Surplus)
	}
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

// meter reads what the server counts.
type meter struct {
	b       *testing.B
	store   *Store
	pattern string
}

type reading struct{ wal, statements int64 }

func newMeter(b *testing.B, server *postgrestest.Server, s *Store) *meter {
	if err := s.read(b.Context(), func(c *conn) error {
		_, err := c.exec(`CREATE EXTENSION IF NOT EXISTS pg_stat_statements`)
		return err
	}); err != nil {
		b.Log("no count of statements: ", err)
	}
	return &meter{b: b, store: s, pattern: server.URL("")}
}

func (m *meter) read() (r reading) {
	err := m.store.read(context.Background(), func(c *conn) (err error) {
		if r.wal, err = c.int(`SELECT (pg_current_wal_lsn() - '0/0')::bigint`); err != nil {
			return err
		}
		r.statements, err = c.int(`SELECT sum(calls)::bigint FROM pg_stat_statements`)
		return err
	})
	if err != nil && r.wal == 0 {
		m.b.Error(err)
	}
	return r
}

// serverCPU is what all server processes of this machine's user postgres have used; ended ones count
// through their parent.
func (m *meter) serverCPU() (total time.Duration) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		name, err := os.ReadFile("/proc/" + e.Name() + "/comm")
		if err != nil || strings.TrimSpace(string(name)) != "postgres" {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, i := range []int{11, 12} { // user and system time, in hundredths of a second
			ticks, _ := strconv.Atoi(fields[i])
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
