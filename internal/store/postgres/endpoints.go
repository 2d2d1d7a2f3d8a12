package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	endpointColumns = `SELECT endpoint.ref, endpoint.application, endpoint.id, endpoint.uid, url, description, version, endpoint.metadata,
  headers, secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at, paused,
  endpoint.throttle_rate, concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules,
  endpoint.created_at, endpoint.updated_at, endpoint.deleted_at, transformation, variables
FROM endpoint `

	listEndpoints = endpointColumns + `WHERE application = $1 AND id > $2 AND id < $3 AND deleted_at = 0 `
)

var endpointSQL = row.EndpointSQL{
	Insert: `INSERT INTO endpoint (ref, application, id, uid, url, description, version, metadata, headers, secrets,
  event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate, concurrency, timeout,
  retry_schedule, ordering, skip_tls_verify, rules, transformation, variables, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, 0)`,
	Update: `UPDATE endpoint SET uid = $1, url = $2, description = $3, version = $4, metadata = $5, headers = $6, secrets = $7,
  event_types = $8, channels = $9, filter = $10, disabled = $11, disabled_reason = $12, disabled_at = $13, paused = $14, throttle_rate = $15,
  concurrency = $16, timeout = $17, retry_schedule = $18, ordering = $19, skip_tls_verify = $20, rules = $21, transformation = $22, variables = $23, updated_at = $24
WHERE ref = $25`,
	Delete: `UPDATE endpoint SET uid = NULL, deleted_at = $1 WHERE ref = $2`,
	Reseal: `UPDATE endpoint SET headers = $1, secrets = $2, variables = $3 WHERE ref = $4`,
	ByID:   endpointColumns + `WHERE application = $1 AND id = $2 AND deleted_at = 0`,
	ByUID:  endpointColumns + `WHERE application = $1 AND uid = $2 AND deleted_at = 0`,
	ByRef:  endpointColumns + `WHERE ref = $1`,
	List: row.Listing{
		Up:   listEndpoints + `ORDER BY id ASC LIMIT $4`,
		Down: listEndpoints + `ORDER BY id DESC LIMIT $4`,
	},
	All:    endpointColumns + `WHERE application = $1 AND deleted_at = 0 ORDER BY id`,
	Every:  endpointColumns + `WHERE application = $1 ORDER BY id`,
	Sealed: endpointColumns + `WHERE ref > $1 ORDER BY ref LIMIT 100`,
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
