package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	messageColumnsOnly = `SELECT m.ref, m.application, m.id, m.event_type, m.created_at, m.deliver_at, m.payload_expires_at, m.expunged,
  m.event_id, m.channels, m.tags, m.matched`

	messageColumns = messageColumnsOnly + `
FROM message m
`
	// The id says in which day's table the message is.
	messageByIDSQL = messageColumns + `WHERE m.application = $1 AND m.id = $2 AND m.ref >= $3 AND m.ref < $4`

	messageByEventIDSQL = messageColumns + `
WHERE m.application = $1 AND m.ref = (SELECT message FROM event_id WHERE application = $1 AND event_id = $2)`

	// One query, so that it is one way there and back, and all of one moment. The second condition lets both
	// tables be searched in the days of these messages alone.
	messagesByRefSQL = messageColumnsOnly + `, p.body, p.raw
FROM message AS m LEFT JOIN payload AS p ON p.message = m.ref AND p.message = ANY ($1)
WHERE m.ref = ANY ($1)`

	payloadsSQL = `SELECT message, body, raw, head FROM payload WHERE message = ANY ($1)`

	messageFilter = `
  AND m.id > $2 AND m.id < $3 AND m.created_at > $4 AND m.created_at < $5
  AND ($6::text = '' OR m.channels::jsonb @> to_jsonb($6::text))
  AND ($7::text = '' OR m.tags::jsonb @> to_jsonb($7::text))
  AND m.ref >= $9 AND m.ref < $10
`
	listMessagesUpSQL   = messageColumns + `WHERE m.application = $1` + messageFilter + `ORDER BY m.id ASC LIMIT $8`
	listMessagesDownSQL = messageColumns + `WHERE m.application = $1` + messageFilter + `ORDER BY m.id DESC LIMIT $8`

	listMessagesOfTypeUpSQL   = messageColumns + `WHERE m.application = $1 AND m.event_type = $11` + messageFilter + `ORDER BY m.id ASC LIMIT $8`
	listMessagesOfTypeDownSQL = messageColumns + `WHERE m.application = $1 AND m.event_type = $11` + messageFilter + `ORDER BY m.id DESC LIMIT $8`
)

// loadPayloads fills in messages' bytes.
func loadPayloads[T any](q row.Query, rows []T, message func(*T) *hark.Message) error {
	if len(rows) == 0 {
		return nil
	}
	refs, byRef := make([]hark.Ref, len(rows)), make(map[hark.Ref]*hark.Message, len(rows))
	for i := range rows {
		m := message(&rows[i])
		refs[i], byRef[m.Ref] = m.Ref, m
	}
	return q(func(r row.Row) error {
		m := byRef[r.Int(0)]
		m.Payload, m.RawBody, m.Head = r.Blob(1), r.Blob(2), r.Blob(3)
		return nil
	}, payloadsSQL, refs)
}

func itself(m *hark.Message) *hark.Message { return m }

// Message finds a message by id or event id.
func (s *Store) Message(ctx context.Context, app hark.Ref, idOrEventID string, withPayload bool) (m hark.Message, err error) {
	find := findMessage
	if withPayload {
		find = findWithPayload
	}
	err = s.view(ctx, func(c *conn) (err error) {
		m, err = find(c.query, app, idOrEventID)
		return err
	})
	return m, err
}

func findWithPayload(q row.Query, app hark.Ref, idOrEventID string) (hark.Message, error) {
	one := make([]hark.Message, 1)
	var err error
	if one[0], err = findMessage(q, app, idOrEventID); err == nil {
		err = loadPayloads(q, one, itself)
	}
	return one[0], err
}

func findMessage(q row.Query, app hark.Ref, idOrEventID string) (hark.Message, error) {
	if id, err := hark.ParseID(idOrEventID, hark.MessagePrefix); err == nil {
		low, high := refsOfDay(dayOf(id))
		if m, err := row.Find(q, row.ScanMessage, messageByIDSQL, app, id[:], low, high); !errors.Is(err, hark.ErrNotFound) {
			return m, err
		}
	}
	return row.Find(q, row.ScanMessage, messageByEventIDSQL, app, idOrEventID)
}

