package stream

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Item is an entry of a feed, or a gap: Message is nil where retention has taken the entries From to Seq
// before the reader came to them.
type Item struct {
	From, Seq int64 // the same but for a gap
	Message   *hark.Message
}

// Page is what was read: whoever goes on behind Last misses nothing.
type Page struct {
	Items []Item
	Last  int64
	// More says that there was more to read at once.
	More bool
}

// MaxWait is how long one request may wait for news.
const MaxWait = 60 * time.Second

// Read reads up to limit entries behind a place.
func (h *Hub) Read(ctx context.Context, consumer hark.Ref, after int64, limit int) (Page, error) {
	entries, err := h.store.ReadFeed(ctx, consumer, after, limit)
	if err != nil {
		return Page{}, err
	}
	p := Page{Last: after}
	for i := range entries {
		p.add(&entries[i])
	}
	first, last, err := h.store.FeedEnds(ctx, consumer)
	switch {
	case err != nil:
		return Page{}, err
	case after > last:
		return Page{}, hark.InvalidField("is behind the end of this consumer's feed", "query", "iterator")
	case len(entries) == 0 && first > last && last > after: // all of it has expired
		p.gap(last)
	}
	p.More = p.Last < last
	return p, nil
}

func (p *Page) add(e *store.FeedEntry) {
	if e.Seq > p.Last+1 {
		p.gap(e.Seq - 1)
	}
	if e.Message.Ref == 0 {
		p.gap(e.Seq)
		return
	}
	p.Items = append(p.Items, Item{From: e.Seq, Seq: e.Seq, Message: &e.Message})
	p.Last = e.Seq
}

// gap says that everything up to a number is gone.
func (p *Page) gap(to int64) {
	if n := len(p.Items); n > 0 && p.Items[n-1].Message == nil {
		p.Items[n-1].Seq = to
	} else {
		p.Items = append(p.Items, Item{From: p.Last + 1, Seq: to})
	}
	p.Last = to
}

// Wait is Read that waits for something to read, up to a while; then, and when everything stops, the
// page is empty.
func (h *Hub) Wait(ctx context.Context, consumer hark.Ref, after int64, limit int, while time.Duration) (Page, error) {
	t, leave := h.join(consumer)
	defer leave()
	timer := time.NewTimer(min(while, MaxWait))
	defer timer.Stop()
	for {
		news := h.news(t)
		p, err := h.Read(ctx, consumer, after, limit)
		if err != nil || len(p.Items) > 0 || while <= 0 {
			return p, err
		}
		if p.More { // it came while this was read
			continue
		}
		select {
		case <-news:
		case <-timer.C:
			return p, nil
		case <-h.ended:
			return p, nil
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

// cursorPrefix keeps numbers of messages and such from passing for a place.
const cursorPrefix = "at_"

// Cursor is a place in a feed as text.
func Cursor(seq int64) string { return cursorPrefix + strconv.FormatInt(seq, 36) }

// ParseCursor reads a place; ok is false for anything else.
func ParseCursor(text string) (seq int64, ok bool) {
	digits, ok := strings.CutPrefix(text, cursorPrefix)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 36, 64)
	return seq, err == nil && seq >= 0
}
