package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Event is one webhook that was verified and had not come before.
type Event struct {
	// Key is what duplicates are recognised by: the provider and its id of the event, together with the
	// body where the signature does not cover the id, or the body alone where there is no id.
	Key        string
	Provider   string
	ID         string // the provider's own, "" when it has none
	Type       string // what happened, in the provider's words
	Timestamp  time.Time
	ReceivedAt time.Time
	Header     http.Header
	Body       []byte // raw, as it was signed

	Attempt int // 1 when it is worked on for the first time
}

// newEvent makes an event of a request that was accepted.
func newEvent(provider string, r *Request, v Verdict, now time.Time) *Event {
	return &Event{
		Key: eventKey(provider, v, r.Body), Provider: provider, ID: v.ID, Type: v.Type, Timestamp: v.Timestamp,
		ReceivedAt: now, Header: r.Header, Body: r.Body,
	}
}

// eventKey never trusts an id that anybody could change: with a captured request and another id in an
// unsigned header, the event would count as a new one.
func eventKey(provider string, v Verdict, body []byte) string {
	if v.ID != "" && v.IDSigned {
		return provider + ":" + v.ID
	}
	sum := sha256.Sum256(body)
	return provider + ":" + v.ID + "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Decode reads the body of an event as JSON.
func Decode[T any](e *Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return v, fmt.Errorf("decode %s of %s: %w", e.Type, e.Provider, err)
	}
	return v, nil
}

// Store keeps events from their acceptance until their work is done, and their keys for some time after
// that. What Accept has returned nil for is kept as safely as the store keeps things: a Memory loses it
// with the process, a SQLStore does not.
//
//	Accept ─▶ waiting ─ Claim ─▶ being worked on ─┬─ Finish ─▶ done, its key is remembered
//	             ▲                    │           ├─ Retry ──▶ waiting
//	             └── the lease ends ──┘           └─ Fail ───▶ failed for good, kept with the reason
type Store interface {
	// Accept keeps an event; false if its key is known, whatever became of it. ErrFull says that it
	// cannot take more now.
	Accept(ctx context.Context, e *Event) (fresh bool, err error)
	// Claim takes up to limit events that are due, oldest first, each for one worker until the lease
	// ends; Attempt counts up. next is when another will be due, zero if none is known.
	Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) (events []*Event, next time.Time, err error)
	Finish(ctx context.Context, key string, now time.Time) error
	Retry(ctx context.Context, key string, due time.Time, reason string) error
	Fail(ctx context.Context, key string, now time.Time, reason string) error
}

// ErrFull is what a Store answers that holds as many events as it may. The Handler then answers 503,
// and the provider sends the event again.
var ErrFull = errors.New("webhook: too many events are waiting")
