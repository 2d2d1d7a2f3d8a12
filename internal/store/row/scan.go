package row

import (
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Each of these reads the columns that its comment names, in that order; what is called Values is what
// an INSERT of the same columns is given.

// ScanApplication reads ref, environment, id, uid, name, throttle_rate, metadata, created_at,
// updated_at, tokens_not_before, version.
func ScanApplication(r Row) (hark.Application, error) {
	app := hark.Application{
		Ref: r.Int(0), EnvironmentID: hark.EnvironmentID(r.Text(1)), ID: hark.ApplicationID(r.Text(2)), UID: r.Text(3),
		Name: r.Text(4), ThrottleRate: int(r.Int(5)), CreatedAt: r.Time(7), UpdatedAt: r.Time(8), TokensNotBefore: r.Time(9), Version: r.Int(10),
	}
	return app, r.Decode(6, &app.Metadata)
}

// ScanEndpoint reads ref, application, id, uid, url, description, version, metadata, headers, secrets,
// event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate,
// concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules, created_at, updated_at,
// deleted_at, transformation, variables.
func (s Seal) ScanEndpoint(r Row) (hark.Endpoint, error) {
	ep := hark.Endpoint{
		Ref: r.Int(0), ApplicationRef: r.Int(1), ID: hark.EndpointID(r.Text(2)), UID: r.Text(3), URL: r.Text(4),
		Description: r.Text(5), Version: int(r.Int(6)), Filter: r.Raw(12), Disabled: r.Bool(13), DisabledReason: r.Text(14),
		DisabledAt: r.Time(15), Paused: r.Bool(16), ThrottleRate: int(r.Int(17)), Concurrency: int(r.Int(18)),
		Timeout: time.Duration(r.Int(19)), Ordering: hark.Ordering(r.Text(21)), SkipTLSVerify: r.Bool(22),
		CreatedAt: r.Time(24), UpdatedAt: r.Time(25), DeletedAt: r.Time(26),
	}
	err := errors.Join(
		r.Decode(7, &ep.Metadata), r.Decode(10, &ep.EventTypes), r.Decode(11, &ep.Channels), r.Decode(20, &ep.RetrySchedule), r.Decode(23, &ep.Rules),
		s.Open(&ep, r.Blob(8), r.Blob(9)), s.openTransformation(&ep, r.Blob(27), r.Blob(28)),
	)
	return ep, err
}

// EndpointValues are what an endpoint's row holds in uid, url, description, version, metadata, headers,
// secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate,
// concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules, transformation, variables: what an
// update may change.
func (s Seal) EndpointValues(ep *hark.Endpoint) []any {
	headers, secrets := s.Close(ep)
	transformation, variables := s.CloseTransformation(ep)
	return []any{Nullable(ep.UID), ep.URL, ep.Description, ep.Version, EncodeMap(ep.Metadata), headers,
		secrets, Encode(ep.EventTypes), Encode(ep.Channels), EncodeRaw(ep.Filter), ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate,
		ep.Concurrency, int64(ep.Timeout), Encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, encodeRules(ep.Rules),
		transformation, variables}
}

// encodeRules stores no rules as NULL.
func encodeRules(r hark.Rules) any {
	if r.IsZero() {
		return nil
	}
	return MustJSON(r)
}

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
// started_at, duration, dns, connect, tls, first_byte, next_attempt, response.
func ScanAttempt(r Row) (hark.Attempt, error) {
	return hark.Attempt{
		ID: hark.AttemptID(r.ID(0, hark.AttemptPrefix)), ApplicationRef: r.Int(1), MessageRef: r.Int(2), EndpointRef: r.Int(3),
		MessageID: hark.MessageID(r.ID(4, hark.MessagePrefix)), EndpointID: hark.EndpointID(r.Text(5)), EventType: r.Text(6), URL: r.Text(7),
		Number: int(r.Int(8)), Trigger: hark.Trigger(r.Int(9)), Status: hark.AttemptStatus(r.Int(10)), StatusCode: int(r.Int(11)),
		Error: r.Text(12), StartedAt: r.Time(13), Duration: micros(r.Int(14)),
		Phases:      hark.Phases{DNS: micros(r.Int(15)), Connect: micros(r.Int(16)), TLS: micros(r.Int(17)), FirstByte: micros(r.Int(18))},
		NextAttempt: r.Time(19), Response: r.Blob(20),
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
