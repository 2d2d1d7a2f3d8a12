package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// The first byte of a sealed column says how to read the rest.
const (
	plainMark  = 0
	sealedMark = 1
)

// Seal closes and opens the columns of endpoints and sources that nobody may read at rest. Without a
// Sealer they are kept as they are.
type Seal struct{ Sealer store.Sealer }

// storedSecret is hark.Secret with its text in the open: hark's own type hides it from encoders.
type storedSecret struct {
	Key       string    `json:"key"`
	CreatedAt time.Time `json:"created"`
	ExpiresAt time.Time `json:"expires,omitzero"`
}

func revealed(secrets []hark.Secret) []storedSecret {
	if secrets == nil {
		return nil
	}
	stored := make([]storedSecret, len(secrets))
	for i, k := range secrets {
		stored[i] = storedSecret{k.Key.Reveal(), Moment(Millis(k.CreatedAt)), Moment(Millis(k.ExpiresAt))}
	}
	return stored
}

func hidden(stored []storedSecret) []hark.Secret {
	if stored == nil {
		return nil
	}
	secrets := make([]hark.Secret, len(stored))
	for i, k := range stored {
		secrets[i] = hark.Secret{Key: hark.SecretKey(k.Key), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt}
	}
	return secrets
}

// Close answers the two columns.
func (s Seal) Close(ep *hark.Endpoint) (headers, secrets []byte) {
	if ep.Headers != nil {
		headers = s.closeColumn(ep, "headers", MustJSON(ep.Headers))
	}
	if ep.Secrets != nil {
		secrets = s.closeColumn(ep, "secrets", MustJSON(revealed(ep.Secrets)))
	}
	return headers, secrets
}

// Open reads them back into the endpoint.
func (s Seal) Open(ep *hark.Endpoint, headers, secrets []byte) error {
	if headers != nil {
		if err := s.openColumn(ep, "headers", headers, &ep.Headers); err != nil {
			return err
		}
	}
	if secrets != nil {
		var stored []storedSecret
		if err := s.openColumn(ep, "secrets", secrets, &stored); err != nil {
			return err
		}
		ep.Secrets = hidden(stored)
	}
	return nil
}

// place binds sealed bytes to their application, endpoint and column, so that rows cannot be
// swapped.
func place(ep *hark.Endpoint, column string) []byte {
	about := strconv.AppendInt([]byte("endpoint\x00"), ep.ApplicationRef, 10)
	return fmt.Appendf(about, "\x00%s\x00%s", ep.ID, column)
}

func (s Seal) closeColumn(ep *hark.Endpoint, column, plain string) []byte {
	return s.close(place(ep, column), plain)
}

func (s Seal) openColumn(ep *hark.Endpoint, column string, sealed []byte, into any) error {
	if err := s.openInto(place(ep, column), sealed, into); err != nil {
		return fmt.Errorf("%s of %s: %w", column, ep.ID, err)
	}
	return nil
}

func (s Seal) close(about []byte, plain string) []byte {
	if s.Sealer == nil {
		return append([]byte{plainMark}, plain...)
	}
	return append([]byte{sealedMark}, s.Sealer.Seal([]byte(plain), about)...)
}

// openInto reads the JSON that was closed.
func (s Seal) openInto(about, sealed []byte, into any) error {
	plain, err := s.open(about, sealed)
	if err != nil {
		return err
	}
	if json.Unmarshal(plain, into) != nil {
		return errors.New("not readable") // the cause would quote it
	}
	return nil
}

func (s Seal) open(about, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) == 0:
		return nil, errors.New("empty")
	case sealed[0] == plainMark:
		return sealed[1:], nil
	case s.Sealer == nil:
		return nil, errors.New("sealed, and no master key was given")
	}
	return s.Sealer.Open(sealed[1:], about)
}
