package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	endpointColumns = `SELECT endpoint.ref, endpoint.application, endpoint.id, endpoint.uid, url, description, version, endpoint.metadata,
  headers, secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at, paused,
  endpoint.throttle_rate, concurrency, timeout, retry_schedule, ordering, skip_tls_verify,
  endpoint.created_at, endpoint.updated_at, endpoint.deleted_at
FROM endpoint `

	endpointByIDSQL = endpointColumns + `WHERE application = $1 AND id = $2 AND deleted_at = 0`

	endpointByUIDSQL = endpointColumns + `WHERE application = $1 AND uid = $2 AND deleted_at = 0`

	endpointByRefSQL = endpointColumns + `WHERE ref = $1`

	allEndpointsSQL = endpointColumns + `WHERE application = $1 AND deleted_at = 0 ORDER BY id`

	listEndpoints        = endpointColumns + `WHERE application = $1 AND id > $2 AND id < $3 AND deleted_at = 0 `
	listEndpointsUpSQL   = listEndpoints + `ORDER BY id ASC LIMIT $4`
	listEndpointsDownSQL = listEndpoints + `ORDER BY id DESC LIMIT $4`

	insertEndpointSQL = `INSERT INTO endpoint (ref, application, id, uid, url, description, version, metadata, headers, secrets,
  event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate, concurrency, timeout,
  retry_schedule, ordering, skip_tls_verify, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, 0)`

	updateEndpointSQL = `UPDATE endpoint SET uid = $1, url = $2, description = $3, version = $4, metadata = $5, headers = $6, secrets = $7,
  event_types = $8, channels = $9, filter = $10, disabled = $11, disabled_reason = $12, disabled_at = $13, paused = $14, throttle_rate = $15,
  concurrency = $16, timeout = $17, retry_schedule = $18, ordering = $19, skip_tls_verify = $20, updated_at = $21
WHERE ref = $22`

	deleteEndpointSQL = `UPDATE endpoint SET uid = NULL, deleted_at = $1 WHERE ref = $2`
)

// scanEndpoint reads an endpoint whose columns start at the row's first.
func (s *Store) scanEndpoint(r row) (hark.Endpoint, error) {
	ep := hark.Endpoint{
		Ref: r.int(0), ApplicationRef: r.int(1), ID: hark.EndpointID(r.text(2)), UID: r.text(3), URL: r.text(4),
		Description: r.text(5), Version: int(r.int(6)), Filter: r.raw(12), Disabled: r.bool(13), DisabledReason: r.text(14),
		DisabledAt: r.time(15), Paused: r.bool(16), ThrottleRate: int(r.int(17)), Concurrency: int(r.int(18)),
		Timeout: duration(r.int(19)), Ordering: hark.Ordering(r.text(21)), SkipTLSVerify: r.bool(22),
		CreatedAt: r.time(23), UpdatedAt: r.time(24), DeletedAt: r.time(25),
	}
	err := errors.Join(
		r.decode(7, &ep.Metadata), r.decode(10, &ep.EventTypes), r.decode(11, &ep.Channels), r.decode(20, &ep.RetrySchedule),
		s.unseal(&ep, r.blob(8), r.blob(9)),
	)
	return ep, err
}

// InsertEndpoint adds an endpoint.
func (s *Store) InsertEndpoint(ctx context.Context, ep hark.Endpoint) (hark.Endpoint, error) {
	var added hark.Endpoint
	err := s.configure(ctx, func(c *conn) (hark.Ref, error) {
		if err := s.freeEndpointUID(c, ep.ApplicationRef, ep.UID, 0); err != nil {
			return 0, err
		}
		ref, err := next(c, "endpoint")
		if err != nil {
			return 0, err
		}
		headers, secrets := s.seal(&ep)
		_, err = c.exec(insertEndpointSQL, ref, ep.ApplicationRef, string(ep.ID), nullable(ep.UID), ep.URL, ep.Description, ep.Version,
			encodeMap(ep.Metadata), headers, secrets, encode(ep.EventTypes), encode(ep.Channels), encodeRaw(ep.Filter),
			ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate, ep.Concurrency, int64(ep.Timeout),
			encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, ep.CreatedAt, ep.UpdatedAt)
		if isUnique(err) {
			return 0, conflict("An endpoint with this id already exists", string(ep.ID))
		}
		if err != nil {
			return 0, err
		}
		added, err = tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
		return ep.ApplicationRef, err
	})
	return added, err
}

