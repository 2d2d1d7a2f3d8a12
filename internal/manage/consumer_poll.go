package manage

import (
	"context"
	"errors"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/stream"
)

// asked before a group's name makes the name of a second place: where the answer to the group's last poll began,
// so that a retry of that poll gets the same answer. Groups' own names have no control characters.
const asked = "\x1f"

// PollConsumer is ReadConsumer as Svix's poller has it: the server keeps the group's place. Who comes back with
// a cursor says that all before it is done with, and nothing else moves the place: an answer that was lost is
// asked for again. Who brings none says with each poll that the one before is done with, unless it says that it
// asks Again.
func (m *Manager) PollConsumer(ctx context.Context, c Caller, app, consumer string, in ReadIn) (stream.Page, error) {
	feed, err := m.feedToRead(ctx, &c, opConsumerAck, app, consumer, &in)
	if err != nil {
		return stream.Page{}, err
	}
	if in.From == "" {
		return m.pollNext(ctx, feed, &in)
	}
	after, err := m.find(ctx, feed, in.From)
	if err != nil {
		return stream.Page{}, err
	}
	page, err := m.readOn(ctx, feed, after, &in)
	if err != nil {
		return page, err
	}
	if err := m.seek(ctx, feed, asked+in.Group, after); err != nil {
		return page, err
	}
	return page, m.seek(ctx, feed, in.Group, after)
}

// pollNext answers what comes behind the group's place, and moves it.
func (m *Manager) pollNext(ctx context.Context, consumer hark.Ref, in *ReadIn) (stream.Page, error) {
	place, err := m.place(ctx, consumer, in.Group)
	if err != nil {
		return stream.Page{}, err
	}
	after := place
	if in.Again {
		if after, err = m.store.Cursor(ctx, consumer, asked+in.Group); errors.Is(err, hark.ErrNotFound) {
			after, err = place, nil
		}
		if err != nil {
			return stream.Page{}, err
		}
	}
	page, err := m.readOn(ctx, consumer, after, in)
	if err != nil {
		return page, err
	}
	if err := m.seek(ctx, consumer, asked+in.Group, after); err != nil { // first: else a crash in between would forget it
		return page, err
	}
	if page.Last <= place {
		return page, nil
	}
	return page, m.store.MoveCursor(ctx, consumer, in.Group, page.Last, moment())
}

// seek puts a group's place somewhere, unless it is there: most polls find nothing.
func (m *Manager) seek(ctx context.Context, consumer hark.Ref, group string, seq int64) error {
	at, err := m.store.Cursor(ctx, consumer, group)
	if err == nil && at == seq || err != nil && !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	return m.store.SeekCursor(ctx, consumer, group, seq, moment())
}
