package sqlite

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

	endpointByIDSQL = endpointColumns + `WHERE application = ? AND id = ? AND deleted_at = 0`

	endpointByUIDSQL = endpointColumns + `WHERE application = ? AND uid = ? AND deleted_at = 0`

	endpointByRefSQL = endpointColumns + `WHERE ref = ?`

	allEndpointsSQL = endpointColumns + `WHERE application = ? AND deleted_at = 0 ORDER BY id`

	listEndpoints        = endpointColumns + `WHERE application = ? AND id > ? AND id < ? AND deleted_at = 0 `
	listEndpointsUpSQL   = listEndpoints + `ORDER BY id ASC LIMIT ?`
	listEndpointsDownSQL = listEndpoints + `ORDER BY id DESC LIMIT ?`

	insertEndpointSQL = `INSERT INTO endpoint (application, id, uid, url, description, version, metadata, headers, secrets,
  event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate, concurrency, timeout,
  retry_schedule, ordering, skip_tls_verify, created_at, updated_at, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING ref`

	updateEndpointSQL = `UPDATE endpoint SET uid = ?, url = ?, description = ?, version = ?, metadata = ?, headers = ?, secrets = ?,
  event_types = ?, channels = ?, filter = ?, disabled = ?, disabled_reason = ?, disabled_at = ?, paused = ?, throttle_rate = ?,
  concurrency = ?, timeout = ?, retry_schedule = ?, ordering = ?, skip_tls_verify = ?, updated_at = ?
WHERE ref = ?`

	deleteEndpointSQL = `UPDATE endpoint SET uid = NULL, deleted_at = ? WHERE ref = ?`
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
	err := s.change(ctx, func(c *conn) error {
		if err := s.freeEndpointUID(c, ep.ApplicationRef, ep.UID, 0); err != nil {
			return err
		}
		headers, secrets := s.seal(&ep)
		ref, err := c.int(insertEndpointSQL, ep.ApplicationRef, string(ep.ID), nullable(ep.UID), ep.URL, ep.Description, ep.Version,
			encodeMap(ep.Metadata), headers, secrets, encode(ep.EventTypes), encode(ep.Channels), encodeRaw(ep.Filter),
			ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate, ep.Concurrency, int64(ep.Timeout),
			encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, ep.CreatedAt, ep.UpdatedAt)
		if isUnique(err) {
			return conflict("An endpoint with this id already exists", string(ep.ID))
		}
		if err != nil {
			return err
		}
		if _, err := c.exec(bumpApplicationSQL, ep.ApplicationRef); err != nil {
			return err
		}
		added, err = tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
		return err
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
	err := s.change(ctx, func(c *conn) (err error) {
		if ep, err = s.findEndpoint(c, app, idOrUID); err != nil {
			return err
		}
		ref, id := ep.Ref, ep.ID
		if err := change(&ep); err != nil {
			return err
		}
		ep.Ref, ep.ID, ep.ApplicationRef = ref, id, app // they name the row, and what is sealed
		if err := s.freeEndpointUID(c, app, ep.UID, ref); err != nil {
			return err
		}
		headers, secrets := s.seal(&ep)
		if _, err := c.exec(updateEndpointSQL, nullable(ep.UID), ep.URL, ep.Description, ep.Version,
			encodeMap(ep.Metadata), headers, secrets, encode(ep.EventTypes), encode(ep.Channels), encodeRaw(ep.Filter),
			ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate, ep.Concurrency, int64(ep.Timeout),
			encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, ep.UpdatedAt, ref); err != nil {
			return err
		}
		if _, err := c.exec(bumpApplicationSQL, app); err != nil {
			return err
		}
		ep, err = tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
		return err
	})
	return ep, err
}

// DeleteEndpoint makes an endpoint and its queue disappear; history still names it.
func (s *Store) DeleteEndpoint(ctx context.Context, app hark.Ref, idOrUID string, now time.Time) error {
	err := s.change(ctx, func(c *conn) error {
		ep, err := s.findEndpoint(c, app, idOrUID)
		if err != nil {
			return err
		}
		if _, err := c.exec(deleteEndpointSQL, now, ep.Ref); err != nil {
			return err
		}
		_, err = c.exec(bumpApplicationSQL, app)
		return err
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

// EndpointsByRef finds endpoints, deleted ones included.
func (s *Store) EndpointsByRef(ctx context.Context, refs []hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		eps = make([]hark.Endpoint, 0, len(refs))
		for _, ref := range refs {
			ep, err := tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
			if errors.Is(err, hark.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			eps = append(eps, ep)
		}
		return nil
	})
	return eps, err
}
