package sqlite

import (
	"context"
	"errors"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	endpointColumns = `SELECT endpoint.ref, endpoint.application, endpoint.id, endpoint.uid, url, description, version, endpoint.metadata,
  headers, secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at, paused,
  endpoint.throttle_rate, concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules,
  endpoint.created_at, endpoint.updated_at, endpoint.deleted_at, transformation, variables
FROM endpoint `

	listEndpoints = endpointColumns + `WHERE application = ? AND id > ? AND id < ? AND deleted_at = 0 `
)

var endpointSQL = row.EndpointSQL{
	Insert: `INSERT INTO endpoint (application, id, uid, url, description, version, metadata, headers, secrets,
  event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate, concurrency, timeout,
  retry_schedule, ordering, skip_tls_verify, rules, transformation, variables, created_at, updated_at, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING ref`,
	Update: `UPDATE endpoint SET uid = ?, url = ?, description = ?, version = ?, metadata = ?, headers = ?, secrets = ?,
  event_types = ?, channels = ?, filter = ?, disabled = ?, disabled_reason = ?, disabled_at = ?, paused = ?, throttle_rate = ?,
  concurrency = ?, timeout = ?, retry_schedule = ?, ordering = ?, skip_tls_verify = ?, rules = ?, transformation = ?, variables = ?, updated_at = ?
WHERE ref = ?`,
	Delete: `UPDATE endpoint SET uid = NULL, deleted_at = ? WHERE ref = ?`,
	Reseal: `UPDATE endpoint SET headers = ?, secrets = ?, variables = ? WHERE ref = ?`,
	ByID:   endpointColumns + `WHERE application = ? AND id = ? AND deleted_at = 0`,
	ByUID:  endpointColumns + `WHERE application = ? AND uid = ? AND deleted_at = 0`,
	ByRef:  endpointColumns + `WHERE ref = ?`,
	List: row.Listing{
		Up:   listEndpoints + `ORDER BY id ASC LIMIT ?`,
		Down: listEndpoints + `ORDER BY id DESC LIMIT ?`,
	},
	All:    endpointColumns + `WHERE application = ? AND deleted_at = 0 ORDER BY id`,
	Every:  endpointColumns + `WHERE application = ? ORDER BY id`,
	Sealed: endpointColumns + `WHERE ref > ? ORDER BY ref LIMIT 100`,
}

// EndpointsByRef finds endpoints, deleted ones included.
func (s *Store) EndpointsByRef(ctx context.Context, refs []hark.Ref) (eps []hark.Endpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		eps = make([]hark.Endpoint, 0, len(refs))
		for _, ref := range refs {
			ep, err := row.Find(c.query, s.seal.ScanEndpoint, endpointSQL.ByRef, ref)
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
