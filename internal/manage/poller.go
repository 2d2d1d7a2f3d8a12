package manage

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/store"
)

// maxPollers is how many pollers one application may have.
const maxPollers = 100

// Pollers is what manage needs of the engine that runs pollers; *poll.Runner is it.
type Pollers interface {
	// Wake says that pollers were added or changed.
	Wake()
	Preview(ctx context.Context, p hark.Poller) (poll.Preview, error)
}

// PollerMessage is a message that a run would make.
type PollerMessage = poll.Emission

// PollerIn describes a poller to create, or what of one to change: the fields that are set.
type PollerIn struct {
	UID      Opt[string]
	Name     Opt[string]
	Paused   Opt[bool]
	Every    Opt[float64] // seconds
	Cron     Opt[string]
	TimeZone Opt[string]

	URL         Opt[string]
	Method      Opt[string]
	Body        Opt[string]
	ContentType Opt[string]
	Headers     Opt[map[string]string]
	Auth        Opt[hark.PollerAuth]
	Secret      Opt[string]
	Paging      Opt[hark.PollerPaging]
	Since       Opt[hark.PollerSince]

	ItemsPath Opt[string]
	IDPath    Opt[string]
	Changed   Opt[[]string]
	Backfill  Opt[bool]

	EventType Opt[string]
	Payload   Opt[json.RawMessage]
	Channels  Opt[[]string]
}

// CreatePoller adds a poller to an application. One with an interval runs at once.
func (m *Manager) CreatePoller(ctx context.Context, c Caller, app string, in PollerIn) (hark.Poller, error) {
	a, err := m.app(ctx, &c, opPollerCreate, app)
	if err != nil {
		return hark.Poller{}, err
	}
	p, err := m.newPoller(a, &in, moment())
	if err != nil {
		return hark.Poller{}, err
	}
	some, err := m.store.ListPollers(ctx, a.Ref, store.Page{Limit: maxPollers})
	if err != nil {
		return hark.Poller{}, err
	}
	if len(some) >= maxPollers {
		return hark.Poller{}, hark.Errorf(hark.LimitReached, "An application can have %d pollers.", maxPollers)
	}
	row, err := m.store.InsertPoller(ctx, p)
	if err != nil {
		return hark.Poller{}, err
	}
	m.pollers.Wake()
	m.auditPoller(ctx, &c, opPollerCreate, a, row.ID)
	return row, nil
}

// newPoller makes a poller of an input, and does not keep it.
func (m *Manager) newPoller(a *directory.Application, in *PollerIn, now time.Time) (hark.Poller, error) {
	p := hark.Poller{
		ID: hark.NewPollerID(now), ApplicationRef: a.Ref, ApplicationID: a.ID, EnvironmentID: a.EnvironmentID,
		PollerSettings: hark.PollerSettings{IDPath: "/id"}, CreatedAt: now,
	}
	var v check
	in.apply(&v, &p, m.httpsOnly, now)
	return p, v.err()
}

// ListPollers lists an application's pollers, newest first unless asked otherwise.
func (m *Manager) ListPollers(ctx context.Context, c Caller, app string, in ListIn) (p Page[hark.Poller], err error) {
	a, err := m.app(ctx, &c, opPollerList, app)
	if err != nil {
		return p, err
	}
	var v check
	l := v.list(in, hark.PollerPrefix, true)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListPollers(ctx, a.Ref, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(p *hark.Poller) string { return string(p.ID) }), nil
}

// Poller finds a poller by id or uid.
func (m *Manager) Poller(ctx context.Context, c Caller, app, poller string) (hark.Poller, error) {
	a, err := m.app(ctx, &c, opPollerGet, app)
	if err != nil {
		return hark.Poller{}, err
	}
	return m.store.Poller(ctx, a.Ref, poller)
}

// PatchPoller changes the fields that are set. A poller that asks for other things begins anew.
func (m *Manager) PatchPoller(ctx context.Context, c Caller, app, poller string, in PollerIn) (hark.Poller, error) {
	return m.updatePoller(ctx, &c, opPollerPatch, app, poller, func(p *hark.Poller, now time.Time) error {
		var v check
		in.apply(&v, p, m.httpsOnly, now)
		return v.err()
	})
}

