package manage

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// Bounds of rotation.
const (
	maxOldSecrets    = 10
	defaultGrace     = 24 * 60 * 60
	maxGrace         = 7 * 24 * 60 * 60
	ed25519Signature = "v1a"
)

// secret checks a secret that was given, or makes one.
func (v *check) secret(in Opt[string], loc ...string) hark.SecretKey {
	if !in.Given() {
		return hark.SecretKey(webhook.GenerateKey().Text())
	}
	key, err := webhook.ParseKey(in.Value)
	switch {
	case err != nil:
		v.wrong("must be whsec_ and base64 of 24 to 75 bytes, or whsk_ and base64 of an ed25519 key", loc...)
		return ""
	case !key.CanSign():
		v.wrong("is a public key, which cannot sign", loc...)
		return ""
	}
	return hark.SecretKey(key.Text())
}

func newSecret(now time.Time) hark.Secret {
	return hark.Secret{Key: hark.SecretKey(webhook.GenerateKey().Text()), CreatedAt: now}
}

// EndpointSecret answers what receivers verify with: the current secret, or the public key of an
// ed25519 pair. It is a reveal, and leaves a line in the audit log.
func (m *Manager) EndpointSecret(ctx context.Context, c Caller, app, endpoint string) (string, error) {
	a, ep, err := m.appEndpoint(ctx, &c, opSecretGet, app, endpoint)
	if err != nil {
		return "", err
	}
	if len(ep.Secrets) == 0 {
		return "", hark.ErrNotFound
	}
	key, err := webhook.ParseKey(ep.Secrets[0].Key.Reveal())
	if err != nil {
		return "", err
	}
	m.auditEndpoint(ctx, &c, opSecretGet, a, ep.ID)
	return key.Public(), nil
}

// RotateEndpointSecret gives an endpoint a new secret, of the same kind when it is made here. The
// old one signs as well while the grace period lasts.
func (m *Manager) RotateEndpointSecret(ctx context.Context, c Caller, app, endpoint string, in RotateIn) error {
	a, ep, err := m.appEndpoint(ctx, &c, opSecretRotate, app, endpoint)
	if err != nil {
		return err
	}
	var v check
	v.between(in.GracePeriodSeconds, 0, maxGrace, "body", "gracePeriodSeconds")
	fresh := v.secret(in.Key, "body", "key")
	if err := v.err(); err != nil {
		return err
	}
	if !in.Key.Given() && len(ep.Secrets) > 0 {
		if old, err := webhook.ParseKey(ep.Secrets[0].Key.Reveal()); err == nil && old.Version() == ed25519Signature {
			fresh = hark.SecretKey(webhook.GenerateSigningKeyPair().Text())
		}
	}
	grace := time.Duration(defaultGrace) * time.Second
	if in.GracePeriodSeconds.Given() {
		grace = time.Duration(in.GracePeriodSeconds.Value) * time.Second
	}
	now := moment()
	row, err := m.store.UpdateEndpoint(ctx, a.Ref, string(ep.ID), func(e *hark.Endpoint) error {
		e.Secrets = rotated(e.Secrets, fresh, now, grace)
		if len(e.Secrets)-1 > maxOldSecrets {
			return hark.Errorf(hark.LimitReached, "At most %d old secrets can be in their grace period.", maxOldSecrets)
		}
		e.UpdatedAt = now
		return nil
	})
	if err != nil {
		return err
	}
	m.changed(a.Ref, row.Ref)
	m.auditEndpoint(ctx, &c, opSecretRotate, a, ep.ID)
	return nil
}

// rotated is the list of secrets after a rotation: the fresh one, then the old ones that live on.
func rotated(old []hark.Secret, fresh hark.SecretKey, now time.Time, grace time.Duration) []hark.Secret {
	secrets := []hark.Secret{{Key: fresh, CreatedAt: now}}
	for _, s := range old {
		if s.ExpiresAt.IsZero() {
			s.ExpiresAt = now.Add(grace)
		}
		if s.ExpiresAt.After(now) && s.Key != fresh {
			secrets = append(secrets, s)
		}
	}
	return secrets
}
