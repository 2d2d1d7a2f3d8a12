package row

import (
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Import is an import under way. It adds the rows of all records but those of messages and requests.
type Import struct {
	Places Places
	kinds  *Kinds
}

// NewImport begins an import.
func NewImport(k *Kinds) Import { return Import{kinds: k} }

// Add adds a record's row, or answers store.ErrTwice where one like it is there.
func (i *Import) Add(c Conn, r *store.Record) error {
	sql := &i.kinds.sql
	switch {
	case r.Environment != nil:
		return c.must(store.ErrTwice, sql.Environment.Insert, environmentValues(r.Environment)...)
	case r.EventType != nil:
		return c.must(store.ErrTwice, sql.EventType.Insert, eventTypeValues(r.EventType)...)
	case r.Key != nil:
		return c.must(store.ErrTwice, sql.Key.Insert, keyValues(r.Key)...)
	case r.Task != nil:
		return c.must(store.ErrTwice, sql.Task.Insert, taskValues(r.Task)...)
	case r.MessageKey != nil:
		return i.addMessageKey(c, r.MessageKey)
	case r.Answer != nil:
		nothing := time.Time{} // has expired by then
		return c.must(store.ErrTwice, sql.Answer.Remember, answerValues(r.Answer, nothing)...)
	case r.Application != nil:
		ref, err := sql.Application.insert(c, r.Application)
		i.Places.Applications = append(i.Places.Applications, ref)
		return err
	case r.Endpoint != nil:
		return i.addEndpoint(c, *r.Endpoint)
	case r.Version != nil:
		return in(i.Places.Endpoint, r.Version.EndpointRef, func(endpoint hark.Ref) error {
			return sql.Version.insert(c, endpoint, &r.Version.TransformationVersion)
		})
	case r.Execution != nil:
		return in(i.Places.Endpoint, r.Execution.EndpointRef, func(endpoint hark.Ref) error {
			x := *r.Execution
			x.EndpointRef = endpoint
			return sql.Execution.log(c, []hark.Execution{x})
		})
	case r.Source != nil:
		return i.addSource(c, *r.Source)
	case r.Poller != nil:
		return i.addPoller(c, *r.Poller)
	case r.Items != nil:
		return in(i.Places.Poller, r.Items.PollerRef, func(poller hark.Ref) error {
			return i.kinds.access.PutItems(c, poller, r.Items.Items)
		})
	case r.Feed != nil:
		return in(i.Places.Endpoint, r.Feed.EndpointRef, func(consumer hark.Ref) error {
			return sql.Feed.add(c, consumer, r.Feed)
		})
	}
	return nil
}

// in adds what belongs to the place that a number stands for.
func in(place func(hark.Ref) (hark.Ref, error), number hark.Ref, add func(hark.Ref) error) error {
	ref, err := place(number)
	if err != nil {
		return err
	}
	return add(ref)
}

func (i *Import) addMessageKey(c Conn, m *store.MessageKey) error {
	id, err := hark.ParseID(string(m.MessageID), hark.MessagePrefix)
	if err != nil {
		return fmt.Errorf("import the key of message %q: %w", m.MessageID, err)
	}
	return c.must(store.ErrTwice, i.kinds.sql.MessageKey.Insert, m.Hash[:], m.Fingerprint[:], id[:], m.ExpiresAt)
}

func (i *Import) addEndpoint(c Conn, ep hark.Endpoint) (err error) {
	if ep.ApplicationRef, err = i.Places.Application(ep.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.kinds.insertEndpoint(c, &ep)
	if err != nil {
		return err
	}
	i.Places.Endpoints = append(i.Places.Endpoints, ref)
	if !ep.DeletedAt.IsZero() {
		_, err = c.Exec(i.kinds.sql.Endpoint.Delete, ep.DeletedAt, ref)
	}
	return err
}

func (i *Import) addSource(c Conn, src store.MovedSource) (err error) {
	if src.ApplicationRef, err = i.Places.Application(src.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.kinds.insertSource(c, &src.Source)
	if err != nil {
		return err
	}
	i.Places.Sources = append(i.Places.Sources, ref)
	if !src.DeletedAt.IsZero() {
		return i.kinds.sql.Source.delete(c, ref, src.DeletedAt)
	}
	return nil
}

func (i *Import) addPoller(c Conn, p hark.Poller) (err error) {
	if p.ApplicationRef, err = i.Places.Application(p.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.kinds.insertPoller(c, &p)
	i.Places.Pollers = append(i.Places.Pollers, ref)
	return err
}

func (sql *FeedSQL) add(c Conn, consumer hark.Ref, f *store.MovedFeed) error {
	if _, err := c.Exec(sql.SetEnd, consumer, f.Last); err != nil {
		return err
	}
	for _, cursor := range f.Cursors {
		if _, err := c.Exec(sql.SeekCursor, consumer, cursor.Group, cursor.Seq, cursor.UpdatedAt); err != nil {
			return err
		}
	}
	return nil
}
