package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// settlement is a store.Settlement made ready for a writer.
type settlement struct {
	*store.Settlement
	id hark.KSUID // of the attempt
}

// Settle records attempts, and moves or removes their queue rows.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) error {
	if len(settlements) == 0 {
		return nil
	}
	op := &write{settle: make([]settlement, len(settlements)), items: len(settlements)}
	for i := range settlements {
		p := settlement{Settlement: &settlements[i]}
		if a := p.Attempt; a != nil {
			var err error
			if p.id, err = hark.ParseID(string(a.ID), hark.AttemptPrefix); err != nil {
				return fmt.Errorf("settle attempt %q: %w", a.ID, err)
			}
			op.bytes += len(a.Response) + 256
		}
		op.settle[i] = p
	}
	return s.writers.submit(ctx, op)
}

// Enqueue adds deliveries of stored messages.
func (s *Store) Enqueue(ctx context.Context, deliveries []hark.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	return s.writers.submit(ctx, &write{enqueue: deliveries, items: len(deliveries)})
}

const (
	removeSQL = `DELETE FROM queue AS q
USING unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS d (shard, endpoint, due, message)
WHERE q.shard = d.shard AND q.endpoint = d.endpoint AND q.due = d.due AND q.message = d.message`

	removeAllSQL = `DELETE FROM queue AS q
USING unnest($1::bigint[], $2::bigint[]) AS d (message, endpoint)
WHERE q.message = d.message AND q.endpoint = d.endpoint`

	// A row that moves to where another one is takes its place.
	makeRoomSQL = `DELETE FROM queue AS q
USING unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d (shard, endpoint, due, message, new_due)
WHERE q.shard = d.shard AND q.endpoint = d.endpoint AND q.due = d.new_due AND q.message = d.message
  AND EXISTS (SELECT 1 FROM queue AS r WHERE r.shard = d.shard AND r.endpoint = d.endpoint AND r.due = d.due AND r.message = d.message)`

	moveSQL = `UPDATE queue AS q SET due = d.new_due, retry_at = d.retry_at, attempts = d.attempts
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[])
  AS d (shard, endpoint, due, message, new_due, retry_at, attempts)
WHERE q.shard = d.shard AND q.endpoint = d.endpoint AND q.due = d.due AND q.message = d.message`

	insertAttemptsSQL = `INSERT INTO attempt (message, endpoint, started_at, next_attempt, duration, dns, connect, tls, first_byte, number,
  status_code, status, manual, id, url, error, response, response_header)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], $7::integer[], $8::integer[],
  $9::integer[], $10::integer[], $11::smallint[], $12::smallint[], $13::smallint[], $14::bytea[], $15::text[], $16::text[], $17::bytea[], $18::bytea[])`

	// An attempt that is there already was settled before by a call that could not be told so.
	insertNewAttemptsSQL = insertAttemptsSQL + ` ON CONFLICT DO NOTHING`
)

// settle adds a settlement's rows.
func (t *tables) settle(s *settlement) {
	d := &s.Delivery
	switch {
	case !s.FedAt.IsZero():
		t.feedFrom(s)
		return
	case s.Told: // there is no row
	case s.Retry != nil:
		t.retry(d, s.Retry)
		if s.Succeeded {
			t.others(d)
		}
	case s.Succeeded: // the row itself, and every other of that message and endpoint
		t.others(d)
	default:
		t.remove.place(d)
	}
	if s.Attempt != nil {
		t.attempt(s)
	}
}

func (t *tables) others(d *hark.Delivery) {
	t.removeAll.columns[0].int8(d.MessageRef)
	t.removeAll.columns[1].int8(d.EndpointRef)
}

// place adds a queue row's key to the first columns of a table.
func (t *table) place(d *hark.Delivery) {
	c := t.columns
	c[0].int2(int64(store.ShardOf(d.EndpointRef)))
	c[1].int8(d.EndpointRef)
	c[2].int8(d.Due)
	c[3].int8(d.MessageRef)
}

func (t *tables) retry(d, next *hark.Delivery) {
	if next.Due != d.Due {
		t.makeRoom.place(d)
		t.makeRoom.columns[4].int8(next.Due)
	}
	t.move.place(d)
	t.move.columns[4].int8(next.Due)
	t.move.columns[5].int8(next.RetryAt)
	t.move.columns[6].int4(int64(next.Attempts))
}

func (t *tables) attempt(s *settlement) {
	a, c := s.Attempt, t.attempts.columns
	c[0].int8(s.Delivery.MessageRef)
	c[1].int8(s.Delivery.EndpointRef)
	c[2].int8(row.Millis(a.StartedAt))
	c[3].int8(row.Millis(a.NextAttempt))
	for i, d := range [...]time.Duration{a.Duration, a.Phases.DNS, a.Phases.Connect, a.Phases.TLS, a.Phases.FirstByte} {
		c[4+i].int4(d.Microseconds())
	}
	c[9].int4(int64(a.Number))
	c[10].int2(int64(a.StatusCode))
	c[11].int2(int64(a.Status))
	c[12].int2(int64(a.Trigger))
	c[13].bytes(s.id[:])
	c[14].text(a.URL)
	c[15].word(readable(a.Error))
	c[16].bytes(a.Response)
	c[17].bytes(hark.EncodeHeader(a.ResponseHeader))
}

// readable is text as PostgreSQL takes it: an error may quote what a strange server has sent.
func readable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}
