package svix

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// managementOrg is whose webhooks tell about endpoints and failures of all others.
const managementOrg = "org_00000000000SvixManagement00"

// Organization is a tenant of a Svix server.
type Organization struct {
	ID           string `json:"id"`
	Applications int    `json:"applications"`
	EventTypes   int    `json:"eventTypes"`
}

// database is a Svix server's, seen as of one moment. Rows are read as JSON, so that columns which an
// older or newer Svix does not have are simply missing.
type database struct {
	tx pgx.Tx
}

const (
	hasTableSQL = `SELECT to_regclass($1) IS NOT NULL`

	organizationsSQL = `SELECT org_id, sum(applications), sum(event_types) FROM (
  SELECT org_id, count(*) AS applications, 0 AS event_types FROM application WHERE NOT deleted GROUP BY org_id
  UNION ALL SELECT org_id, 0, count(*) FROM eventtype GROUP BY org_id
) AS o WHERE org_id <> $1 GROUP BY org_id ORDER BY org_id`

	eventTypesSQL = `SELECT row_to_json(t)::text, NULL FROM eventtype AS t WHERE org_id = $1 ORDER BY name`

	applicationsSQL = `SELECT row_to_json(a)::text, (SELECT row_to_json(m)::text FROM applicationmetadata AS m WHERE m.id = a.id)
FROM application AS a WHERE org_id = $1 ORDER BY id`

	plainApplicationsSQL = `SELECT row_to_json(a)::text, NULL FROM application AS a WHERE org_id = $1 ORDER BY id`

	endpointsSQL = `SELECT row_to_json(e)::text, (SELECT row_to_json(m)::text FROM endpointmetadata AS m WHERE m.id = e.id)
FROM endpoint AS e JOIN application AS a ON a.id = e.app_id WHERE a.org_id = $1 AND NOT a.deleted ORDER BY e.app_id, e.id`

	plainEndpointsSQL = `SELECT row_to_json(e)::text, NULL
FROM endpoint AS e JOIN application AS a ON a.id = e.app_id WHERE a.org_id = $1 AND NOT a.deleted ORDER BY e.app_id, e.id`

	anEncryptedKeySQL = `SELECT key FROM endpoint WHERE NOT deleted AND octet_length(key) > 24 AND get_byte(key, 0) >= 128 LIMIT 1`

	operationalSQL = `SELECT count(*) FROM endpoint AS e JOIN application AS a ON a.id = e.app_id
WHERE a.org_id = $2 AND a.uid = $1 AND NOT a.deleted AND NOT e.deleted`
)

// ErrNotSvix says that a database holds no Svix server's tables.
var ErrNotSvix = errors.New("there are no tables of a Svix server in this database")

// open lends the database to f, in one read-only transaction.
func open(ctx context.Context, url string, f func(*database) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("the URL of Svix's database cannot be read (postgres://user:password@host:5432/database)") // the cause would quote it
	}
	raw, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("cannot reach Svix's database %q at %s, port %d", config.Database, config.Host, config.Port)
	}
	defer func() { _ = raw.Close(context.WithoutCancel(ctx)) }() // there is nothing to lose
	if _, err := raw.Exec(ctx, `SET bytea_output = hex; SET timezone = 'UTC'; SET idle_in_transaction_session_timeout = 0`); err != nil {
		return fmt.Errorf("prepare Svix's database: %w", err)
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, raw, options, func(tx pgx.Tx) error {
		db := &database{tx}
		for _, table := range []string{"application", "endpoint", "eventtype"} {
			if there, err := db.hasTable(ctx, table); err != nil {
				return err
			} else if !there {
				return ErrNotSvix
			}
		}
		return f(db)
	})
}

func (db *database) hasTable(ctx context.Context, name string) (there bool, err error) {
	if err = db.tx.QueryRow(ctx, hasTableSQL, name).Scan(&there); err != nil {
		err = fmt.Errorf("look for Svix's tables: %w", err)
	}
	return there, err
}

func (db *database) organizations(ctx context.Context) ([]Organization, error) {
	rows, err := db.tx.Query(ctx, organizationsSQL, managementOrg)
	if err != nil {
		return nil, fmt.Errorf("read Svix's organizations: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (o Organization, err error) {
		return o, r.Scan(&o.ID, &o.Applications, &o.EventTypes)
	})
	if err != nil {
		err = fmt.Errorf("read Svix's organizations: %w", err)
	}
	return all, err
}

// encryptedKey is a secret that needs the main secret, or nil.
func (db *database) encryptedKey(ctx context.Context) (key []byte, err error) {
	err = db.tx.QueryRow(ctx, anEncryptedKeySQL).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("read Svix's endpoints: %w", err)
	}
	return key, err
}

// operational counts the endpoints of an organization's operational webhooks.
func (db *database) operational(ctx context.Context, org string) (n int, err error) {
	if err = db.tx.QueryRow(ctx, operationalSQL, org, managementOrg).Scan(&n); err != nil {
		err = fmt.Errorf("read Svix's operational webhooks: %w", err)
	}
	return n, err
}

// each reads rows with their metadata. The rows are read to the end before the next query may begin.
func each[T any](ctx context.Context, db *database, query, org string, visit func(v *T, meta *metadata) error) error {
	rows, err := db.tx.Query(ctx, query, org)
	if err != nil {
		return fmt.Errorf("read Svix's tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var extra *string
		if err := rows.Scan(&text, &extra); err != nil {
			return fmt.Errorf("read Svix's tables: %w", err)
		}
		var v T
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return fmt.Errorf("read Svix's tables: %w", errors.New("a row is not as expected")) // the cause may quote secrets
		}
		var meta metadata
		if extra != nil {
			if err := json.Unmarshal([]byte(*extra), &meta); err != nil {
				return fmt.Errorf("read Svix's metadata: %w", err)
			}
		}
		if err := visit(&v, &meta); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read Svix's tables: %w", err)
	}
	return nil
}

// metadata is a row of applicationmetadata or endpointmetadata.
type metadata struct {
	UpdatedAt time.Time         `json:"updated_at"`
	Data      map[string]string `json:"data"`
}

// eventType is a row of eventtype. Deleted is what the API calls archived.
type eventType struct {
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Deleted     bool            `json:"deleted"`
	Deprecated  bool            `json:"deprecated"`
	Schemas     json.RawMessage `json:"schemas"`
	FeatureFlag string          `json:"feature_flag"`
}

// application is a row of application.
type application struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	UID       string    `json:"uid"`
	Name      string    `json:"name"`
	RateLimit int       `json:"rate_limit"`
	Deleted   bool      `json:"deleted"`
}

// endpoint is a row of endpoint.
type endpoint struct {
	ID            string            `json:"id"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
	AppID         string            `json:"app_id"`
	Key           bytea             `json:"key"`
	OldKeys       json.RawMessage   `json:"old_keys"`
	URL           string            `json:"url"`
	Description   string            `json:"description"`
	EventTypes    []string          `json:"event_types_ids"`
	Version       int               `json:"version"`
	RateLimit     int               `json:"rate_limit"`
	Deleted       bool              `json:"deleted"`
	Disabled      bool              `json:"disabled"`
	UID           string            `json:"uid"`
	Channels      []string          `json:"channels"`
	Headers       map[string]string `json:"headers"`
	Filter        string            `json:"filter"`
	RetrySchedule json.RawMessage   `json:"retry_schedule"`
}

// bytea is PostgreSQL's hexadecimal form of bytes.
type bytea []byte

// UnmarshalText reads \x and hexadecimal digits.
func (b *bytea) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(strings.TrimPrefix(string(text), `\x`))
	return err
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
