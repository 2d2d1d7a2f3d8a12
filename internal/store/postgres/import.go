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
	store *Store
	rows  row.Import

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
	places := i.rows.Places
	return i.store.change(ctx, func(c *conn) error {
		i.rows.Places = places
		i.tables, i.events = newTables(), newTable("insert event ids", oidInt8, oidText, oidInt8)
		number, lent := first, c.lent()
		for r := range records {
			var err error
			switch record := &records[r]; {
			case record.Message != nil:
				err = i.addMessage(record.Message, number)
				number++
			case record.Request != nil:
				err = i.addRequest(*record.Request)
			default:
				err = i.rows.Add(lent, record)
			}
			if err != nil {
				return err
			}
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

func (i *importer) addRequest(q hark.Request) (err error) {
	if q.SourceRef, err = i.rows.Places.Source(q.SourceRef); err != nil {
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
	a, err := i.rows.Places.Message(m)
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
		s, id, err := i.rows.Places.Attempt(&m.Attempts[n], p.ref)
		if err != nil {
			return err
		}
		i.tables.attempt(&settlement{Settlement: &s, id: id})
	}
	for _, f := range m.Fed {
		consumer, err := i.rows.Places.Endpoint(f.EndpointRef)
		if err != nil {
			return err
		}
		for n, v := range [...]int64{consumer, f.Seq, p.ref, row.Millis(f.At)} {
			i.tables.feed.columns[n].int8(v)
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
