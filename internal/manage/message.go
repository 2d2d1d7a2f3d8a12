package manage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
)

// ListMessages lists an application's messages, newest first.
func (m *Manager) ListMessages(ctx context.Context, c Caller, app string, in MessageListIn) (p Page[hark.Message], err error) {
	a, err := m.app(ctx, &c, opMessageList, app)
	if err != nil {
		return p, err
	}
	var v check
	in.Descending = nil
	l := v.list(in.ListIn, hark.MessagePrefix, true)
	v.filterNames(in.EventTypes, in.Channel, in.Tag)
	if err := v.err(); err != nil {
		return p, err
	}
	from, to := l.window(in.After, in.Before, hark.MessagePrefix, time.Now())
	rows, err := m.store.ListMessages(ctx, a.Ref, store.MessageFilter{
		After: from, Before: to, EventTypes: in.EventTypes, Channel: in.Channel, Tag: in.Tag,
		WithPayload: in.WithContent, OldestFirst: l.fromOldest,
	}, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(m *hark.Message) string { return string(m.ID) }), nil
}

// filterNames checks the names in a list's query.
func (v *check) filterNames(eventTypes []string, channel, tag string) {
	if eventTypes != nil {
		v.names(eventTypes, nameChars, maxName, 1, many, "query", "event_types")
	}
	if channel != "" {
		v.name(channel, channelChars, maxChannel, "query", "channel")
	}
	if tag != "" {
		v.name(tag, tagChars, maxTag, "query", "tag")
	}
}

// Message finds a message by id or event id.
func (m *Manager) Message(ctx context.Context, c Caller, app, message string, withContent bool) (hark.Message, error) {
	a, err := m.app(ctx, &c, opMessageGet, app)
	if err != nil {
		return hark.Message{}, err
	}
	return m.store.Message(ctx, a.Ref, message, withContent)
}

// ExpungeMessage deletes a message's payload for good. It cannot be sent again.
func (m *Manager) ExpungeMessage(ctx context.Context, c Caller, app, message string) error {
	a, err := m.app(ctx, &c, opMessageExpunge, app)
	if err != nil {
		return err
	}
	if err := m.store.ExpungePayload(ctx, a.Ref, message); err != nil {
		return err
	}
	m.audit(ctx, &c, opMessageExpunge, slog.String("app", string(a.ID)), slog.String("message", message))
	return nil
}

// What BulkExpunge answers for an id.
const (
	Expunged    = "expunged"
	NotExpunged = "not-found"
)

// BulkExpunge deletes the payloads of several messages, named by id or event id, and says for each
// what became of it.
func (m *Manager) BulkExpunge(ctx context.Context, c Caller, app string, ids []string) (map[string]string, error) {
	a, err := m.app(ctx, &c, opMessageExpunge, app)
	if err != nil {
		return nil, err
	}
	if len(ids) > MaxBatch {
		return nil, hark.InvalidField(fmt.Sprintf("must not be more than %d", MaxBatch), "body", "ids")
	}
	results := make(map[string]string, len(ids))
	for _, id := range unique(ids) {
		err := m.store.ExpungePayload(ctx, a.Ref, id)
		switch {
		case err == nil:
			results[id] = Expunged
		case errors.Is(err, hark.ErrNotFound):
			results[id] = NotExpunged
		default:
			return nil, err
		}
	}
	m.audit(ctx, &c, opMessageExpunge, slog.String("app", string(a.ID)), slog.Int("messages", len(results)))
	return results, nil
}

// ExpungeAllContents deletes all payloads of an application, in the background.
func (m *Manager) ExpungeAllContents(ctx context.Context, c Caller, app string) (hark.Task, error) {
	a, err := m.app(ctx, &c, opMessageExpungeAll, app)
	if err != nil {
		return hark.Task{}, err
	}
	task, err := m.replays.Start(ctx, c.EnvironmentID, replay.Purge, replay.Job{ApplicationID: a.ID}, time.Now())
	if err != nil {
		return hark.Task{}, err
	}
	m.audit(ctx, &c, opMessageExpungeAll, slog.String("app", string(a.ID)), slog.String("task", string(task.ID)))
	return publicTask(task), nil
}

