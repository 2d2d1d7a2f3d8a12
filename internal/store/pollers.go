package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Pollers of an application. Those of deleted applications are not found, and a deleted poller leaves
// nothing behind but its messages.
type Pollers interface {
	// InsertPoller adds one and answers it with its Ref; Conflict (with Existing) if the uid is taken.
	InsertPoller(ctx context.Context, p hark.Poller) (hark.Poller, error)
	// UpdatePoller changes one and raises its Revision, so that a run under way keeps nothing more.
	UpdatePoller(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Poller) error) (hark.Poller, error)
	// DeletePoller removes it and what it knows of items.
	DeletePoller(ctx context.Context, app hark.Ref, idOrUID string) error
	Poller(ctx context.Context, app hark.Ref, idOrUID string) (hark.Poller, error)
	PollerByRef(ctx context.Context, ref hark.Ref) (hark.Poller, error)
	ListPollers(ctx context.Context, app hark.Ref, page Page) ([]hark.Poller, error)
	// DuePollers lists the pollers that are due at now and not paused, the longest waiting first, and
	// when the next one will be; zero when there is none.
	DuePollers(ctx context.Context, now time.Time) (due []DuePoller, next time.Time, err error)
	// PollerItems finds what a poller knows of items; unknown ones are left out.
	PollerItems(ctx context.Context, poller hark.Ref, items [][32]byte) ([]PollerItem, error)
	// RecordPoll keeps what a run has come to, all of it or, when the poller is gone or not of that
	// Revision any more, nothing: kept is false.
	RecordPoll(ctx context.Context, progress *PollProgress) (kept bool, err error)
}

// DuePoller is a poller whose time has come.
type DuePoller struct {
	Ref            hark.Ref
	ApplicationRef hark.Ref
	Due            time.Time
}

// PollerItem is what a poller knows of an item.
type PollerItem struct {
	Item    [32]byte  // SHA-256 of its id
	Content [32]byte  // SHA-256 of what counts as a change
	Version int64     // how many contents it has had
	SeenAt  time.Time // roughly
}

// PollProgress is what a run has come to.
type PollProgress struct {
	PollerRef hark.Ref
	Revision  int64
	Items     []PollerItem
	// State, when not nil, ends the run: Due is set with it and Revision is raised.
	State *hark.PollerState
	Due   time.Time
	// ForgetBefore, when not zero, drops items that were not seen since.
	ForgetBefore time.Time
}
