package postgres

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// listeners are the functions that hear of other nodes' doings.
type listeners struct {
	wake   func([]hark.Ref)
	change func([]hark.Ref)
	leases func()
	outbox func()
	fed    func([]hark.Ref)
}

// OnWake names the function that is told of endpoints with new deliveries.
func (s *Store) OnWake(f func([]hark.Ref)) { s.listeners.wake = f }

// OnChange names the function that is told of changed applications.
func (s *Store) OnChange(f func([]hark.Ref)) { s.listeners.change = f }

// OnLeases names the function that is told of leases that were given back.
func (s *Store) OnLeases(f func()) { s.listeners.leases = f }

// pollEvery is how often changes are looked for when nobody tells of them.
const pollEvery = 250 * time.Millisecond

// Watch listens and polls until ctx ends.
func (s *Store) Watch(ctx context.Context) error {
	w := &watcher{Store: s, look: make(chan struct{}, 1)}
	if err := s.read(ctx, func(c *conn) (err error) {
		w.seen, w.leases, err = readCounters(c)
		return err
	}); err != nil {
		return err
	}
	var listening sync.WaitGroup
	if s.bell.loud {
		listening.Go(func() { w.listen(ctx) })
	}
	defer listening.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.closed:
			return nil
		case <-tick.C:
		case <-w.look:
		}
		if err := w.poll(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, row.ErrClosed) {
			s.log.LogAttrs(ctx, slog.LevelWarn, "look for changes", slog.Any("err", err))
		}
	}
}

// watcher is what one Watch has seen.
type watcher struct {
	*Store
	look   chan struct{} // poll now
	seen   int64         // changes before this number
	leases int64         // that counter
}

const (
	countersSQL = `SELECT name, next FROM counter WHERE name IN ('change', 'lease')`

	changesSQL = `SELECT seq, application FROM change WHERE seq >= $1 ORDER BY seq`
)

func readCounters(c *conn) (change, lease int64, err error) {
	err = c.query(func(r row.Row) error {
		if r.Text(0) == "change" {
			change = r.Int(1)
		} else {
			lease = r.Int(1)
		}
		return nil
	}, countersSQL)
	return change, lease, err
}

// poll tells what has changed since it was called last. Numbers rise in the order of the commits, so
// none is missed.
func (w *watcher) poll(ctx context.Context) error {
	var next, leases int64
	var changed []hark.Ref
	missed := false
	if err := w.read(ctx, func(c *conn) (err error) {
		if next, leases, err = readCounters(c); err != nil || next == w.seen {
			return err
		}
		changed, missed = nil, true
		return c.query(func(r row.Row) error {
			if r.Int(0) == w.seen {
				missed = false
			}
			next = r.Int(0) + 1
			changed = append(changed, r.Int(1))
			return nil
		}, changesSQL, w.seen)
	}); err != nil {
		return err
	}
	if next != w.seen && w.listeners.change != nil {
		if missed { // retention was faster
			changed = nil
		} else {
			slices.Sort(changed)
			changed = slices.Compact(changed)
		}
		w.listeners.change(changed)
	}
	w.seen = next
	if leases != w.leases && w.listeners.leases != nil {
		w.listeners.leases()
	}
	w.leases = leases
	return nil
}

// listen hears notifications, on one connection after the other. It says once that there is none.
func (w *watcher) listen(ctx context.Context) {
	deaf := false
	for ctx.Err() == nil && !w.isClosed() {
		heard, err := w.hear(ctx)
		if ctx.Err() != nil || w.isClosed() {
			return
		}
		if heard || !deaf {
			w.log.LogAttrs(ctx, slog.LevelWarn, "listen", slog.Any("err", translate(err)))
		}
		deaf = true
		pause(ctx, 4*between)
	}
}

// quiet is how long a connection may say nothing before it is asked whether it is still there.
const quiet = 10 * time.Second

// hear listens until the connection is lost; listening says whether there was one.
func (w *watcher) hear(ctx context.Context) (listening bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	raw, err := w.connect(ctx, "hark watch")
	if err != nil {
		return false, err
	}
	defer func() { _ = raw.Close(context.WithoutCancel(ctx)) }() // nothing is lost with it
	if _, err := raw.Exec(ctx, `LISTEN `+pgx.Identifier{w.channel()}.Sanitize()); err != nil {
		return false, err
	}
	w.lookNow() // for what was said meanwhile
	for {
		wait, done := context.WithTimeout(ctx, quiet)
		n, err := raw.WaitForNotification(wait)
		done()
		switch {
		case err == nil:
			w.heard(n.Payload)
		case ctx.Err() != nil:
			return true, ctx.Err()
		case wait.Err() != nil && !raw.IsClosed():
			ping, done := context.WithTimeout(ctx, connectTimeout)
			err := raw.Ping(ping)
			done()
			if err != nil {
				return true, err
			}
		default:
			return true, err
		}
	}
}

func (w *watcher) lookNow() {
	select {
	case w.look <- struct{}{}:
	default:
	}
}

// heard reads a notification. Words that it does not know are for newer nodes.
func (w *watcher) heard(text string) {
	var endpoints, fed []hark.Ref
	m := w.node.Load()
	for word := range strings.FieldsSeq(text) {
		switch {
		case word == changeMark || word == leaseMark:
			w.lookNow()
		case word == outboxMark:
			if w.listeners.outbox != nil {
				w.listeners.outbox()
			}
		case word[:1] == feedMark:
			if ref, err := strconv.ParseInt(word[1:], 36, 64); err == nil {
				fed = append(fed, ref)
			}
		case word[:1] == endpointMark && m != nil:
			ref, err := strconv.ParseInt(word[1:], 36, 64)
			if err != nil {
				continue
			}
			if _, held := m.held[store.ShardOf(ref)]; held {
				endpoints = append(endpoints, ref)
			}
		}
	}
	if len(endpoints) > 0 && w.listeners.wake != nil {
		w.listeners.wake(endpoints)
	}
	if len(fed) > 0 && w.listeners.fed != nil {
		w.listeners.fed(fed)
	}
}
