package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// These two scenarios are about much that is stored: a long history, and a long queue.

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
	fill, err := b.measure(ctx, measured{name: "filling by batches of 500", load: l, sink: s, fanout: 1, pids: h.pids()})
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
