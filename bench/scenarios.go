package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// scenarios are what `bench NAME` runs, in the order of `bench all`.
var scenarios = []struct {
	name, about string
	run         func(*bench, context.Context, *report) error
}{
	{"throughput", "single publish, 100 applications with one endpoint each, 1 KiB JSON, until the queue has drained", (*bench).throughput},
	{"batch", "the same by batches of 100", (*bench).batch},
	{"latency", "200 messages a second, open loop", (*bench).latency},
	{"fairness", "nine endpoints alone, then with a tenth that hangs for 10 s per attempt", (*bench).fairness},
	{"tls", "fan-out to 10 TLS endpoints", (*bench).tls},
	{"history", "an empty store against one with history; lists over that history", (*bench).history},
	{"ingest", "verified webhooks of 2 KiB, GitHub's and Stripe's schemes, over 10 sources; 1,000 a second, open loop", (*bench).ingest},
	{"backlog", "many deliveries due at a sink that is down, and a restart", (*bench).backlogged},
	{"pg-throughput", "PostgreSQL, one node: as throughput", (*bench).pgThroughput},
	{"pg-batch", "PostgreSQL, one node: as batch", (*bench).pgBatch},
	{"pg-nodes", "PostgreSQL, three nodes, the load spread over them: as throughput", (*bench).pgNodes},
	{"pg-latency", "PostgreSQL, one node and three: as latency", (*bench).pgLatency},
	{"pg-ingest", "PostgreSQL, one node: as ingest", (*bench).pgIngest},
	{"pg-history", "PostgreSQL, one node: an empty database against one with history", (*bench).pgHistory},
	{"pg-held", "PostgreSQL, one node: a transaction of somebody else is left open", (*bench).pgHeld},
}

// healthy starts a server with applications whose endpoints a fresh sink answers at once.
func (b *bench) healthy(ctx context.Context, apps, endpoints int) (*hark, *sinkProcess, error) {
	s, err := startSink(ctx, "127.0.0.1:0", "")
	if err != nil {
		return nil, nil, err
	}
	h, err := b.startHark(ctx, "")
	if err != nil {
		s.stop()
		return nil, nil, err
	}
	if err := h.setupFor(ctx, s, apps, endpoints); err != nil {
		h.end()
		s.stop()
		return nil, nil, err
	}
	return h, s, nil
}

// setupFor makes applications whose endpoints the sink answers at once.
func (h *hark) setupFor(ctx context.Context, s *sinkProcess, apps, endpoints int) error {
	return h.setup(ctx, apps, endpoints, nil, func(i, j int) string {
		return fmt.Sprintf("http://%s/ok/%d/%d", s.Addr, i, j)
	})
}

// warm sends a short load first, so that connections are open and code is hot.
func (b *bench) warm(ctx context.Context, h *hark, s *sinkProcess, fanout int64) error {
	l := h.load(1)
	l.Duration = 500 * time.Millisecond
	l.Rate = 2000 / float64(fanout)
	_, err := b.measure(ctx, measured{name: "warm-up", load: l, sink: s, fanout: fanout})
	return err
}

func (b *bench) throughput(ctx context.Context, r *report) error {
	f, err := b.flood(ctx, r, "single publish", 1)
	if f != nil {
		r.atLeast("accepted, delivered and recorded", 12000, f.RecordedPS, "/s")
	}
	return err
}

func (b *bench) batch(ctx context.Context, r *report) error {
	f, err := b.flood(ctx, r, "batches of 100", 100)
	if f != nil {
		r.atLeast("accepted, delivered and recorded", 20000, f.RecordedPS, "/s")
	}
	return err
}

// flood publishes as fast as it is answered.
func (b *bench) flood(ctx context.Context, r *report, name string, batch int) (*figures, error) {
	h, s, err := b.healthy(ctx, 100, 1)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	defer h.end()
	return b.profiled(ctx, r, name, h, s, batch)
}

// profiled is flooded after a warm-up, with a profile if one is wanted.
func (b *bench) profiled(ctx context.Context, r *report, name string, h *hark, s *sinkProcess, batch int) (*figures, error) {
	if err := b.warm(ctx, h, s, 1); err != nil {
		return nil, err
	}
	var profile sync.WaitGroup
	defer profile.Wait()
	if b.profile != "" {
		profile.Go(func() {
			file := b.profile + "." + r.Scenario
			if err := fetchProfile(ctx, h.profiles, file, b.duration); err != nil {
				fmt.Println("  no profile:", err)
			}
		})
	}
	return b.flooded(ctx, r, name, h, s, batch)
}

