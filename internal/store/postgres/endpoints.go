package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	endpointColumns = `SELECT endpoint.ref, endpoint.application, endpoint.id, endpoint.uid, url, description, version, endpoint.metadata,
  headers, secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at, paused,
  endpoint.throttle_rate, concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules,
  endpoint.created_at, endpoint.updated_at, endpoint.deleted_at, transformation, variables
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
  retry_schedule, ordering, skip_tls_verify, rules, transformation, variables, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, 0)`

	updateEndpointSQL = `UPDATE endpoint SET uid = $1, url = $2, description = $3, version = $4, metadata = $5, headers = $6, secrets = $7,
  event_types = $8, channels = $9, filter = $10, disabled = $11, disabled_reason = $12, disabled_at = $13, paused = $14, throttle_rate = $15,
  concurrency = $16, timeout = $17, retry_schedule = $18, ordering = $19, skip_tls_verify = $20, rules = $21, transformation = $22, variables = $23, updated_at = $24
WHERE ref = $25`

	deleteEndpointSQL = `UPDATE endpoint SET uid = NULL, deleted_at = $1 WHERE ref = $2`
)

// InsertEndpoint adds an endpoint.
func (s *Store) InsertEndpoint(ctx context.Context, ep hark.Endpoint) (hark.Endpoint, error) {
	var added hark.Endpoint
	err := s.configure(ctx, func(c *conn) (hark.Ref, error) {
		if err := row.FreeUID(c.query, "An endpoint", endpointByUIDSQL, ep.ApplicationRef, ep.UID, 0); err != nil {
			return 0, err
		}
		nothing := hark.Transformation{}
		row.CountVersion(nothing, &ep.Transformation)
		ref, err := s.insertEndpoint(c, &ep)
		if isUnique(err) {
			return 0, row.Conflict("An endpoint with this id already exists", string(ep.ID))
		}
		if err != nil {
			return 0, err
		}
		if err := keepVersion(c, ref, nothing, &ep.Transformation); err != nil {
			return 0, err
		}
		added, err = row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
		return ep.ApplicationRef, err
	})
	return added, err
}

func (s *Store) insertEndpoint(c *conn, ep *hark.Endpoint) (hark.Ref, error) {
	ref, err := next(c, "endpoint")
	if err != nil {
		return 0, err
	}
	args := append([]any{ref, ep.ApplicationRef, string(ep.ID)}, s.seal.EndpointValues(ep)...)
	_, err = c.exec(insertEndpointSQL, append(args, ep.CreatedAt, ep.UpdatedAt)...)
	return ref, err
}

// UpdateEndpoint changes an endpoint.
func (s *Store) UpdateEndpoint(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Endpoint) error) (hark.Endpoint, error) {
	var ep hark.Endpoint
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if ep, err = s.findEndpoint(c, app, idOrUID); err != nil {
			return 0, err
		}
		ref, id, was := ep.Ref, ep.ID, ep.Transformation
		if err := change(&ep); err != nil {
			return 0, err
		}
		ep.Ref, ep.ID, ep.ApplicationRef = ref, id, app // they name the row, and what is sealed
		row.CountVersion(was, &ep.Transformation)
		if err := row.FreeUID(c.query, "An endpoint", endpointByUIDSQL, app, ep.UID, ref); err != nil {
			return 0, err
		}
		if _, err := c.exec(updateEndpointSQL, append(s.seal.EndpointValues(&ep), ep.UpdatedAt, ref)...); err != nil {
			return 0, err
		}
		if err := keepVersion(c, ref, was, &ep.Transformation); err != nil {
			return 0, err
		}
		ep, err = row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
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
		if _, err := c.exec(deleteEndpointSQL, now, ep.Ref); err != nil {
			return 0, err
		}
		_, err = c.exec(deleteVersionsSQL, ep.Ref)
		return app, err
	})
	if err == nil {
		s.sweeper.Nudge()
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
	return row.FindEither(c.query, s.seal.ScanEndpoint, endpointByIDSQL, endpointByUIDSQL, app, idOrUID)
}

// ListEndpoints lists live endpoints.
func (s *Store) ListEndpoints(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Endpoint, error) {
	return s.listEndpoints(ctx, app, row.PageOfText(page).Within(hark.EndpointPrefix))
}

// ListConsumers lists live endpoints that are pulled.
func (s *Store) ListConsumers(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Endpoint, error) {
	return s.listEndpoints(ctx, app, row.PageOfText(page).Within(hark.ConsumerPrefix))
}

func (s *Store) listEndpoints(ctx context.Context, app hark.Ref, p row.TextRange) ([]hark.Endpoint, error) {
	eps, err := row.List(ctx, s.lend, s.seal.ScanEndpoint, p.Query(listEndpointsUpSQL, listEndpointsDownSQL), p.Args(app)...)
	return row.Turned(eps, p.Turn), err
}

// AllEndpoints lists every live endpoint of an application.
func (s *Store) AllEndpoints(ctx context.Context, app hark.Ref) ([]hark.Endpoint, error) {
	return row.List(ctx, s.lend, s.seal.ScanEndpoint, allEndpointsSQL, app)
}

const endpointsByRefSQL = endpointColumns + `WHERE ref = ANY ($1)`

// EndpointsByRef finds endpoints, deleted ones included.
func (s *Store) EndpointsByRef(ctx context.Context, refs []hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		eps, err = row.Collect(c.query, s.seal.ScanEndpoint, endpointsByRefSQL, refs)
		return err
	})
	return row.InOrder(eps, refs, func(ep *hark.Endpoint) hark.Ref { return ep.Ref }), err
}
