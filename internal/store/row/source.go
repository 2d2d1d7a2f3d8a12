package row

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// sourceSecrets is what of a source nobody may read at rest, as JSON.
type sourceSecrets struct {
	Tokens  []storedSecret    `json:"tokens"`
	Secrets []storedSecret    `json:"secrets"`
	Params  map[string]string `json:"params"`
}

// closeSource answers a source's two columns of JSON: its settings, and what is sealed.
func (s Seal) closeSource(src *hark.Source) (settings string, sealed []byte) {
	secret := sourceSecrets{Tokens: revealed(src.Tokens), Secrets: revealed(src.Secrets), Params: src.Params}
	return MustJSON(src.SourceSettings), s.close(placeOfSource(src), MustJSON(secret))
}

func placeOfSource(src *hark.Source) []byte {
	about := strconv.AppendInt([]byte("source\x00"), src.ApplicationRef, 10)
	return fmt.Appendf(about, "\x00%s", src.ID)
}

// SourceSQL are the statements of sources: ref, environment, id, application, the application's id, uid, settings,
// sealed, disabled, failing_since, failing_cause, created_at, updated_at, deleted_at. All but ByRef, Every and
// Sealed leave out the deleted ones, and those of deleted applications.
type SourceSQL struct {
	Insert       string  // ref, environment, application, id, uid; the columns from settings to updated_at
	Update       string  // uid, settings, sealed, disabled, failing_since, failing_cause, updated_at; ref
	Delete       string  // now; ref: frees the uid as well
	Reseal       string  // sealed; ref
	InsertToken  string  // hash; source
	DeleteTokens string  // source
	ByID, ByUID  string  // environment, id or uid
	ByRef        string  // ref
	ByToken      string  // hash
	List         Listing // environment, behind and before an id, application or 0, limit
	Every        string  // application; by id
	Sealed       string  // behind a ref, some; by ref
}

func (s Seal) scanSource(r Row) (hark.Source, error) {
	src := hark.Source{
		Ref: r.Int(0), EnvironmentID: hark.EnvironmentID(r.Text(1)), ID: hark.SourceID(r.Text(2)), ApplicationRef: r.Int(3),
		ApplicationID: hark.ApplicationID(r.Text(4)), UID: r.Text(5), Disabled: r.Bool(8), FailingSince: r.Time(9), FailingCause: r.Text(10),
		CreatedAt: r.Time(11), UpdatedAt: r.Time(12),
	}
	if err := r.Decode(6, &src.SourceSettings); err != nil {
		return src, err
	}
	var secret sourceSecrets
	if err := s.openInto(placeOfSource(&src), r.Blob(7), &secret); err != nil {
		return src, fmt.Errorf("secrets of %s: %w", src.ID, err)
	}
	src.Tokens, src.Secrets, src.Params = hidden(secret.Tokens), hidden(secret.Secrets), secret.Params
	return src, nil
}

func (s Seal) scanMovedSource(r Row) (store.MovedSource, error) {
	src, err := s.scanSource(r)
	return store.MovedSource{Source: src, DeletedAt: r.Time(13)}, err
}

// InsertSource adds a source.
func (k *Kinds) InsertSource(ctx context.Context, src hark.Source) (added hark.Source, err error) {
	sql := &k.sql.Source
	err = k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		if err := freeUID(c.Query, "A source", sql.ByUID, string(src.EnvironmentID), src.UID, 0); err != nil {
			return 0, err
		}
		ref, err := k.insertSource(c, &src)
		if err != nil {
			return 0, taken(err, "A source", string(src.ID))
		}
		added, err = Find(c.Query, k.access.Seal.scanSource, sql.ByRef, ref)
		return src.ApplicationRef, err
	})
	return added, err
}

