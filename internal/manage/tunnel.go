package manage

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/tunnel"
	"github.com/harkhq/hark/webhook"
)

// ConsumerSecret answers what a consumer's requests are signed with when somebody listens to it. It is a
// reveal, and leaves a line in the audit log.
func (m *Manager) ConsumerSecret(ctx context.Context, c Caller, app, consumer string) (string, error) {
	a, ep, err := m.signingConsumer(ctx, &c, opConsumerSecret, app, consumer)
	if err != nil {
		return "", err
	}
	key, err := webhook.ParseKey(ep.Secrets[0].Key.Reveal())
	if err != nil {
		return "", err
	}
	m.auditEndpoint(ctx, &c, opConsumerSecret, a, ep.ID)
	return key.Public(), nil
}

// signingConsumer finds a consumer, and gives it a secret if it was made when consumers had none.
func (m *Manager) signingConsumer(ctx context.Context, c *Caller, op operation, app, consumer string) (*directory.Application, hark.Endpoint, error) {
	a, ep, err := m.appConsumer(ctx, c, op, app, consumer)
	if err != nil {
		return nil, hark.Endpoint{}, err
	}
	if len(ep.Secrets) > 0 {
		return a, ep.Endpoint, nil
	}
	fresh := newSecret(moment())
	row, err := m.updateEndpoint(ctx, c, op, a, ep.ID, func(_ *check, e *hark.Endpoint) {
		if len(e.Secrets) == 0 {
			e.Secrets = []hark.Secret{fresh}
		}
	})
	return a, row, err
}

// OpenTunnel says who listens to a consumer. That it still may is asked again as long as the tunnel lasts.
func (m *Manager) OpenTunnel(ctx context.Context, c Caller, app, consumer string) (tunnel.Listener, error) {
	a, ep, err := m.signingConsumer(ctx, &c, opConsumerListen, app, consumer)
	if err != nil {
		return tunnel.Listener{}, err
	}
	return tunnel.Listener{
		ApplicationRef: a.Ref, ApplicationID: a.ID, ConsumerRef: ep.Ref, ConsumerID: ep.ID,
		Endpoint: func(ctx context.Context) (*directory.Endpoint, error) {
			_, now, err := m.appConsumer(ctx, &c, opConsumerListen, string(a.ID), string(ep.ID))
			return now, err
		},
		Find: func(ctx context.Context, from string) (int64, error) { return m.find(ctx, ep.Ref, from) },
		Message: func(ctx context.Context, id string) (hark.Message, error) {
			return m.store.Message(ctx, a.Ref, id, false)
		},
	}, nil
}
