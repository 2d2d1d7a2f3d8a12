package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	sourceColumns = `SELECT s.ref, s.environment, s.application, a.id, s.id, s.uid, s.settings, s.sealed, s.disabled, s.failing_since, s.failing_cause,
  s.created_at, s.updated_at
FROM source s JOIN application a ON a.ref = s.application
`
	sourceByIDSQL = sourceColumns + `WHERE s.environment = $1 AND s.id = $2 AND s.deleted_at = 0 AND a.deleted_at = 0`

	sourceByUIDSQL = sourceColumns + `WHERE s.environment = $1 AND s.uid = $2 AND s.deleted_at = 0 AND a.deleted_at = 0`

	sourceByRefSQL = sourceColumns + `WHERE s.ref = $1`

	sourceByTokenSQL = sourceColumns + `WHERE s.ref = (SELECT source FROM source_token WHERE hash = $1) AND s.deleted_at = 0 AND a.deleted_at = 0`

	listSources        = sourceColumns + `WHERE s.environment = $1 AND s.id > $2 AND s.id < $3 AND ($4::bigint = 0 OR s.application = $4) AND s.deleted_at = 0 AND a.deleted_at = 0 `
	listSourcesUpSQL   = listSources + `ORDER BY s.id ASC LIMIT $5`
	listSourcesDownSQL = listSources + `ORDER BY s.id DESC LIMIT $5`

	insertSourceSQL = `INSERT INTO source (ref, environment, application, id, uid, settings, sealed, disabled, failing_since, failing_cause, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)`

	updateSourceSQL = `UPDATE source SET uid = $1, settings = $2, sealed = $3, disabled = $4, failing_since = $5, failing_cause = $6, updated_at = $7 WHERE ref = $8`

	deleteSourceSQL = `UPDATE source SET uid = NULL, deleted_at = $1 WHERE ref = $2`

	deleteApplicationSourcesSQL = `UPDATE source SET uid = NULL, deleted_at = $1 WHERE application = $2 AND deleted_at = 0`

	deleteTokensSQL = `DELETE FROM source_token WHERE source = $1`

	deleteApplicationTokensSQL = `DELETE FROM source_token WHERE source IN (SELECT ref FROM source WHERE application = $1)`

	insertTokenSQL = `INSERT INTO source_token (hash, source) VALUES ($1, $2)`
)

// InsertSource adds a source.
func (s *Store) InsertSource(ctx context.Context, src hark.Source) (added hark.Source, err error) {
	err = s.configure(ctx, func(c *conn) (hark.Ref, error) {
		if err := s.freeSourceUID(c, src.EnvironmentID, src.UID, 0); err != nil {
			return 0, err
		}
		ref, err := s.insertSource(c, &src)
		if isUnique(err) {
			return 0, row.Conflict("A source with this id already exists", string(src.ID))
		}
		if err != nil {
			return 0, err
		}
		added, err = row.Find(c.query, s.seal.ScanSource, sourceByRefSQL, ref)
		return src.ApplicationRef, err
	})
	return added, err
}

func (s *Store) insertSource(c *conn, src *hark.Source) (hark.Ref, error) {
	settings, sealed := s.seal.CloseSource(src)
	ref, err := next(c, "source")
	if err != nil {
		return 0, err
	}
	_, err = c.exec(insertSourceSQL, ref, string(src.EnvironmentID), src.ApplicationRef, string(src.ID), row.Nullable(src.UID), settings, sealed,
		src.Disabled, src.FailingSince, src.FailingCause, src.CreatedAt, src.UpdatedAt)
	if err != nil {
		return 0, err
	}
	return ref, putTokens(c, ref, src.Tokens)
}

// putTokens replaces what a source is looked up by.
func putTokens(c *conn, ref hark.Ref, tokens []hark.Secret) error {
	if _, err := c.exec(deleteTokensSQL, ref); err != nil {
		return err
	}
	for _, t := range tokens {
		if _, err := c.exec(insertTokenSQL, row.TokenHash(t.Key), ref); err != nil {
			return err
		}
	}
	return nil
}

// freeSourceUID says Conflict when another source has the uid.
func (s *Store) freeSourceUID(c *conn, env hark.EnvironmentID, uid string, self hark.Ref) error {
	if uid == "" {
		return nil
	}
	other, err := row.Find(c.query, s.seal.ScanSource, sourceByUIDSQL, string(env), uid)
	if errors.Is(err, hark.ErrNotFound) || err == nil && other.Ref == self {
		return nil
	}
	if err != nil {
		return err
	}
	return row.Conflict("A source with this uid already exists", string(other.ID))
}

// UpdateSource changes a source.
func (s *Store) UpdateSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Source) error) (src hark.Source, err error) {
	err = s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if src, err = s.findSource(c, env, idOrUID); err != nil {
			return 0, err
		}
		was := src
		if err := change(&src); err != nil {
			return 0, err
		}
		src.Ref, src.ID, src.ApplicationRef = was.Ref, was.ID, was.ApplicationRef // they name the row, and what is sealed
		if err := s.freeSourceUID(c, env, src.UID, src.Ref); err != nil {
			return 0, err
		}
		settings, sealed := s.seal.CloseSource(&src)
		if _, err := c.exec(updateSourceSQL, row.Nullable(src.UID), settings, sealed, src.Disabled, src.FailingSince, src.FailingCause,
			src.UpdatedAt, src.Ref); err != nil {
			return 0, err
		}
		if err := putTokens(c, src.Ref, src.Tokens); err != nil {
			return 0, err
		}
		src, err = row.Find(c.query, s.seal.ScanSource, sourceByRefSQL, src.Ref)
		return src.ApplicationRef, err
	})
	return src, err
}

// DeleteSource makes a source disappear.
func (s *Store) DeleteSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error {
	return s.configure(ctx, func(c *conn) (hark.Ref, error) {
		src, err := s.findSource(c, env, idOrUID)
		if err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteSourceSQL, now, src.Ref); err != nil {
			return 0, err
		}
		_, err = c.exec(deleteTokensSQL, src.Ref)
		return src.ApplicationRef, err
	})
}

// Source finds a source by id or uid.
func (s *Store) Source(ctx context.Context, env hark.EnvironmentID, idOrUID string) (src hark.Source, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		src, err = s.findSource(c, env, idOrUID)
		return err
	})
	return src, err
}

func (s *Store) findSource(c *conn, env hark.EnvironmentID, idOrUID string) (hark.Source, error) {
	src, err := row.Find(c.query, s.seal.ScanSource, sourceByIDSQL, string(env), idOrUID)
	if errors.Is(err, hark.ErrNotFound) {
		src, err = row.Find(c.query, s.seal.ScanSource, sourceByUIDSQL, string(env), idOrUID)
	}
	return src, err
}

// SourceByToken finds a source by the hash of one of its tokens.
func (s *Store) SourceByToken(ctx context.Context, hash [32]byte) (src hark.Source, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		src, err = row.Find(c.query, s.seal.ScanSource, sourceByTokenSQL, hash[:])
		return err
	})
	return src, err
}

// ListSources lists sources.
func (s *Store) ListSources(ctx context.Context, env hark.EnvironmentID, app hark.Ref, page store.Page) (all []hark.Source, err error) {
	p := row.PageOfText(page)
	err = s.read(ctx, func(c *conn) (err error) {
		all, err = row.Collect(c.query, s.seal.ScanSource, row.Pick(p.Down, listSourcesUpSQL, listSourcesDownSQL), string(env), p.Low, p.High, app, p.Limit)
		return err
	})
	return row.Turned(all, p.Turn), err
}
