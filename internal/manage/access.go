package manage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/store"
)

// ListEnvironments lists the environments that the caller may see: its own.
func (m *Manager) ListEnvironments(ctx context.Context, c Caller) ([]hark.Environment, error) {
	if err := c.permit(opEnvironmentList); err != nil {
		return nil, err
	}
	env, err := m.store.Environment(ctx, c.EnvironmentID)
	if err != nil {
		return nil, err
	}
	return []hark.Environment{env}, nil
}

// WhoAmI answers the environment that the caller's token opens. What else there is to say about the
// caller stands in c; a key for one application may ask, too.
func (m *Manager) WhoAmI(ctx context.Context, c Caller) (hark.Environment, error) {
	if err := c.permit(opWhoAmI); err != nil {
		return hark.Environment{}, err
	}
	return m.store.Environment(ctx, c.EnvironmentID)
}

// maxEnvironmentDays is the longest retention.
const maxEnvironmentDays = 3650

// PatchEnvironment changes the caller's environment.
func (m *Manager) PatchEnvironment(ctx context.Context, c Caller, in EnvironmentPatch) (hark.Environment, error) {
	if err := c.permit(opEnvironmentPatch); err != nil {
		return hark.Environment{}, err
	}
	var v check
	v.between(in.RetentionDays, 1, maxEnvironmentDays, "body", "retentionDays")
	if err := v.err(); err != nil {
		return hark.Environment{}, err
	}
	env, err := m.store.UpdateEnvironment(ctx, c.EnvironmentID, func(env *hark.Environment) error {
		if in.RetentionDays.Set {
			env.Retention = time.Duration(in.RetentionDays.Value) * 24 * time.Hour
		}
		return nil
	})
	if err != nil {
		return hark.Environment{}, err
	}
	m.audit(ctx, &c, opEnvironmentPatch)
	return env, nil
}

// ListNodes lists the servers that share the store, with what each delivers for.
func (m *Manager) ListNodes(ctx context.Context, c Caller) ([]store.NodeStatus, error) {
	if err := c.permit(opNodeList); err != nil {
		return nil, err
	}
	return m.nodes(ctx, time.Now())
}

// CreateKey makes an API key. text is the key itself: it is not kept and cannot be shown again.
func (m *Manager) CreateKey(ctx context.Context, c Caller, in KeyIn) (key hark.Key, text string, err error) {
	if err := c.permit(opKeyCreate); err != nil {
		return key, "", err
	}
	now := moment()
	var v check
	v.text(in.Name, 1, maxName, "body", "name")
	if rank(in.Scope) == 0 {
		v.wrong("must be admin, publish or read", "body", "scope")
	}
	if in.ExpiresAt.Given() && !in.ExpiresAt.Value.After(now) {
		v.wrong("must be in the future", "body", "expiresAt")
	}
	var app hark.ApplicationID
	if in.ApplicationID.Given() {
		found, err := m.findApp(ctx, &c, in.ApplicationID.Value)
		switch {
		case hark.CodeOf(err) == hark.NotFound:
			v.wrong("there is no such application", "body", "applicationId")
		case err != nil:
			return key, "", err
		default:
			app = found.ID
		}
	}
	if err := v.err(); err != nil {
		return key, "", err
	}
	return m.issueKey(ctx, &c, opKeyCreate, hark.Key{
		Name: in.Name, Scope: in.Scope, ApplicationID: app, ExpiresAt: in.ExpiresAt.Value.UTC(),
	}, now)
}

// issueKey makes and keeps a key with what like says about it.
func (m *Manager) issueKey(ctx context.Context, c *Caller, op operation, like hark.Key, now time.Time) (hark.Key, string, error) {
	env, err := m.store.Environment(ctx, c.EnvironmentID)
	if err != nil {
		return hark.Key{}, "", err
	}
	issued := auth.NewKey(env, like.Scope, like.Name, now)
	issued.Key.ApplicationID, issued.Key.ExpiresAt = like.ApplicationID, like.ExpiresAt
	if err := m.store.InsertKey(ctx, issued.Key); err != nil {
		return hark.Key{}, "", err
	}
	m.audit(ctx, c, op, slog.String("made", string(issued.Key.ID)))
	return issued.Key, issued.Text, nil
}

// ListKeys lists the environment's keys, revoked and expired ones included.
func (m *Manager) ListKeys(ctx context.Context, c Caller, in ListIn) (p Page[hark.Key], err error) {
	if err := c.permit(opKeyList); err != nil {
		return p, err
	}
	var v check
	l := v.list(in, hark.KeyPrefix, false)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListKeys(ctx, c.EnvironmentID, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(k *hark.Key) string { return string(k.ID) }), nil
}

// Bounds of the overlap of a key's rotation, in seconds.
const (
	defaultOverlap = 24 * 60 * 60
	maxOverlap     = 7 * 24 * 60 * 60
)

