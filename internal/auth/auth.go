// Package auth finds out who a bearer token belongs to, and makes keys and tokens.
//
// Two kinds of token are known: API keys (hark_live_…), of which only a hash is kept, and JSON Web
// Tokens as Svix's server signs them, so that people can move by changing a URL.
//
//	hark_<environment>_<32 random bytes, base62><checksum>   an API key
//	JWT, sub=org_…                                           the whole environment
//	JWT, org=org_… sub=app_…                                 one application: somebody's customer
//
// It promises that a revoked or expired token works for at most Staleness more, and answers all
// that is wrong with a token in the same words. It refuses tokens whose algorithm does not belong
// to the configured key, and never logs a token.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// Staleness is how long a token may go on working after it was revoked by another process; in
// this one, Forget ends it at once.
const Staleness = 5 * time.Second

// Bounds of what is looked at and remembered.
const (
	maxTokenBytes = 8 << 10
	maxCached     = 10_000
)

// Store is the part of the store that authentication reads; it writes an environment when a
// signed token names one that is new.
type Store interface {
	KeyByHash(ctx context.Context, hash [32]byte) (hark.Key, error)
	Environment(ctx context.Context, id hark.EnvironmentID) (hark.Environment, error)
	InsertEnvironment(ctx context.Context, env hark.Environment) error
	Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Application, error)
}

// Options of an Authenticator.
type Options struct {
	Store Store
	// JWTSecret, as raw bytes, checks HS256, HS384 and HS512 tokens and signs application tokens; nil
	// when there is none.
	JWTSecret []byte
	// JWTPublicKey is a PEM public key (RSA or ed25519) that checks RS256, RS384, RS512 and EdDSA
	// tokens; nil when there is none.
	JWTPublicKey []byte
	// TokenSecret signs application tokens when there is no JWTSecret: 32 bytes that nobody knows.
	TokenSecret []byte
	// BootstrapKey is an admin key of the environment BootstrapEnvironment that is not in the
	// store; "" when there is none.
	BootstrapKey         string
	BootstrapEnvironment hark.EnvironmentID
}

// Authenticator is safe for concurrent use.
type Authenticator struct {
	store     Store
	tokens    tokens
	secret    []byte   // JWTSecret, to tell people who send it as a token
	bootstrap [32]byte // hash; only when hasBootstrap
	admin     Principal

	hasBootstrap bool

	mu     sync.RWMutex
	cache  map[string]cached
	forgot uint64 // counts the Forgets, so that what was read before one is not kept after it
}

type cached struct {
	principal *Principal
	until     time.Time
}

// New makes an Authenticator. It fails if a key in the options cannot be used.
func New(opt Options) (*Authenticator, error) {
	tokens, err := newTokens(opt)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{store: opt.Store, tokens: tokens, secret: opt.JWTSecret, cache: map[string]cached{}}
	if opt.BootstrapKey != "" {
		if len(opt.BootstrapKey) < MinBootstrapKey {
			return nil, errors.New("the bootstrap key must have 32 characters or more")
		}
		a.hasBootstrap = true
		a.bootstrap = HashKey(opt.BootstrapKey)
		a.admin = Principal{
			EnvironmentID: opt.BootstrapEnvironment, Scope: hark.ScopeAdmin,
			Capabilities: AllCapabilities, Actor: "bootstrap key",
		}
	}
	return a, nil
}

// errInvalid is all that strangers learn.
var errInvalid = &hark.Error{Code: hark.Unauthenticated, Detail: "Invalid token"}

// Authenticate answers whose token it is: the Principal, which must not be changed, or a
// *hark.Error (Unauthenticated; BadToken for a good signature under a strange subject).
func (a *Authenticator) Authenticate(ctx context.Context, bearer string) (*Principal, error) {
	now := time.Now()
	a.mu.RLock()
	hit, ok := a.cache[bearer]
	forgot := a.forgot
	a.mu.RUnlock()
	if ok && now.Before(hit.until) {
		return hit.principal, nil
	}
	if bearer == "" || len(bearer) > maxTokenBytes {
		return nil, errInvalid
	}
	principal, expires, err := a.find(ctx, bearer, now)
	if err != nil {
		return nil, err
	}
	until := now.Add(Staleness)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forgot != forgot {
		return principal, nil
	}
	for old := range a.cache { // any other makes room: map order is arbitrary enough
		if len(a.cache) < maxCached {
			break
		}
		delete(a.cache, old)
	}
	a.cache[strings.Clone(bearer)] = cached{principal, until}
	return principal, nil
}

// Forget makes every token be looked up again. Call it after a key was changed.
func (a *Authenticator) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgot++
	clear(a.cache)
}

// find looks a token up, and says when it expires (zero: never).
func (a *Authenticator) find(ctx context.Context, bearer string, now time.Time) (*Principal, time.Time, error) {
	hash := HashKey(bearer)
	if a.hasBootstrap && subtle.ConstantTimeCompare(hash[:], a.bootstrap[:]) == 1 {
		return &a.admin, time.Time{}, nil
	}
	if len(a.secret) > 0 && hash == sha256.Sum256(a.secret) {
		return nil, time.Time{}, &hark.Error{Code: hark.Unauthenticated,
			Detail: "Invalid token: this is the JWT secret itself. Sign a token with it and send that."}
	}
	if strings.HasPrefix(bearer, keyPrefix) {
		return a.findKey(ctx, bearer, hash, now)
	}
	return a.findToken(ctx, bearer, now)
}

func (a *Authenticator) findKey(ctx context.Context, text string, hash [32]byte, now time.Time) (*Principal, time.Time, error) {
	if _, err := ParseKey(text); err != nil { // a typing mistake costs no read
		return nil, time.Time{}, errInvalid
	}
	key, err := a.store.KeyByHash(ctx, hash)
	switch {
	case errors.Is(err, hark.ErrNotFound):
		return nil, time.Time{}, errInvalid
	case err != nil:
		return nil, time.Time{}, err
	}
	ends := key.ExpiresAt
	if !key.RevokedAt.IsZero() && (ends.IsZero() || key.RevokedAt.Before(ends)) {
		ends = key.RevokedAt // in the future while a rotation overlaps
	}
	if !ends.IsZero() && !now.Before(ends) {
		return nil, time.Time{}, errInvalid
	}
	return &Principal{
		EnvironmentID: key.EnvironmentID,
		Scope:         key.Scope,
		ApplicationID: key.ApplicationID,
		Capabilities:  AllCapabilities,
		KeyID:         key.ID,
		Actor:         key.Name,
	}, ends, nil
}