// TraceMessage says for every endpoint of the application what the message has to do with it:
// whether it was matched when it was accepted, whether it would be now and by which clause not,
// and how its delivery stands. Endpoints deleted since are there if the message went to them.
func (m *Manager) TraceMessage(ctx context.Context, c Caller, app, message string) (t Trace, err error) {
	a, err := m.app(ctx, &c, opMessageTrace, app)
	if err != nil {
		return t, err
	}
	if t.Message, err = m.store.Message(ctx, a.Ref, message, true); err != nil {
		return t, err
	}
	refs := endpointRefs(a)
	var deleted []hark.Ref
	for _, ref := range t.Message.Matched {
		if a.Endpoint(ref) == nil {
			deleted = append(deleted, ref)
		}
	}
	for _, d := range t.Message.Duplicates {
		if a.Endpoint(d.EndpointRef) == nil {
			deleted = append(deleted, d.EndpointRef)
		}
	}
	states, err := m.store.DeliveryStates(ctx, t.Message.Ref, append(refs, deleted...))
	if err != nil {
		return t, err
	}
	gone, err := m.store.EndpointsByRef(ctx, deleted)
	if err != nil {
		return t, err
	}
	canceled, err := m.canceledBy(ctx, t.Message.Ref, states)
	if err != nil {
		return t, err
	}
	subject := match.Of(&t.Message)
	for _, ep := range a.Endpoints {
		traced := m.traced(&t.Message, ep.Endpoint, states)
		switch {
		case ep.Matcher == nil:
			traced.Clause, traced.Detail = match.ClauseFilter, "the endpoint's filter cannot be read"
		case ep.Filter != nil && t.Message.Expunged:
			traced.Clause, traced.Detail = match.ClauseFilter, "the payload was deleted, so the filter cannot be asked"
		default:
			verdict := ep.Matcher.Explain(subject)
			traced.MatchesNow, traced.Clause, traced.Detail = verdict.Matched, verdict.Clause, verdict.Detail
		}
		if reason := canceled[ep.Ref]; reason != "" {
			traced.Clause, traced.Detail = clauseTransformation, reason
		}
		if traced.DuplicateOf != "" {
			traced.Clause, traced.Detail = clauseDeduplicate, "the endpoint has "+string(traced.DuplicateOf)+", which is the same"
		}
		t.Endpoints = append(t.Endpoints, traced)
	}
	for _, ep := range gone {
		traced := m.traced(&t.Message, ep, states)
		traced.Detail = "the endpoint was deleted"
		t.Endpoints = append(t.Endpoints, traced)
	}
	return t, nil
}

// clauseDeduplicate is what decided where an endpoint had an equal message.
const clauseDeduplicate = "deduplicate"

// clauseTransformation is what decided where a script did not want the message sent.
const clauseTransformation = "transformation"

// canceledBy says why deliveries were canceled by their endpoints' transformations.
func (m *Manager) canceledBy(ctx context.Context, message hark.Ref, states map[hark.Ref]store.MessageEndpoint) (map[hark.Ref]string, error) {
	reasons := map[hark.Ref]string{}
	canceled := hark.Canceled
	for ref, state := range states {
		if state.Status != hark.Canceled {
			continue
		}
		last, err := m.store.AttemptsByMessage(ctx, message, store.AttemptFilter{Status: &canceled, EndpointRef: ref}, store.Page{Limit: 1, Descending: true})
		if err != nil {
			return nil, err
		}
		for _, a := range last {
			reasons[ref] = a.Error
		}
	}
	return reasons, nil
}

func (m *Manager) traced(msg *hark.Message, ep hark.Endpoint, states map[hark.Ref]store.MessageEndpoint) TracedEndpoint {
	state, delivered := states[ep.Ref]
	t := TracedEndpoint{
		Endpoint:    ep,
		Matched:     slices.Contains(msg.Matched, ep.Ref),
		Delivered:   delivered,
		Status:      state.Status,
		NextAttempt: state.NextAttempt,
	}
	for _, d := range msg.Duplicates {
		if d.EndpointRef == ep.Ref {
			t.DuplicateOf = d.Of
		}
	}
	return t
}
