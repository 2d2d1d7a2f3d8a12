package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/harkhq/hark"
)

// Lifetime of application tokens.
const (
	DefaultTokenLife = 7 * 24 * time.Hour
	MinTokenLife     = time.Hour
	MaxTokenLife     = 7 * 24 * time.Hour
)

// clockSkew is how far apart the clocks of signer and server may be.
const clockSkew = 10 * time.Second

// claims are those of Svix's tokens, and capabilities and sid of Hark's application tokens.
type claims struct {
	jwt.RegisteredClaims
	Organization string   `json:"org,omitempty"`
	FeatureFlags []string `json:"feature_flags,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"` // absent: all
	SessionID    string   `json:"sid,omitempty"`
	IssuedMS     int64    `json:"iat_ms,omitempty"` // as iat, to tell what one second holds apart
}

// issued is when the token was made; zero when it does not say.
func (c *claims) issued() time.Time {
	switch {
	case c.IssuedMS != 0:
		return time.UnixMilli(c.IssuedMS)
	case c.IssuedAt != nil:
		return c.IssuedAt.Time
	}
	return time.Time{}
}

// tokens checks and signs JWTs.
type tokens struct {
	hmac   []byte // checks and signs
	public crypto.PublicKey
	parser *jwt.Parser
}

func newTokens(opt Options) (tokens, error) {
	t := tokens{hmac: opt.JWTSecret}
	if len(t.hmac) == 0 {
		t.hmac = opt.TokenSecret
	}
	methods := []string{}
	if len(t.hmac) > 0 {
		methods = append(methods, "HS256", "HS384", "HS512")
	}
	if len(opt.JWTPublicKey) > 0 {
		public, err := parsePublicKey(opt.JWTPublicKey)
		if err != nil {
			return tokens{}, fmt.Errorf("read the JWT public key: %w", err)
		}
		t.public = public
		if _, ok := public.(*rsa.PublicKey); ok {
			methods = append(methods, "RS256", "RS384", "RS512")
		} else {
			methods = append(methods, "EdDSA")
		}
	}
	t.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithLeeway(clockSkew))
	return t, nil
}

func parsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	switch key.(type) {
	case *rsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, fmt.Errorf("a key of type %T, not RSA or ed25519", key)
}

// verify checks a token's signature and times. The key is chosen by what the method is, so that a
// public key is never taken for a shared secret.
func (t *tokens) verify(text string, now time.Time) (claims, error) {
	var c claims
	_, err := t.parser.ParseWithClaims(text, &c, func(token *jwt.Token) (any, error) {
		if _, ok := token.Method.(*jwt.SigningMethodHMAC); ok {
			return t.hmac, nil
		}
		return t.public, nil
	})
	if err == nil && c.ExpiresAt != nil && !now.Before(c.ExpiresAt.Add(clockSkew)) {
		err = jwt.ErrTokenExpired
	}
	return c, err
}

// findToken reads a JWT. An environment comes into being when the first token for it does.
func (a *Authenticator) findToken(ctx context.Context, text string, now time.Time) (*Principal, time.Time, error) {
	c, err := a.tokens.verify(text, now)
	if err != nil {
		return nil, time.Time{}, errInvalid
	}
	p := &Principal{Scope: hark.ScopeAdmin, Capabilities: AllCapabilities, Actor: c.Subject}
	if c.Organization == "" {
		if _, err := hark.ParseID(c.Subject, hark.EnvironmentPrefix); err != nil {
			return nil, time.Time{}, badToken("`sub' is not a valid organization id")
		}
		p.EnvironmentID = hark.EnvironmentID(c.Subject)
		if err := a.ensureEnvironment(ctx, p.EnvironmentID, now); err != nil {
			return nil, time.Time{}, err
		}
	} else {
		_, badOrg := hark.ParseID(c.Organization, hark.EnvironmentPrefix)
		_, badApp := hark.ParseID(c.Subject, hark.ApplicationPrefix)
		if badOrg != nil || badApp != nil {
			return nil, time.Time{}, badToken("`org' and `sub' are not valid ids of an organization and an application")
		}
		p.EnvironmentID, p.ApplicationID = hark.EnvironmentID(c.Organization), hark.ApplicationID(c.Subject)
		if err := a.refuseExpired(ctx, p, c.issued()); err != nil {
			return nil, time.Time{}, err
		}
		p.Portal, p.Flags = true, c.FeatureFlags
		if p.Flags == nil {
			p.Flags = []string{} // nil would mean that nothing is hidden
		}
		if c.Capabilities != nil {
			p.Capabilities = ViewBase
			for _, name := range c.Capabilities {
				known, _ := ParseCapability(name)
				p.Capabilities |= known
			}
		}
		if c.SessionID != "" {
			p.Actor += " " + c.SessionID
		}
	}
	var expires time.Time
	if c.ExpiresAt != nil {
		expires = c.ExpiresAt.Add(clockSkew)
	}
	return p, expires, nil
}

// refuseExpired refuses an application's token that was taken back. A token of an application that is
// not there stays good: whatever is asked with it is not found.
func (a *Authenticator) refuseExpired(ctx context.Context, p *Principal, issued time.Time) error {
	app, err := a.store.Application(ctx, p.EnvironmentID, string(p.ApplicationID))
	switch {
	case errors.Is(err, hark.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !app.TokensNotBefore.IsZero() && !issued.After(app.TokensNotBefore):
		return errInvalid
	}
	return nil
}

func badToken(detail string) error {
	return &hark.Error{Code: hark.BadToken, Detail: detail}
}

// ensureEnvironment makes the environment that a signed token names, if it is new.
func (a *Authenticator) ensureEnvironment(ctx context.Context, id hark.EnvironmentID, now time.Time) error {
	_, err := a.store.Environment(ctx, id)
	if !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	name := strings.ToLower(strings.TrimPrefix(string(id), hark.EnvironmentPrefix))
	err = a.store.InsertEnvironment(ctx, hark.Environment{ID: id, Name: name, CreatedAt: now})
	if hark.CodeOf(err) == hark.Conflict { // another request was first
		return nil
	}
	return err
}

// AppToken describes an application token to issue.
type AppToken struct {
	EnvironmentID hark.EnvironmentID
	ApplicationID hark.ApplicationID
	FeatureFlags  []string
	Capabilities  Capabilities // zero means all
	SessionID     string
	Life          time.Duration // zero means DefaultTokenLife
}

// IssueAppToken signs a token that lets a customer into one application. Tokens cannot be taken
// back one by one before they expire; the application's TokensNotBefore takes back all.
func (a *Authenticator) IssueAppToken(in AppToken, now time.Time) (string, error) {
	if len(a.tokens.hmac) == 0 {
		return "", hark.Errorf(hark.NotImplemented, "This server has no secret to sign application tokens with.")
	}
	if in.Life == 0 {
		in.Life = DefaultTokenLife
	}
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    "hark",
			Subject:   string(in.ApplicationID),
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(in.Life)),
		},
		Organization: string(in.EnvironmentID),
		FeatureFlags: in.FeatureFlags,
		SessionID:    in.SessionID,
		IssuedMS:     now.UnixMilli(),
	}
	if in.Capabilities != 0 && in.Capabilities != AllCapabilities {
		c.Capabilities = (in.Capabilities | ViewBase).Names()
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(a.tokens.hmac)
	if err != nil {
		return "", fmt.Errorf("sign an application token: %w", err)
	}
	return text, nil
}
