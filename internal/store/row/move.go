package row

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Numbers are what refs become in the records of an export: they count in the order in which they come.
type Numbers map[hark.Ref]hark.Ref

// Add numbers one more.
func (n Numbers) Add(ref hark.Ref) hark.Ref {
	n[ref] = hark.Ref(len(n) + 1)
	return n[ref]
}

// scanMessageKey reads hash, fingerprint, message, expires_at.
func scanMessageKey(r Row) (store.MessageKey, error) {
	k := store.MessageKey{MessageID: hark.MessageID(r.ID(2, hark.MessagePrefix))}
	copy(k.Hash[:], r.Blob(0))
	copy(k.Fingerprint[:], r.Blob(1))
	k.ExpiresAt = r.Time(3)
	return k, nil
}

// Renumber makes a message with all that belongs to it a record's: its refs become numbers, what reads
// have filled in goes, and what has no order gets one.
func Renumber(m *store.MovedMessage, applications, endpoints Numbers) {
	for i := range m.Attempts {
		a := &m.Attempts[i]
		a.EndpointRef = endpoints[a.EndpointRef]
		a.ApplicationRef, a.MessageRef, a.MessageID, a.EndpointID, a.EventType = 0, 0, "", "", ""
	}
	for i := range m.Queue {
		d := &m.Queue[i]
		d.EndpointRef, d.ApplicationRef, d.MessageRef = endpoints[d.EndpointRef], 0, 0
	}
	slices.SortFunc(m.Queue, func(a, b hark.Delivery) int {
		return cmp.Or(cmp.Compare(a.EndpointRef, b.EndpointRef), cmp.Compare(a.Due, b.Due))
	})
	m.Fed = sortFed(m.Fed, endpoints)
	for i, endpoint := range m.Matched {
		m.Matched[i] = endpoints[endpoint]
	}
	slices.Sort(m.Matched)
	for i, d := range m.Duplicates {
		m.Duplicates[i].EndpointRef = endpoints[d.EndpointRef]
	}
	slices.SortFunc(m.Duplicates, func(a, b hark.Duplicate) int { return cmp.Compare(a.EndpointRef, b.EndpointRef) })
	m.Ref, m.ApplicationRef = 0, applications[m.ApplicationRef]
}

// Places are the refs that the numbers of records stand for while they are imported.
type Places struct{ Applications, Endpoints, Sources, Pollers []hark.Ref }

// Application finds the ref of an application's number.
func (p *Places) Application(number hark.Ref) (hark.Ref, error) { return refOf(p.Applications, number) }

// Endpoint finds the ref of an endpoint's number.
func (p *Places) Endpoint(number hark.Ref) (hark.Ref, error) { return refOf(p.Endpoints, number) }

// Source finds the ref of a source's number.
func (p *Places) Source(number hark.Ref) (hark.Ref, error) { return refOf(p.Sources, number) }

// Poller finds the ref of a poller's number.
func (p *Places) Poller(number hark.Ref) (hark.Ref, error) { return refOf(p.Pollers, number) }

func refOf(refs []hark.Ref, number hark.Ref) (hark.Ref, error) {
	if number < 1 || number > hark.Ref(len(refs)) {
		return 0, store.ErrBadNumber
	}
	return refs[number-1], nil
}

// Message turns a record back into what a store accepts: the message with its queue rows as
// deliveries. The record stays as it is.
func (p *Places) Message(m *store.MovedMessage) (a *store.Acceptance, err error) {
	a = &store.Acceptance{Message: m.Message, Deliveries: slices.Clone(m.Queue)}
	if a.Message.ApplicationRef, err = p.Application(m.ApplicationRef); err != nil {
		return nil, err
	}
	a.Message.Matched = slices.Clone(m.Matched)
	for i, number := range m.Matched {
		if a.Message.Matched[i], err = p.Endpoint(number); err != nil {
			return nil, err
		}
	}
	a.Message.Duplicates = slices.Clone(m.Duplicates)
	for i := range a.Message.Duplicates {
		d := &a.Message.Duplicates[i]
		if d.EndpointRef, err = p.Endpoint(d.EndpointRef); err != nil {
			return nil, err
		}
	}
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if d.EndpointRef, err = p.Endpoint(d.EndpointRef); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Attempt turns one of a record's attempts back into what a store settles.
func (p *Places) Attempt(a *hark.Attempt, message hark.Ref) (s store.Settlement, id hark.KSUID, err error) {
	s = store.Settlement{Attempt: a, Delivery: hark.Delivery{MessageRef: message}}
	if s.Delivery.EndpointRef, err = p.Endpoint(a.EndpointRef); err != nil {
		return s, id, err
	}
	if id, err = hark.ParseID(string(a.ID), hark.AttemptPrefix); err != nil {
		err = fmt.Errorf("import attempt %q: %w", a.ID, err)
	}
	return s, id, err
}
