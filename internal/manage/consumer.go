package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/stream"
)

// A consumer is an endpoint that is pulled: it is kept, matched and fed like one, and has operations of
// its own, because what an endpoint needs for being sent to means nothing here.

// ConsumerIn describes a consumer to create.
type ConsumerIn struct {
	UID         Opt[string]
	Description string
	EventTypes  []string // nil: all
	Channels    []string // nil: every message
	Filter      Opt[json.RawMessage]
	Deduplicate Opt[DedupeIn]
	Paused      bool
	Disabled    bool
	Metadata    map[string]string
	// Since also feeds it what it matches of what was accepted from that moment on, as far as it is kept.
	Since  Opt[time.Time]
	Secret Opt[string]
}

// ConsumerPatch changes the fields that are set.
type ConsumerPatch struct {
	UID         Opt[string]
	Description Opt[string]
	EventTypes  Opt[[]string]
	Channels    Opt[[]string]
	Filter      Opt[json.RawMessage]
	Deduplicate Opt[DedupeIn]
	Paused      Opt[bool]
	Disabled    Opt[bool]
	Metadata    Opt[map[string]string]
}

// CreateConsumer adds a consumer to an application.
func (m *Manager) CreateConsumer(ctx context.Context, c Caller, app string, in ConsumerIn) (hark.Endpoint, error) {
	a, err := m.app(ctx, &c, opConsumerCreate, app)
	if err != nil {
		return hark.Endpoint{}, err
	}
	now := moment()
	ep := hark.Endpoint{ApplicationRef: a.Ref, ID: hark.NewConsumerID(now), CreatedAt: now, UpdatedAt: now, Description: in.Description, Paused: in.Paused}
	known, err := m.consumedTypes(ctx, &c, in.EventTypes)
	if err != nil {
		return hark.Endpoint{}, err
	}
	var v check
	v.text(in.Description, 0, maxText, "body", "description")
	v.uid(in.UID, hark.ConsumerPrefix, "body", "uid")
	ep.UID = in.UID.Value
	setDisabled(&ep, in.Disabled, now)
	ep.EventTypes, ep.Channels = v.eventTypes(in.EventTypes, known), v.channels(in.Channels)
	ep.Filter, ep.Metadata = v.filter(in.Filter), v.metadata(in.Metadata)
	v.dedupe(in.Deduplicate, &ep.Rules)
	ep.Secrets = []hark.Secret{{Key: v.secret(in.Secret, "body", "secret"), CreatedAt: now}}
	if in.Since.Given() && in.Since.Value.After(now) {
		v.wrong("must not be in the future", "body", "since")
	}
	if err := v.err(); err != nil {
		return hark.Endpoint{}, err
	}
	if len(a.Endpoints) >= maxEndpoints {
		return hark.Endpoint{}, hark.Errorf(hark.LimitReached, "An application can have %d endpoints and consumers.", maxEndpoints)
	}
	row, err := m.store.InsertEndpoint(ctx, ep)
	if err != nil {
		return hark.Endpoint{}, err
	}
	m.changed(a.Ref, row.Ref)
	m.auditEndpoint(ctx, &c, opConsumerCreate, a, row.ID)
	if in.Since.Given() && in.Since.Value.Before(now) {
		job := replay.Job{ApplicationID: a.ID, EndpointID: row.ID, Since: in.Since.Value.UTC(), Until: now}
		if _, err := m.replays.Start(ctx, c.EnvironmentID, replay.Missing, job, now); err != nil {
			return hark.Endpoint{}, err
		}
	}
	return row, nil
}

// consumedTypes are the event types that a consumer may name. Those of sources are registered nowhere, so an
// operator may name any; a customer those that it sees.
func (m *Manager) consumedTypes(ctx context.Context, c *Caller, names []string) (map[string]bool, error) {
	if c.Portal {
		return m.knownTypes(ctx, c, names)
	}
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return all, nil
}

