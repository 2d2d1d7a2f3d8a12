package sqlite

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
	messageColumns = `SELECT m.ref, m.application, m.id, t.text, m.created_at, m.deliver_at, m.payload_expires_at, m.expunged,
  m.event_id, m.channels, m.tags, m.matched
FROM message m CROSS JOIN term t ON t.ref = m.event_type
`
	messageByIDSQL = messageColumns + `WHERE m.application = ? AND m.id = ? AND m.listed = 1`

	// A message that is not listed yet is one of the last few.
	lateMessageByIDSQL = messageColumns + `WHERE m.ref >= coalesce((SELECT next FROM counter WHERE name = 'listed message'), 0) AND m.listed = 0 AND m.application = ? AND m.id = ?`

	messageByRefSQL = messageColumns + `WHERE m.ref = ?`

	messageByEventIDSQL = messageColumns + `
WHERE m.application = ?1 AND m.ref = (SELECT message FROM event_id WHERE application = ?1 AND event_id = ?2)`

	payloadSQL = `SELECT body, raw, head FROM payload WHERE message = ?`

	messageFilter = `
  AND m.listed = 1  AND m.id > ?2 AND m.id < ?3 AND m.created_at > ?4 AND m.created_at < ?5
  AND (?6 = '' OR EXISTS (SELECT 1 FROM json_each(m.channels) WHERE value = ?6))
  AND (?7 = '' OR EXISTS (SELECT 1 FROM json_each(m.tags) WHERE value = ?7))
`
	listMessagesUpSQL   = messageColumns + `WHERE m.application = ?1` + messageFilter + `ORDER BY m.id ASC LIMIT ?8`
	listMessagesDownSQL = messageColumns + `WHERE m.application = ?1` + messageFilter + `ORDER BY m.id DESC LIMIT ?8`

	listMessagesOfTypeUpSQL   = messageColumns + `WHERE m.application = ?1 AND m.event_type = ?9` + messageFilter + `ORDER BY m.id ASC LIMIT ?8`
	listMessagesOfTypeDownSQL = messageColumns + `WHERE m.application = ?1 AND m.event_type = ?9` + messageFilter + `ORDER BY m.id DESC LIMIT ?8`
)

// loadPayload fills in a message's bytes.
func loadPayload(q row.Query, m *hark.Message) error {
	return q(func(r row.Row) error { m.Payload, m.RawBody, m.Head = r.Blob(0), r.Blob(1), r.Blob(2); return nil }, payloadSQL, m.Ref)
}

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
	m, err := findMessage(q, app, idOrEventID)
	if err == nil {
		err = loadPayload(q, &m)
	}
	return m, err
}

func findMessage(q row.Query, app hark.Ref, idOrEventID string) (hark.Message, error) {
	if id, err := hark.ParseID(idOrEventID, hark.MessagePrefix); err == nil {
		for _, query := range [...]string{messageByIDSQL, lateMessageByIDSQL} {
			if m, err := row.Find(q, row.ScanMessage, query, app, id[:]); !errors.Is(err, hark.ErrNotFound) {
				return m, err
			}
		}
	}
	return row.Find(q, row.ScanMessage, messageByEventIDSQL, app, idOrEventID)
}

// MessagesByRef finds messages with their payloads.
func (s *Store) MessagesByRef(ctx context.Context, refs []hark.Ref) (all []hark.Message, err error) {
	err = s.view(ctx, func(c *conn) error {
		all = make([]hark.Message, 0, len(refs))
		for _, ref := range refs {
			m, err := row.Find(c.query, row.ScanMessage, messageByRefSQL, ref)
			if errors.Is(err, hark.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := loadPayload(c.query, &m); err != nil {
				return err
			}
			all = append(all, m)
		}
		return nil
	})
	return all, err
}

// ListMessages lists an application's messages, newest first.
func (s *Store) ListMessages(ctx context.Context, app hark.Ref, filter store.MessageFilter, page store.Page) (all []hark.Message, err error) {
	p, err := row.PageOfIDs(page, hark.MessagePrefix, filter.After, filter.Before, filter.OldestFirst)
	if err != nil {
		return nil, err
	}
	err = s.viewLists(ctx, func(c *conn) error {
		if all, err = listMessages(c, app, &filter, p); err != nil || !filter.WithPayload {
			return err
		}
		for i := range all {
			if err := loadPayload(c.query, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return row.Turned(all, p.Turn), err
}

// listMessages reads one range for each event type, each from its own part of the index, and
// merges them: rare types among millions of others stay fast.
func listMessages(c *conn, app hark.Ref, filter *store.MessageFilter, p row.IDRange) ([]hark.Message, error) {
	args := []any{app, p.Low, p.High, row.LowerBound(filter.After), row.UpperBound(filter.Before), filter.Channel, filter.Tag, p.Limit}
	if len(filter.EventTypes) == 0 {
		return row.Collect(c.query, row.ScanMessage, row.Pick(p.Down, listMessagesUpSQL, listMessagesDownSQL), args...)
	}
	var all []hark.Message
	for _, name := range slices.Compact(slices.Sorted(slices.Values(filter.EventTypes))) {
		term, err := c.int(findTermSQL, name)
		if err != nil {
			return nil, err
		}
		some, err := row.Collect(c.query, row.ScanMessage, row.Pick(p.Down, listMessagesOfTypeUpSQL, listMessagesOfTypeDownSQL), append(args, term)...)
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
	deletePayloadSQL = `DELETE FROM payload WHERE message = ?`

	deletePayloadExpirySQL = `DELETE FROM payload_expiry WHERE expires_at = ? AND message = ?`

	setExpungedSQL = `UPDATE message SET expunged = 1 WHERE ref = ? AND expunged = 0`

	payloadExpiresAtSQL = `SELECT payload_expires_at FROM message WHERE ref = ?`
)

// expunge deletes a payload; gone says that there was one.
func expunge(c *conn, ref hark.Ref) (gone bool, err error) {
	n, err := c.exec(setExpungedSQL, ref)
	if err != nil || n == 0 {
		return false, err
	}
	expires, err := c.int(payloadExpiresAtSQL, ref)
	if err != nil {
		return false, err
	}
	if expires != 0 {
		if _, err := c.exec(deletePayloadExpirySQL, expires, ref); err != nil {
			return false, err
		}
	}
	_, err = c.exec(deletePayloadSQL, ref)
	return true, err
}

// ExpungePayload deletes a message's payload for good.
func (s *Store) ExpungePayload(ctx context.Context, app hark.Ref, idOrEventID string) error {
	return s.change(ctx, func(c *conn) error {
		m, err := findMessage(c.query, app, idOrEventID)
		if err == nil {
			_, err = expunge(c, m.Ref)
		}
		return err
	})
}

// ExpungePayloads deletes up to limit payloads of an application.
func (s *Store) ExpungePayloads(ctx context.Context, app hark.Ref, after hark.Ref, limit int) (expunged int, next hark.Ref, err error) {
	err = s.change(ctx, func(c *conn) error {
		expunged, next = 0, 0
		if err := s.writer.list(); err != nil {
			return err
		}
		refs, err := walkMessages(c, app, after, row.Span{}, limit)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			gone, err := expunge(c, ref)
			if err != nil {
				return err
			}
			if gone {
				expunged++
			}
		}
		next = row.GoOn(refs, limit)
		return nil
	})
	return expunged, next, err
}
