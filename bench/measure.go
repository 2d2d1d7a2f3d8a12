package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// figures is what one measured load gives.
type figures struct {
	Name       string  `json:"name"`
	Messages   int64   `json:"messages_accepted"`
	Deliveries int64   `json:"deliveries"`           // distinct message and endpoint, at the sink
	Recorded   int64   `json:"recorded"`             // successful attempts in the server's own statistics
	Repeats    int64   `json:"repeats"`              // deliveries that came again
	Missing    int64   `json:"missing"`              // accepted and not delivered when the run ended
	Refused    int64   `json:"refused"`              // answered with something else than 2xx
	Errors     int64   `json:"errors"`               // not answered
	Sample     string  `json:"refusal,omitempty"`    // an answer that was not 2xx
	AcceptedPS float64 `json:"accepted_per_second"`  // while the load lasted
	Delivered  float64 `json:"delivered_per_second"` // from the first publish to the last arrival
	RecordedPS float64 `json:"recorded_per_second"`  // from the first publish until all is in the history
	Ack        summary `json:"acknowledge"`
	Arrival    summary `json:"publish_to_arrival"`
	ServerCPU  float64 `json:"server_cpu_us_per_message"`
	GenCPU     float64 `json:"generator_cpu_us_per_request"`
	SinkCPU    float64 `json:"sink_cpu_us_per_request"`
	Database   *costs  `json:"database,omitempty"`
	RSS        int64   `json:"rss_mb"`
	PeakRSS    int64   `json:"peak_rss_mb"`
	Conns      int64   `json:"sink_connections"`
	DrainTime  float64 `json:"drain_seconds"` // from the last answer to the last arrival
	Busy       float64 `json:"cpu_busy"`      // share of the machine in use: well below 1, the disk or a lock decides
	Elsewhere  float64 `json:"cpu_elsewhere"` // share of the machine that others took meanwhile: noise
}

// measured is one load on a server and the sink that its messages go to.
type measured struct {
	name     string
	load     load
	sink     *sinkProcess
	class    string                                   // of the sink's paths that must drain; "" is ok
	fanout   int64                                    // deliveries for each message
	pids     []int                                    // of the servers, for their cost; none is unknown
	database *database                                // beside them; nil: none
	recorded func(ctx context.Context) (int64, error) // nil: not counted
	before   int64                                    // recorded before this load
}

// measure sends the load, waits until the queue has drained, and counts. A backlog left behind is
// not throughput.
func (b *bench) measure(ctx context.Context, m measured) (*figures, error) {
	if m.class == "" {
		m.class = "ok"
	}
	started, err := m.sink.control(ctx, "/_reset")
	if err != nil {
		return nil, err
	}
	before, err := m.spent(ctx)
	if err != nil {
		return nil, err
	}
	busy, began := harness.BusyTime(), time.Now()
	gen, err := runGen(ctx, b.dir, m.load)
	if err != nil {
		return nil, err
	}
	st, drainErr := m.drained(ctx, gen)
	if st == nil {
		return nil, drainErr
	}
	machine := time.Since(began) * time.Duration(runtime.NumCPU())
	busy = harness.BusyTime() - busy
	others := busy - gen.CPU - (st.CPU - started.CPU)
	f := m.figures(gen, st, st.CPU-started.CPU)
	f.Busy = busy.Seconds() / machine.Seconds()
	if len(m.pids) > 0 {
		after, err := m.spent(ctx)
		if err != nil {
			return nil, fmt.Errorf("the server is gone: %w", err)
		}
		database := after.database.minus(before.database)
		f.Database = database.each(f.Messages)
		others -= after.servers.CPU - before.servers.CPU + database.CPU
		f.Elsewhere = max(0, others.Seconds()/machine.Seconds())
		f.ServerCPU = micros(after.servers.CPU-before.servers.CPU, f.Messages)
		f.RSS, f.PeakRSS = after.servers.RSS>>20, after.servers.PeakRSS>>20
	}
	if drainErr != nil {
		return f, fmt.Errorf("%s: %w (%d of %d deliveries)", m.name, drainErr, f.Deliveries, gen.Accepted*m.fanout)
	}
	if m.recorded != nil {
		if err := m.count(ctx, f, gen.FirstNS, st.Classes[m.class].Requests); err != nil {
			return f, err
		}
	}
	return f, nil
}

// drained waits until everything that was accepted has arrived, or until nothing moves any more.
func (m *measured) drained(ctx context.Context, gen *genResult) (*sinkStats, error) {
	want := gen.Accepted * m.fanout
	last, moved := int64(-1), time.Now()
	for {
		st, err := m.sink.control(ctx, "/_stats")
		if err != nil {
			return nil, err
		}
		if st.Classes == nil {
			st.Classes = map[string]*sinkClass{}
		}
		class := st.Classes[m.class]
		if class == nil {
			class = &sinkClass{Arrival: newHistogram()}
			st.Classes[m.class] = class
		}
		if class.Unique >= want {
			return st, nil
		}
		if class.Unique != last {
			last, moved = class.Unique, time.Now()
		} else if time.Since(moved) > 15*time.Second {
			return st, errStalled
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (m *measured) figures(gen *genResult, st *sinkStats, sinkCPU time.Duration) *figures {
	class := st.Classes[m.class]
	f := &figures{
		Name: m.name, Messages: gen.Accepted, Deliveries: class.Unique,
		Repeats: class.Requests - class.Unique,
		Missing: max(0, gen.Accepted*m.fanout-class.Unique),
		Refused: gen.Refused, Errors: gen.Errors, Sample: string(gen.Sample),
		Ack: gen.Ack.summary(), Arrival: class.Arrival.summary(),
		GenCPU: micros(gen.CPU, gen.Requests), SinkCPU: micros(sinkCPU, class.Requests),
		Conns: st.Connections,
	}
	f.AcceptedPS = perSecond(gen.Accepted, gen.LastNS-gen.FirstNS)
	f.Delivered = perSecond(class.Unique, class.LastNS-gen.FirstNS)
	f.DrainTime = max(0, time.Duration(class.LastNS-gen.LastNS).Seconds())
	return f
}

// count waits until the history has every attempt that the sink answered.
func (m *measured) count(ctx context.Context, f *figures, firstNS, want int64) error {
	deadline := time.Now().Add(15 * time.Second)
	for {
		at := time.Now().UnixNano() // before the question: its own cost is not the server's delay
		n, err := m.recorded(ctx)
		if err != nil {
			return err
		}
		f.Recorded = n - m.before
		f.RecordedPS = perSecond(f.Recorded, at-firstNS)
		if f.Recorded == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d attempts in the history, %d answered by the sink", m.name, f.Recorded, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// spending is what the servers and their database have cost so far.
type spending struct {
	servers  harness.Usage
	database counters
}

func (m *measured) spent(ctx context.Context) (s spending, err error) {
	if s.servers, err = usageOf(m.pids); err == nil {
		s.database, err = m.database.read(ctx)
	}
	return s, err
}

// usageOf adds up what some processes have cost.
func usageOf(pids []int) (sum harness.Usage, err error) {
	for _, pid := range pids {
		u, err := harness.UsageOf(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.PeakRSS += u.PeakRSS
	}
	return sum, nil
}

func perSecond(n, ns int64) float64 {
	if ns <= 0 {
		return 0
	}
	return float64(n) / time.Duration(ns).Seconds()
}

func micros(d time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(d.Microseconds()) / float64(n)
}

// fetchProfile writes a CPU profile of the server to file while a load runs.
func fetchProfile(ctx context.Context, addr, file string, d time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, max(1, int(d.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, res.Body); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
