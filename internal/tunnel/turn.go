package tunnel

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/harkhq/hark"
)

// Of the tunnels of one group one is open at a time, on whichever node. Whose turn it is stands beside the
// group's place, as another place that no group can have: a number that the owner has drawn, and below it a
// count which the owner raises as long as it lives. Whoever comes takes the turn; whoever finds another's
// number has lost it, and stands by; whoever stands by takes it when it was given back, or when its count
// stands still for longer than a living owner would let it. No clocks are compared.
//
// Two that take it at the same moment both believe to have it, until they look, which they do before they
// send: for that long both send the same messages, which are then answered twice and lost never.
//
// A nil turn is that of a tunnel without a group, which shares with nobody.
type turn struct {
	store    Store
	consumer hark.Ref
	name     string
	mine     int64 // the number with its count
	renewed  time.Time

	// What it stood at when it was seen last, by who stands by.
	seen   int64
	seenAt time.Time
}

const (
	renewEvery = 4 * time.Second
	deadAfter  = 13 * time.Second
	lookEvery  = time.Second
	countBits  = 20
)

// turnMark ends the names of turns; no group's name has a control character.
const turnMark = "\x1fturn"

func newTurn(s Store, consumer hark.Ref, group string) *turn {
	return &turn{store: s, consumer: consumer, name: group + turnMark, mine: (1 + rand.Int64N(1<<42)) << countBits}
}

// take makes it ours, whosever it was.
func (t *turn) take(ctx context.Context, now time.Time) error {
	t.mine++
	t.renewed = now
	return t.store.SeekCursor(ctx, t.consumer, t.name, t.mine, now)
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
	return at>>countBits == t.mine>>countBits, err
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
	return true, t.take(ctx, now)
}

// isFree says, to who stands by, whether nobody has the turn any more.
func (t *turn) isFree(ctx context.Context, now time.Time) (bool, error) {
	at, err := t.look(ctx)
	if err != nil || at == 0 {
		return err == nil, err
	}
	if at != t.seen {
		t.seen, t.seenAt = at, now
	}
	return now.Sub(t.seenAt) >= deadAfter, nil
}

// giveBack lets another go on at once.
func (t *turn) giveBack(ctx context.Context, now time.Time) {
	if t == nil {
		return
	}
	if ours, err := t.isOurs(ctx); err == nil && ours {
		_ = t.store.SeekCursor(ctx, t.consumer, t.name, 0, now) // else the others wait for deadAfter
	}
}