// RotateKey makes a key that may do the same as an existing one, which works for the overlap more.
func (m *Manager) RotateKey(ctx context.Context, c Caller, id string, overlapSeconds Opt[int]) (key hark.Key, text string, err error) {
	if err := c.permit(opKeyRotate); err != nil {
		return key, "", err
	}
	var v check
	v.between(overlapSeconds, 0, maxOverlap, "body", "overlapSeconds")
	if err := v.err(); err != nil {
		return key, "", err
	}
	overlap := time.Duration(defaultOverlap) * time.Second
	if overlapSeconds.Given() {
		overlap = time.Duration(overlapSeconds.Value) * time.Second
	}
	now := moment()
	old, err := m.store.UpdateKey(ctx, c.EnvironmentID, hark.KeyID(id), func(old *hark.Key) error {
		if !old.RevokedAt.IsZero() || !old.ExpiresAt.IsZero() && !old.ExpiresAt.After(now) {
			return hark.Errorf(hark.Conflict, "The key is expired, revoked or was rotated before.")
		}
		old.RevokedAt = now.Add(overlap)
		return nil
	})
	if err != nil {
		return key, "", err
	}
	m.tokens.Forget()
	return m.issueKey(ctx, &c, opKeyRotate, old, now)
}

// RevokeKey ends a key at once. Revoking it again changes nothing.
func (m *Manager) RevokeKey(ctx context.Context, c Caller, id string) error {
	if err := c.permit(opKeyRevoke); err != nil {
		return err
	}
	now := moment()
	_, err := m.store.UpdateKey(ctx, c.EnvironmentID, hark.KeyID(id), func(key *hark.Key) error {
		if key.RevokedAt.IsZero() || key.RevokedAt.After(now) {
			key.RevokedAt = now
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.tokens.Forget()
	m.audit(ctx, &c, opKeyRevoke, slog.String("revoked", id))
	return nil
}

// PortalAccess lets a customer into the portal of one application.
func (m *Manager) PortalAccess(ctx context.Context, c Caller, app string, in PortalIn) (PortalAccess, error) {
	if err := c.permit(opPortalAccess); err != nil {
		return PortalAccess{}, err
	}
	var v check
	capabilities := v.capabilities(in)
	if in.FeatureFlags.Given() {
		v.names(in.FeatureFlags.Value, nameChars, maxName, 0, maxFlags, "body", "featureFlags")
	}
	v.between(in.Expiry, int(auth.MinTokenLife.Seconds()), int(auth.MaxTokenLife.Seconds()), "body", "expiry")
	if in.SessionID.Given() {
		v.name(in.SessionID.Value, sessionChars, maxSession, "body", "sessionId")
	}
	if err := v.err(); err != nil {
		return PortalAccess{}, err
	}
	if err := m.appOrNew(ctx, &c, app, in.Application); err != nil {
		return PortalAccess{}, err
	}
	a, err := m.findApp(ctx, &c, app)
	if err != nil {
		return PortalAccess{}, err
	}
	token, err := m.tokens.IssueAppToken(auth.AppToken{
		EnvironmentID: c.EnvironmentID,
		ApplicationID: a.ID,
		FeatureFlags:  unique(in.FeatureFlags.Value),
		Capabilities:  capabilities,
		SessionID:     in.SessionID.Value,
		Life:          time.Duration(in.Expiry.Value) * time.Second,
	}, time.Now())
	if err != nil {
		return PortalAccess{}, err
	}
	m.audit(ctx, &c, opPortalAccess, slog.String("app", string(a.ID)))
	// A fragment is not sent to servers and does not reach their logs.
	return PortalAccess{URL: m.portalURL + "#token=" + token, Token: token}, nil
}

// ExpirePortalTokens takes back every token that was made for an application until now.
func (m *Manager) ExpirePortalTokens(ctx context.Context, c Caller, app string, in PortalExpireIn) error {
	if err := c.permit(opPortalExpire); err != nil {
		return err
	}
	var v check
	if in.Expiry.Value != 0 {
		v.wrong("tokens end at once: only 0 is possible", "body", "expiry")
	}
	if len(in.SessionIDs.Value) > 0 {
		v.wrong("tokens cannot be told apart by session: leave it out to end all", "body", "sessionIds")
	}
	if err := v.err(); err != nil {
		return err
	}
	a, err := m.findApp(ctx, &c, app)
	if err != nil {
		return err
	}
	_, err = m.store.UpdateApplication(ctx, c.EnvironmentID, string(a.ID), func(a *hark.Application) error {
		a.TokensNotBefore = moment()
		return nil
	})
	if err != nil {
		return err
	}
	m.tokens.Forget()
	m.audit(ctx, &c, opPortalExpire, slog.String("app", string(a.ID)))
	return nil
}

func (v *check) capabilities(in PortalIn) auth.Capabilities {
	if in.ReadOnly.Value {
		return auth.ViewBase
	}
	if !in.Capabilities.Given() {
		return auth.AllCapabilities
	}
	all := auth.ViewBase
	for i, name := range in.Capabilities.Value {
		one, ok := auth.ParseCapability(name)
		if !ok {
			v.wrong("there is no such capability", "body", "capabilities", fmt.Sprint(i))
		}
		all |= one
	}
	return all
}
