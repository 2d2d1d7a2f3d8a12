package postgres

import (
	"context"
	"fmt"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	orphanPayloadsSQL = `SELECT count(*) FROM payload p WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = p.message)`
	orphanQueueSQL    = `SELECT count(*) FROM queue q WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = q.message)`
	orphanAttemptsSQL = `SELECT count(*) FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = a.message)`
	orphanEventIDsSQL = `SELECT count(*) FROM event_id g WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = g.message)`
	lostPayloadsSQL   = `SELECT count(*) FROM message m WHERE NOT expunged AND NOT EXISTS (SELECT 1 FROM payload WHERE message = m.ref)`

	bytesSQL = `SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace = to_regnamespace(current_schema())`

	pingSQL = `INSERT INTO counter (name, next) VALUES ('ping', 1) ON CONFLICT (name) DO UPDATE SET next = counter.next + 1`
)

// Backup is refused: a copy that one process makes over its own connection would be a worse one.
func (s *Store) Backup(context.Context, string) error {
	return hark.Errorf(hark.NotImplemented, "PostgreSQL has its own tools for this: pg_dump for a copy, pg_basebackup and a WAL archive for every moment")
}

// Check verifies that the tables fit together. It reads all of them.
func (s *Store) Check(ctx context.Context) (wrong []string, err error) {
	err = translate(onConnection(ctx, s.config, func(c *conn) error {
		for _, check := range []struct{ query, sentence string }{
			{orphanPayloadsSQL, "payloads without a message"},
			{lostPayloadsSQL, "messages without their payload"},
			{orphanQueueSQL, "queued deliveries without a message"},
			{orphanAttemptsSQL, "attempts without a message"},
			{orphanEventIDsSQL, "event ids without a message"},
		} {
			n, err := c.int(check.query)
			if err != nil {
				return err
			}
			if n > 0 {
				wrong = append(wrong, fmt.Sprintf("There are %d %s.", n, check.sentence))
			}
		}
		return nil
	}))
	return wrong, err
}

// Stats is a quick look at the store.
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	stats.Waiting = s.writers.depth()
	stats.Commits = s.commits.Load()
	err = s.read(ctx, func(c *conn) (err error) {
		stats.Bytes, err = c.int(bytesSQL)
		return err
	})
	return stats, err
}

// Ping commits a change of one row.
func (s *Store) Ping(ctx context.Context) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(pingSQL)
		return err
	})
}
