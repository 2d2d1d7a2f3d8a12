package directory

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/store"
)

// Parcel is a message on its way into the store, with a delivery for each endpoint that it matched.
// It has room for what most messages need, so that it is one allocation. Everything that accepts
// messages addresses them here: publishing, the outbox, and sources.
type Parcel struct {
	store.Acceptance
	Matched []*Endpoint

	list [1]*store.Acceptance
	rows [2]hark.Delivery
	refs [2]hark.Ref
}

// Address matches the message against an application's endpoints and makes its deliveries.
func (p *Parcel) Address(app *Application) {
	m := &p.Message
	p.EnvironmentID, p.ConfigVersion, m.ApplicationRef = app.EnvironmentID, app.Version, app.Ref
	p.Matched = app.Match(match.Of(m))
	rows, refs := p.rows[:0], p.refs[:0]
	if n := len(p.Matched); n > len(p.rows) {
		rows, refs = make([]hark.Delivery, 0, n), make([]hark.Ref, 0, n)
	}
	due := m.CreatedAt.UnixMilli()
	if !m.DeliverAt.IsZero() {
		due = m.DeliverAt.UnixMilli()
	}
	for _, ep := range p.Matched {
		row := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: app.Ref, Due: due, Message: m}
		if ep.Rules.Delay != 0 {
			row.Due = max(due, m.CreatedAt.Add(ep.Rules.Delay).UnixMilli())
		}
		if ep.Ordering != hark.Unordered && ep.Ordering != hark.OrderByEndpoint {
			// A payload without that value stands in the line of those without it.
			row.Line, _ = match.Line(m.Payload, string(ep.Ordering))
		}
		rows, refs = append(rows, row), append(refs, ep.Ref)
	}
	m.Matched, p.Deliveries = refs, rows
}

// List is what a store's Accept takes of this parcel alone.
func (p *Parcel) List() []*store.Acceptance {
	p.list[0] = &p.Acceptance
	return p.list[:]
}

// MatchTries is how often a message is matched before its sender is asked to come again. One more
// than once is needed when another node, or a change at the same moment, was faster.
const MatchTries = 5

// ErrRestless is what a sender is told then.
var ErrRestless = &hark.Error{Code: hark.Unavailable, RetryAfter: time.Second,
	Detail: "The application's endpoints are being changed faster than messages can be matched to them"}

// Reload reads an application again that is not what the directory knows.
func (d *Directory) Reload(ctx context.Context, ref hark.Ref) (*Application, error) {
	d.Forget(ref)
	return d.ByRef(ctx, ref)
}

// Accept addresses one message and has the store accept it, again where the application has changed
// meanwhile. It answers the application by which it was matched.
func (d *Directory) Accept(ctx context.Context, into Accepter, app *Application, p *Parcel) (*Application, error) {
	for range MatchTries {
		p.Address(app)
		if err := into.Accept(ctx, p.List()); err != nil {
			return app, err
		}
		if p.Outcome != store.Stale {
			return app, nil
		}
		var err error
		if app, err = d.Reload(ctx, app.Ref); err != nil {
			return nil, err
		}
	}
	return app, ErrRestless
}

// Accepter is the part of a store that accepts messages.
type Accepter interface {
	Accept(ctx context.Context, accept []*store.Acceptance) error
}
