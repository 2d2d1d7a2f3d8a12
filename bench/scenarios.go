package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/harkhq/hark/test/harness"
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
	{"backlog", "many deliveries due at a sink that is down, and a restart", (*bench).backlogged},
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
	err = h.setup(ctx, apps, endpoints, nil, func(i, j int) string {
		return fmt.Sprintf("http://%s/ok/%d/%d", s.Addr, i, j)
	})
	if err != nil {
		h.end()
		s.stop()
		return nil, nil, err
	}
	return h, s, nil
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
		name: name, load: l, sink: s, fanout: 1, pid: h.PID(), recorded: h.recorded, before: before,
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
	if err := b.warm(ctx, h, s, 1); err != nil {
		return err
	}
	before, err := h.settled(ctx)
	if err != nil {
		return err
	}
	l := h.load(1)
	l.Duration, l.Rate = b.duration, 200
	f, err := b.measure(ctx, measured{
		name: "200/s", load: l, sink: s, fanout: 1, pid: h.PID(), recorded: h.recorded, before: before,
	})
	if f != nil {
		r.Runs = append(r.Runs, f)
		r.atMost("publish→arrival p50", 1.5, f.Arrival.P50, "ms")
		r.atMost("publish→arrival p99", 5, f.Arrival.P99, "ms")
	}
	return err
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
		f, err := b.measure(ctx, measured{name: name, load: l, sink: s, fanout: 9, pid: h.PID()})
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
		name: "fan-out of 10 over TLS", load: l, sink: s, fanout: 10, pid: h.PID(), recorded: h.recorded, before: before,
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

func (b *bench) history(ctx context.Context, r *report) error {
	h, s, err := b.healthy(ctx, 100, 1)
	if err != nil {
		return err
	}
	defer s.stop()
	defer h.end()
	if err := b.warm(ctx, h, s, 1); err != nil {
		return err
	}
	empty, err := b.flooded(ctx, r, "empty store", h, s, 1)
	if err != nil {
		return err
	}
	l := h.load(500)
	l.Count, l.Conns = b.messages, 4
	fill, err := b.measure(ctx, measured{name: "filling by batches of 500", load: l, sink: s, fanout: 1, pid: h.PID()})
	if fill != nil {
		r.Runs = append(r.Runs, fill)
	}
	if err != nil {
		return err
	}
	// In turns, full, empty, full, so that a machine that gets slower or faster meanwhile does not
	// look like the history's doing.
	name := fmt.Sprintf("with %d messages of history", b.messages)
	full, err := b.flooded(ctx, r, name, h, s, 1)
	if err != nil {
		return err
	}
	emptyAgain, err := b.flood(ctx, r, "another empty store", 1)
	if err != nil {
		return err
	}
	fullAgain, err := b.flooded(ctx, r, name+", again", h, s, 1)
	if err != nil {
		return err
	}
	r.atLeast("throughput with history ÷ empty", 0.9, (full.RecordedPS+fullAgain.RecordedPS)/(empty.RecordedPS+emptyAgain.RecordedPS), "times")
	r.Values = map[string]float64{"data folder, GB": float64(h.databaseBytes()) / (1 << 30)}
	return b.lists(ctx, r, h)
}

// lists times the lists that the API and the dashboard show, page after page over several
// applications, one call after another.
func (b *bench) lists(ctx context.Context, r *report, h *hark) error {
	kinds := map[string]func(a application) string{
		"messages":                func(a application) string { return "/api/v1/app/" + a.id + "/msg" },
		"messages with content":   func(a application) string { return "/api/v1/app/" + a.id + "/msg?with_content=true" },
		"attempts, all":           func(a application) string { return attempts(a, "") },
		"attempts that failed":    func(a application) string { return attempts(a, "?status=2") },
		"attempts that succeeded": func(a application) string { return attempts(a, "?status=0") },
		"attempts of class 500":   func(a application) string { return attempts(a, "?status_code_class=500") },
		"attempted messages": func(a application) string {
			return "/api/v1/app/" + a.id + "/endpoint/" + a.endpoints[0] + "/msg"
		},
	}
	worst := 0.0
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		hist := newHistogram()
		for i := range 20 {
			if err := h.pages(ctx, kinds[name](h.apps[i*len(h.apps)/20]), 10, hist); err != nil {
				return fmt.Errorf("list of %s: %w", name, err)
			}
		}
		p95 := hist.summary().P95
		r.Values["p95 ms, "+name] = p95
		worst = max(worst, p95)
	}
	r.atMost("p95 of the slowest list", 30, worst, "ms")
	return nil
}

