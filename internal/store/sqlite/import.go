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
	store *Store
	rows  row.Import
}

// Add keeps records.
func (i *importer) Add(ctx context.Context, records []store.Record) error {
	places := i.rows.Places
	return i.store.change(ctx, func(c *conn) (err error) { // on the writer's goroutine
		i.rows.Places = places
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
		lent := c.lent()
		for r := range records {
			if err := i.add(lent, &records[r]); err != nil {
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

func (i *importer) add(c row.Conn, r *store.Record) error {
	switch {
	case r.Message != nil:
		return i.addMessage(r.Message)
	case r.Request != nil:
		return i.addRequest(*r.Request)
	}
	return i.rows.Add(c, r)
}

func (i *importer) addRequest(q hark.Request) (err error) {
	if q.SourceRef, err = i.rows.Places.Source(q.SourceRef); err != nil {
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
	a, err := i.rows.Places.Message(m)
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
		if s.Settlement, s.id, err = i.rows.Places.Attempt(&m.Attempts[n], a.Message.Ref); err != nil {
			return err
		}
		if err := w.record(&s, 0); err != nil {
			return err
		}
	}
	for _, f := range m.Fed {
		consumer, err := i.rows.Places.Endpoint(f.EndpointRef)
		if err != nil {
			return err
		}
		if err := w.feeds.add(w.c, consumer, f.Seq, a.Message.Ref, row.Millis(f.At)); err != nil {
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
