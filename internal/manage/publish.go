package manage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// Bounds of a message.
const (
	maxMessageChannels = 10
	maxTags            = 5
	maxRetentionDays   = 90
	minDeliverAhead    = time.Minute
	maxDeliverAhead    = 24 * time.Hour
)

// Publish accepts a message: when it returns without an error the message and its deliveries are
// durable. key, when not nil, makes a repeated request get the first one's answer. Whoever may
// publish may also bring the application along.
func (m *Manager) Publish(ctx context.Context, c Caller, app string, in *PublishIn, key *store.IdempotencyKey) (Published, error) {
	a, err := m.app(ctx, &c, opPublish, app)
	if err != nil && in.Application != nil && errors.Is(err, hark.ErrNotFound) {
		if err := m.appOrNew(ctx, &c, app, in.Application); err != nil {
			return Published{}, err
		}
		a, err = m.app(ctx, &c, opPublish, app)
	}
	if err != nil {
		return Published{}, err
	}
	now := moment()
	p := new(directory.Parcel)
	if err := m.pack(p, in, now); err != nil {
		return Published{}, err
	}
	p.Key = key
	if a, err = m.directory.Accept(ctx, m.store, a, p); err != nil {
		return Published{}, err
	}
	return m.published(ctx, a, p, in.WithEndpoints)
}

// PublishBatch accepts up to MaxBatch messages in one transaction. A message that is wrong does not
// keep the others back: what became of each stands beside it in the results. With a key, a
// repeated batch gets the first one's answers.
func (m *Manager) PublishBatch(ctx context.Context, c Caller, app string, ins []PublishIn, key *store.IdempotencyKey) ([]BatchResult, error) {
	a, err := m.app(ctx, &c, opPublish, app)
	if err != nil {
		return nil, err
	}
	if len(ins) == 0 || len(ins) > MaxBatch {
		return nil, hark.InvalidField(fmt.Sprintf("must have 1 to %d messages", MaxBatch), "body", "messages")
	}
	results := make([]BatchResult, len(ins))
	parcels := make([]*directory.Parcel, len(ins))
	ins = slices.Clone(ins)
	for i := range ins {
		// Each message gets memory of its own. The engine keeps a message while its endpoint is
		// slow; it must not keep the whole batch with it.
		ins[i].Payload, ins[i].RawBody = bytes.Clone(ins[i].Payload), bytes.Clone(ins[i].RawBody)
		parcels[i] = new(directory.Parcel)
	}
	if a, err = m.acceptBatch(ctx, a, ins, key, parcels, results); err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].Err == nil {
			results[i].Published, results[i].Err = m.published(ctx, a, parcels[i], ins[i].WithEndpoints)
		}
	}
	return results, nil
}

// acceptBatch packs and accepts the messages of a batch, again if the application has changed
// meanwhile: then all of them are stale, or none.
func (m *Manager) acceptBatch(ctx context.Context, a *directory.Application, ins []PublishIn, key *store.IdempotencyKey,
	parcels []*directory.Parcel, results []BatchResult) (*directory.Application, error) {
	now := moment()
	for range directory.MatchTries {
		accept := make([]*store.Acceptance, 0, len(ins))
		for i := range ins {
			if results[i].Err = m.pack(parcels[i], &ins[i], now); results[i].Err != nil {
				continue
			}
			parcels[i].Address(a)
			if key != nil {
				parcels[i].Key = itemKey(key, i)
			}
			accept = append(accept, &parcels[i].Acceptance)
		}
		if len(accept) == 0 {
			return a, nil
		}
		if err := m.store.Accept(ctx, accept); err != nil {
			return nil, err
		}
		// One that came before says nothing of the others.
		if !slices.ContainsFunc(accept, func(a *store.Acceptance) bool { return a.Outcome == store.Stale }) {
			return a, nil
		}
		var err error
		if a, err = m.directory.Reload(ctx, a.Ref); err != nil {
			return nil, err
		}
	}
	return nil, directory.ErrRestless
}

// itemKey is the idempotency key of one message of a batch.
func itemKey(key *store.IdempotencyKey, i int) *store.IdempotencyKey {
	var text [40]byte
	copy(text[:], key.Hash[:])
	binary.BigEndian.PutUint64(text[32:], uint64(i))
	return &store.IdempotencyKey{Hash: sha256.Sum256(text[:]), Fingerprint: key.Fingerprint, ExpiresAt: key.ExpiresAt}
}

