package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// A message whose event id or idempotency key came before is not kept. That is decided by unique
// keys inside the accepting transaction: who inserts the key first is the one, and others wait for
// its commit. Keys are inserted in their order, so that transactions which share some do not wait
// for each other in a circle.

const (
	findMessageKeysSQL = `SELECT hash, fingerprint, message, expires_at FROM message_key WHERE hash = ANY ($1::bytea[])`

	// What is left out by the condition is an unexpired key.
	putMessageKeysSQL = `INSERT INTO message_key (hash, fingerprint, message, expires_at)
SELECT k.hash, k.fingerprint, k.message, k.expires_at
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS k (hash, fingerprint, message, expires_at)
ON CONFLICT (hash) DO UPDATE SET fingerprint = excluded.fingerprint, message = excluded.message, expires_at = excluded.expires_at
WHERE message_key.expires_at <= $5
RETURNING hash`

	insertEventIDsSQL = `INSERT INTO event_id (application, event_id, message)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING message`

	findEventIDsSQL = `SELECT e.application, e.event_id, m.id
FROM unnest($1::bigint[], $2::text[]) AS v (application, event_id)
JOIN event_id AS e ON e.application = v.application AND e.event_id = v.event_id
LEFT JOIN message AS m ON m.ref = e.message`

	deleteEventIDsSQL = `DELETE FROM event_id WHERE message = ANY ($1::bigint[])`
)

// event names a caller's own id.
type event struct {
	app hark.Ref
	id  string
}

// usedKey is an idempotency key that stands.
type usedKey struct {
	fingerprint [32]byte
	message     hark.MessageID
	expiresAt   int64
}

// guards are what is known inside a transaction.
type guards struct {
	keys   map[[32]byte]usedKey
	events map[event]hark.MessageID
}

// guard decides which of the group's messages came before.
func (w *writer) guard(ctx context.Context) error {
	var pending []*acceptance
	for _, a := range w.group.accept {
		if a.Outcome == store.Accepted && (a.Key != nil || a.Message.EventID != "") {
			pending = append(pending, a)
		}
	}
	known := guards{keys: make(map[[32]byte]usedKey), events: make(map[event]hark.MessageID)}
	// Messages that share a key are decided one after the other, because what becomes of the
	// first says what becomes of the next. In all other cases this is one round.
	for len(pending) > 0 {
		var round []*acceptance
		round, pending = known.round(pending)
		if err := w.decide(ctx, &known, round); err != nil {
			return err
		}
	}
	return w.claimUnique(ctx)
}

// round decides what can be told from what is known, and takes those that do not depend on each
// other; the rest waits for the next round.
func (g *guards) round(pending []*acceptance) (round, rest []*acceptance) {
	keys, events := make(map[[32]byte]bool), make(map[event]bool)
	for _, a := range pending {
		e := event{a.Message.ApplicationRef, a.Message.EventID}
		if a.Key != nil && keys[a.Key.Hash] || e.id != "" && events[e] {
			rest = append(rest, a)
		} else if g.stands(a) {
			continue
		} else {
			round = append(round, a)
		}
		if a.Key != nil {
			keys[a.Key.Hash] = true
		}
		if e.id != "" {
			events[e] = true
		}
	}
	return round, rest
}

// stands says whether a known guard stands against a message, and sets its outcome.
func (g *guards) stands(a *acceptance) bool {
	if a.Key != nil {
		if k, ok := g.keys[a.Key.Hash]; ok && k.expiresAt > row.Millis(a.Message.CreatedAt) {
			a.Outcome = store.KeyReused
			if k.fingerprint == a.Key.Fingerprint {
				a.Outcome, a.Existing = store.Repeated, k.message
			}
			return true
		}
	}
	if a.Message.EventID == "" {
		return false
	}
	id, ok := g.events[event{a.Message.ApplicationRef, a.Message.EventID}]
	if ok {
		a.Outcome, a.Existing = store.DuplicateEvent, id
	}
	return ok
}

// decide asks the database about messages that do not depend on each other.
func (w *writer) decide(ctx context.Context, known *guards, round []*acceptance) error {
	if !slices.ContainsFunc(round, func(a *acceptance) bool { return a.Message.EventID != "" }) {
		return w.decideKeys(ctx, known, round)
	}
	if err := w.findKeys(ctx, known, round); err != nil {
		return err
	}
	round = slices.DeleteFunc(round, known.stands)
	if err := w.claimEvents(ctx, known, round); err != nil {
		return err
	}
	round = slices.DeleteFunc(round, func(a *acceptance) bool { return a.Outcome != store.Accepted })
	if err := w.claimKeys(ctx, known, round); err != nil {
		return err
	}
	for _, a := range round {
		if a.Outcome == store.Accepted && a.Message.EventID != "" {
			known.events[event{a.Message.ApplicationRef, a.Message.EventID}] = a.Message.ID
		}
	}
	return nil
}

