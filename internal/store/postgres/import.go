package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	anyRowSQL = `SELECT count(*) FROM (SELECT 1 FROM environment UNION ALL SELECT 1 FROM application UNION ALL SELECT 1 FROM event_type
  UNION ALL SELECT 1 FROM api_key UNION ALL SELECT 1 FROM task UNION ALL SELECT 1 FROM message_key UNION ALL SELECT 1 FROM answer) AS q`

	beginImportSQL = `INSERT INTO counter (name, next) VALUES ('import', 1)`

	importingSQL = `SELECT count(*) FROM counter WHERE name = 'import'`

	endImportSQL = `DELETE FROM counter WHERE name = 'import'`

	importApplicationSQL = `INSERT INTO application (ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

	setDeletedSourceSQL = `UPDATE source SET deleted_at = $1 WHERE ref = $2`

	setDeletedEndpointSQL = `UPDATE endpoint SET deleted_at = $1 WHERE ref = $2`
)

// BeginImport prepares an empty store for an import.
func (s *Store) BeginImport(ctx context.Context) (store.Importer, error) {
	err := s.change(ctx, func(c *conn) error {
		some, err := c.int(anyRowSQL)
		if err != nil {
			return err
		}
		if some > 0 {
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
		return err
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

	// The rows of one Add.
	tables tables
	events *table
}

// Add keeps records.
func (i *importer) Add(ctx context.Context, records []store.Record) error {
	first, err := i.prepare(ctx, records)
	if err != nil {
		return err
	}
	places := i.places
	return i.store.change(ctx, func(c *conn) error {
		i.places = places
		i.tables, i.events = newTables(), newTable("insert event ids", oidInt8, oidText, oidInt8)
		number := first
		for r := range records {
			m := records[r].Message
			if m == nil {
				if err := i.add(c, &records[r]); err != nil {
					return err
				}
				continue
			}
			if err := i.addMessage(m, number); err != nil {
				return err
			}
			number++
		}
		return i.write(ctx, c)
	})
}

// prepare makes the tables of the messages' days, and takes numbers for their refs.
func (i *importer) prepare(ctx context.Context, records []store.Record) (number int64, err error) {
	messages := 0
	for r := range records {
		if q := records[r].Request; q != nil {
			id, err := hark.ParseID(string(q.ID), hark.RequestPrefix)
			if err != nil {
				return 0, fmt.Errorf("import request %q: %w", q.ID, err)
			}
			if err := i.store.ensureDay(ctx, dayOf(id)); err != nil {
				return 0, err
			}
		}
		m := records[r].Message
		if m == nil {
			continue
		}
		messages++
		id, err := hark.ParseID(string(m.ID), hark.MessagePrefix)
		if err != nil {
			return 0, fmt.Errorf("import message %q: %w", m.ID, err)
		}
		if err := i.store.ensureDay(ctx, dayOf(id)); err != nil {
			return 0, err
		}
	}
	if messages == 0 {
		return 0, nil
	}
	return i.store.writers.refs.take(ctx, i.store, int64(messages))
}

// write runs the statements of the tables that have rows.
func (i *importer) write(ctx context.Context, c *conn) error {
	tx, ok := c.raw.(pgx.Tx)
	if !ok {
		return errors.New("an import needs a transaction")
	}
	all := i.tables.all()
	for _, t := range append(all[:], i.events) {
		if t.len() == 0 {
			continue
		}
		result := tx.Conn().PgConn().ExecParams(ctx, hotStatements[t.statement], t.params(), nil, binary1, binary1).Read()
		if isUnique(result.Err) || result.Err == nil && t == i.events && len(result.Rows) != t.len() {
			return store.ErrTwice
		}
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
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
	case r.Request != nil:
		return i.addRequest(*r.Request)
	}
	return nil
}

func (i *importer) addApplication(c *conn, app *store.MovedApplication) error {
	ref, err := next(c, "application")
	if err != nil {
		return err
	}
	_, err = c.exec(importApplicationSQL, ref, string(app.EnvironmentID), string(app.ID), row.Nullable(app.UID), app.Name, app.ThrottleRate,
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
	i.tables.request(&p)
	i.tables.content(&p)
	return nil
}

// addMessage adds the rows of a message with its attempts and what is queued of it.
func (i *importer) addMessage(m *store.MovedMessage, number int64) error {
	a, err := i.places.Message(m)
	if err != nil {
		return err
	}
	p, err := prepareAcceptance(a)
	if err != nil {
		return err
	}
	p.ref = p.day<<dayShift | number
	i.tables.accept(&p)
	if m.EventID != "" {
		i.events.columns[0].int8(a.Message.ApplicationRef)
		i.events.columns[1].text(m.EventID)
		i.events.columns[2].int8(p.ref)
	}
	for n := range m.Attempts {
		s, id, err := i.places.Attempt(&m.Attempts[n], p.ref)
		if err != nil {
			return err
		}
		i.tables.attempt(&settlement{Settlement: &s, id: id})
	}
	for _, f := range m.Fed {
		consumer, err := i.places.Endpoint(f.EndpointRef)
		if err != nil {
			return err
		}
		for n, v := range [...]int64{consumer, f.Seq, p.ref, row.Millis(f.At)} {
			i.tables.feed.columns[n].int8(v)
		}
	}
	return nil
}

const importFeedEndSQL = `INSERT INTO feed_end (consumer, seq) VALUES ($1, $2)`

func (i *importer) addFeed(c *conn, f *store.MovedFeed) error {
	consumer, err := i.places.Endpoint(f.EndpointRef)
	if err != nil {
		return err
	}
	if _, err := c.exec(importFeedEndSQL, consumer, f.Last); err != nil {
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
