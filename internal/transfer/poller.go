package transfer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

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

func pollerPlace(application int64, id string) []byte {
	return fmt.Appendf(nil, "export\x00poller\x00%d\x00%s", application, id)
}

func shapePoller(p *hark.Poller, sealer store.Sealer) (*pollerShape, error) {
	plain, err := marshal(&pollerSecretsShape{p.Headers, p.Secret.Reveal()})
	if err != nil {
		return nil, err
	}
	return &pollerShape{
		Number: p.Ref, Application: p.ApplicationRef, ID: string(p.ID), UID: p.UID, Settings: p.PollerSettings,
		Sealed: sealer.Seal(plain, pollerPlace(p.ApplicationRef, string(p.ID))), State: p.State, Revision: p.Revision,
		Due: millis(p.Due), Paused: p.Paused, CreatedAt: millis(p.CreatedAt), UpdatedAt: millis(p.UpdatedAt),
	}, nil
}

func (s *pollerShape) restore(sealer store.Sealer) (*hark.Poller, error) {
	plain, err := sealer.Open(s.Sealed, pollerPlace(s.Application, s.ID))
	if err != nil {
		return nil, fmt.Errorf("the secrets of %s: %w", s.ID, err)
	}
	var hidden pollerSecretsShape
	if json.Unmarshal(plain, &hidden) != nil {
		return nil, fmt.Errorf("the secrets of %s: %w", s.ID, errors.New("not readable")) // the cause would quote them
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