var errTooLarge = &hark.Error{Code: hark.TooLarge, Detail: "Request payload is too large."}

// pack checks a message and puts it into a parcel: this is the hot path.
func (m *Manager) pack(p *directory.Parcel, in *PublishIn, now time.Time) error {
	if len(in.Payload) > m.maxPayload || len(in.RawBody) > m.maxPayload {
		return errTooLarge
	}
	deliverAt, expiresAt, err := in.check(now)
	if err != nil {
		return err
	}
	p.Message = hark.Message{
		ID:               hark.NewMessageID(now),
		EventType:        in.EventType,
		EventID:          in.EventID.Value,
		Channels:         in.Channels,
		Tags:             in.Tags,
		Payload:          in.Payload,
		RawBody:          in.RawBody,
		CreatedAt:        now,
		DeliverAt:        deliverAt,
		PayloadExpiresAt: expiresAt,
	}
	return nil
}

// check says what is wrong with a message, and when it and its payload are due.
func (in *PublishIn) check(now time.Time) (deliverAt, payloadExpires time.Time, err error) {
	var v check
	v.name(in.EventType, nameChars, maxName, "body", "eventType")
	if len(in.Payload) == 0 || in.Payload[0] != '{' {
		v.wrong("must be a JSON object", "body", "payload")
	}
	if in.EventID.Given() {
		v.uid(in.EventID, hark.MessagePrefix, "body", "eventId")
	}
	if in.Channels != nil {
		v.names(in.Channels, channelChars, maxChannel, 1, maxMessageChannels, "body", "channels")
	}
	if in.Tags != nil {
		v.names(in.Tags, tagChars, maxTag, 0, maxTags, "body", "tags")
	}
	if in.PayloadRetentionPeriod.Given() || in.PayloadRetentionHours.Given() {
		payloadExpires = in.checkRetention(&v, now)
	}
	if in.DeliverAt.Given() {
		deliverAt = in.DeliverAt.Value.UTC()
		// A second of grace: the request was on its way.
		if ahead := deliverAt.Sub(now); ahead < minDeliverAhead-time.Second && !in.DeliverSoon || ahead > maxDeliverAhead+time.Second {
			v.wrong("must be 1 minute to 24 hours ahead", "body", "deliverAt")
		}
	}
	return deliverAt, payloadExpires, v.err()
}

func (in *PublishIn) checkRetention(v *check, now time.Time) time.Time {
	v.between(in.PayloadRetentionPeriod, 1, maxRetentionDays, "body", "payloadRetentionPeriod")
	v.between(in.PayloadRetentionHours, 1, maxRetentionDays*24, "body", "payloadRetentionHours")
	if in.PayloadRetentionPeriod.Given() && in.PayloadRetentionHours.Given() {
		v.wrong("give either payloadRetentionPeriod or payloadRetentionHours", "body", "payloadRetentionHours")
	}
	hours := in.PayloadRetentionHours.Value + 24*in.PayloadRetentionPeriod.Value
	return now.Add(time.Duration(min(hours, maxRetentionDays*24)) * time.Hour)
}

// published is the answer to what the store decided.
func (m *Manager) published(ctx context.Context, app *directory.Application, p *directory.Parcel, withEndpoints bool) (Published, error) {
	switch p.Outcome {
	case store.Accepted:
		out := Published{Message: p.Message}
		if withEndpoints {
			out.Endpoints = make([]hark.EndpointID, 0, len(p.Matched))
			for _, ep := range p.Matched {
				if slices.Contains(p.Message.Matched, ep.Ref) { // else it had an equal one
					out.Endpoints = append(out.Endpoints, ep.ID)
				}
			}
		}
		return out, nil
	case store.Repeated:
		return m.repeated(ctx, app, p.Existing, withEndpoints)
	case store.KeyReused:
		msg := "the key was used before for another request"
		return Published{}, &hark.Error{Code: hark.Invalid, Detail: msg, Fields: []hark.FieldError{
			{Loc: []string{"header", "idempotency-key"}, Msg: msg, Type: "idempotency_key_reused"}}}
	case store.DuplicateEvent:
		return Published{}, &hark.Error{Code: hark.Conflict, Existing: string(p.Existing),
			Detail: "A message with this eventId exists already"}
	}
	return Published{}, fmt.Errorf("accept a message: unknown outcome %d", p.Outcome)
}

