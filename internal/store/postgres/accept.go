package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// acceptance is a store.Acceptance made ready for a writer.
type acceptance struct {
	*store.Acceptance
	ref            hark.Ref
	id             hark.KSUID
	day            int64
	channels, tags string // JSON, or ""
	matched        []byte
	request        *request // nil: nobody's
}

// Accept keeps messages and queues their deliveries.
func (s *Store) Accept(ctx context.Context, accept []*store.Acceptance) error {
	if len(accept) == 0 {
		return nil
	}
	op := &write{accept: make([]acceptance, len(accept)), items: len(accept)}
	for i, a := range accept {
		p, err := prepareAcceptance(a)
		if err != nil {
			return err
		}
		op.accept[i] = p
		op.bytes += len(a.Message.Payload) + len(a.Message.RawBody) + len(a.Message.Head) + 512
	}
	if err := s.writers.submit(ctx, op); err != nil {
		return err
	}
	row.KeepBack(accept)
	return nil
}

func prepareAcceptance(a *store.Acceptance) (acceptance, error) {
	m := &a.Message
	id, err := hark.ParseID(string(m.ID), hark.MessagePrefix)
	if err != nil {
		return acceptance{}, fmt.Errorf("accept message %q: %w", m.ID, err)
	}
	p := acceptance{Acceptance: a, id: id, day: dayOf(id)}
	if p.matched, err = row.EncodeMatched(m.Matched, m.Duplicates); err != nil {
		return acceptance{}, err
	}
	if a.Request != nil {
		q, err := prepareRequest(a.Request)
		if err != nil {
			return acceptance{}, err
		}
		q.message = p.id[:]
		p.request = &q
	}
	if m.Channels != nil {
		p.channels = row.MustJSON(m.Channels)
	}
	if m.Tags != nil {
		p.tags = row.MustJSON(m.Tags)
	}
	return p, nil
}

const (
	insertMessagesSQL = `INSERT INTO message (ref, application, created_at, deliver_at, payload_expires_at, expunged, id, event_type, event_id, channels, tags, matched)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bytea[], $8::text[], $9::text[],
  $10::text[], $11::text[], $12::bytea[])`

	insertPayloadsSQL = `INSERT INTO payload (message, body, raw, head)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[])`

	insertExpiriesSQL = `INSERT INTO payload_expiry (expires_at, message)
SELECT * FROM unnest($1::bigint[], $2::bigint[])`

	insertQueueSQL = `INSERT INTO queue (shard, manual, attempts, endpoint, due, message, retry_at, line)
SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])`

	// Looking whether a row is there already costs as much as writing it. The key of a fresh message's
	// row is nobody else's, unless a caller gives it twice: so this is for groups that have failed by it.
	insertNewQueueSQL = insertQueueSQL + ` ON CONFLICT DO NOTHING`

	enqueueSQL = insertQueueSQL + ` ON CONFLICT DO NOTHING RETURNING endpoint, due, message`
)

// accept adds a message's rows.
func (t *tables) accept(a *acceptance) {
	m := &a.Message
	m.Ref = a.ref
	expunged := m.Payload == nil && m.RawBody == nil
	if a.OutboxRow != 0 {
		t.outbox.columns[0].int8(a.OutboxRow)
	}
	c := t.messages.columns
	c[0].int8(a.ref)
	c[1].int8(m.ApplicationRef)
	c[2].int8(row.Millis(m.CreatedAt))
	c[3].int8(row.Millis(m.DeliverAt))
	c[4].int8(row.Millis(m.PayloadExpiresAt))
	c[5].bool(expunged)
	c[6].bytes(a.id[:])
	c[7].text(m.EventType)
	c[8].word(m.EventID)
	c[9].word(a.channels)
	c[10].word(a.tags)
	c[11].bytes(a.matched)
	if !expunged {
		c := t.payloads.columns
		c[0].int8(a.ref)
		c[1].bytes(m.Payload)
		c[2].bytes(m.RawBody)
		c[3].bytes(m.Head)
		if !m.PayloadExpiresAt.IsZero() {
			t.expiries.columns[0].int8(row.Millis(m.PayloadExpiresAt))
			t.expiries.columns[1].int8(a.ref)
		}
	}
	if a.request != nil {
		a.Request.MessageID = m.ID
		t.request(a.request)
	}
	for i := range a.Deliveries {
		if row.IsKeptBack(a.Acceptance, i) {
			continue
		}
		d := &a.Deliveries[i]
		d.MessageRef, d.ApplicationRef = a.ref, m.ApplicationRef
		t.queue.queue(d)
	}
}

// queue adds a queue row to a table of them.
func (t *table) queue(d *hark.Delivery) {
	c := t.columns
	c[0].int2(int64(store.ShardOf(d.EndpointRef)))
	c[1].int2(int64(d.Trigger))
	c[2].int4(int64(min(d.Attempts, math.MaxInt32)))
	c[3].int8(d.EndpointRef)
	c[4].int8(d.Due)
	c[5].int8(d.MessageRef)
	c[6].int8(d.RetryAt)
	c[7].int8(int64(d.Line))
}