// decideKeys is decide for messages without event ids. Nearly every key is new, so all are taken without
// looking first, and only those that stand are looked at.
func (w *writer) decideKeys(ctx context.Context, known *guards, round []*acceptance) error {
	taken, err := w.putKeys(ctx, known, round)
	if err != nil || len(taken) == 0 {
		return err
	}
	if err := w.findKeys(ctx, known, taken); err != nil {
		return err
	}
	for _, a := range taken {
		if !known.stands(a) {
			return errAgain // it was there, and is gone already
		}
	}
	return nil
}

// question runs one statement inside the transaction.
func (w *writer) question(ctx context.Context, statement string, params ...[]byte) (*pgconn.Result, error) {
	b := w.batch()
	b.add(statement, params...)
	results, err := b.send(ctx)
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

func (w *writer) findKeys(ctx context.Context, known *guards, round []*acceptance) error {
	hashes := &column{oid: oidByte}
	for _, a := range round {
		if a.Key != nil {
			hashes.bytes(a.Key.Hash[:])
		}
	}
	if hashes.n == 0 {
		return nil
	}
	r, err := w.question(ctx, "find keys", hashes.param())
	if err != nil {
		return err
	}
	for _, row := range r.Rows {
		k := usedKey{fingerprint: [32]byte(row[1]), message: messageID(row[2]), expiresAt: wireInt(row[3])}
		known.keys[[32]byte(row[0])] = k
	}
	return nil
}

func messageID(id []byte) hark.MessageID {
	var k hark.KSUID
	copy(k[:], id)
	return hark.MessageID(k.Format(hark.MessagePrefix))
}

// claimEvents takes the messages' event ids, and finds whose those are that were taken.
func (w *writer) claimEvents(ctx context.Context, known *guards, round []*acceptance) error {
	var with []*acceptance
	for _, a := range round {
		if a.Message.EventID != "" {
			with = append(with, a)
		}
	}
	if len(with) == 0 {
		return nil
	}
	slices.SortFunc(with, func(a, b *acceptance) int {
		return cmp.Or(cmp.Compare(a.Message.ApplicationRef, b.Message.ApplicationRef), cmp.Compare(a.Message.EventID, b.Message.EventID))
	})
	apps, ids, refs := &column{oid: oidInt8}, &column{oid: oidText}, &column{oid: oidInt8}
	for _, a := range with {
		apps.int8(a.Message.ApplicationRef)
		ids.text(a.Message.EventID)
		refs.int8(a.ref)
	}
	r, err := w.question(ctx, "insert event ids", apps.param(), ids.param(), refs.param())
	if err != nil || len(r.Rows) == len(with) {
		return err
	}
	claimed := make(map[hark.Ref]bool, len(r.Rows))
	for _, row := range r.Rows {
		claimed[wireInt(row[0])] = true
	}
	if r, err = w.question(ctx, "find event ids", apps.param(), ids.param()); err != nil {
		return err
	}
	for _, row := range r.Rows {
		if row[2] != nil { // else it is this transaction's, and not written yet
			known.events[event{wireInt(row[0]), string(row[1])}] = messageID(row[2])
		}
	}
	for _, a := range with {
		if !claimed[a.ref] && !known.stands(a) {
			return errAgain // it was taken, and is gone already
		}
	}
	return nil
}

// claimKeys takes the messages' idempotency keys. One that another transaction took since they were
// looked for keeps its message out, whose event id is then free again.
func (w *writer) claimKeys(ctx context.Context, known *guards, round []*acceptance) error {
	taken, err := w.putKeys(ctx, known, round)
	if err == nil && len(taken) > 0 {
		return errAgain // the next look finds it
	}
	return err
}

// putKeys takes the messages' idempotency keys, and answers the messages whose keys stand already.
func (w *writer) putKeys(ctx context.Context, known *guards, round []*acceptance) (taken []*acceptance, err error) {
	var with []*acceptance
	for _, a := range round {
		if a.Key != nil {
			with = append(with, a)
		}
	}
	if len(with) == 0 {
		return nil, nil
	}
	slices.SortFunc(with, func(a, b *acceptance) int { return bytes.Compare(a.Key.Hash[:], b.Key.Hash[:]) })
	hashes, prints, ids, ends := &column{oid: oidByte}, &column{oid: oidByte}, &column{oid: oidByte}, &column{oid: oidInt8}
	now := row.Millis(with[0].Message.CreatedAt)
	for _, a := range with {
		hashes.bytes(a.Key.Hash[:])
		prints.bytes(a.Key.Fingerprint[:])
		ids.bytes(a.id[:])
		ends.int8(row.Millis(a.Key.ExpiresAt))
		now = max(now, row.Millis(a.Message.CreatedAt))
	}
	r, err := w.question(ctx, "put keys", hashes.param(), prints.param(), ids.param(), ends.param(), wireParam(now))
	if err != nil {
		return nil, err
	}
	claimed := make(map[[32]byte]bool, len(r.Rows))
	for _, row := range r.Rows {
		claimed[[32]byte(row[0])] = true
	}
	for _, a := range with {
		if claimed[a.Key.Hash] {
			known.keys[a.Key.Hash] = usedKey{a.Key.Fingerprint, a.Message.ID, row.Millis(a.Key.ExpiresAt)}
		} else {
			taken = append(taken, a)
		}
	}
	return taken, nil
}