func (b *bench) flooded(ctx context.Context, r *report, name string, h *hark, s *sinkProcess, batch int) (*figures, error) {
	before, err := h.settled(ctx)
	if err != nil {
		return nil, err
	}
	l := h.load(batch)
	l.Duration = b.duration
	l.Conns = b.conns
	if batch > 1 {
		l.Conns = min(l.Conns, 16) // 64 batches of 100 at once would only queue
	}
	f, err := b.measure(ctx, measured{
		name: name, load: l, sink: s, fanout: 1, pids: h.pids(), database: h.database, recorded: h.recorded, before: before,
	})
	if f != nil {
		r.Runs = append(r.Runs, f)
	}
	return f, err
}

// settled waits until the history stands still and returns what is in it.
func (h *hark) settled(ctx context.Context) (int64, error) {
	last := int64(-1)
	for {
		n, err := h.recorded(ctx)
		if err != nil || n == last {
			return n, err
		}
		last = n
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *bench) latency(ctx context.Context, r *report) error {
	h, s, err := b.healthy(ctx, 100, 1)
	if err != nil {
		return err
	}
	defer s.stop()
	defer h.end()
	f, err := b.trickle(ctx, r, "200/s", h, s)
	if f != nil {
		r.atMost("publish→arrival p50", 1.5, f.Arrival.P50, "ms")
		r.atMost("publish→arrival p99", 5, f.Arrival.P99, "ms")
	}
	return err
}

// trickle publishes 200 messages a second, however they are answered.
func (b *bench) trickle(ctx context.Context, r *report, name string, h *hark, s *sinkProcess) (*figures, error) {
	if err := b.warm(ctx, h, s, 1); err != nil {
		return nil, err
	}
	before, err := h.settled(ctx)
	if err != nil {
		return nil, err
	}
	l := h.load(1)
	l.Duration, l.Rate = b.duration, 200
	f, err := b.measure(ctx, measured{
		name: name, load: l, sink: s, fanout: 1, pids: h.pids(), database: h.database, recorded: h.recorded, before: before,
	})
	if f != nil {
		r.Runs = append(r.Runs, f)
	}
	return f, err
}

// fairness puts all endpoints into one application, so that every publish is also for the one that
// hangs: it shares the transaction, the dispatcher and the history with the nine that are watched.
func (b *bench) fairness(ctx context.Context, r *report) error {
	h, s, err := b.healthy(ctx, 1, 9)
	if err != nil {
		return err
	}
	defer s.stop()
	defer h.end()
	if err := b.warm(ctx, h, s, 9); err != nil {
		return err
	}
	watch := func(name string) (*figures, error) {
		l := h.load(1)
		l.Duration, l.Rate = b.duration, b.rate
		f, err := b.measure(ctx, measured{name: name, load: l, sink: s, fanout: 9, pids: h.pids(), database: h.database})
		if f != nil {
			r.Runs = append(r.Runs, f)
		}
		return f, err
	}
	alone, err := watch("nine alone")
	if err != nil {
		return err
	}
	if err := h.addEndpoint(ctx, 0, "http://"+s.Addr+"/hang/10s/0", nil); err != nil {
		return err
	}
	beside, err := watch("nine beside one that hangs")
	if err != nil {
		return err
	}
	r.atMost("p99 of the nine with it ÷ without it", 2, beside.Arrival.P99/alone.Arrival.P99, "times")
	return nil
}

func (b *bench) tls(ctx context.Context, r *report) error {
	cert := filepath.Join(b.dir, "sink.pem")
	s, err := startSink(ctx, "127.0.0.1:0", cert)
	if err != nil {
		return err
	}
	defer s.stop()
	// The server trusts the sink's certificate: verification is on, as it is in real life.
	h, err := b.startHark(ctx, "", "SSL_CERT_FILE="+cert)
	if err != nil {
		return err
	}
	defer h.end()
	err = h.setup(ctx, 1, 10, nil, func(_, j int) string { return fmt.Sprintf("https://%s/ok/%d", s.Addr, j) })
	if err != nil {
		return err
	}
	if err := b.warm(ctx, h, s, 10); err != nil {
		return err
	}
	before, err := h.settled(ctx)
	if err != nil {
		return err
	}
	l := h.load(1)
	l.Duration, l.Count = 0, int64(b.duration.Seconds()*1500)
	f, err := b.measure(ctx, measured{
		name: "fan-out of 10 over TLS", load: l, sink: s, fanout: 10, pids: h.pids(), database: h.database, recorded: h.recorded, before: before,
	})
	if f != nil {
		r.Runs = append(r.Runs, f)
		r.Values = map[string]float64{
			"new connections while the load lasted": float64(f.Conns),
			"attempts per new connection":           float64(f.Deliveries) / float64(max(f.Conns, 1)),
		}
		r.atLeast("attempts", 15000, f.RecordedPS, "/s")
	}
	return err
}
