package row

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// EnvironmentSQL are the statements of environments: id, name, created_at, retention.
type EnvironmentSQL struct {
	Insert string // all columns; one that exists stays
	Update string // name, retention; id
	One    string // id
	Every  string // the oldest first
}

func scanEnvironment(r Row) (hark.Environment, error) {
	return hark.Environment{ID: hark.EnvironmentID(r.Text(0)), Name: r.Text(1), CreatedAt: r.Time(2), Retention: time.Duration(r.Int(3))}, nil
}

func environmentValues(env *hark.Environment) []any {
	return []any{string(env.ID), env.Name, env.CreatedAt, int64(env.Retention)}
}

// InsertEnvironment adds an environment.
func (k *Kinds) InsertEnvironment(ctx context.Context, env hark.Environment) error {
	return k.configure(ctx, func(c Conn) error {
		return c.must(Conflict("An environment with this id or name already exists", ""), k.sql.Environment.Insert, environmentValues(&env)...)
	})
}

// UpdateEnvironment changes an environment.
func (k *Kinds) UpdateEnvironment(ctx context.Context, id hark.EnvironmentID, change func(*hark.Environment) error) (hark.Environment, error) {
	sql := &k.sql.Environment
	return answer(ctx, k.configure, func(c Conn) (hark.Environment, error) {
		return update(c, scanEnvironment, sql.One, sql.Update, change, func(env *hark.Environment) []any {
			return []any{env.Name, int64(env.Retention)}
		}, string(id))
	})
}

// Environment finds an environment.
func (k *Kinds) Environment(ctx context.Context, id hark.EnvironmentID) (hark.Environment, error) {
	return Get(ctx, k.access.Read, scanEnvironment, k.sql.Environment.One, string(id))
}

// ListEnvironments lists all environments, oldest first.
func (k *Kinds) ListEnvironments(ctx context.Context) ([]hark.Environment, error) {
	return List(ctx, k.access.Read, scanEnvironment, k.sql.Environment.Every)
}

// EventTypeSQL are the statements of event types: environment, name, description, group_name, archived,
// deprecated, schemas, feature_flags, created_at, updated_at.
type EventTypeSQL struct {
	Insert string  // all columns; one that exists stays
	Update string  // description, group_name, archived, deprecated, schemas, feature_flags, updated_at; environment, name
	Delete string  // environment, name
	One    string  // environment, name
	List   Listing // environment, behind and before a name, archived ones too, flags (or NULL), limit
	Every  string  // by environment and name
}

func scanEventType(r Row) (hark.EventType, error) {
	et := hark.EventType{
		EnvironmentID: hark.EnvironmentID(r.Text(0)), Name: r.Text(1), Description: r.Text(2), GroupName: r.Text(3),
		Archived: r.Bool(4), Deprecated: r.Bool(5), Schemas: r.Raw(6), CreatedAt: r.Time(8), UpdatedAt: r.Time(9),
	}
	return et, r.Decode(7, &et.FeatureFlags)
}

func eventTypeValues(et *hark.EventType) []any {
	return []any{string(et.EnvironmentID), et.Name, et.Description, et.GroupName, et.Archived, et.Deprecated,
		EncodeRaw(et.Schemas), Encode(et.FeatureFlags), et.CreatedAt, et.UpdatedAt}
}

// InsertEventType adds an event type.
func (k *Kinds) InsertEventType(ctx context.Context, et hark.EventType) error {
	return k.configure(ctx, func(c Conn) error {
		exists := &hark.Error{Code: hark.EventTypeExists, Detail: "An event type with this name already exists", Existing: et.Name}
		return c.must(exists, k.sql.EventType.Insert, eventTypeValues(&et)...)
	})
}

