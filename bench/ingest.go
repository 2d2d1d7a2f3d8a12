package main

import (
	"context"
	"net/url"
)

// inboundSize is the size of a webhook.
const inboundSize = 2048

// inbound is a provider whose webhooks the generator signs as the provider does.
type inbound struct {
	provider, item string
	headers        []string
	stamped        bool
}

var providers = []inbound{
	{"github", `{"action":"opened","seq":{{seq}},"pad":"{{pad}}"}`,
		[]string{"X-GitHub-Event: issues", "X-GitHub-Delivery: {{seq}}", "X-Hub-Signature-256: sha256={{sig}}"}, false},
	{"stripe", `{"id":"evt_{{seq}}","type":"charge.succeeded","pad":"{{pad}}"}`,
		[]string{"Stripe-Signature: t={{sec}},v1={{sig}}"}, true},
}

// inboundSecret is what they sign with.
const inboundSecret = "whsec_a secret of the benchmark"

// sources makes sources of a provider and answers a load on all of them in turn.
func (h *hark) sources(ctx context.Context, p inbound, n int) (load, error) {
	l := load{Addrs: []string{h.Addr}, Item: p.item, Size: inboundSize, Batch: 1, Conns: 64, Headers: p.headers, Secret: inboundSecret, Stamped: p.stamped}
	for range n {
		var s struct{ URL string }
		if err := h.create(ctx, "/api/v1/source", map[string]any{"provider": p.provider, "secret": inboundSecret}, &s); err != nil {
			return l, err
		}
		u, err := url.Parse(s.URL)
		if err != nil {
			return l, err
		}
		l.Paths = append(l.Paths, u.Path)
	}
	return l, nil
}

// ingest measures receiving alone: no endpoint wants the messages. What is accepted is on disk.
func (b *bench) ingest(ctx context.Context, r *report) error {
	h, s, err := b.healthy(ctx, 0, 0)
	if err != nil {
		return err
	}
	defer s.stop()
	defer h.end()
	return b.received(ctx, r, h, s, 10_000)
}

// pgIngest is ingest on PostgreSQL.
func (b *bench) pgIngest(ctx context.Context, r *report) error {
	return b.onDatabase(ctx, r, 1, func(h *hark, s *sinkProcess) error {
		return b.received(ctx, r, h, s, 0)
	})
}

// received sends webhooks as fast as they are answered, and 1,000 a second. want is how many a second are
// to be accepted; 0: what it comes to.
func (b *bench) received(ctx context.Context, r *report, h *hark, s *sinkProcess, want float64) error {
	for _, p := range providers {
		l, err := h.sources(ctx, p, 10)
		if err != nil {
			return err
		}
		// The same webhook again is a duplicate: each load begins where the last one has ended.
		next := int64(0)
		run := func(name string, change func(*load)) (*figures, error) {
			l.First = next
			change(&l)
			f, err := b.measure(ctx, measured{name: name, load: l, sink: s, pids: h.pids(), database: h.database})
			if f != nil {
				next += f.Messages + f.Refused + f.Errors + int64(l.Conns)
			}
			return f, err
		}
		if _, err := run("warm", func(l *load) { l.Duration = b.duration / 10 }); err != nil {
			return err
		}
		f, err := run(p.provider, func(l *load) { l.Duration, l.Conns = b.duration, b.conns })
		if f != nil {
			r.Runs = append(r.Runs, f)
			if want > 0 {
				r.atLeast(p.provider+": verified and accepted", want, f.AcceptedPS, "/s")
			}
		}
		if err != nil {
			return err
		}
		f, err = run(p.provider+" at 1,000/s", func(l *load) { l.Rate = 1000 })
		if f != nil {
			r.Runs = append(r.Runs, f)
			r.atMost(p.provider+": acknowledged, p99 at 1,000/s", 10, f.Ack.P99, "ms")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