// MessagesByRef finds messages with their payloads.
func (s *Store) MessagesByRef(ctx context.Context, refs []hark.Ref) (all []hark.Message, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		all, err = row.Collect(c.query, func(r row.Row) (hark.Message, error) {
			m, err := row.ScanMessage(r)
			m.Payload, m.RawBody = r.Blob(12), r.Blob(13)
			return m, err
		}, messagesByRefSQL, refs)
		return err
	})
	return row.InOrder(all, refs, func(m *hark.Message) hark.Ref { return m.Ref }), err
}

// ListMessages lists an application's messages, newest first.
func (s *Store) ListMessages(ctx context.Context, app hark.Ref, filter store.MessageFilter, page store.Page) (all []hark.Message, err error) {
	p, err := row.PageOfIDs(page, hark.MessagePrefix, filter.After, filter.Before, filter.OldestFirst)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(c *conn) error {
		if all, err = listMessages(c, app, &filter, p); err != nil || !filter.WithPayload {
			return err
		}
		return loadPayloads(c.query, all, itself)
	})
	return row.Turned(all, p.Turn), err
}

// listMessages reads one range for each event type, each from its own part of the index, and
// merges them: rare types among millions of others stay fast.
func listMessages(c *conn, app hark.Ref, filter *store.MessageFilter, p row.IDRange) ([]hark.Message, error) {
	low, high := refsBetween(p.Low, p.High)
	args := []any{app, p.Low, p.High, row.LowerBound(filter.After), row.UpperBound(filter.Before), filter.Channel, filter.Tag, p.Limit, low, high}
	if len(filter.EventTypes) == 0 {
		return row.Collect(c.query, row.ScanMessage, row.Pick(p.Down, listMessagesUpSQL, listMessagesDownSQL), args...)
	}
	var all []hark.Message
	for _, name := range slices.Compact(slices.Sorted(slices.Values(filter.EventTypes))) {
		some, err := row.Collect(c.query, row.ScanMessage, row.Pick(p.Down, listMessagesOfTypeUpSQL, listMessagesOfTypeDownSQL), append(slices.Clone(args), name)...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b hark.Message) int {
		if p.Down {
			a, b = b, a
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all[:min(len(all), p.Limit)], nil
}

const (
	setExpungedSQL = `UPDATE message SET expunged = true WHERE ref = ANY ($1) AND NOT expunged`

	deletePayloadsSQL = `DELETE FROM payload WHERE message = ANY ($1)`

	deletePayloadExpiriesSQL = `DELETE FROM payload_expiry WHERE message = ANY ($1)`
)

// expunge deletes payloads; it answers how many messages had one.
func expunge(c *conn, refs []hark.Ref) (gone int, err error) {
	if len(refs) == 0 {
		return 0, nil
	}
	n, err := c.exec(setExpungedSQL, refs)
	if err != nil {
		return 0, err
	}
	for _, query := range [...]string{deletePayloadsSQL, deletePayloadExpiriesSQL} {
		if _, err := c.exec(query, refs); err != nil {
			return 0, err
		}
	}
	return int(n), nil
}

// ExpungePayload deletes a message's payload for good.
func (s *Store) ExpungePayload(ctx context.Context, app hark.Ref, idOrEventID string) error {
	return s.change(ctx, func(c *conn) error {
		m, err := findMessage(c.query, app, idOrEventID)
		if err == nil {
			_, err = expunge(c, []hark.Ref{m.Ref})
		}
		return err
	})
}

// ExpungePayloads deletes up to limit payloads of an application.
func (s *Store) ExpungePayloads(ctx context.Context, app hark.Ref, after hark.Ref, limit int) (expunged int, next hark.Ref, err error) {
	err = s.change(ctx, func(c *conn) error {
		expunged, next = 0, 0
		refs, err := walkMessages(c, app, after, row.Span{}, limit)
		if err != nil {
			return err
		}
		if expunged, err = expunge(c, refs); err != nil {
			return err
		}
		next = row.GoOn(refs, limit)
		return nil
	})
	return expunged, next, err
}
