package transfer

import (
	"encoding/hex"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

type pollerShape struct {
	Number      int64               `json:"number"`
	Application int64               `json:"application"`
	ID          string              `json:"id"`
	UID         string              `json:"uid,omitempty"`
	Settings    hark.PollerSettings `json:"settings"`
	Sealed      []byte              `json:"sealed"` // pollerSecretsShape
	State       hark.PollerState    `json:"state"`
	Revision    int64               `json:"revision"`
	Due         int64               `json:"due,omitempty"`
	Paused      bool                `json:"paused,omitempty"`
	CreatedAt   int64               `json:"createdAt,omitempty"`
	UpdatedAt   int64               `json:"updatedAt,omitempty"`
}

// pollerSecretsShape is what stands sealed in a poller.
type pollerSecretsShape struct {
	Headers pairs  `json:"headers,omitzero"`
	Secret  string `json:"secret,omitempty"`
}

func shapePoller(p *hark.Poller, sealer store.Sealer) (*pollerShape, error) {
	sealed, err := sealSecrets(sealer, "poller", p.ApplicationRef, string(p.ID), &pollerSecretsShape{p.Headers, p.Secret.Reveal()})
	if err != nil {
		return nil, err
	}
	return &pollerShape{
		Number: p.Ref, Application: p.ApplicationRef, ID: string(p.ID), UID: p.UID, Settings: p.PollerSettings,
		Sealed: sealed, State: p.State, Revision: p.Revision,
		Due: millis(p.Due), Paused: p.Paused, CreatedAt: millis(p.CreatedAt), UpdatedAt: millis(p.UpdatedAt),
	}, nil
}

func (s *pollerShape) restore(sealer store.Sealer) (*hark.Poller, error) {
	var hidden pollerSecretsShape
	if err := openSecrets(sealer, s.Sealed, "poller", s.Application, s.ID, &hidden); err != nil {
		return nil, err
	}
	return &hark.Poller{
		Ref: s.Number, ApplicationRef: s.Application, ID: hark.PollerID(s.ID), UID: s.UID, PollerSettings: s.Settings,
		Headers: hidden.Headers, Secret: hark.SecretKey(hidden.Secret), State: s.State, Revision: s.Revision,
		Due: moment(s.Due), Paused: s.Paused, CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
	}, nil
}

type itemsShape struct {
	Poller int64       `json:"poller"`
	Items  []itemShape `json:"items"`
}

type itemShape struct {
	Item    string `json:"item"`
	Content string `json:"content"`
	Version int64  `json:"version"`
	SeenAt  int64  `json:"seenAt,omitempty"`
}

func shapeItems(m *store.MovedItems) *itemsShape {
	s := &itemsShape{Poller: m.PollerRef, Items: make([]itemShape, len(m.Items))}
	for i := range m.Items {
		it := &m.Items[i]
		s.Items[i] = itemShape{hex.EncodeToString(it.Item[:]), hex.EncodeToString(it.Content[:]), it.Version, millis(it.SeenAt)}
	}
	return s
}

func (s *itemsShape) restore() (*store.MovedItems, error) {
	m := &store.MovedItems{PollerRef: s.Poller, Items: make([]store.PollerItem, len(s.Items))}
	for i, it := range s.Items {
		item, err := parseHash(it.Item)
		if err != nil {
			return nil, err
		}
		content, err := parseHash(it.Content)
		if err != nil {
			return nil, err
		}
		m.Items[i] = store.PollerItem{Item: item, Content: content, Version: it.Version, SeenAt: moment(it.SeenAt)}
	}
	return m, nil
}