// ListConsumers lists an application's consumers, newest first unless asked otherwise.
func (m *Manager) ListConsumers(ctx context.Context, c Caller, app string, in ListIn) (p Page[hark.Endpoint], err error) {
	a, err := m.app(ctx, &c, opConsumerList, app)
	if err != nil {
		return p, err
	}
	var v check
	l := v.list(in, hark.ConsumerPrefix, true)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListConsumers(ctx, a.Ref, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(e *hark.Endpoint) string { return string(e.ID) }), nil
}

// Consumer finds a consumer by id or uid.
func (m *Manager) Consumer(ctx context.Context, c Caller, app, consumer string) (hark.Endpoint, error) {
	a, ep, err := m.appConsumer(ctx, &c, opConsumerGet, app, consumer)
	if err != nil {
		return hark.Endpoint{}, err
	}
	return m.store.Endpoint(ctx, a.Ref, string(ep.ID))
}

// PatchConsumer changes the fields that are set.
func (m *Manager) PatchConsumer(ctx context.Context, c Caller, app, consumer string, in ConsumerPatch) (row hark.Endpoint, err error) {
	a, ep, err := m.appConsumer(ctx, &c, opConsumerPatch, app, consumer)
	if err != nil {
		return row, err
	}
	known, err := m.consumedTypes(ctx, &c, in.EventTypes.Value)
	if err != nil {
		return row, err
	}
	now := moment()
	return m.updateEndpoint(ctx, &c, opConsumerPatch, a, ep.ID, func(v *check, e *hark.Endpoint) { in.apply(v, e, known, now) })
}

func (in *ConsumerPatch) apply(v *check, e *hark.Endpoint, known map[string]bool, now time.Time) {
	if in.UID.Set {
		v.uid(in.UID, hark.ConsumerPrefix, "body", "uid")
		e.UID = in.UID.Value
	}
	if in.Description.Given() {
		v.text(in.Description.Value, 0, maxText, "body", "description")
		e.Description = in.Description.Value
	}
	if in.EventTypes.Set {
		e.EventTypes = v.eventTypes(in.EventTypes.Value, known)
	}
	if in.Channels.Set {
		e.Channels = v.channels(in.Channels.Value)
	}
	if in.Filter.Set {
		e.Filter = v.filter(in.Filter)
	}
	v.dedupe(in.Deduplicate, &e.Rules)
	if in.Paused.Given() {
		e.Paused = in.Paused.Value
	}
	if in.Disabled.Given() {
		setDisabled(e, in.Disabled.Value, now)
	}
	if in.Metadata.Given() {
		e.Metadata = v.metadata(in.Metadata.Value)
	}
}

// DeleteConsumer deletes a consumer; its feed and its groups' places go with it.
func (m *Manager) DeleteConsumer(ctx context.Context, c Caller, app, consumer string) error {
	a, ep, err := m.appConsumer(ctx, &c, opConsumerDelete, app, consumer)
	if err != nil {
		return err
	}
	if err := m.store.DeleteEndpoint(ctx, a.Ref, string(ep.ID), moment()); err != nil {
		return err
	}
	m.changed(a.Ref, ep.Ref)
	m.auditEndpoint(ctx, &c, opConsumerDelete, a, ep.ID)
	return nil
}

// ReplayMissingToConsumer feeds a consumer what it matches and never got.
func (m *Manager) ReplayMissingToConsumer(ctx context.Context, c Caller, app, consumer string, in ReplayIn) (hark.Task, error) {
	a, ep, err := m.appConsumer(ctx, &c, opConsumerReplay, app, consumer)
	if err != nil {
		return hark.Task{}, err
	}
	now := moment()
	var v check
	bulk := in.bulk()
	job := bulk.job(&v, now)
	if err := v.err(); err != nil {
		return hark.Task{}, err
	}
	job.ApplicationID, job.EndpointID = a.ID, ep.ID
	task, err := m.replays.Start(ctx, c.EnvironmentID, replay.Missing, job, now)
	if err != nil {
		return hark.Task{}, err
	}
	m.audit(ctx, &c, opConsumerReplay, slog.String("app", string(a.ID)), slog.String("endpoint", string(ep.ID)), slog.String("task", string(task.ID)))
	return publicTask(task), nil
}

