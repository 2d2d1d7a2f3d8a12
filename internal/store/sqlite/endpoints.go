package sqlite

import (
	"context"
	"errors"
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

	endpointByIDSQL = endpointColumns + `WHERE application = ? AND id = ? AND deleted_at = 0`

	endpointByUIDSQL = endpointColumns + `WHERE application = ? AND uid = ? AND deleted_at = 0`

	endpointByRefSQL = endpointColumns + `WHERE ref = ?`

	allEndpointsSQL = endpointColumns + `WHERE application = ? AND deleted_at = 0 ORDER BY id`

	listEndpoints        = endpointColumns + `WHERE application = ? AND id > ? AND id < ? AND deleted_at = 0 `
	listEndpointsUpSQL   = listEndpoints + `ORDER BY id ASC LIMIT ?`
	listEndpointsDownSQL = listEndpoints + `ORDER BY id DESC LIMIT ?`

	insertEndpointSQL = `INSERT INTO endpoint (application, id, uid, url, description, version, metadata, headers, secrets,
  event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate, concurrency, timeout,
  retry_schedule, ordering, skip_tls_verify, rules, transformation, variables, created_at, updated_at, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING ref`

	updateEndpointSQL = `UPDATE endpoint SET uid = ?, url = ?, description = ?, version = ?, metadata = ?, headers = ?, secrets = ?,
  event_types = ?, channels = ?, filter = ?, disabled = ?, disabled_reason = ?, disabled_at = ?, paused = ?, throttle_rate = ?,
  concurrency = ?, timeout = ?, retry_schedule = ?, ordering = ?, skip_tls_verify = ?, rules = ?, transformation = ?, variables = ?, updated_at = ?
WHERE ref = ?`

	deleteEndpointSQL = `UPDATE endpoint SET uid = NULL, deleted_at = ? WHERE ref = ?`
)

// InsertEndpoint adds an endpoint.
func (s *Store) InsertEndpoint(ctx context.Context, ep hark.Endpoint) (hark.Endpoint, error) {
	var added hark.Endpoint
	err := s.change(ctx, func(c *conn) error {
		if err := row.FreeUID(c.query, "An endpoint", endpointByUIDSQL, ep.ApplicationRef, ep.UID, 0); err != nil {
			return err
		}
		nothing := hark.Transformation{}
		row.CountVersion(nothing, &ep.Transformation)
		ref, err := s.insertEndpoint(c, &ep)
		if isUnique(err) {
			return row.Conflict("An endpoint with this id already exists", string(ep.ID))
		}
		if err != nil {
			return err
		}
		if err := keepVersion(c, ref, nothing, &ep.Transformation); err != nil {
			return err
		}
		if _, err := c.exec(bumpApplicationSQL, ep.ApplicationRef); err != nil {
			return err
		}
		added, err = row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
		return err
	})
	return added, err
}

func (s *Store) insertEndpoint(c *conn, ep *hark.Endpoint) (hark.Ref, error) {
	args := append([]any{ep.ApplicationRef, string(ep.ID)}, s.seal.EndpointValues(ep)...)
	return c.int(insertEndpointSQL, append(args, ep.CreatedAt, ep.UpdatedAt)...)
}

// UpdateEndpoint changes an endpoint.
func (s *Store) UpdateEndpoint(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Endpoint) error) (hark.Endpoint, error) {
	var ep hark.Endpoint
	err := s.change(ctx, func(c *conn) (err error) {
		if ep, err = s.findEndpoint(c, app, idOrUID); err != nil {
			return err
		}
		ref, id, was := ep.Ref, ep.ID, ep.Transformation
		if err := change(&ep); err != nil {
			return err
		}
		ep.Ref, ep.ID, ep.ApplicationRef = ref, id, app // they name the row, and what is sealed
		row.CountVersion(was, &ep.Transformation)
		if err := row.FreeUID(c.query, "An endpoint", endpointByUIDSQL, app, ep.UID, ref); err != nil {
			return err
		}
		if _, err := c.exec(updateEndpointSQL, append(s.seal.EndpointValues(&ep), ep.UpdatedAt, ref)...); err != nil {
			return err
		}
		if err := keepVersion(c, ref, was, &ep.Transformation); err != nil {
			return err
		}
		if _, err := c.exec(bumpApplicationSQL, app); err != nil {
			return err
		}
		ep, err = row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
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
		if _, err := c.exec(deleteVersionsSQL, ep.Ref); err != nil {
			return err
		}
		_, err = c.exec(bumpApplicationSQL, app)
		return err
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

// EndpointsByRef finds endpoints, deleted ones included.
func (s *Store) EndpointsByRef(ctx context.Context, refs []hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		eps = make([]hark.Endpoint, 0, len(refs))
		for _, ref := range refs {
			ep, err := row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
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
