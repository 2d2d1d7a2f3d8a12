package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// pollerSecrets is what of a poller nobody may read at rest, as JSON.
type pollerSecrets struct {
	Headers map[string]string `json:"headers"`
	Secret  string            `json:"secret"`
}

// ClosePoller answers a poller's three columns of JSON: its settings, what is sealed, and its state.
func (s Seal) ClosePoller(p *hark.Poller) (settings string, sealed []byte, state string) {
	secret := pollerSecrets{Headers: p.Headers, Secret: p.Secret.Reveal()}
	return MustJSON(p.PollerSettings), s.close(placeOfPoller(p), MustJSON(secret)), MustJSON(p.State)
}

func placeOfPoller(p *hark.Poller) []byte {
	about := strconv.AppendInt([]byte("poller\x00"), p.ApplicationRef, 10)
	return fmt.Appendf(about, "\x00%s", p.ID)
}

// ScanPoller reads ref, environment, id, application, the application's id, uid, settings, sealed, state,
// revision, due, paused, created_at, updated_at.
func (s Seal) ScanPoller(r Row) (hark.Poller, error) {
	p := hark.Poller{
		Ref: r.Int(0), EnvironmentID: hark.EnvironmentID(r.Text(1)), ID: hark.PollerID(r.Text(2)), ApplicationRef: r.Int(3),
		ApplicationID: hark.ApplicationID(r.Text(4)), UID: r.Text(5), Revision: r.Int(9), Due: r.Time(10), Paused: r.Bool(11),
		CreatedAt: r.Time(12), UpdatedAt: r.Time(13),
	}
	if err := errors.Join(r.Decode(6, &p.PollerSettings), r.Decode(8, &p.State)); err != nil {
		return p, err
	}
	plain, err := s.open(placeOfPoller(&p), r.Blob(7))
	if err != nil {
		return p, fmt.Errorf("secrets of %s: %w", p.ID, err)
	}
	var secret pollerSecrets
	if json.Unmarshal(plain, &secret) != nil {
		return p, fmt.Errorf("secrets of %s: %w", p.ID, errors.New("not readable")) // the cause would quote them
	}
	p.Headers, p.Secret = secret.Headers, hark.SecretKey(secret.Secret)
	return p, nil
}

// ScanDuePoller reads ref, application, due.
func ScanDuePoller(r Row) (store.DuePoller, error) {
	return store.DuePoller{Ref: r.Int(0), ApplicationRef: r.Int(1), Due: r.Time(2)}, nil
}

// ScanPollerItem reads item, content, version, seen_at.
func ScanPollerItem(r Row) (store.PollerItem, error) {
	item := store.PollerItem{Version: r.Int(2), SeenAt: r.Time(3)}
	copy(item.Item[:], r.Blob(0))
	copy(item.Content[:], r.Blob(1))
	return item, nil
}
