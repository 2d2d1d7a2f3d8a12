package row

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// RequestSQL are the statements of requests: those that ScanRequest reads, and their content: head, body. A request is
// kept by its id, and in some stores by the day that says.
type RequestSQL struct {
	One           string  // source, id, its day
	Source        string  // environment, id, its day; the id of its source
	Content       string  // source, id, its day
	Application   string  // source; the ref of its application
	List, Refused Listing // source, behind and before an id, limit, outcome or -1, cause, event types or NULL, after, before, the ids' days
	Count         string  // source, from an id on, so many, its day
	Adopt         string  // source, id, its day, the message's id
	Expunge       string  // source, id, its day
	DeleteContent string  // source, id, its day

	Retentions string   // behind a source, so many; what ScanRetention reads
	Old        string   // source, behind and before an id, so many, the ids' days; what ScanOld reads
	Delete     []string // source, up to an id, the days up to then
}

// ScanRequest reads source, the source's id, id, received_at, outcome, cause, detail, secret, event_id,
// event type, message, status, took, size, method, remote, expunged.
func ScanRequest(r Row) (hark.Request, error) {
	q := hark.Request{
		SourceRef: r.Int(0), SourceID: hark.SourceID(r.Text(1)), ID: hark.RequestID(r.ID(2, hark.RequestPrefix)), ReceivedAt: r.Time(3),
		Outcome: hark.RequestOutcome(r.Int(4)), Cause: hark.RejectionCause(r.Text(5)), Detail: r.Text(6), Secret: int(r.Int(7)),
		EventID: r.Text(8), EventType: r.Text(9), Status: int(r.Int(11)), Took: micros(r.Int(12)), Size: int(r.Int(13)),
		Method: r.Text(14), Remote: r.Text(15), Expunged: r.Bool(16),
	}
	if !r.Null(10) {
		q.MessageID = hark.MessageID(r.ID(10, hark.MessagePrefix))
	}
	return q, nil
}

// Micros is how durations are stored.
func Micros(d time.Duration) int64 { return min(d.Microseconds(), 1<<31-1) }

// MessageKSUID is the binary form of a request's message; nil when it has none.
func MessageKSUID(id hark.MessageID) ([]byte, error) {
	if id == "" {
		return nil, nil
	}
	k, err := hark.ParseID(string(id), hark.MessagePrefix)
	if err != nil {
		return nil, fmt.Errorf("message %q of a request: %w", id, err)
	}
	return k[:], nil
}

// Request finds a request, with head and body.
func (k *Kinds) Request(ctx context.Context, source hark.Ref, id hark.RequestID) (hark.Request, error) {
	one, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return hark.Request{}, hark.ErrNotFound
	}
	sql, key := &k.sql.Request, k.keyOfRequest(source, one)
	return answer(ctx, k.access.View, func(q Query) (r hark.Request, err error) {
		if r, err = Find(q, ScanRequest, sql.One, key...); err != nil {
			return r, err
		}
		if r.Outcome != hark.RequestAccepted {
			return r, q(func(content Row) error { r.Head, r.Body = content.Blob(0), content.Blob(1); return nil }, sql.Content, key...)
		}
		app, err := Find(q, ScanRef, sql.Application, source)
		if err != nil {
			return r, err
		}
		m, err := k.access.Message(q, app, string(r.MessageID))
		r.Head, r.Body, r.Expunged = m.Head, m.Body(), m.Expunged || errors.Is(err, hark.ErrNotFound)
		if errors.Is(err, hark.ErrNotFound) {
			err = nil
		}
		return r, err
	})
}

// SourceOfRequest finds a request's source.
func (k *Kinds) SourceOfRequest(ctx context.Context, env hark.EnvironmentID, id hark.RequestID) (hark.SourceID, error) {
	one, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return "", hark.ErrNotFound
	}
	args := append([]any{string(env), one[:]}, k.access.Day(one)...)
	return Get(ctx, k.access.Read, func(r Row) (hark.SourceID, error) { return hark.SourceID(r.Text(0)), nil }, k.sql.Request.Source, args...)
}

// keyOfRequest is what a statement is given to find a request.
func (k *Kinds) keyOfRequest(source hark.Ref, id hark.KSUID) []any {
	return append([]any{source, id[:]}, k.access.Day(id)...)
}

