package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	isEmptySQL = `SELECT NOT EXISTS (SELECT 1 FROM environment) AND NOT EXISTS (SELECT 1 FROM application)
  AND NOT EXISTS (SELECT 1 FROM event_type) AND NOT EXISTS (SELECT 1 FROM api_key) AND NOT EXISTS (SELECT 1 FROM task)
  AND NOT EXISTS (SELECT 1 FROM message) AND NOT EXISTS (SELECT 1 FROM message_key) AND NOT EXISTS (SELECT 1 FROM answer)`

	beginImportSQL = `INSERT INTO counter (name, next) VALUES ('import', 1)`

	importingSQL = `SELECT count(*) FROM counter WHERE name = 'import'`

	endImportSQL = `DELETE FROM counter WHERE name = 'import'`

	importApplicationSQL = `INSERT INTO application (environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ref`

	setDeletedSourceSQL = `UPDATE source SET deleted_at = ? WHERE ref = ?`

	setDeletedEndpointSQL = `UPDATE endpoint SET deleted_at = ? WHERE ref = ?`
)

// BeginImport prepares an empty store for an import.
func (s *Store) BeginImport(ctx context.Context) (store.Importer, error) {
	err := s.change(ctx, func(c *conn) error {
		empty, err := c.int(isEmptySQL)
		if err != nil {
			return err
		}
		if empty == 0 {
			return row.Conflict("The store is not empty", "")
		}
		_, err = c.exec(beginImportSQL)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &importer{store: s, rows: row.NewImport(&s.kinds)}, nil
}

// refuseUnfinished keeps a store from being opened whose import did not end.
func refuseUnfinished(c *conn) error {
	n, err := c.int(importingSQL)
	if err != nil {
		return translate(err)
	}
	if n > 0 {
		return store.ErrUnfinished
	}
	return nil
}

// importer is an import under way.
type importer struct {
	store  *Store
	rows   row.Import
	places row.Places
}

// Add keeps records.
func (i *importer) Add(ctx context.Context, records []store.Record) error {
	places := i.places
	return i.store.change(ctx, func(c *conn) (err error) { // on the writer's goroutine
		i.places = places
		w := i.store.writer
		before, accepted := w.marks(), len(w.accepted)
		defer func() {
			if err == nil {
				err = w.flush()
			}
			if err != nil {
				w.forget(before, accepted)
			}
		}()
		for r := range records {
			if err := i.add(c, &records[r]); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget undoes in memory what a change has done with the bulks: the transaction goes on without it.
func (w *writer) forget(to marks, accepted int) {
	w.nextMessage, w.nextAttempt = to.nextMessage, to.nextAttempt
	clear(w.accepted[accepted:])
	w.accepted = w.accepted[:accepted]
	clear(w.terms)
	for _, b := range w.bulks() {
		b.reset()
	}
}

func (i *importer) add(c *conn, r *store.Record) error {
	if done, err := i.rows.Add(c.lent(), r); done {
		return err
	}
	switch {
	case r.Application != nil:
		return i.addApplication(c, r.Application)
	case r.Endpoint != nil:
		return i.addEndpoint(c, *r.Endpoint)
	case r.Version != nil:
		return i.addVersion(c, r.Version)
	case r.Execution != nil:
		return i.addExecution(c, *r.Execution)
	case r.Source != nil:
		return i.addSource(c, *r.Source)
	case r.Poller != nil:
		return i.addPoller(c, *r.Poller)
	case r.Items != nil:
		return i.addItems(c, r.Items)
	case r.Feed != nil:
		return i.addFeed(c, r.Feed)
	case r.Message != nil:
		return i.addMessage(r.Message)
	case r.Request != nil:
		return i.addRequest(*r.Request)
	}
	return nil
}

func (i *importer) addApplication(c *conn, app *store.MovedApplication) error {
	ref, err := c.int(importApplicationSQL, string(app.EnvironmentID), string(app.ID), row.Nullable(app.UID), app.Name, app.ThrottleRate,
		row.EncodeMap(app.Metadata), app.CreatedAt, app.UpdatedAt, app.TokensNotBefore, app.Version, app.DeletedAt)
	if isUnique(err) {
		return store.ErrTwice
	}
	i.places.Applications = append(i.places.Applications, ref)
	return err
}

func (i *importer) addEndpoint(c *conn, ep hark.Endpoint) error {
	var err error
	if ep.ApplicationRef, err = i.places.Application(ep.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.store.insertEndpoint(c, &ep)
	if isUnique(err) {
		return store.ErrTwice
	}
	if err != nil {
		return err
	}
	i.places.Endpoints = append(i.places.Endpoints, ref)
	if ep.DeletedAt.IsZero() {
		return nil
	}
	_, err = c.exec(setDeletedEndpointSQL, ep.DeletedAt, ref)
	return err
}

func (i *importer) addVersion(c *conn, v *store.MovedVersion) error {
	endpoint, err := i.places.Endpoint(v.EndpointRef)
	if err != nil {
		return err
	}
	_, err = c.exec(insertVersionSQL, row.VersionValues(endpoint, &v.TransformationVersion)...)
	if isUnique(err) {
		return store.ErrTwice
	}
	return err
}

func (i *importer) addExecution(c *conn, x hark.Execution) (err error) {
	if x.EndpointRef, err = i.places.Endpoint(x.EndpointRef); err != nil {
		return err
	}
	return row.LogExecutions(c.exec, insertExecutionSQL, pruneExecutionsSQL, []hark.Execution{x})
}

func (i *importer) addSource(c *conn, src store.MovedSource) (err error) {
	if src.ApplicationRef, err = i.places.Application(src.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.store.insertSource(c, &src.Source)
	if isUnique(err) {
		return store.ErrTwice
	}
	if err != nil {
		return err
	}
	i.places.Sources = append(i.places.Sources, ref)
	if src.DeletedAt.IsZero() {
		return nil
	}
	if _, err := c.exec(deleteTokensSQL, ref); err != nil {
		return err
	}
	_, err = c.exec(setDeletedSourceSQL, src.DeletedAt, ref)
	return err
}

func (i *importer) addPoller(c *conn, p hark.Poller) (err error) {
	if p.ApplicationRef, err = i.places.Application(p.ApplicationRef); err != nil {
		return err
	}
	ref, err := i.store.insertPoller(c, &p)
	if isUnique(err) {
		return store.ErrTwice
	}
	i.places.Pollers = append(i.places.Pollers, ref)
	return err
}

func (i *importer) addItems(c *conn, m *store.MovedItems) error {
	poller, err := i.places.Poller(m.PollerRef)
	if err != nil {
		return err
	}
	return putItems(c, poller, m.Items)
}

func (i *importer) addRequest(q hark.Request) (err error) {
	if q.SourceRef, err = i.places.Source(q.SourceRef); err != nil {
		return err
	}
	p, err := prepareRequest(&q)
	if err != nil {
		return err
	}
	if err := i.store.writer.addRequest(&p); err != nil {
		return err
	}
	return i.store.writer.addContent(&p)
}

// addMessage accepts a message anew, with its queue rows as they are, and records its attempts. The
// attempts do not say which queue rows they have left behind, so the rows that were put off are strays.
func (i *importer) addMessage(m *store.MovedMessage) error {
	w := i.store.writer
	a, err := i.places.Message(m)
	if err != nil {
		return err
	}
	p, err := prepareAcceptance(a)
	if err != nil {
		return err
	}
	if err := w.accept(&p); err != nil {
		return err
	}
	if a.Outcome != store.Accepted {
		return store.ErrTwice
	}
	for n := range m.Attempts {
		var s settlement
		if s.Settlement, s.id, err = i.places.Attempt(&m.Attempts[n], a.Message.Ref); err != nil {
			return err
		}
		if err := w.record(&s, 0); err != nil {
			return err
		}
	}
	for _, f := range m.Fed {
		consumer, err := i.places.Endpoint(f.EndpointRef)
		if err != nil {
			return err
		}
		if err := w.feeds.add(w.c, consumer, f.Seq, a.Message.Ref, row.Millis(f.At)); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) addFeed(c *conn, f *store.MovedFeed) error {
	consumer, err := i.places.Endpoint(f.EndpointRef)
	if err != nil {
		return err
	}
	if _, err := c.exec(setFeedEndSQL, consumer, f.Last); err != nil {
		return err
	}
	for _, cursor := range f.Cursors {
		if _, err := c.exec(seekCursorSQL, consumer, cursor.Group, cursor.Seq, cursor.UpdatedAt); err != nil {
			return err
		}
	}
	return nil
}

// Finish says that the import is whole.
func (i *importer) Finish(ctx context.Context) error {
	return i.store.change(ctx, func(c *conn) error {
		_, err := c.exec(endImportSQL)
		return err
	})
}