func attempts(a application, query string) string {
	return "/api/v1/app/" + a.id + "/attempt/endpoint/" + a.endpoints[0] + query
}

// pages walks a list by its iterator and times every page.
func (h *hark) pages(ctx context.Context, path string, n int, hist *histogram) error {
	separator := "?"
	if i := slices.Index([]byte(path), '?'); i >= 0 {
		separator = "&"
	}
	next := path
	for range n {
		var page struct {
			Iterator *string
			Done     bool
		}
		began := time.Now()
		status, err := h.client.Do(ctx, http.MethodGet, next, nil, &page)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("GET %s answered %d", next, status)
		}
		hist.add(time.Since(began))
		if page.Done || page.Iterator == nil {
			return nil
		}
		next = path + separator + "iterator=" + *page.Iterator
	}
	return nil
}

// backlogged fills the queue of a sink that is down, ends the server, and starts it again with the
// sink up.
func (b *bench) backlogged(ctx context.Context, r *report) error {
	addr, err := harness.FreeAddr()
	if err != nil {
		return err
	}
	h, err := b.startHark(ctx, "")
	if err != nil {
		return err
	}
	defer func() { h.end() }()
	// Retries every 10 s: what failed first is due again when the server comes back.
	schedule := slices.Repeat([]float64{10}, 50)
	err = h.setup(ctx, 10, 10, map[string]any{"retrySchedule": schedule}, func(i, j int) string {
		return fmt.Sprintf("http://%s/ok/%d/%d", addr, i, j)
	})
	if err != nil {
		return err
	}
	l := h.load(100)
	l.Count, l.Conns = b.backlog/10, 4 // ten endpoints for each message
	began := time.Now()
	gen, err := runGen(ctx, b.dir, l)
	if err != nil {
		return err
	}
	deliveries := gen.Accepted * 10
	filled := time.Since(began)
	if wait := 12*time.Second - filled; wait > 0 {
		time.Sleep(wait) // until the first are due again
	}
	full, err := h.Usage()
	if err != nil {
		return err
	}
	r.Values = map[string]float64{
		"deliveries waiting":           float64(deliveries),
		"messages refused meanwhile":   float64(gen.Refused + gen.Errors),
		"seconds to accept them":       filled.Seconds(),
		"RSS MB while they wait":       float64(full.RSS >> 20),
		"data folder, GB":              float64(h.databaseBytes()) / (1 << 30),
		"acknowledge p99 ms meanwhile": gen.Ack.summary().P99,
	}
	h.Kill()
	return b.recovered(ctx, r, h, addr, deliveries, float64(full.PeakRSS>>20))
}

func (b *bench) recovered(ctx context.Context, r *report, h *hark, addr string, deliveries int64, peak float64) error {
	s, err := startSink(ctx, addr, "")
	if err != nil {
		return err
	}
	defer s.stop()
	began := time.Now()
	again, err := b.startHark(ctx, h.dir)
	if err != nil {
		return err
	}
	h.Server = again.Server
	r.atMost("start until health answers", 3, again.Startup.Seconds(), "s")
	var first, all time.Duration
	last, moved := int64(0), time.Now()
	for all == 0 {
		st, err := s.control(ctx, "/_stats")
		if err != nil {
			return err
		}
		if class := st.Classes["ok"]; class != nil {
			if first == 0 {
				first = time.Duration(class.FirstNS - began.UnixNano())
			}
			if class.Unique >= deliveries {
				all = time.Duration(class.LastNS - began.UnixNano())
			}
			if class.Unique != last {
				last, moved = class.Unique, time.Now()
			}
		}
		if time.Since(moved) > 60*time.Second {
			return fmt.Errorf("%w: %d of %d", errStalled, last, deliveries)
		}
		time.Sleep(20 * time.Millisecond)
	}
	u, err := h.Usage()
	if err != nil {
		return err
	}
	r.Values["peak RSS MB after the restart"] = float64(u.PeakRSS >> 20)
	r.Values["seconds from start to first delivery"] = first.Seconds()
	r.Values["seconds from start until all are delivered"] = all.Seconds()
	r.Values["deliveries per second"] = perSecond(deliveries, int64(all))
	r.atMost("peak memory", 300, max(peak, float64(u.PeakRSS>>20)), "MB")
	return nil
}