// ListRequests reads one range for each source and merges them.
func (k *Kinds) ListRequests(ctx context.Context, sources []hark.Ref, filter store.RequestFilter, page store.Page) ([]hark.Request, error) {
	p, err := PageOfIDs(page, hark.RequestPrefix, filter.After, filter.Before, filter.OldestFirst)
	if err != nil {
		return nil, err
	}
	outcome, list := int64(-1), k.sql.Request.List
	if filter.Outcome != nil {
		outcome = int64(*filter.Outcome)
	}
	if filter.Cause != "" || outcome > 0 {
		list = k.sql.Request.Refused
	}
	query := Pick(p.Down, list.Up, list.Down)
	lists, err := answer(ctx, k.access.View, func(q Query) (lists [][]hark.Request, err error) {
		for _, source := range sources {
			args := append([]any{source, p.Low, p.High, p.Limit, outcome, string(filter.Cause), k.access.Texts(filter.EventTypes),
				LowerBound(filter.After), UpperBound(filter.Before)}, k.access.Days(p.Low, p.High)...)
			some, err := Collect(q, ScanRequest, query, args...)
			if err != nil {
				return nil, err
			}
			lists = append(lists, some)
		}
		return lists, nil
	})
	return Turned(p.merge(lists), p.Turn), err
}

// merge puts together lists that are each in a list's order, up to its limit.
func (r IDRange) merge(lists [][]hark.Request) []hark.Request {
	if len(lists) == 1 {
		return lists[0]
	}
	var all []hark.Request
	for len(all) < r.Limit {
		first := -1
		for i, l := range lists {
			if len(l) > 0 && (first < 0 || (l[0].ID > lists[first][0].ID) == r.Down) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		all = append(all, lists[first][0])
		lists[first] = lists[first][1:]
	}
	return all
}

// AdoptRequest says that a request became a message by hand.
func (k *Kinds) AdoptRequest(ctx context.Context, source hark.Ref, id hark.RequestID, message hark.MessageID) error {
	m, err := MessageKSUID(message)
	if err != nil {
		return err
	}
	return k.changeRequest(ctx, source, id, k.sql.Request.Adopt, m)
}

// ExpungeRequest deletes what a request brought.
func (k *Kinds) ExpungeRequest(ctx context.Context, source hark.Ref, id hark.RequestID) error {
	return k.changeRequest(ctx, source, id, k.sql.Request.Expunge)
}

// changeRequest changes a request's row and deletes its content.
func (k *Kinds) changeRequest(ctx context.Context, source hark.Ref, id hark.RequestID, change string, args ...any) error {
	one, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return hark.ErrNotFound
	}
	return k.access.Change(ctx, func(c Conn) error {
		if err := c.must(hark.ErrNotFound, change, append(k.keyOfRequest(source, one), args...)...); err != nil {
			return err
		}
		_, err := c.Exec(k.sql.Request.DeleteContent, k.keyOfRequest(source, one)...)
		return err
	})
}

// CountRequests counts a source's requests.
func (k *Kinds) CountRequests(ctx context.Context, source hark.Ref, since time.Time, limit int) (int, error) {
	low := hark.KSUIDFloor(since)
	n, err := Get(ctx, k.access.Read, ScanRef, k.sql.Request.Count, append([]any{source, low[:], limit}, k.access.Day(low)...)...)
	return int(n), err
}

// GoOverRequests goes on as Go does, over the sources and their requests.
func (w *Walk) GoOverRequests(ctx context.Context, k *Kinds, now time.Time, limit, chunk int) (more bool, err error) {
	sql := &k.sql.Request
	return w.Go(limit, chunk, Retentions(ctx, k.access.Read, now, sql.Retentions), func(source Retention, after []byte, limit int) ([]Old, error) {
		args := append([]any{source.Ref, after, source.End, limit}, k.access.Days(after, source.End)...)
		old, err := List(ctx, k.access.Read, ScanOld, sql.Old, args...)
		if err != nil || len(old) == 0 {
			return nil, err
		}
		return old, k.access.Change(ctx, func(c Conn) error {
			for _, query := range sql.Delete {
				if _, err := c.Exec(query, append([]any{source.Ref, old[len(old)-1].ID}, k.access.Days(nil, source.End)...)...); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
