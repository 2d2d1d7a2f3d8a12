package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// Deliveries that are made only once have keys among those of messages. They are taken when all else
// is decided about the group, all of them at once and in their order.

// uniqueKey is the key of a delivery, with the message that wants it.
type uniqueKey struct {
	*store.UniqueDelivery
	a *acceptance
}

// claimUnique decides which of the accepted messages' deliveries are made.
func (w *writer) claimUnique(ctx context.Context) error {
	var wanted []uniqueKey
	hashes := &column{oid: oidByte}
	for _, a := range w.group.accept {
		if a.Outcome != store.Accepted {
			continue
		}
		for i := range a.Unique {
			wanted = append(wanted, uniqueKey{&a.Unique[i], a})
			hashes.bytes(a.Unique[i].Hash[:])
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	r, err := w.question(ctx, "find keys", hashes.param())
	if err != nil {
		return err
	}
	known := make(map[[32]byte]usedKey, len(r.Rows))
	for _, row := range r.Rows {
		known[[32]byte(row[0])] = usedKey{message: messageID(row[2]), expiresAt: wireInt(row[3])}
	}
	// Earlier messages of the group count for later ones.
	taken := make(map[[32]byte]uniqueKey)
	for _, u := range wanted {
		k, ok := known[u.Hash]
		if ok && k.expiresAt > row.Millis(u.a.Message.CreatedAt) {
			u.Existing = k.message
			continue
		}
		known[u.Hash] = usedKey{message: u.a.Message.ID, expiresAt: row.Millis(u.ExpiresAt)}
		taken[u.Hash] = u
	}
	if err := w.putUnique(ctx, taken); err != nil {
		return err
	}
	for _, u := range wanted {
		if u.a.matched, err = row.MatchedOf(u.a.Acceptance); err != nil {
			return err
		}
	}
	return nil
}

// putUnique takes keys. Where another transaction has taken one since they were looked for, the group
// is tried again, and finds it.
func (w *writer) putUnique(ctx context.Context, taken map[[32]byte]uniqueKey) error {
	if len(taken) == 0 {
		return nil
	}
	keys := make([]uniqueKey, 0, len(taken))
	for _, u := range taken {
		keys = append(keys, u)
	}
	slices.SortFunc(keys, func(a, b uniqueKey) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	hashes, prints, ids, ends := &column{oid: oidByte}, &column{oid: oidByte}, &column{oid: oidByte}, &column{oid: oidInt8}
	var none [32]byte
	var now int64
	for _, u := range keys {
		hashes.bytes(u.Hash[:])
		prints.bytes(none[:])
		ids.bytes(u.a.id[:])
		ends.int8(row.Millis(u.ExpiresAt))
		now = max(now, row.Millis(u.a.Message.CreatedAt))
	}
	r, err := w.question(ctx, "put keys", hashes.param(), prints.param(), ids.param(), ends.param(), wireParam(now))
	if err != nil {
		return err
	}
	if len(r.Rows) < len(keys) {
		return errAgain
	}
	return nil
}
