package api

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// A POST with an idempotency-key takes effect once. Publishing hands the key to package manage, which
// decides inside the accepting transaction; every other POST is remembered by its answer, here:
//
//	reserve ─┬─ reserved ─▶ do it ─▶ 2xx? remember : release
//	         └─ taken ─┬─ other body ────▶ 422
//	                   ├─ answered ──────▶ the same answer
//	                   └─ being worked on ▶ wait a little, then 409
//
// The reservation is in the store, so that it counts on every node.
//
// Answers may hold secrets that are shown once, so they are kept encrypted under a key made from
// the caller's own token and idempotency key: only who repeats the request can read them.

const (
	idempotencyTTL  = 12 * time.Hour
	idempotencyWait = 5 * time.Second
	maxKeyBytes     = 1024
	// reservedFor is how long a key is taken by a request that was cut off by a crash. What takes a key
	// takes milliseconds.
	reservedFor  = 10 * time.Second
	reservedPoll = 20 * time.Millisecond
)

// keyText is the idempotency key of the request: quoted, as the draft standard has it, or bare.
func (c *call) keyText() (string, error) {
	values := c.r.Header["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	text := values[0]
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		text = text[1 : n-1]
	}
	if len(values) > 1 || len(text) > maxKeyBytes {
		return "", hark.InvalidField("give one key of at most 1024 characters", "header", "idempotency-key")
	}
	return text, nil
}

// idempotencyKey is the key under which the request is known to the store; nil when it has none.
func (c *call) idempotencyKey(body []byte) (*store.IdempotencyKey, error) {
	text, err := c.keyText()
	if text == "" || err != nil {
		return nil, err
	}
	return &store.IdempotencyKey{
		Hash:        c.digest("request", text),
		Fingerprint: sha256.Sum256(body),
		ExpiresAt:   c.began.Add(idempotencyTTL),
	}, nil
}

// digest hashes the caller's token, the key and the address, each with its length, for one purpose.
func (c *call) digest(purpose, key string) [32]byte {
	b := make([]byte, 0, 512)
	for _, part := range [...]string{purpose, c.r.Header.Get("Authorization"), key, c.r.Method, c.r.RequestURI} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// onceOnly runs an operation that is not idempotent by itself.
func (c *call) onceOnly() error {
	text, err := c.keyText()
	if err != nil {
		return err
	}
	if text == "" {
		return c.op.serve(c)
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(body)
	if err != nil {
		return err
	}
	answer, err := c.reserve(key)
	switch {
	case err != nil:
		return err
	case answer != nil:
		return c.repeat(*answer, key, text)
	}
	// What has happened has happened: that the caller has gone does not make it any less worth remembering.
	ctx := context.WithoutCancel(c.r.Context())
	remembered := false
	defer func() {
		if !remembered {
			c.release(ctx, key)
		}
	}()
	if err := c.op.serve(c); err != nil || c.status/100 != 2 {
		return err
	}
	remembered = true // a reservation that could not be replaced must stand: it has happened
	wait, cancel := context.WithTimeout(ctx, idempotencyWait)
	defer cancel()
	if err := c.api.Guards.Remember(wait, store.Answer{Key: *key, Status: c.status, Body: c.seal(text)}, c.began); err != nil {
		c.api.log.LogAttrs(ctx, slog.LevelWarn, "answer not remembered", slog.String("operation", c.op.id),
			slog.String("request", c.requestID()), slog.Any("err", err))
	}
	return nil
}

// reserve takes the key for this request, or answers what was answered to an earlier one. It waits while
// another request with the key is being worked on, and gives up with InProgress.
func (c *call) reserve(key *store.IdempotencyKey) (*store.Answer, error) {
	ctx := c.r.Context()
	reservation := *key
	giveUp := c.began.Add(idempotencyWait)
	for now := c.began; ; now = time.Now() {
		reservation.ExpiresAt = now.Add(reservedFor)
		if reserved, err := c.api.Guards.Reserve(ctx, reservation, now); reserved || err != nil {
			return nil, err
		}
		answer, err := c.api.Guards.Recall(ctx, key.Hash, now)
		switch {
		case errors.Is(err, hark.ErrNotFound): // it is free again
			continue
		case err != nil:
			return nil, err
		case answer.Status != 0 || answer.Key.Fingerprint != key.Fingerprint:
			return &answer, nil
		case !now.Before(giveUp):
			return nil, hark.Errorf(hark.InProgress, "a request with this idempotency key is still being worked on")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(reservedPoll):
		}
	}
}

// release frees the key of a request that has changed nothing.
func (c *call) release(ctx context.Context, key *store.IdempotencyKey) {
	ctx, cancel := context.WithTimeout(ctx, idempotencyWait)
	defer cancel()
	if err := c.api.Guards.Release(ctx, key.Hash); err != nil {
		c.api.log.LogAttrs(ctx, slog.LevelWarn, "idempotency key not freed", slog.String("operation", c.op.id),
			slog.String("request", c.requestID()), slog.Any("err", err))
	}
}

// repeat gives the remembered answer again.
func (c *call) repeat(answer store.Answer, key *store.IdempotencyKey, text string) error {
	if answer.Key.Fingerprint != key.Fingerprint {
		msg := "the key was used before for another request"
		return &hark.Error{Code: hark.Invalid, Detail: msg, Fields: []hark.FieldError{
			{Loc: []string{"header", "idempotency-key"}, Msg: msg, Type: "idempotency_key_reused"}}}
	}
	body, err := c.unseal(text, answer.Body)
	if err != nil {
		return err
	}
	c.status = answer.Status
	c.out.Write(body)
	return nil
}

// box encrypts for the holder of the caller's token and key.
func (c *call) box(key string) (cipher.AEAD, error) {
	secret := c.digest("answer", key)
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (c *call) seal(key string) []byte {
	box, err := c.box(key)
	if err != nil {
		panic(err) // only a key of a wrong length fails
	}
	return box.Seal(nil, nil, c.out.Bytes(), nil)
}

func (c *call) unseal(key string, sealed []byte) ([]byte, error) {
	box, err := c.box(key)
	if err != nil {
		return nil, err
	}
	return box.Open(nil, nil, sealed, nil)
}