// freeEndpointUID says Conflict when another endpoint has the uid.
func (s *Store) freeEndpointUID(c *conn, app hark.Ref, uid string, self hark.Ref) error {
	if uid == "" {
		return nil
	}
	other, err := tryFind(c, s.scanEndpoint, endpointByUIDSQL, app, uid)
	if errors.Is(err, hark.ErrNotFound) || err == nil && other.Ref == self {
		return nil
	}
	if err != nil {
		return err
	}
	return conflict("An endpoint with this uid already exists", string(other.ID))
}

// UpdateEndpoint changes an endpoint.
func (s *Store) UpdateEndpoint(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Endpoint) error) (hark.Endpoint, error) {
	var ep hark.Endpoint
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if ep, err = s.findEndpoint(c, app, idOrUID); err != nil {
			return 0, err
		}
		ref, id := ep.Ref, ep.ID
		if err := change(&ep); err != nil {
			return 0, err
		}
		ep.Ref, ep.ID, ep.ApplicationRef = ref, id, app // they name the row, and what is sealed
		if err := s.freeEndpointUID(c, app, ep.UID, ref); err != nil {
			return 0, err
		}
		headers, secrets := s.seal(&ep)
		if _, err := c.exec(updateEndpointSQL, nullable(ep.UID), ep.URL, ep.Description, ep.Version,
			encodeMap(ep.Metadata), headers, secrets, encode(ep.EventTypes), encode(ep.Channels), encodeRaw(ep.Filter),
			ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate, ep.Concurrency, int64(ep.Timeout),
			encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, ep.UpdatedAt, ref); err != nil {
			return 0, err
		}
		ep, err = tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
		return app, err
	})
	return ep, err
}

// DeleteEndpoint makes an endpoint and its queue disappear; history still names it.
func (s *Store) DeleteEndpoint(ctx context.Context, app hark.Ref, idOrUID string, now time.Time) error {
	err := s.configure(ctx, func(c *conn) (hark.Ref, error) {
		ep, err := s.findEndpoint(c, app, idOrUID)
		if err != nil {
			return 0, err
		}
		_, err = c.exec(deleteEndpointSQL, now, ep.Ref)
		return app, err
	})
	if err == nil {
		s.sweeper.nudge()
	}
	return err
}

// Endpoint finds a live endpoint by id or uid.
func (s *Store) Endpoint(ctx context.Context, app hark.Ref, idOrUID string) (ep hark.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		ep, err = s.findEndpoint(c, app, idOrUID)
		return err
	})
	return ep, err
}

func (s *Store) findEndpoint(c *conn, app hark.Ref, idOrUID string) (hark.Endpoint, error) {
	ep, err := tryFind(c, s.scanEndpoint, endpointByIDSQL, app, idOrUID)
	if errors.Is(err, hark.ErrNotFound) {
		ep, err = tryFind(c, s.scanEndpoint, endpointByUIDSQL, app, idOrUID)
	}
	return ep, err
}

// ListEndpoints lists live endpoints.
func (s *Store) ListEndpoints(ctx context.Context, app hark.Ref, page store.Page) (eps []hark.Endpoint, err error) {
	p := pageOfText(page)
	err = s.read(ctx, func(c *conn) (err error) {
		eps, err = collect(c, s.scanEndpoint, pick(p.down, listEndpointsUpSQL, listEndpointsDownSQL), app, p.low, p.high, p.limit)
		return err
	})
	return turned(eps, p.turn), err
}

// AllEndpoints lists every live endpoint of an application.
func (s *Store) AllEndpoints(ctx context.Context, app hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		eps, err = collect(c, s.scanEndpoint, allEndpointsSQL, app)
		return err
	})
	return eps, err
}

const endpointsByRefSQL = endpointColumns + `WHERE ref = ANY ($1)`

// EndpointsByRef finds endpoints, deleted ones included.
func (s *Store) EndpointsByRef(ctx context.Context, refs []hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		eps, err = collect(c, s.scanEndpoint, endpointsByRefSQL, refs)
		return err
	})
	return inOrder(eps, refs, func(ep *hark.Endpoint) hark.Ref { return ep.Ref }), err
}