func (k *Kinds) insertSource(c Conn, src *hark.Source) (hark.Ref, error) {
	settings, sealed := k.access.Seal.closeSource(src)
	ref, err := c.Insert("source", k.sql.Source.Insert, string(src.EnvironmentID), src.ApplicationRef, string(src.ID), Nullable(src.UID), settings, sealed,
		src.Disabled, src.FailingSince, src.FailingCause, src.CreatedAt, src.UpdatedAt)
	if err != nil {
		return 0, err
	}
	return ref, k.sql.Source.putTokens(c, ref, src.Tokens)
}

// putTokens replaces what a source is looked up by.
func (sql *SourceSQL) putTokens(c Conn, ref hark.Ref, tokens []hark.Secret) error {
	if _, err := c.Exec(sql.DeleteTokens, ref); err != nil {
		return err
	}
	for _, t := range tokens {
		hash := sha256.Sum256([]byte(t.Key.Reveal()))
		if _, err := c.Exec(sql.InsertToken, hash[:], ref); err != nil {
			return err
		}
	}
	return nil
}

// UpdateSource changes a source.
func (k *Kinds) UpdateSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Source) error) (src hark.Source, err error) {
	sql := &k.sql.Source
	err = k.access.Configure(ctx, func(c Conn) (_ hark.Ref, err error) {
		if src, err = k.findSource(c.Query, env, idOrUID); err != nil {
			return 0, err
		}
		was := src
		if err := change(&src); err != nil {
			return 0, err
		}
		src.Ref, src.ID, src.ApplicationRef = was.Ref, was.ID, was.ApplicationRef // they name the row, and what is sealed
		if err := freeUID(c.Query, "A source", sql.ByUID, string(env), src.UID, src.Ref); err != nil {
			return 0, err
		}
		settings, sealed := k.access.Seal.closeSource(&src)
		if _, err := c.Exec(sql.Update, Nullable(src.UID), settings, sealed, src.Disabled, src.FailingSince, src.FailingCause,
			src.UpdatedAt, src.Ref); err != nil {
			return 0, err
		}
		if err := sql.putTokens(c, src.Ref, src.Tokens); err != nil {
			return 0, err
		}
		src, err = Find(c.Query, k.access.Seal.scanSource, sql.ByRef, src.Ref)
		return src.ApplicationRef, err
	})
	return src, err
}

// DeleteSource makes a source disappear.
func (k *Kinds) DeleteSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error {
	return k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		src, err := k.findSource(c.Query, env, idOrUID)
		if err != nil {
			return 0, err
		}
		return src.ApplicationRef, k.sql.Source.delete(c, src.Ref, now)
	})
}

func (sql *SourceSQL) delete(c Conn, ref hark.Ref, now time.Time) error {
	if _, err := c.Exec(sql.Delete, now, ref); err != nil {
		return err
	}
	_, err := c.Exec(sql.DeleteTokens, ref)
	return err
}

// Source finds a source by id or uid.
func (k *Kinds) Source(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Source, error) {
	return answer(ctx, k.access.Read, func(q Query) (hark.Source, error) {
		return k.findSource(q, env, idOrUID)
	})
}

func (k *Kinds) findSource(q Query, env hark.EnvironmentID, idOrUID string) (hark.Source, error) {
	return findEither(q, k.access.Seal.scanSource, k.sql.Source.ByID, k.sql.Source.ByUID, string(env), idOrUID)
}

// SourceByToken finds a source by the hash of one of its tokens.
func (k *Kinds) SourceByToken(ctx context.Context, hash [32]byte) (hark.Source, error) {
	return Get(ctx, k.access.Read, k.access.Seal.scanSource, k.sql.Source.ByToken, hash[:])
}

// ListSources lists sources.
func (k *Kinds) ListSources(ctx context.Context, env hark.EnvironmentID, app hark.Ref, page store.Page) ([]hark.Source, error) {
	return listPage(ctx, k, k.access.Seal.scanSource, k.sql.Source.List, PageOfText(page), string(env), app)
}