// RunPoller makes a poller run now, whatever its schedule, or its back-off, says.
func (m *Manager) RunPoller(ctx context.Context, c Caller, app, poller string) (hark.Poller, error) {
	return m.updatePoller(ctx, &c, opPollerRun, app, poller, func(p *hark.Poller, now time.Time) error {
		if p.Paused {
			return hark.Errorf(hark.Conflict, "The poller is paused.")
		}
		p.Due = now
		return nil
	})
}

func (m *Manager) updatePoller(ctx context.Context, c *Caller, op operation, app, poller string, change func(*hark.Poller, time.Time) error) (hark.Poller, error) {
	a, err := m.app(ctx, c, op, app)
	if err != nil {
		return hark.Poller{}, err
	}
	now := moment()
	row, err := m.store.UpdatePoller(ctx, a.Ref, poller, func(p *hark.Poller) error { return change(p, now) })
	if err != nil {
		return hark.Poller{}, err
	}
	m.pollers.Wake()
	m.auditPoller(ctx, c, op, a, row.ID)
	return row, nil
}

// DeletePoller removes a poller and what it knows; its messages stay.
func (m *Manager) DeletePoller(ctx context.Context, c Caller, app, poller string) error {
	a, err := m.app(ctx, &c, opPollerDelete, app)
	if err != nil {
		return err
	}
	p, err := m.store.Poller(ctx, a.Ref, poller)
	if err != nil {
		return err
	}
	if err := m.store.DeletePoller(ctx, a.Ref, string(p.ID)); err != nil {
		return err
	}
	m.auditPoller(ctx, &c, opPollerDelete, a, p.ID)
	return nil
}

// PreviewPoller says what a poller's next run would do now.
func (m *Manager) PreviewPoller(ctx context.Context, c Caller, app, poller string) (poll.Preview, error) {
	a, err := m.app(ctx, &c, opPollerPreview, app)
	if err != nil {
		return poll.Preview{}, err
	}
	p, err := m.store.Poller(ctx, a.Ref, poller)
	if err != nil {
		return poll.Preview{}, err
	}
	return m.pollers.Preview(ctx, p)
}

// PreviewNewPoller says what a poller's first run would do, before it is created.
func (m *Manager) PreviewNewPoller(ctx context.Context, c Caller, app string, in PollerIn) (poll.Preview, error) {
	a, err := m.app(ctx, &c, opPollerPreview, app)
	if err != nil {
		return poll.Preview{}, err
	}
	p, err := m.newPoller(a, &in, moment())
	if err != nil {
		return poll.Preview{}, err
	}
	return m.pollers.Preview(ctx, p)
}

func (m *Manager) auditPoller(ctx context.Context, c *Caller, op operation, app *directory.Application, id hark.PollerID) {
	m.audit(ctx, c, op, slog.String("app", string(app.ID)), slog.String("poller", string(id)))
}

// PublishFromPoller accepts messages that a poller of an application makes. It asks nobody's permission: whoever
// made the poller had it. It answers for each message why it cannot be one; one that was accepted before,
// by its key, is as good as accepted now, and poll.ErrTaken says that another was accepted by it.
func (m *Manager) PublishFromPoller(ctx context.Context, app hark.Ref, messages []poll.Emission) (refused []error, err error) {
	a, err := m.directory.ByRef(ctx, app)
	if err != nil {
		return nil, err
	}
	now := moment()
	refused = make([]error, len(messages))
	var left []*directory.Parcel
	places := map[*directory.Parcel]int{}
	for i := range messages {
		e := &messages[i]
		p := new(directory.Parcel)
		places[p] = i
		if refused[i] = m.pack(p, &PublishIn{EventType: e.EventType, Payload: e.Payload, Channels: e.Channels}, now); refused[i] == nil {
			p.Key = &e.Key
			left = append(left, p)
		}
	}
	for range directory.MatchTries {
		if len(left) == 0 {
			return refused, nil
		}
		accept := make([]*store.Acceptance, len(left))
		for i, p := range left {
			p.Address(a)
			accept[i] = &p.Acceptance
		}
		if err := m.store.Accept(ctx, accept); err != nil {
			return nil, err
		}
		var stale []*directory.Parcel
		for _, p := range left {
			switch p.Outcome {
			case store.Stale:
				stale = append(stale, p)
			case store.KeyReused:
				refused[places[p]] = poll.ErrTaken
			}
		}
		if left = stale; len(left) > 0 {
			if a, err = m.directory.Reload(ctx, app); err != nil {
				return nil, err
			}
		}
	}
	if len(left) > 0 {
		return nil, directory.ErrRestless
	}
	return refused, nil
}
