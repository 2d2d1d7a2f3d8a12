package row

import (
	"errors"
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Each of these reads the columns that its comment names, in that order; what is called Values is what
// an INSERT of the same columns is given.

// ScanMessage reads ref, application, id, event type, created_at, deliver_at, payload_expires_at,
// expunged, event_id, channels, tags, matched.
func ScanMessage(r Row) (hark.Message, error) {
	m := hark.Message{
		Ref: r.Int(0), ApplicationRef: r.Int(1), ID: hark.MessageID(r.ID(2, hark.MessagePrefix)), EventType: r.Text(3),
		CreatedAt: r.Time(4), DeliverAt: r.Time(5), PayloadExpiresAt: r.Time(6), Expunged: r.Bool(7),
		EventID: r.Text(8),
	}
	m.Matched, m.Duplicates = DecodeMatched(r.Blob(11))
	return m, errors.Join(r.Decode(9, &m.Channels), r.Decode(10, &m.Tags))
}

// ScanAttempt reads an attempt's id, the refs of its application, message and endpoint, the ids of
// its message and endpoint, the event type, url, number, manual, status, status_code, error,
// started_at, duration, dns, connect, tls, first_byte, next_attempt, response, response_header.
func ScanAttempt(r Row) (hark.Attempt, error) {
	header, err := hark.DecodeHeader(r.Blob(21))
	if err != nil {
		return hark.Attempt{}, fmt.Errorf("read a response's header: %w", err)
	}
	return hark.Attempt{
		ID: hark.AttemptID(r.ID(0, hark.AttemptPrefix)), ApplicationRef: r.Int(1), MessageRef: r.Int(2), EndpointRef: r.Int(3),
		MessageID: hark.MessageID(r.ID(4, hark.MessagePrefix)), EndpointID: hark.EndpointID(r.Text(5)), EventType: r.Text(6), URL: r.Text(7),
		Number: int(r.Int(8)), Trigger: hark.Trigger(r.Int(9)), Status: hark.AttemptStatus(r.Int(10)), StatusCode: int(r.Int(11)),
		Error: r.Text(12), StartedAt: r.Time(13), Duration: micros(r.Int(14)),
		Phases:      hark.Phases{DNS: micros(r.Int(15)), Connect: micros(r.Int(16)), TLS: micros(r.Int(17)), FirstByte: micros(r.Int(18))},
		NextAttempt: r.Time(19), Response: r.Blob(20), ResponseHeader: header,
	}, nil
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// ScanRef reads the ref of a message, or any other number.
func ScanRef(r Row) (hark.Ref, error) { return r.Int(0), nil }

// Backlog is a store.Backlog, of a deleted endpoint maybe.
type Backlog struct {
	store.Backlog
	Deleted bool
}

// ScanBacklog reads endpoint, due and message of the first row, and application and deleted_at of
// the endpoint.
func ScanBacklog(r Row) (Backlog, error) {
	return Backlog{
		Backlog: store.Backlog{
			EndpointRef: r.Int(0), ApplicationRef: r.Int(3),
			First: store.Position{Due: r.Int(1), MessageRef: r.Int(2)},
		},
		Deleted: r.Int(4) != 0 || r.Null(3),
	}, nil
}

// ScanDelivery reads the queue row of an endpoint: due, message, retry_at, attempts, line, manual,
// application.
func ScanDelivery(endpoint hark.Ref) func(Row) (hark.Delivery, error) {
	return func(r Row) (hark.Delivery, error) {
		return hark.Delivery{
			EndpointRef: endpoint, Due: r.Int(0), MessageRef: r.Int(1), RetryAt: r.Int(2), Attempts: int(r.Int(3)),
			Line: uint64(r.Int(4)), Trigger: hark.Trigger(r.Int(5)), ApplicationRef: r.Int(6),
		}, nil
	}
}
