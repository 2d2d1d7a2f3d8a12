// Package stream is what consumers read through: by polling, waiting for news (long poll), as a stream
// of server-sent events, and over a WebSocket with acknowledgement. And it is what people watch through
// what happens (a tail).
//
// Everybody reads the feed in the store, from a place of their own, so nothing is queued for a reader:
// one that is slow or away costs nothing, and one that comes back to another node, or after a restart,
// goes on where it was.
//
//	store ──OnFed──▶ Hub ─▶ whoever waits for that consumer ─▶ ReadFeed behind its place ─▶ wire
//
// It promises every entry once and in order behind a place, and to say so (a gap) where retention has
// taken entries that a reader has not seen. A reader is told within milliseconds; where a wake-up from
// another node was lost, within a tenth of a second (Run).
//
// A tail asks the store again and again, and rests much longer than the store was busy with it: so it
// costs a server little, however much there is to see. What it cannot follow it leaves out, and says so.
//
// It refuses to hold more than one page for a reader, and to decide who may read what.
package stream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Store is the part of the store that is read.
type Store interface {
	ReadFeed(ctx context.Context, consumer hark.Ref, after int64, limit int) ([]store.FeedEntry, error)
	FeedEnds(ctx context.Context, consumer hark.Ref) (first, last int64, err error)
	FeedLasts(ctx context.Context, consumers []hark.Ref) (map[hark.Ref]int64, error)
}

// Options of a Hub.
type Options struct {
	Store Store
	Log   *slog.Logger
}

// Hub knows who waits for what. Give Fed to the store's OnFed.
type Hub struct {
	store  Store
	log    *slog.Logger
	mu     sync.Mutex
	topics map[hark.Ref]*topic
	seats  seats
	ended  chan struct{}
	once   sync.Once
}

// topic is a consumer that somebody waits for.
type topic struct {
	waiting int
	news    chan struct{} // closed when there may be something new
	turn    int           // counts the closings
	last    int64         // as Run saw it

	// What was read last, for the others who stand at the same place: of ten thousand streams of one
	// consumer one asks the store.
	reading sync.Mutex
	page    Page
	after   int64
	limit   int
	at      int // the turn before it was read
}

// New makes a Hub.
func New(opt Options) *Hub {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Hub{store: opt.Store, log: opt.Log, topics: map[hark.Ref]*topic{}, seats: seats{most: maxTails}, ended: make(chan struct{})}
}

// Fed wakes whoever waits for these consumers. It does not block.
func (h *Hub) Fed(consumers []hark.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ref := range consumers {
		if t := h.topics[ref]; t != nil {
			t.wake()
		}
	}
}

func (t *topic) wake() {
	close(t.news)
	t.news = make(chan struct{})
	t.turn++
}

// Stop ends all streams and all waiting; clients come back, to another node or after a restart.
func (h *Hub) Stop() { h.once.Do(func() { close(h.ended) }) }

// Ended is closed when everything stops.
func (h *Hub) Ended() <-chan struct{} { return h.ended }

// join counts somebody who will wait for a consumer, until leave is called.
func (h *Hub) join(consumer hark.Ref) (t *topic, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t = h.topics[consumer]
	if t == nil {
		t = &topic{news: make(chan struct{})}
		h.topics[consumer] = t
	}
	t.waiting++
	return t, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(h.topics, consumer)
		}
	}
}

// news is closed by what is fed from now on: ask for it before reading.
func (h *Hub) news(t *topic) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return t.news
}

// readShared is Read for somebody who waits, and so stands where others do.
func (h *Hub) readShared(ctx context.Context, t *topic, consumer hark.Ref, after int64, limit int) (Page, error) {
	h.mu.Lock()
	turn, alone := t.turn, t.waiting == 1
	h.mu.Unlock()
	if alone {
		return h.Read(ctx, consumer, after, limit)
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.limit == limit && t.after == after && t.at >= turn {
		return t.page, nil
	}
	page, err := h.Read(ctx, consumer, after, limit)
	if err == nil && !page.More { // the end of the feed, where everybody comes to stand
		t.page, t.after, t.limit, t.at = page, after, limit, turn
	}
	return page, err
}

// How often Run looks: every lookEvery, and slower where very many are waited for.
const (
	lookEvery = 100 * time.Millisecond
	lookMany  = 1000
)

// Run looks after readers whose wake-up from another node was lost, until ctx ends. A store that one
// process has to itself needs it not.
func (h *Hub) Run(ctx context.Context) error {
	for {
		h.mu.Lock()
		refs := make([]hark.Ref, 0, len(h.topics))
		for ref := range h.topics {
			refs = append(refs, ref)
		}
		h.mu.Unlock()
		if len(refs) > 0 {
			h.look(ctx, refs)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookEvery * time.Duration(1+len(refs)/lookMany)):
		}
	}
}

func (h *Hub) look(ctx context.Context, refs []hark.Ref) {
	lasts, err := h.store.FeedLasts(ctx, refs)
	if err != nil {
		if ctx.Err() == nil {
			h.log.LogAttrs(ctx, slog.LevelWarn, "look at feeds", slog.Any("err", err))
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ref, last := range lasts {
		if t := h.topics[ref]; t != nil && last > t.last {
			t.last = last
			t.wake()
		}
	}
}
