package sqlite

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// BenchmarkAcceptSettle is the hot path: 256 callers accept a message of 1 KiB for one of 100
// endpoints, wait for the commit, settle its delivery, and wait again. Every commit is fsynced.
func BenchmarkAcceptSettle(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	const callers, endpoints = 256, 100
	payload := make([]byte, 1024)
	for i := range payload {
		payload[i] = byte('a' + i%26)
	}
	waits := make([][]time.Duration, callers)
	var left atomic.Int64
	left.Store(int64(b.N))
	cpu := cpuTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				start := time.Now()
				a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(start), ApplicationRef: 1 + n%10,
					EventType: "invoice.paid", Payload: payload, CreatedAt: start, Matched: []hark.Ref{1 + n%endpoints}}}
				a.Deliveries = []hark.Delivery{{EndpointRef: 1 + n%endpoints, Due: start.UnixMilli()}}
				if err := s.Accept(context.Background(), []*store.Acceptance{a}); err != nil {
					b.Error(err)
					return
				}
				waits[caller] = append(waits[caller], time.Since(start))
				at := &hark.Attempt{ID: hark.NewAttemptID(start), URL: "https://example.com/hook", Number: 1, StatusCode: 200,
					Response: []byte("ok"), StartedAt: start, Duration: 5 * time.Millisecond, Phases: hark.Phases{FirstByte: 3 * time.Millisecond}}
				if err := s.Settle(context.Background(), []store.Settlement{{Delivery: a.Deliveries[0], Attempt: at, Succeeded: true}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(waits...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(all[len(all)-1].Microseconds()), "max-µs")
	b.ReportMetric(float64(b.N)/float64(s.commits.Load()), "msg/commit")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
