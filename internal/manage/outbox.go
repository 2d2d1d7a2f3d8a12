package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// PublishFromOutbox accepts the messages that applications have put into the store's outbox, in the
// order of the rows. It asks nobody's permission: whom the database lets write there may publish. It
// answers how many became messages, and which cannot, with the reason; a row that is in neither was
// taken by another node. After an error the rows that are in neither may be tried again.
func (m *Manager) PublishFromOutbox(ctx context.Context, rows []store.OutboxRow) (accepted int, refused []store.OutboxRefusal, err error) {
	left := make([]*fromOutbox, len(rows))
	for i := range rows {
		left[i] = &fromOutbox{row: &rows[i]}
	}
	for range directory.MatchTries {
		var done outboxTry
		if left, err = m.tryOutbox(ctx, left, &done); err != nil {
			return accepted + done.accepted, append(refused, done.refused...), err
		}
		accepted, refused = accepted+done.accepted, append(refused, done.refused...)
		if len(left) == 0 {
			return accepted, refused, nil
		}
	}
	return accepted, refused, directory.ErrRestless
}

// fromOutbox is a row on its way to be a message.
type fromOutbox struct {
	row    *store.OutboxRow
	app    *directory.Application
	parcel directory.Parcel
}

// outboxTry is what became of the rows that one try was the last for.
type outboxTry struct {
	accepted int
	refused  []store.OutboxRefusal
}

func (t *outboxTry) refuse(f *fromOutbox, err error) {
	t.refused = append(t.refused, store.OutboxRefusal{ID: f.row.ID, Reason: reasonFor(err)})
}

// tryOutbox accepts rows in one transaction. It answers those that were matched by what their
// applications are not any more.
func (m *Manager) tryOutbox(ctx context.Context, rows []*fromOutbox, done *outboxTry) (stale []*fromOutbox, err error) {
	now := moment()
	apps := make(map[outboxPlace]foundApp)
	var packed []*fromOutbox
	var accept []*store.Acceptance
	for _, f := range rows {
		if f.app, err = m.outboxApp(ctx, apps, f.row); err == nil {
			err = m.packRow(f, now)
		}
		switch {
		case err == nil:
			packed, accept = append(packed, f), append(accept, &f.parcel.Acceptance)
		case isRefusal(err):
			done.refuse(f, err)
		default:
			return nil, err
		}
	}
	if len(accept) == 0 {
		return nil, nil
	}
	if err := m.store.Accept(ctx, accept); err != nil {
		return nil, err
	}
	for _, f := range packed {
		switch f.parcel.Outcome {
		case store.Accepted:
			done.accepted++
		case store.Taken:
		case store.Stale:
			m.directory.Forget(f.app.Ref)
			stale = append(stale, f)
		case store.DuplicateEvent:
			done.refuse(f, hark.InvalidField(fmt.Sprintf("message %s has this id already", f.parcel.Existing), "body", "eventId"))
		default:
			return nil, fmt.Errorf("accept a message from the outbox: unknown outcome %d", f.parcel.Outcome)
		}
	}
	return stale, nil
}

// outboxPlace is what a row calls its application; foundApp is what that led to.
type (
	outboxPlace struct {
		env     hark.EnvironmentID
		idOrUID string
	}
	foundApp struct {
		app *directory.Application
		err error
	}
)

// outboxApp finds a row's application. Those that do not exist are asked for once, not once a row.
func (m *Manager) outboxApp(ctx context.Context, known map[outboxPlace]foundApp, row *store.OutboxRow) (*directory.Application, error) {
	if row.EnvironmentID == "" {
		return nil, hark.InvalidField("there is no environment with this id or name", "body", "environment")
	}
	place := outboxPlace{row.EnvironmentID, row.Application}
	found, ok := known[place]
	if !ok {
		found.app, found.err = m.directory.Application(ctx, row.EnvironmentID, row.Application)
		if errors.Is(found.err, hark.ErrNotFound) {
			found.err = hark.InvalidField("the environment has no application with this id or uid", "body", "application")
		}
		known[place] = found
	}
	return found.app, found.err
}

// packRow checks a row as if it had come over the API, where that has checked the JSON already.
func (m *Manager) packRow(f *fromOutbox, now time.Time) error {
	row := f.row
	if row.Payload == nil {
		return errTooLarge
	}
	in := PublishIn{
		EventType: row.EventType, Payload: bytes.TrimSpace(row.Payload), Tags: row.Tags, Channels: row.Channels,
	}
	if !json.Valid(in.Payload) {
		return hark.InvalidField("must be a JSON object", "body", "payload")
	}
	if len(in.Channels) == 0 { // as many a library writes "none"
		in.Channels = nil
	}
	if row.EventID != "" {
		in.EventID = Some(row.EventID)
	}
	if row.DeliverAt.After(now) { // it may have waited here, so that a moment is near, or over
		in.DeliverAt, in.DeliverSoon = Some(row.DeliverAt), true
	}
	f.parcel = directory.Parcel{}
	if err := m.pack(&f.parcel, &in, now); err != nil {
		return err
	}
	f.parcel.Address(f.app)
	f.parcel.OutboxRow = row.ID
	return nil
}

// isRefusal says whether err lies in the row, and not in the store's being away.
func isRefusal(err error) bool {
	code := hark.CodeOf(err)
	return code == hark.Invalid || code == hark.TooLarge
}

// columns are what fields of a message are called in the outbox, where they are called differently.
var columns = map[string]string{"eventType": "event_type", "eventId": "event_id", "deliverAt": "deliver_at"}

// reasonFor says what is wrong with a row, by the names of its columns.
func reasonFor(err error) string {
	e, ok := errors.AsType[*hark.Error](err)
	if !ok {
		return err.Error()
	}
	named := hark.Error{Detail: e.Detail, Fields: slices.Clone(e.Fields)}
	for i := range named.Fields {
		f := &named.Fields[i]
		f.Loc = slices.Clone(f.Loc)
		if len(f.Loc) > 1 && f.Loc[0] == "body" {
			f.Loc = f.Loc[1:]
		}
		if column, ok := columns[f.Loc[0]]; ok {
			f.Loc[0] = column
		}
	}
	return named.Error()
}
