package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// acceptance is a store.Acceptance made ready for the writer.
type acceptance struct {
	*store.Acceptance
	id             hark.KSUID
	channels, tags any
	matched        []byte
	stray          []int    // deliveries that need a row in stray
	request        *request // nil: nobody's
}

// Accept keeps messages and queues their deliveries.
func (s *Store) Accept(ctx context.Context, accept []*store.Acceptance) error {
	if s.writer == nil {
		return errReadOnly
	}
	if len(accept) == 0 {
		return nil
	}
	op := &write{accept: make([]acceptance, len(accept)), items: len(accept)}
	for i, a := range accept {
		p, err := prepareAcceptance(a)
		if err != nil {
			return err
		}
		op.accept[i] = p
		op.bytes += len(a.Message.Payload) + len(a.Message.RawBody) + len(a.Message.Head) + 512
	}
	if err := s.writer.submit(ctx, op); err != nil {
		return err
	}
	row.KeepBack(accept)
	return nil
}

func prepareAcceptance(a *store.Acceptance) (acceptance, error) {
	m := &a.Message
	id, err := hark.ParseID(string(m.ID), hark.MessagePrefix)
	if err != nil {
		return acceptance{}, fmt.Errorf("accept message %q: %w", m.ID, err)
	}
	p := acceptance{Acceptance: a, id: id, channels: row.Encode(m.Channels), tags: row.Encode(m.Tags)}
	if p.matched, err = row.EncodeMatched(m.Matched, m.Duplicates); err != nil {
		return acceptance{}, err
	}
	if a.Request != nil {
		q, err := prepareRequest(a.Request)
		if err != nil {
			return acceptance{}, err
		}
		q.message = p.id[:]
		p.request = &q
	}
	due := firstDue(m)
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if d.Due != due || !slices.Contains(m.Matched, d.EndpointRef) {
			p.stray = append(p.stray, i)
		}
	}
	return p, nil
}

// firstDue is the due of a message's deliveries before anything was attempted.
func firstDue(m *hark.Message) int64 {
	if !m.DeliverAt.IsZero() {
		return row.Millis(m.DeliverAt)
	}
	return row.Millis(m.CreatedAt)
}

