package manage

import (
	"context"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// list checks the query of a list of attempts, or of what they were made for. nothing says that the
// answer is empty whatever the store has: no attempt is ever pending.
func (in AttemptListIn) list(prefix string) (l listing, f store.AttemptFilter, nothing bool, err error) {
	var v check
	in.Descending = nil
	l = v.list(in.ListIn, prefix, true)
	v.filterNames(in.EventTypes, in.Channel, in.Tag)
	f = store.AttemptFilter{
		Status:          v.status(in.Status, "query", "status"),
		StatusCodeClass: v.statusCodeClass(in.StatusCodeClass, "query", "status_code_class"),
		EventTypes:      in.EventTypes,
		Channel:         in.Channel,
		Tag:             in.Tag,
		WithResponse:    in.WithContent,
	}
	f.After, f.Before = l.window(in.After, in.Before, prefix, time.Now())
	f.OldestFirst = l.fromOldest
	return l, f, f.Status != nil && *f.Status == hark.Pending, v.err()
}

// AttemptsByEndpoint lists the attempts at an endpoint, newest first; at a consumer those that listeners have told of.
func (m *Manager) AttemptsByEndpoint(ctx context.Context, c Caller, app, endpoint string, in AttemptListIn) (p Page[AttemptOut], err error) {
	a, err := m.app(ctx, &c, opAttemptList, app)
	if err != nil {
		return p, err
	}
	ep, err := m.anyEndpointOf(ctx, a, endpoint)
	if err != nil {
		return p, err
	}
	l, f, nothing, err := in.list(hark.AttemptPrefix)
	if err != nil {
		return p, err
	}
	if nothing {
		return Page[AttemptOut]{Items: []AttemptOut{}, Done: true}, nil
	}
	rows, err := m.store.AttemptsByEndpoint(ctx, ep.Ref, f, l.page)
	if err != nil {
		return p, err
	}
	return m.attemptPage(ctx, a, l, rows, in.WithMessage)
}

// AttemptsByMessage lists the attempts to deliver a message, newest first.
func (m *Manager) AttemptsByMessage(ctx context.Context, c Caller, app, message string, in AttemptListIn) (p Page[AttemptOut], err error) {
	a, msg, err := m.appMessage(ctx, &c, opAttemptList, app, message)
	if err != nil {
		return p, err
	}
	l, f, nothing, err := in.list(hark.AttemptPrefix)
	if err != nil {
		return p, err
	}
	if in.EndpointID != "" {
		ep, err := m.anyEndpointOf(ctx, a, in.EndpointID)
		if err != nil {
			return p, err
		}
		f.EndpointRef = ep.Ref
	}
	if nothing {
		return Page[AttemptOut]{Items: []AttemptOut{}, Done: true}, nil
	}
	rows, err := m.store.AttemptsByMessage(ctx, msg.Ref, f, l.page)
	if err != nil {
		return p, err
	}
	return m.attemptPage(ctx, a, l, rows, in.WithMessage)
}

// attemptPage makes the answer, with the messages of the attempts when they were asked for.
func (m *Manager) attemptPage(ctx context.Context, app *directory.Application, l listing, rows []hark.Attempt, withMessage bool) (p Page[AttemptOut], err error) {
	out := make([]AttemptOut, len(rows))
	messages := map[hark.MessageID]*hark.Message{}
	for i := range rows {
		out[i].Attempt = rows[i]
		if !withMessage {
			continue
		}
		id := rows[i].MessageID
		if messages[id] == nil {
			msg, err := m.store.Message(ctx, app.Ref, string(id), false)
			if err != nil {
				return p, err
			}
			messages[id] = &msg
		}
		out[i].Message = messages[id]
	}
	return pageOf(l, out, func(a *AttemptOut) string { return string(a.ID) }), nil
}

// AttemptedMessages lists the messages that were tried at an endpoint, newest first, each with the
// state of its delivery there.
func (m *Manager) AttemptedMessages(ctx context.Context, c Caller, app, endpoint string, in AttemptListIn) (p Page[store.EndpointMessage], err error) {
	_, ep, err := m.appEndpoint(ctx, &c, opAttemptList, app, endpoint)
	if err != nil {
		return p, err
	}
	l, f, nothing, err := in.list(hark.MessagePrefix)
	if err != nil {
		return p, err
	}
	if nothing {
		return Page[store.EndpointMessage]{Items: []store.EndpointMessage{}, Done: true}, nil
	}
	rows, err := m.store.AttemptedMessages(ctx, ep.Ref, f, in.WithContent, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(em *store.EndpointMessage) string { return string(em.Message.ID) }), nil
}

// AttemptedEndpoints lists the endpoints that a message was tried at, deleted ones included, by id.
func (m *Manager) AttemptedEndpoints(ctx context.Context, c Caller, app, message string, in ListIn) (p Page[store.MessageEndpoint], err error) {
	_, msg, err := m.appMessage(ctx, &c, opAttemptList, app, message)
	if err != nil {
		return p, err
	}
	var v check
	in.Descending = nil
	l := v.list(in, hark.EndpointPrefix, false)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.AttemptedEndpoints(ctx, msg.Ref, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(me *store.MessageEndpoint) string { return string(me.Endpoint.ID) }), nil
}

// Attempt finds one attempt of a message.
func (m *Manager) Attempt(ctx context.Context, c Caller, app, message, attempt string) (hark.Attempt, error) {
	a, msg, err := m.appMessage(ctx, &c, opAttemptGet, app, message)
	if err != nil {
		return hark.Attempt{}, err
	}
	return m.store.Attempt(ctx, a.Ref, msg.Ref, hark.AttemptID(attempt))
}

// ExpungeAttempt deletes what an endpoint answered.
func (m *Manager) ExpungeAttempt(ctx context.Context, c Caller, app, message, attempt string) error {
	a, msg, err := m.appMessage(ctx, &c, opAttemptExpunge, app, message)
	if err != nil {
		return err
	}
	if err := m.store.ExpungeResponse(ctx, a.Ref, msg.Ref, hark.AttemptID(attempt)); err != nil {
		return err
	}
	m.audit(ctx, &c, opAttemptExpunge, slog.String("app", string(a.ID)), slog.String("attempt", attempt))
	return nil
}

// Resend sends a message to an endpoint once more, by hand: at once, a single time, whatever the
// endpoint's filters say and also when it is disabled or paused. (Svix answers 202 for a disabled
// endpoint and sends nothing; what is promised here is done.) Archived event types are no hindrance. Into the feed
// of a consumer it comes once more, under another number, when the consumer is not paused.
func (m *Manager) Resend(ctx context.Context, c Caller, app, message, endpoint string) error {
	a, msg, err := m.appMessage(ctx, &c, opResend, app, message)
	if err != nil {
		return err
	}
	ep, err := m.anyEndpointOf(ctx, a, endpoint)
	if err != nil {
		return err
	}
	if msg.Expunged {
		return hark.Errorf(hark.MissingPayload, "Unable to resend message. Payload expired.")
	}
	trigger := hark.Manual
	if ep.ID.IsPulled() { // nothing is attempted: it is fed again
		trigger = hark.Scheduled
	}
	err = m.store.Enqueue(ctx, []hark.Delivery{{
		EndpointRef: ep.Ref, ApplicationRef: a.Ref, MessageRef: msg.Ref,
		Due: time.Now().UnixMilli(), Trigger: trigger,
	}})
	if err != nil {
		return err
	}
	m.audit(ctx, &c, opResend, slog.String("app", string(a.ID)), slog.String("endpoint", string(ep.ID)),
		slog.String("message", string(msg.ID)))
	return nil
}
