package tunnel

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/harkhq/hark"
)

// Of the tunnels of one group only one is open at a time, whichever node they are connected to. Whose turn it is
// is written beside the group's place, as the place of a group with a name that no real group can have:
//
//	milliseconds since 1970, and chance   51 bits: the owner's number
//	a count                               12 bits: the owner raises it as long as it lives; all ones: given back
//
// A new tunnel takes the turn by writing a higher number. A tunnel that finds another's number has lost the turn,
// and stands by. One that stands by takes it when it was given back, or when the count has stood still for longer
// than a living owner would let it. Places move forwards only, so a tunnel that has lost the turn cannot take it
// back by mistake; and no clocks are compared, since a node whose clock is behind writes a number above the one
// that it finds.
//
// A tunnel looks before it sends. What it sends between its look and another's taking the turn comes to both.
//
// A nil turn is that of a tunnel without a group, which shares with nobody.
type turn struct {
	store    Store
	consumer hark.Ref
	name     string
	mine     atomic.Int64 // the number with its count; whoever keeps answers reads it, too
	renewed  time.Time

	// While it stands by: the number at its last look, and when it first saw that number.
	seen   int64
	seenAt time.Time
}

const (
	renewEvery = 4 * time.Second
	deadAfter  = 13 * time.Second
	lookEvery  = time.Second

	chanceBits = 9
	countBits  = 12
	givenBack  = 1<<countBits - 1
)

// turnMark ends the names of turns; no group's name has a control character.
const turnMark = "\x1fturn"

func newTurn(s Store, consumer hark.Ref, group string) *turn {
	return &turn{store: s, consumer: consumer, name: group + turnMark}
}

// take makes it ours, whosever it was.
func (t *turn) take(ctx context.Context, now time.Time) error {
	at, err := t.look(ctx)
	if err != nil {
		return err
	}
	number := max(now.UnixMilli()<<chanceBits, at>>countBits+1) + rand.Int64N(1<<chanceBits)
	t.mine.Store(number << countBits)
	return t.write(ctx, now)
}

func (t *turn) write(ctx context.Context, now time.Time) error {
	t.renewed = now
	return t.store.MoveCursor(ctx, t.consumer, t.name, t.mine.Load(), now)
}

func (t *turn) look(ctx context.Context) (int64, error) {
	at, err := t.store.Cursor(ctx, t.consumer, t.name)
	if errors.Is(err, hark.ErrNotFound) {
		return 0, nil
	}
	return at, err
}

// isOurs says whether nobody has taken it since.
func (t *turn) isOurs(ctx context.Context) (bool, error) {
	if t == nil {
		return true, nil
	}
	at, err := t.look(ctx)
	return at>>countBits == t.mine.Load()>>countBits, err
}

// renew says that we live, when it is time to; false when somebody has taken the turn.
func (t *turn) renew(ctx context.Context, now time.Time) (bool, error) {
	if t == nil || now.Sub(t.renewed) < renewEvery {
		return true, nil
	}
	ours, err := t.isOurs(ctx)
	if err != nil || !ours {
		return ours, err
	}
	if t.mine.Add(1)&givenBack == givenBack { // after hours
		return true, t.take(ctx, now)
	}
	return true, t.write(ctx, now)
}

// isFree says, to who stands by, whether nobody has the turn any more.
func (t *turn) isFree(ctx context.Context, now time.Time) (bool, error) {
	at, err := t.look(ctx)
	if err != nil || at == 0 || at&givenBack == givenBack {
		return err == nil, err
	}
	if at != t.seen {
		t.seen, t.seenAt = at, now
	}
	return now.Sub(t.seenAt) >= deadAfter, nil
}

// giveBack lets another go on at once, if it is ours still.
func (t *turn) giveBack(ctx context.Context, now time.Time) {
	if t == nil {
		return
	}
	t.mine.Or(givenBack)
	_ = t.write(ctx, now) // else the others wait for deadAfter
}
