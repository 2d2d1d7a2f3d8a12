package ingest

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// byHandWindow is how long a request that was accepted by hand cannot become another message: as long
// as requests may be kept.
const byHandWindow = 10 * 365 * 24 * time.Hour

// AcceptByHand makes a message of a request that was rejected, or was a duplicate, because a person
// says so. Doing it twice makes one message. It answers the message's id.
func (in *Ingest) AcceptByHand(ctx context.Context, q *hark.Request, app *directory.Application, now time.Time) (hark.MessageID, error) {
	fresh := *q
	fresh.ReceivedAt = now.UTC().Truncate(time.Millisecond)
	p := &directory.Parcel{ByHand: true, Acceptance: store.Acceptance{
		Message: newMessage(&fresh, q.Head, q.Body),
		Key:     &store.IdempotencyKey{Hash: sha256.Sum256([]byte("hark by hand\x00" + string(q.ID))), ExpiresAt: now.Add(byHandWindow)},
	}}
	if _, err := in.Directory.Accept(ctx, in.Store, app, p); err != nil {
		return "", err
	}
	id := p.Message.ID
	if p.Outcome == store.Repeated {
		id = p.Existing
	}
	return id, in.Store.AdoptRequest(ctx, q.SourceRef, q.ID, id)
}
