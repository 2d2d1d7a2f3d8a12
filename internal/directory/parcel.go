package directory

import (
	"context"
	"crypto/sha256"
	"slices"
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
	// ByHand says that a person asked for the message: endpoints get it, although they have an equal one.
	ByHand bool

	list [1]*store.Acceptance
	rows [2]hark.Delivery
	refs [2]hark.Ref
}

// Address matches the message against an application's endpoints and makes its deliveries.
func (p *Parcel) Address(app *Application) {
	m := &p.Message
	p.EnvironmentID, p.ConfigVersion, m.ApplicationRef = app.EnvironmentID, app.Version, app.Ref
	p.Matched = app.Match(match.Of(m))
	p.Unique, m.Duplicates = nil, nil
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
		if ep.tell != nil && !p.ByHand {
			p.tellApart(ep, len(rows))
		}
		rows, refs = append(rows, row), append(refs, ep.Ref)
	}
	m.Matched, p.Deliveries = refs, rows
}

// tellApart gives a delivery the key by which the endpoint's rule tells its messages apart. A message
// that has none of the parts is like no other; nor is one of another event type.
func (p *Parcel) tellApart(ep *Endpoint, delivery int) {
	m := &p.Message
	var head hark.Head // of a published message it is empty
	if m.Head != nil && slices.ContainsFunc(ep.tell, match.Part.IsHead) {
		head, _ = hark.DecodeHead(m.Head) // it is ours
	}
	text := match.AppendValue([]byte("hark delivery\x00"), string(ep.ID))
	text = match.AppendValue(text, m.EventType)
	for _, by := range ep.Rules.DedupeBy { // another rule tells apart anew
		text = match.AppendValue(text, by)
	}
	text, ok := match.AppendParts(text, ep.tell, head.HTTPHeader(), head.Query, m.Body())
	if !ok {
		return
	}
	p.Unique = append(p.Unique, store.UniqueDelivery{
		Index: delivery, Hash: sha256.Sum256(text), ExpiresAt: m.CreatedAt.Add(ep.Rules.DedupeWindow()),
	})
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
