package main

import (
	"context"
	"fmt"
	"time"
)

// These scenarios run Hark on a PostgreSQL of their own, with one node and with three.

// onDatabase runs f with nodes on a fresh database, and 100 applications with one endpoint each.
func (b *bench) onDatabase(ctx context.Context, r *report, nodes int, f func(*hark, *sinkProcess) error) error {
	d, err := b.startDatabase(ctx, r)
	if err != nil {
		return err
	}
	defer d.end()
	s, err := startSink(ctx, "127.0.0.1:0", "")
	if err != nil {
		return err
	}
	defer s.stop()
	h, err := b.startNodes(ctx, d, nodes)
	if err != nil {
		return err
	}
	defer h.end()
	if err := h.setupFor(ctx, s, 100, 1); err != nil {
		return err
	}
	return f(h, s)
}

func (b *bench) pgThroughput(ctx context.Context, r *report) error {
	return b.pgFlood(ctx, r, 1, "single publish", 1, 9000)
}

func (b *bench) pgBatch(ctx context.Context, r *report) error {
	return b.pgFlood(ctx, r, 1, "batches of 100", 100, 9000)
}

func (b *bench) pgNodes(ctx context.Context, r *report) error {
	return b.pgFlood(ctx, r, 3, "single publish, three nodes", 1, 0)
}

func (b *bench) pgFlood(ctx context.Context, r *report, nodes int, name string, batch int, want float64) error {
	return b.onDatabase(ctx, r, nodes, func(h *hark, s *sinkProcess) error {
		if err := h.database.forget(ctx); err != nil {
			return err
		}
		f, err := b.profiled(ctx, r, name, h, s, batch)
		if f == nil {
			return err
		}
		if want > 0 {
			r.atLeast("accepted, delivered and recorded", want, f.RecordedPS, "/s")
		}
		return h.database.statements(ctx, r, f.Messages)
	})
}

func (b *bench) pgLatency(ctx context.Context, r *report) error {
	for _, c := range []struct {
		nodes int
		name  string
		most  float64
	}{{1, "200/s, one node", 10}, {3, "200/s, three nodes", 25}} {
		if err := b.onDatabase(ctx, r, c.nodes, func(h *hark, s *sinkProcess) error {
			f, err := b.trickle(ctx, r, c.name, h, s)
			if f != nil {
				r.atMost("publish→arrival p99, "+c.name, c.most, f.Arrival.P99, "ms")
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// pgHistory compares a database with a history of some days against the same without: in turns, so that
// a machine that gets slower or faster meanwhile does not look like the history's doing.
func (b *bench) pgHistory(ctx context.Context, r *report) error {
	return b.onDatabase(ctx, r, 1, func(empty *hark, s *sinkProcess) error {
		return b.onDatabase(ctx, &report{}, 1, func(full *hark, fullSink *sinkProcess) error {
			for _, node := range full.nodes() {
				node.Kill() // what it has in memory would not know of the history
			}
			began := time.Now()
			if err := full.database.load(ctx, b.messages); err != nil {
				return err
			}
			r.Values = map[string]float64{"seconds to load the history": time.Since(began).Seconds()}
			apps := full.apps
			full, err := b.startNodes(ctx, full.database, 1)
			if err != nil {
				return err
			}
			defer full.end()
			full.apps = apps
			return b.alternate(ctx, r, []rig{{"empty", empty, s}, {fmt.Sprintf("with %d messages of history", b.messages), full, fullSink}})
		})
	})
}

// rig is a server with the sink that its messages go to.
type rig struct {
	name string
	hark *hark
	sink *sinkProcess
}

// alternate compares two rigs, of which the second has the history.
func (b *bench) alternate(ctx context.Context, r *report, rigs []rig) error {
	for _, rig := range rigs {
		if err := b.warm(ctx, rig.hark, rig.sink, 1); err != nil {
			return err
		}
	}
	var rate, cost [2]float64
	const rounds = 3
	for round := range rounds {
		for i, rig := range rigs {
			f, err := b.flooded(ctx, r, fmt.Sprintf("%s, round %d", rig.name, round+1), rig.hark, rig.sink, 1)
			if err != nil {
				return err
			}
			rate[i] += f.RecordedPS
			cost[i] += f.ServerCPU + f.Database.CPU
		}
	}
	r.atLeast("throughput with history ÷ empty", 0.9, rate[1]/rate[0], "times")
	r.atMost("CPU per message with history ÷ empty, Hark and PostgreSQL", 1.1, cost[1]/cost[0], "times")
	size, err := rigs[1].hark.database.numbers(ctx, `SELECT pg_database_size(current_database())`)
	if err != nil {
		return err
	}
	r.Values["database, GB"] = size[0] / (1 << 30)
	return nil
}

// pgHeld compares the throughput beside somebody's open transaction with that before: no row that has
// died since it began can be cleaned up. As many rows die as in the time that it is taken to have been
// open: in the queue by statements, and in the nodes' own rows by the load itself.
func (b *bench) pgHeld(ctx context.Context, r *report) error {
	return b.onDatabase(ctx, r, 1, func(h *hark, s *sinkProcess) error {
		if err := b.warm(ctx, h, s, 1); err != nil {
			return err
		}
		before, err := b.flooded(ctx, r, "before", h, s, 1)
		if err != nil {
			return err
		}
		release, err := h.database.Hold(ctx, databaseName)
		if err != nil {
			return err
		}
		rows := int64(before.RecordedPS * b.held.Seconds())
		if err := h.database.churn(ctx, rows); err != nil {
			return err
		}
		r.Values = map[string]float64{"rows that died before": float64(rows)}
		if err := h.database.forget(ctx); err != nil {
			return err
		}
		first, err := b.flooded(ctx, r, "held", h, s, 1)
		if err != nil {
			return err
		}
		second, err := b.flooded(ctx, r, "held on", h, s, 1)
		if err != nil {
			return err
		}
		if err := release(); err != nil {
			return err
		}
		r.atLeast("throughput beside it ÷ before", 0.5, (first.RecordedPS+second.RecordedPS)/2/before.RecordedPS, "times")
		r.atLeast("the same, of the later half", 0.5, second.RecordedPS/before.RecordedPS, "times")
		return h.database.statements(ctx, r, first.Messages+second.Messages)
	})
}
