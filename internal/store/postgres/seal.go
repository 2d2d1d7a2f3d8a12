package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/harkhq/hark"
)

// The first byte of a sealed column says how to read the rest.
const (
	plainMark  = 0
	sealedMark = 1
)

// storedSecret is hark.Secret with its text in the open: hark's own type hides it from encoders.
type storedSecret struct {
	Key       string    `json:"key"`
	CreatedAt time.Time `json:"created"`
	ExpiresAt time.Time `json:"expires,omitzero"`
}

// seal answers the two columns of an endpoint that nobody may read at rest.
func (s *Store) seal(ep *hark.Endpoint) (headers, secrets []byte) {
	if ep.Headers != nil {
		headers = s.closeColumn(ep, "headers", mustJSON(ep.Headers))
	}
	if ep.Secrets != nil {
		stored := make([]storedSecret, len(ep.Secrets))
		for i, k := range ep.Secrets {
			stored[i] = storedSecret{k.Key.Reveal(), moment(millis(k.CreatedAt)), moment(millis(k.ExpiresAt))}
		}
		secrets = s.closeColumn(ep, "secrets", mustJSON(stored))
	}
	return headers, secrets
}

// unseal reads them back into the endpoint.
func (s *Store) unseal(ep *hark.Endpoint, headers, secrets []byte) error {
	if headers != nil {
		plain, err := s.openColumn(ep, "headers", headers)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(plain, &ep.Headers); err != nil {
			return fmt.Errorf("headers of %s: %w", ep.ID, err)
		}
	}
	if secrets != nil {
		plain, err := s.openColumn(ep, "secrets", secrets)
		if err != nil {
			return err
		}
		var stored []storedSecret
		if err := json.Unmarshal(plain, &stored); err != nil {
			return fmt.Errorf("secrets of %s: %w", ep.ID, errors.New("not readable")) // the cause would quote them
		}
		ep.Secrets = make([]hark.Secret, len(stored))
		for i, k := range stored {
			ep.Secrets[i] = hark.Secret{Key: hark.SecretKey(k.Key), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt}
		}
	}
	return nil
}

// place binds sealed bytes to their application, endpoint and column, so that rows cannot be
// swapped.
func place(ep *hark.Endpoint, column string) []byte {
	about := strconv.AppendInt([]byte("endpoint\x00"), ep.ApplicationRef, 10)
	return fmt.Appendf(about, "\x00%s\x00%s", ep.ID, column)
}

func (s *Store) closeColumn(ep *hark.Endpoint, column, plain string) []byte {
	if s.sealer == nil {
		return append([]byte{plainMark}, plain...)
	}
	return append([]byte{sealedMark}, s.sealer.Seal([]byte(plain), place(ep, column))...)
}

func (s *Store) openColumn(ep *hark.Endpoint, column string, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) == 0:
		return nil, fmt.Errorf("%s of %s: empty", column, ep.ID)
	case sealed[0] == plainMark:
		return sealed[1:], nil
	case s.sealer == nil:
		return nil, fmt.Errorf("%s of %s: sealed, and no master key was given", column, ep.ID)
	}
	plain, err := s.sealer.Open(sealed[1:], place(ep, column))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", column, ep.ID, err)
	}
	return plain, nil
}

const (
	sealedEndpointsSQL = endpointColumns + `WHERE ref > $1 ORDER BY ref LIMIT 100`

	resealSQL = `UPDATE endpoint SET headers = $1, secrets = $2 WHERE ref = $3`
)

// Reseal seals everything again, with the newest key; it answers how many endpoints it went
// through. It can be interrupted and repeated.
func (s *Store) Reseal(ctx context.Context) (n int, err error) {
	var last hark.Ref
	for more := true; more; {
		if err := s.change(ctx, func(c *conn) error {
			if _, err := next(c, "change"); err != nil { // no other change meanwhile
				return err
			}
			eps, err := collect(c, s.scanEndpoint, sealedEndpointsSQL, last)
			more = len(eps) > 0
			if err != nil {
				return err
			}
			for i := range eps {
				headers, secrets := s.seal(&eps[i])
				if _, err := c.exec(resealSQL, headers, secrets, eps[i].Ref); err != nil {
					return err
				}
				last = eps[i].Ref
			}
			n += len(eps)
			return nil
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}
