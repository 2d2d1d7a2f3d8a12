package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	backupSQL = `VACUUM INTO ?`

	integritySQL = `PRAGMA integrity_check(20)`

	orphanPayloadsSQL = `SELECT count(*) FROM payload p WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = p.message)`
	orphanQueueSQL    = `SELECT count(*) FROM queue q WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = q.message)`
	orphanAttemptsSQL = `SELECT count(*) FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = a.message)`
	orphanEventIDsSQL = `SELECT count(*) FROM event_id g WHERE NOT EXISTS (SELECT 1 FROM message WHERE ref = g.message)`
	lostPayloadsSQL   = `SELECT count(*) FROM message m WHERE expunged = 0 AND NOT EXISTS (SELECT 1 FROM payload WHERE message = m.ref)`

	freePagesSQL = `SELECT freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size()`

	pingSQL = `INSERT INTO counter (name, next) VALUES ('ping', 1) ON CONFLICT (name) DO UPDATE SET next = next + 1`
)

// apart lends a connection that is in nobody's way, for long work.
func (s *Store) apart(f func(*conn) error) (err error) {
	c, err := open(s.path, "rw", "PRAGMA busy_timeout = 10000; PRAGMA wal_autocheckpoint = 0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return translate(f(c))
}

// Backup writes a consistent copy to a new file while everything goes on.
func (s *Store) Backup(ctx context.Context, path string) error {
	// Made beforehand, so that it is nobody else's to read; SQLite takes an empty file as new.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = s.apart(func(c *conn) error {
		return c.long(ctx, func(row.Row) error { return nil }, backupSQL, path)
	})
	if err = errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return fmt.Errorf("backup: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Check verifies the file and that its tables fit together.
func (s *Store) Check(ctx context.Context) (wrong []string, err error) {
	err = s.apart(func(c *conn) error {
		if err := c.long(ctx, func(r row.Row) error {
			if text := r.Text(0); text != "ok" {
				wrong = append(wrong, text)
			}
			return nil
		}, integritySQL); err != nil {
			return err
		}
		for _, check := range []struct{ query, sentence string }{
			{orphanPayloadsSQL, "payloads without a message"},
			{lostPayloadsSQL, "messages without their payload"},
			{orphanQueueSQL, "queued deliveries without a message"},
			{orphanAttemptsSQL, "attempts without a message"},
			{orphanEventIDsSQL, "event ids without a message"},
		} {
			if err := c.long(ctx, func(r row.Row) error {
				if n := r.Int(0); n > 0 {
					wrong = append(wrong, fmt.Sprintf("There are %d %s.", n, check.sentence))
				}
				return nil
			}, check.query); err != nil {
				return err
			}
		}
		return nil
	})
	return wrong, err
}

// Stats is a quick look at the store.
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			stats.Bytes += info.Size()
		}
	}
	if s.writer != nil {
		stats.Waiting = s.writer.depth()
	}
	stats.Commits = s.commits.Load()
	err = s.read(ctx, func(c *conn) (err error) {
		stats.FreeBytes, err = c.int(freePagesSQL)
		return err
	})
	return stats, err
}

// Ping writes a byte and waits until it is on the disk.
func (s *Store) Ping(ctx context.Context) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(pingSQL)
		return err
	})
}