// UpdateEventType changes an event type.
func (k *Kinds) UpdateEventType(ctx context.Context, env hark.EnvironmentID, name string, change func(*hark.EventType) error) (hark.EventType, error) {
	sql := &k.sql.EventType
	return answer(ctx, k.configure, func(c Conn) (hark.EventType, error) {
		return update(c, scanEventType, sql.One, sql.Update, change, func(et *hark.EventType) []any {
			return []any{et.Description, et.GroupName, et.Archived, et.Deprecated, EncodeRaw(et.Schemas), Encode(et.FeatureFlags), et.UpdatedAt}
		}, string(env), name)
	})
}

// DeleteEventType removes an event type for good.
func (k *Kinds) DeleteEventType(ctx context.Context, env hark.EnvironmentID, name string) error {
	return k.configure(ctx, func(c Conn) error {
		return c.must(hark.ErrNotFound, k.sql.EventType.Delete, string(env), name)
	})
}

// EventType finds an event type.
func (k *Kinds) EventType(ctx context.Context, env hark.EnvironmentID, name string) (hark.EventType, error) {
	return Get(ctx, k.access.Read, scanEventType, k.sql.EventType.One, string(env), name)
}

// ListEventTypes lists the event types of an environment by name.
func (k *Kinds) ListEventTypes(ctx context.Context, env hark.EnvironmentID, filter store.EventTypeFilter, page store.Page) ([]hark.EventType, error) {
	return listPage(ctx, k, scanEventType, k.sql.EventType.List, PageOfText(page), string(env), filter.IncludeArchived, Encode(filter.Flags))
}

// KeySQL are the statements of API keys: environment, id, name, scope, application, prefix, hash, created_at,
// expires_at, revoked_at.
type KeySQL struct {
	Insert string  // all columns; one that exists stays
	Update string  // name, scope, application, expires_at, revoked_at; environment, id
	One    string  // environment, id
	ByHash string  // hash
	List   Listing // environment, behind and before an id, limit
	Every  string  // by environment and id
}

func scanKey(r Row) (hark.Key, error) {
	key := hark.Key{
		EnvironmentID: hark.EnvironmentID(r.Text(0)), ID: hark.KeyID(r.Text(1)), Name: r.Text(2), Scope: hark.Scope(r.Text(3)),
		ApplicationID: hark.ApplicationID(r.Text(4)), Prefix: r.Text(5),
		CreatedAt: r.Time(7), ExpiresAt: r.Time(8), RevokedAt: r.Time(9),
	}
	copy(key.Hash[:], r.Blob(6))
	return key, nil
}

func keyValues(key *hark.Key) []any {
	return []any{string(key.EnvironmentID), string(key.ID), key.Name, string(key.Scope), string(key.ApplicationID),
		key.Prefix, key.Hash[:], key.CreatedAt, key.ExpiresAt, key.RevokedAt}
}

// InsertKey adds a key.
func (k *Kinds) InsertKey(ctx context.Context, key hark.Key) error {
	return k.configure(ctx, func(c Conn) error {
		return c.must(Conflict("This key already exists", ""), k.sql.Key.Insert, keyValues(&key)...)
	})
}

// UpdateKey changes a key.
func (k *Kinds) UpdateKey(ctx context.Context, env hark.EnvironmentID, id hark.KeyID, change func(*hark.Key) error) (hark.Key, error) {
	sql := &k.sql.Key
	return answer(ctx, k.configure, func(c Conn) (hark.Key, error) {
		return update(c, scanKey, sql.One, sql.Update, change, func(key *hark.Key) []any {
			return []any{key.Name, string(key.Scope), string(key.ApplicationID), key.ExpiresAt, key.RevokedAt}
		}, string(env), string(id))
	})
}

// KeyByHash finds a key by the hash of its text.
func (k *Kinds) KeyByHash(ctx context.Context, hash [32]byte) (hark.Key, error) {
	return Get(ctx, k.access.Read, scanKey, k.sql.Key.ByHash, hash[:])
}

// ListKeys lists the keys of an environment.
func (k *Kinds) ListKeys(ctx context.Context, env hark.EnvironmentID, page store.Page) ([]hark.Key, error) {
	return listPage(ctx, k, scanKey, k.sql.Key.List, PageOfText(page), string(env))
}
