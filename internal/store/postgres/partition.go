package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

// A message's ref is the day of its id, and behind it a number that only rises:
//
//	ref = day since 1970 (19 bits) ‖ number (44 bits)
//
// Messages, payloads and attempts are kept by the message's ref, and requests by such a ref without
// its number. So each day has tables of its own,
// every look-up by ref or by a message's id goes to one of them, and a day that is over is dropped
// instead of deleted. Where partitions are switched off the refs are the same, in one table.
const (
	dayShift     = 44
	secondsOfDay = 24 * 60 * 60
)

// dayOf is the day of an id.
func dayOf(id hark.KSUID) int64 { return id.Time().Unix() / secondsOfDay }

// refsOfDay are the refs of a day: [low, high).
func refsOfDay(day int64) (low, high hark.Ref) { return day << dayShift, (day + 1) << dayShift }

// refsBetween are all refs of messages whose ids lie between two: so that only their days are read.
func refsBetween(low, high []byte) (first, end hark.Ref) {
	end = 1<<63 - 1
	if len(high) == len(hark.KSUID{}) {
		_, end = refsOfDay(dayOf(hark.KSUID(high)))
	}
	if len(low) == len(hark.KSUID{}) {
		first, _ = refsOfDay(dayOf(hark.KSUID(low)))
	}
	return first, end
}

// partitioned are the tables that are kept by day.
var partitioned = [...]string{"message", "payload", "attempt", "request", "request_content"}

// partitionOf names a day's part of a table.
func partitionOf(table string, day int64) string {
	return table + "_" + time.Unix(day*secondsOfDay, 0).UTC().Format("20060102")
}

const (
	hasDaySQL = `SELECT count(*) FROM day WHERE day = $1`

	insertDaySQL = `INSERT INTO day (day) VALUES ($1)`

	daysSQL = `SELECT day FROM day ORDER BY day`

	deleteDaySQL = `DELETE FROM day WHERE day = $1`
)

// ensureDay makes a day's tables, if there are to be any.
func (s *Store) ensureDay(ctx context.Context, day int64) error {
	if !s.byDay {
		return nil
	}
	if _, ok := s.days.Load(day); ok {
		return nil
	}
	err := s.change(ctx, func(c *conn) error {
		if _, err := next(c, "day"); err != nil { // one node at a time
			return err
		}
		if n, err := c.int(hasDaySQL, day); err != nil || n > 0 {
			return err
		}
		low, high := refsOfDay(day)
		for _, table := range partitioned {
			name := partitionOf(table, day)
			// Made apart and then attached: CREATE TABLE … PARTITION OF would wait for everybody who
			// reads the table, and make everybody else wait.
			for _, statement := range [...]string{
				fmt.Sprintf(`CREATE TABLE %s (LIKE %s INCLUDING ALL)`, name, table),
				fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`, table, name, low, high),
			} {
				if _, err := c.exec(statement); err != nil {
					return err
				}
			}
		}
		_, err := c.exec(insertDaySQL, day)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the tables of a day: %w", err)
	}
	s.days.Store(day, true)
	return nil
}

// dropDay drops a day's tables, unless one of its messages is still queued. It gives up soon when
// somebody reads in them: everybody else would have to wait for it.
func (s *Store) dropDay(ctx context.Context, day int64) (dropped bool, err error) {
	low, high := refsOfDay(day)
	err = s.change(ctx, func(c *conn) error {
		dropped = false
		if _, err := c.exec(`SET LOCAL lock_timeout = '200ms'`); err != nil {
			return err
		}
		if _, err := next(c, "day"); err != nil {
			return err
		}
		if n, err := c.int(queuedBetweenSQL, low, high); err != nil || n > 0 {
			return err
		}
		names := make([]string, len(partitioned))
		for i, table := range partitioned {
			names[i] = partitionOf(table, day)
		}
		for _, query := range [...]string{deleteEventIDsBetweenSQL, deletePayloadExpiriesBetweenSQL} {
			if _, err := c.exec(query, low, high); err != nil {
				return err
			}
		}
		if _, err := c.exec(`DROP TABLE IF EXISTS ` + strings.Join(names, ", ")); codeOf(err) == codeLockTimeout {
			return errRead
		} else if err != nil {
			return err
		}
		dropped = true
		_, err := c.exec(deleteDaySQL, day)
		return err
	})
	if dropped {
		s.days.Delete(day)
	}
	if errors.Is(err, errRead) {
		return false, nil // the next time
	}
	return dropped && err == nil, err
}

var errRead = errors.New("the day's tables are being read")

const (
	queuedBetweenSQL = `SELECT count(*) FROM (SELECT 1 FROM queue WHERE message >= $1 AND message < $2 LIMIT 1) AS q`

	deleteEventIDsBetweenSQL = `DELETE FROM event_id WHERE message >= $1 AND message < $2`

	deletePayloadExpiriesBetweenSQL = `DELETE FROM payload_expiry WHERE message >= $1 AND message < $2`
)

// forgetDays makes every day be looked for again: another node may have dropped one.
func (s *Store) forgetDays() { s.days.Clear() }