const (
	findMessageKeySQL = `SELECT fingerprint, message FROM message_key WHERE hash = ? AND expires_at > ?`

	// What is left out by the condition is an unexpired key.
	putMessageKeySQL = `INSERT INTO message_key (hash, fingerprint, message, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET fingerprint = excluded.fingerprint, message = excluded.message, expires_at = excluded.expires_at
WHERE expires_at <= ?`

	insertEventIDSQL = `INSERT INTO event_id (application, event_id, message) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

	findEventIDSQL = `SELECT message FROM event_id WHERE application = ? AND event_id = ?`

	messageIDSQL = `SELECT id FROM message WHERE ref = ?`

	insertMessageSQL = `INSERT OR ROLLBACK INTO message (ref, application, id, event_type, created_at, deliver_at, payload_expires_at, expunged, event_id, channels, tags, matched, listed) VALUES `

	insertPayloadSQL = `INSERT OR ROLLBACK INTO payload (message, body, raw, head) VALUES `

	insertPayloadExpirySQL = `INSERT INTO payload_expiry (expires_at, message) VALUES (?, ?)`

	insertQueueSQL = `INSERT OR IGNORE INTO queue (endpoint, due, message, retry_at, attempts, line, manual) VALUES `

	insertStraySQL = `INSERT OR IGNORE INTO stray (message, endpoint, due) VALUES (?, ?, ?)`
)

// accept adds one message to the transaction, unless a guard knows it already.
func (w *writer) accept(a *acceptance) error {
	m := &a.Message
	a.Outcome, a.Existing = store.Accepted, ""
	if stale, err := w.stale(a); err != nil || stale {
		return err
	}
	ref := w.nextMessage
	if guarded, err := w.guard(a, ref); err != nil || guarded {
		return err
	}
	matched := a.matched
	if len(a.Unique) > 0 {
		var err error
		if matched, err = w.claimUnique(a); err != nil {
			return err
		}
	}
	w.nextMessage++
	w.unlisted++
	w.accepted = append(w.accepted, a)
	m.Ref = ref
	term, err := w.term(m.EventType)
	if err != nil {
		return err
	}
	expunged := m.Payload == nil && m.RawBody == nil
	if err := w.messages.add(w.c, ref, m.ApplicationRef, a.id[:], term, row.Millis(m.CreatedAt), row.Millis(m.DeliverAt),
		row.Millis(m.PayloadExpiresAt), truth(expunged), row.Nullable(m.EventID), a.channels, a.tags, matched, int64(0)); err != nil {
		return err
	}
	if !expunged {
		if err := w.addPayload(m); err != nil {
			return err
		}
	}
	if a.request != nil {
		a.Request.MessageID = m.ID
		if err := w.addRequest(a.request); err != nil {
			return err
		}
	}
	for i := range a.Deliveries {
		if row.IsKeptBack(a.Acceptance, i) {
			continue
		}
		d := &a.Deliveries[i]
		d.MessageRef, d.ApplicationRef = ref, m.ApplicationRef
		if err := w.addQueue(d); err != nil {
			return err
		}
	}
	for _, i := range a.stray {
		if row.IsKeptBack(a.Acceptance, i) {
			continue
		}
		if err := w.addStray(ref, a.Deliveries[i].EndpointRef, a.Deliveries[i].Due); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) addPayload(m *hark.Message) error {
	if err := w.payloads.add(w.c, m.Ref, m.Payload, m.RawBody, m.Head); err != nil || m.PayloadExpiresAt.IsZero() {
		return err
	}
	_, err := w.c.exec(insertPayloadExpirySQL, m.PayloadExpiresAt, m.Ref)
	return err
}

const versionSQL = `SELECT version FROM application WHERE ref = ? AND deleted_at = 0`

// stale says whether the application was changed since the message was matched.
func (w *writer) stale(a *acceptance) (bool, error) {
	if a.ConfigVersion == 0 {
		return false, nil
	}
	app := a.Message.ApplicationRef
	version, ok := w.versions[app]
	if !ok {
		var err error
		if version, err = w.c.int(versionSQL, app); err != nil {
			return false, err
		}
		w.versions[app] = version
	}
	if version == a.ConfigVersion {
		return false, nil
	}
	a.Outcome = store.Stale
	return true, nil
}

// guard says whether an idempotency key or an event id stands against a message; if none does,
// it remembers both.
func (w *writer) guard(a *acceptance, ref hark.Ref) (guarded bool, err error) {
	m := &a.Message
	if m.EventID != "" {
		return w.guardEvent(a, ref)
	}
	if a.Key == nil {
		return false, nil
	}
	// Nearly every key is new: it is taken without looking first.
	if took, err := w.putKey(a); err != nil || took {
		return false, err
	}
	return w.keyStands(a)
}

// guardEvent is guard for a message with an event id. A message that is refused by it uses up no key.
func (w *writer) guardEvent(a *acceptance, ref hark.Ref) (guarded bool, err error) {
	m := &a.Message
	if stands, err := w.keyStands(a); err != nil || stands {
		return stands, err
	}
	inserted, err := w.c.exec(insertEventIDSQL, m.ApplicationRef, m.EventID, ref)
	if err != nil {
		return false, err
	}
	if inserted == 0 {
		a.Outcome = store.DuplicateEvent
		a.Existing, err = w.eventMessage(m.ApplicationRef, m.EventID)
		return true, err
	}
	_, err = w.putKey(a)
	return false, err
}

// putKey takes a message's idempotency key, unless another's stands.
func (w *writer) putKey(a *acceptance) (took bool, err error) {
	k := a.Key
	if k == nil {
		return false, nil
	}
	n, err := w.c.exec(putMessageKeySQL, k.Hash[:], k.Fingerprint[:], a.id[:], k.ExpiresAt, a.Message.CreatedAt)
	return n > 0, err
}

// keyStands says whether another's idempotency key stands against a message, and sets its outcome.
func (w *writer) keyStands(a *acceptance) (bool, error) {
	k := a.Key
	if k == nil {
		return false, nil
	}
	return w.c.one(func(r row.Row) error {
		a.Outcome = store.KeyReused
		if string(r.Blob(0)) == string(k.Fingerprint[:]) {
			a.Outcome, a.Existing = store.Repeated, hark.MessageID(r.ID(1, hark.MessagePrefix))
		}
		return nil
	}, findMessageKeySQL, k.Hash[:], a.Message.CreatedAt)
}

// claimUnique takes the keys of the deliveries that are made only once, and says which endpoints are left.
func (w *writer) claimUnique(a *acceptance) (matched []byte, err error) {
	var none [32]byte
	for i := range a.Unique {
		u := &a.Unique[i]
		u.Existing = ""
		n, err := w.c.exec(putMessageKeySQL, u.Hash[:], none[:], a.id[:], u.ExpiresAt, a.Message.CreatedAt)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		if _, err := w.c.one(func(r row.Row) error {
			u.Existing = hark.MessageID(r.ID(1, hark.MessagePrefix))
			return nil
		}, findMessageKeySQL, u.Hash[:], a.Message.CreatedAt); err != nil {
			return nil, err
		}
	}
	return row.MatchedOf(a.Acceptance)
}

// eventMessage is the id of the message with an event id; its row may still wait in the bulk.
func (w *writer) eventMessage(app hark.Ref, eventID string) (id hark.MessageID, err error) {
	ref, err := w.c.int(findEventIDSQL, app, eventID)
	if err != nil {
		return "", err
	}
	if ref >= w.firstMessage {
		return w.accepted[ref-w.firstMessage].Message.ID, nil
	}
	err = w.c.query(func(r row.Row) error { id = hark.MessageID(r.ID(0, hark.MessagePrefix)); return nil }, messageIDSQL, ref)
	return id, err
}

func (w *writer) addQueue(d *hark.Delivery) error {
	return w.queue.add(w.c, d.EndpointRef, d.Due, d.MessageRef, d.RetryAt, int64(d.Attempts), int64(d.Line), int64(d.Trigger))
}

func (w *writer) addStray(message, endpoint hark.Ref, due int64) error {
	w.strays = true
	_, err := w.c.exec(insertStraySQL, message, endpoint, due)
	return err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
