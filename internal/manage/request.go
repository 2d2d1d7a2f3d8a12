package manage

import (
	"context"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// causes are the reasons for which requests are rejected.
var causes = []hark.RejectionCause{
	hark.SourceDisabled, hark.VerificationFailed, hark.Unverifiable, hark.AddressNotAllowed, hark.MethodNotAllowed,
	hark.RequestTooLarge, hark.RequestMalformed, hark.RequestLimited, hark.QuotaExceeded,
}

// ListRequests lists inbound requests, newest first: of one source, or of all that the caller may see.
func (m *Manager) ListRequests(ctx context.Context, c Caller, in RequestListIn) (p Page[hark.Request], err error) {
	if err := c.permit(opRequestList); err != nil {
		return p, err
	}
	var refs []hark.Ref
	if in.Source != "" {
		src, err := m.findSource(ctx, &c, in.Source)
		if err != nil {
			return p, err
		}
		refs = []hark.Ref{src.Ref}
	} else {
		all, err := m.sourcesOf(ctx, &c, in.Application)
		if err != nil {
			return p, err
		}
		for i := range all {
			refs = append(refs, all[i].Ref)
		}
	}
	var v check
	in.Descending = nil
	l := v.list(in.ListIn, hark.RequestPrefix, true)
	f := store.RequestFilter{Outcome: v.outcome(in.Status), Cause: v.cause(in.Cause), EventTypes: in.EventTypes}
	v.filterNames(in.EventTypes, "", "")
	if err := v.err(); err != nil {
		return p, err
	}
	f.After, f.Before = l.window(in.After, in.Before, hark.RequestPrefix, time.Now())
	f.OldestFirst = l.fromOldest
	rows, err := m.store.ListRequests(ctx, refs, f, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(q *hark.Request) string { return string(q.ID) }), nil
}

func (v *check) outcome(status string) *hark.RequestOutcome {
	if status == "" {
		return nil
	}
	for _, o := range []hark.RequestOutcome{hark.RequestAccepted, hark.RequestRejected, hark.RequestDuplicate} {
		if o.String() == status {
			return &o
		}
	}
	v.wrong("must be accepted, rejected or duplicate", "query", "status")
	return nil
}

func (v *check) cause(text string) hark.RejectionCause {
	for _, c := range causes {
		if string(c) == text {
			return c
		}
	}
	if text != "" {
		v.wrong("there is no such cause", "query", "cause")
	}
	return ""
}

// Request finds one request, with its head and body. source, here and below, may be "": a request's id is enough.
func (m *Manager) Request(ctx context.Context, c Caller, source, request string) (hark.Request, error) {
	return m.request(ctx, &c, opRequestGet, source, request)
}

func (m *Manager) request(ctx context.Context, c *Caller, op operation, source, request string) (hark.Request, error) {
	src, err := m.sourceOfRequest(ctx, c, op, source, request)
	if err != nil {
		return hark.Request{}, err
	}
	return m.store.Request(ctx, src.Ref, hark.RequestID(request))
}

// sourceOfRequest finds the source of a request that the caller may reach.
func (m *Manager) sourceOfRequest(ctx context.Context, c *Caller, op operation, source, request string) (hark.Source, error) {
	if source != "" {
		return m.source(ctx, c, op, source)
	}
	if err := c.permit(op); err != nil {
		return hark.Source{}, err
	}
	id, err := m.store.SourceOfRequest(ctx, c.EnvironmentID, hark.RequestID(request))
	if err != nil {
		return hark.Source{}, err
	}
	return m.findSource(ctx, c, string(id))
}

// AcceptRequest makes a message of a request that was rejected, or of a duplicate: a person says that it
// is to be one. Saying so twice makes one message; an accepted request has its message already.
func (m *Manager) AcceptRequest(ctx context.Context, c Caller, source, request string) (hark.Request, error) {
	src, err := m.sourceOfRequest(ctx, &c, opRequestAccept, source, request)
	if err != nil {
		return hark.Request{}, err
	}
	q, err := m.store.Request(ctx, src.Ref, hark.RequestID(request))
	if err != nil || q.Outcome == hark.RequestAccepted {
		return q, err
	}
	if q.Body == nil || q.Head == nil {
		return q, hark.Errorf(hark.MissingPayload, "The request's body was not kept.")
	}
	app, err := m.directory.ByRef(ctx, src.ApplicationRef)
	if err != nil {
		return q, err
	}
	id, err := m.ingest.AcceptByHand(ctx, &q, app, time.Now())
	if err != nil {
		return q, err
	}
	m.audit(ctx, &c, opRequestAccept, slog.String("source", string(src.ID)), slog.String("request", request), slog.String("message", string(id)))
	return m.store.Request(ctx, src.Ref, q.ID)
}

// ExpungeRequest deletes what a request brought: of one that became a message, the message's payload.
func (m *Manager) ExpungeRequest(ctx context.Context, c Caller, source, request string) error {
	src, err := m.sourceOfRequest(ctx, &c, opRequestExpunge, source, request)
	if err != nil {
		return err
	}
	q, err := m.store.Request(ctx, src.Ref, hark.RequestID(request))
	if err != nil {
		return err
	}
	if q.Outcome == hark.RequestAccepted {
		err = m.store.ExpungePayload(ctx, src.ApplicationRef, string(q.MessageID))
	} else {
		err = m.store.ExpungeRequest(ctx, src.Ref, q.ID)
	}
	if err != nil {
		return err
	}
	m.audit(ctx, &c, opRequestExpunge, slog.String("source", string(src.ID)), slog.String("request", request))
	return nil
}