// ReadIn says what to read of a consumer's feed.
type ReadIn struct {
	From  string        // a cursor, a time, "start" or "end"; "": the group's place, or the start
	Group string        // whose place to read from; "" is nobody's
	Limit int           // 0 means DefaultLimit
	Wait  time.Duration // how long to wait for news when there is nothing to read
	// Again says that the client asks once more, because it got no answer: PollConsumer gives the same.
	Again bool
	// EventTypes and Channel narrow what is answered, not how far the cursor goes.
	EventTypes []string
	Channel    string
}

// maxGroup is the length of a group's name.
const maxGroup = 128

// ReadConsumer reads a consumer's feed. It moves no group's place: AckConsumer does.
func (m *Manager) ReadConsumer(ctx context.Context, c Caller, app, consumer string, in ReadIn) (stream.Page, error) {
	feed, err := m.feedToRead(ctx, &c, opConsumerRead, app, consumer, &in)
	if err != nil {
		return stream.Page{}, err
	}
	after, err := m.start(ctx, feed, in.From, in.Group)
	if err != nil {
		return stream.Page{}, err
	}
	return m.readOn(ctx, feed, after, &in)
}

// feedToRead finds the consumer whose feed is to be read, and checks how.
func (m *Manager) feedToRead(ctx context.Context, c *Caller, op operation, app, consumer string, in *ReadIn) (hark.Ref, error) {
	_, ep, err := m.appConsumer(ctx, c, op, app, consumer)
	if err != nil {
		return 0, err
	}
	var v check
	in.check(&v)
	return ep.Ref, v.err()
}

func (in *ReadIn) check(v *check) {
	switch {
	case in.Limit == 0:
		in.Limit = DefaultLimit
	case in.Limit < 0 || in.Limit > MaxLimit:
		v.wrong(fmt.Sprintf("must be between 1 and %d", MaxLimit), "query", "limit")
	}
	if in.Wait < 0 || in.Wait > stream.MaxWait {
		v.wrong(fmt.Sprintf("must be 0 to %d seconds", int(stream.MaxWait.Seconds())), "query", "wait")
	}
	if len(in.Group) > maxGroup || strings.ContainsFunc(in.Group, unicode.IsControl) {
		v.wrong(fmt.Sprintf("must have at most %d characters, and no control characters", maxGroup), "query", "group")
	}
}

// mostScanned is how many pages are looked at for one that a filter leaves something of.
const mostScanned = 10

func (m *Manager) readOn(ctx context.Context, consumer hark.Ref, after int64, in *ReadIn) (stream.Page, error) {
	if len(in.EventTypes) == 0 && in.Channel == "" {
		return m.streams.Wait(ctx, consumer, after, in.Limit, in.Wait)
	}
	all := stream.Page{Last: after, More: true}
	for range mostScanned {
		p, err := m.streams.Wait(ctx, consumer, all.Last, in.Limit, in.Wait)
		if err != nil {
			return stream.Page{}, err
		}
		all.Last, all.More = p.Last, p.More
		for _, item := range p.Items {
			if item.Message == nil || in.wants(item.Message) {
				all.Items = append(all.Items, item)
			}
		}
		if len(all.Items) > 0 || !p.More {
			break
		}
	}
	return all, nil
}

func (in *ReadIn) wants(m *hark.Message) bool {
	return (len(in.EventTypes) == 0 || slices.Contains(in.EventTypes, m.EventType)) &&
		(in.Channel == "" || slices.Contains(m.Channels, in.Channel))
}

// start is where somebody begins to read.
func (m *Manager) start(ctx context.Context, consumer hark.Ref, from, group string) (int64, error) {
	if from != "" {
		return m.find(ctx, consumer, from)
	}
	if group == "" {
		return 0, nil
	}
	return m.place(ctx, consumer, group)
}

func (m *Manager) place(ctx context.Context, consumer hark.Ref, group string) (int64, error) {
	seq, err := m.store.Cursor(ctx, consumer, group)
	if errors.Is(err, hark.ErrNotFound) {
		return 0, nil
	}
	return seq, err
}

