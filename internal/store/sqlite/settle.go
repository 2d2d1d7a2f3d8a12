package sqlite

import (
	"context"
	"fmt"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// settlement is a store.Settlement made ready for the writer.
type settlement struct {
	store.Settlement
	id  hark.KSUID // of the attempt
	fed bool       // in the transaction
}

// Settle records attempts, and moves or removes their queue rows.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) error {
	if s.writer == nil {
		return errReadOnly
	}
	if len(settlements) == 0 {
		return nil
	}
	op := &write{settle: make([]settlement, len(settlements)), items: len(settlements)}
	for i, given := range settlements {
		p := settlement{Settlement: given}
		if a := given.Attempt; a != nil {
			var err error
			if p.id, err = hark.ParseID(string(a.ID), hark.AttemptPrefix); err != nil {
				return fmt.Errorf("settle attempt %q: %w", a.ID, err)
			}
			op.bytes += len(a.Response) + 256
		}
		op.settle[i] = p
	}
	return s.writer.submit(ctx, op)
}

// Enqueue adds deliveries of stored messages.
func (s *Store) Enqueue(ctx context.Context, deliveries []hark.Delivery) error {
	if s.writer == nil {
		return errReadOnly
	}
	if len(deliveries) == 0 {
		return nil
	}
	return s.writer.submit(ctx, &write{enqueue: deliveries, items: len(deliveries)})
}

const (
	deleteQueueSQL = `DELETE FROM queue WHERE (endpoint, due, message) IN (VALUES `

	moveQueueSQL = `UPDATE OR REPLACE queue SET due = ?, retry_at = ?, attempts = ?
WHERE endpoint = ? AND due = ? AND message = ?`

	deleteStraySQL = `DELETE FROM stray WHERE message = ? AND endpoint = ? AND due = ?`

	deleteStraysSQL = `DELETE FROM stray WHERE message = ? AND endpoint = ?`

	enqueueSQL = `INSERT OR IGNORE INTO queue (endpoint, due, message, retry_at, attempts, line, manual) VALUES (?, ?, ?, ?, ?, ?, ?)`

	insertAttemptSQL = `INSERT OR ROLLBACK INTO attempt (ref, endpoint, message, id, number, manual, status, status_code, started_at, duration, dns, connect, tls, first_byte, next_attempt, due, url, error, response, response_header, listed) VALUES `

	// queuedDues are all places in an endpoint's queue where a message may stand: ?1 is the
	// endpoint, ?2 the message.
	queuedDues = `(
  SELECT CASE deliver_at WHEN 0 THEN created_at ELSE deliver_at END FROM message WHERE ref = ?2
  UNION ALL
  SELECT due FROM attempt WHERE message = ?2 AND endpoint = ?1 AND due <> 0
  UNION ALL
  SELECT due FROM stray WHERE message = ?2 AND endpoint = ?1
)`

	deleteOthersSQL = `DELETE FROM queue
WHERE endpoint = ?1 AND message = ?2 AND due IN ` + queuedDues
)

// enqueue adds one delivery to the transaction.
func (w *writer) enqueue(op *write, d *hark.Delivery) error {
	if err := w.queue.flush(w.c); err != nil {
		return err
	}
	added, err := w.c.exec(enqueueSQL, d.EndpointRef, d.Due, d.MessageRef, d.RetryAt, d.Attempts, int64(d.Line), int64(d.Trigger))
	if err != nil || added == 0 {
		return err
	}
	op.queued = append(op.queued, *d)
	return w.addStray(d.MessageRef, d.EndpointRef, d.Due)
}

// settle adds one settlement to the transaction.
func (w *writer) settle(s *settlement) error {
	if !s.FedAt.IsZero() {
		return w.feed(s)
	}
	if s.Told {
		return w.record(s, 0)
	}
	var due int64
	var err error
	if s.Retry == nil {
		err = w.remove(&s.Delivery)
	} else {
		due, err = w.move(s)
	}
	if err != nil {
		return err
	}
	if s.Attempt != nil {
		if err := w.record(s, due); err != nil {
			return err
		}
	}
	// Without strays a message has one row at an endpoint at most, and that one is gone now.
	if s.Succeeded && w.strays {
		return w.removeOthers(s.Delivery.MessageRef, s.Delivery.EndpointRef)
	}
	return nil
}

// removeStray removes what says that a row is astray, if anything does.
func (w *writer) removeStray(d *hark.Delivery) error {
	if !w.strays {
		return nil
	}
	gone, err := w.c.exec(deleteStraySQL, d.MessageRef, d.EndpointRef, d.Due)
	w.straysLeft = w.straysLeft || gone > 0
	return err
}

func (w *writer) remove(d *hark.Delivery) error {
	if err := w.removeStray(d); err != nil {
		return err
	}
	return w.removals.add(w.c, d.EndpointRef, d.Due, d.MessageRef)
}

// move gives a queue row its next state. It answers the row's new due, 0 when the row is gone.
func (w *writer) move(s *settlement) (due int64, err error) {
	d, next := &s.Delivery, s.Retry
	moved, err := w.c.exec(moveQueueSQL, next.Due, next.RetryAt, next.Attempts, d.EndpointRef, d.Due, d.MessageRef)
	if err != nil || moved == 0 {
		return 0, err
	}
	astray := s.Attempt == nil && next.Due != d.Due // no attempt will say where it is
	if w.strays && next.Due != d.Due {
		was, err := w.c.exec(deleteStraySQL, d.MessageRef, d.EndpointRef, d.Due)
		if err != nil {
			return 0, err
		}
		astray = astray || was > 0
	}
	if astray {
		return next.Due, w.addStray(d.MessageRef, d.EndpointRef, next.Due)
	}
	return next.Due, nil
}

// record adds the attempt's row.
func (w *writer) record(s *settlement, due int64) error {
	a := s.Attempt
	var url any = a.URL
	if !s.OwnURL {
		term, err := w.term(a.URL)
		if err != nil {
			return err
		}
		url = term
	}
	ref := w.nextAttempt
	w.nextAttempt++
	w.unlisted++
	return w.attempts.add(w.c, ref, s.Delivery.EndpointRef, s.Delivery.MessageRef, s.id[:], int64(a.Number), int64(a.Trigger),
		int64(a.Status), int64(a.StatusCode), row.Millis(a.StartedAt), a.Duration.Microseconds(), a.Phases.DNS.Microseconds(),
		a.Phases.Connect.Microseconds(), a.Phases.TLS.Microseconds(), a.Phases.FirstByte.Microseconds(),
		row.Millis(a.NextAttempt), due, url, row.Nullable(a.Error), a.Response, hark.EncodeHeader(a.ResponseHeader), int64(0))
}

// removeOthers removes every queued row of a message at an endpoint.
func (w *writer) removeOthers(message, endpoint hark.Ref) error {
	if err := w.flush(); err != nil { // the rows to look at may still wait there
		return err
	}
	if _, err := w.c.exec(deleteOthersSQL, endpoint, message); err != nil {
		return err
	}
	gone, err := w.c.exec(deleteStraysSQL, message, endpoint)
	w.straysLeft = w.straysLeft || gone > 0
	return err
}