// repeated answers what the first request was answered.
func (m *Manager) repeated(ctx context.Context, app *directory.Application, id hark.MessageID, withEndpoints bool) (Published, error) {
	msg, err := m.store.Message(ctx, app.Ref, string(id), true)
	if err != nil {
		return Published{}, err
	}
	out := Published{Message: msg, Repeated: true}
	if !withEndpoints {
		return out, nil
	}
	endpoints, err := m.store.EndpointsByRef(ctx, msg.Matched)
	if err != nil {
		return Published{}, err
	}
	for i := range endpoints {
		out.Endpoints = append(out.Endpoints, endpoints[i].ID)
	}
	return out, nil
}

// PrecheckMessage says whether any enabled endpoint's event types and channels would let such a
// message through. Filters over the payload cannot be asked without one.
func (m *Manager) PrecheckMessage(ctx context.Context, c Caller, app string, in PrecheckIn) (active bool, err error) {
	a, err := m.app(ctx, &c, opMessagePrecheck, app)
	if err != nil {
		return false, err
	}
	var v check
	v.name(in.EventType, nameChars, maxName, "body", "eventType")
	if in.Channels.Given() {
		v.names(in.Channels.Value, channelChars, maxChannel, 1, maxMessageChannels, "body", "channels")
	}
	if err := v.err(); err != nil {
		return false, err
	}
	for _, ep := range a.Endpoints {
		byType := ep.EventTypes == nil || slices.Contains(ep.EventTypes, in.EventType)
		byChannel := ep.Channels == nil ||
			slices.ContainsFunc(in.Channels.Value, func(ch string) bool { return slices.Contains(ep.Channels, ch) })
		if !ep.Disabled && byType && byChannel {
			return true, nil
		}
	}
	return false, nil
}

// pingType is an event type that exists everywhere, to try an endpoint with.
const pingType = "svix.ping"

// SendExample sends an example of an event type to one endpoint, whatever its filters say: by hand,
// so it is tried once, and also when the endpoint is disabled.
func (m *Manager) SendExample(ctx context.Context, c Caller, app, endpoint string, in ExampleIn) (hark.Message, error) {
	a, ep, err := m.appEndpoint(ctx, &c, opSendExample, app, endpoint)
	if err != nil {
		return hark.Message{}, err
	}
	var v check
	v.name(in.EventType, nameChars, maxName, "body", "eventType")
	if in.ExampleIndex < 0 {
		v.wrong("must not be negative", "body", "exampleIndex")
	}
	if err := v.err(); err != nil {
		return hark.Message{}, err
	}
	payload := []byte(`{"success": true}`)
	if in.EventType != pingType {
		et, err := m.store.EventType(ctx, c.EnvironmentID, in.EventType)
		if err != nil {
			return hark.Message{}, err
		}
		text, ok := example(et.Schemas, in.ExampleIndex)
		if !ok {
			return hark.Message{}, hark.Errorf(hark.InvalidScheme,
				"Unable to generate example message from event-type schema: version 1 has no such example, or it is not an object")
		}
		payload = text
	}
	now := moment()
	p := &directory.Parcel{Acceptance: store.Acceptance{
		EnvironmentID: c.EnvironmentID,
		Message: hark.Message{
			ID: hark.NewMessageID(now), ApplicationRef: a.Ref, EventType: in.EventType,
			Payload: payload, CreatedAt: now, Matched: []hark.Ref{ep.Ref},
		},
	}}
	p.Deliveries = []hark.Delivery{{
		EndpointRef: ep.Ref, ApplicationRef: a.Ref, Due: now.UnixMilli(), Trigger: hark.Manual, Message: &p.Message,
	}}
	if err := m.store.Accept(ctx, []*store.Acceptance{&p.Acceptance}); err != nil {
		return hark.Message{}, err
	}
	m.audit(ctx, &c, opSendExample, slog.String("app", string(a.ID)), slog.String("endpoint", string(ep.ID)),
		slog.String("message", string(p.Message.ID)))
	return p.Message, nil
}