// find is the place that a text names.
func (m *Manager) find(ctx context.Context, consumer hark.Ref, from string) (int64, error) {
	switch from {
	case "start":
		return 0, nil
	case "end":
		_, last, err := m.store.FeedEnds(ctx, consumer)
		return last, err
	}
	if seq, ok := stream.ParseCursor(from); ok {
		return seq, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, from); err == nil {
		return m.store.FeedAt(ctx, consumer, at)
	}
	return 0, hark.InvalidField("must be a cursor, a time such as 2026-01-31T15:04:05Z, start or end", "query", "iterator")
}

// AckConsumer moves a group's place forwards: what is up to the cursor is done with. It answers where the
// group is now.
func (m *Manager) AckConsumer(ctx context.Context, c Caller, app, consumer, group, cursor string) (int64, error) {
	_, ep, err := m.appConsumer(ctx, &c, opConsumerAck, app, consumer)
	if err != nil {
		return 0, err
	}
	seq, ok := stream.ParseCursor(cursor)
	if !ok {
		return 0, hark.InvalidField("is not a cursor", "body", "cursor")
	}
	if err := m.ack(ctx, ep.Ref, group, seq); err != nil {
		return 0, err
	}
	return m.place(ctx, ep.Ref, group)
}

func (m *Manager) ack(ctx context.Context, consumer hark.Ref, group string, seq int64) error {
	if err := m.reachable(ctx, consumer, group, seq); err != nil {
		return err
	}
	return m.store.MoveCursor(ctx, consumer, group, seq, moment())
}

// reachable refuses places that the feed has not come to: messages to come would be skipped.
func (m *Manager) reachable(ctx context.Context, consumer hark.Ref, group string, seq int64) error {
	if group == "" || len(group) > maxGroup || strings.ContainsFunc(group, unicode.IsControl) {
		return hark.InvalidField(fmt.Sprintf("must have 1 to %d characters, and no control characters", maxGroup), "body", "group")
	}
	_, last, err := m.store.FeedEnds(ctx, consumer)
	if err == nil && seq > last {
		err = hark.InvalidField("is behind the end of this consumer's feed", "body", "cursor")
	}
	return err
}

// SeekConsumer puts a group's place anywhere: to a cursor, a time, start or end.
func (m *Manager) SeekConsumer(ctx context.Context, c Caller, app, consumer, group, to string) (int64, error) {
	_, ep, err := m.appConsumer(ctx, &c, opConsumerAck, app, consumer)
	if err != nil {
		return 0, err
	}
	seq, err := m.find(ctx, ep.Ref, to)
	if err != nil {
		return 0, err
	}
	if err := m.reachable(ctx, ep.Ref, group, seq); err != nil {
		return 0, err
	}
	if err := m.store.SeekCursor(ctx, ep.Ref, asked+group, seq, moment()); err != nil {
		return 0, err
	}
	return seq, m.store.SeekCursor(ctx, ep.Ref, group, seq, moment())
}

// OpenStream makes the reader of a stream: it reads from where start says. Whether the caller may still
// read is asked again as long as the stream lasts.
func (m *Manager) OpenStream(ctx context.Context, c Caller, app, consumer string, in ReadIn) (stream.Reader, error) {
	_, ep, err := m.appConsumer(ctx, &c, opConsumerRead, app, consumer)
	if err != nil {
		return stream.Reader{}, err
	}
	after, err := m.start(ctx, ep.Ref, in.From, in.Group)
	if err != nil {
		return stream.Reader{}, err
	}
	return stream.Reader{
		Consumer: ep.Ref, After: after,
		Check: func(ctx context.Context) error {
			_, _, err := m.appConsumer(ctx, &c, opConsumerRead, app, consumer)
			return err
		},
		Place: func(ctx context.Context, group string) (int64, error) { return m.place(ctx, ep.Ref, group) },
		Ack:   func(ctx context.Context, group string, seq int64) error { return m.ack(ctx, ep.Ref, group, seq) },
		Find:  func(ctx context.Context, from string) (int64, error) { return m.find(ctx, ep.Ref, from) },
	}, nil
}
