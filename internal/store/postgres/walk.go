package postgres

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// Walks page through everything of one application or endpoint, for work in the background. They
// look at a bounded number of rows a call, and say from where to go on.

const (
	// The message itself may be gone: then its neighbour of that day will do.
	idOfMessageSQL = `SELECT id FROM message WHERE ref <= $1 AND ref >= $2 ORDER BY ref DESC LIMIT 1`

	walkMessagesSQL = `SELECT ref FROM message
WHERE application = $1 AND id > $2 AND id < $3 AND created_at >= $4 AND created_at < $5 AND ref >= $6 AND ref < $7
ORDER BY id LIMIT $8`
)

// walkMessages reads up to limit refs of an application's messages behind after, in the order of
// their ids, which is that of their refs but for messages that were accepted at different nodes, or
// in the same moment.
func walkMessages(c *conn, app, after hark.Ref, s row.Span, limit int) (refs []hark.Ref, err error) {
	low, high, from, to := s.Bounds()
	if after != 0 {
		if low, err = idOfMessage(c, after); err != nil {
			return nil, err
		}
	}
	first, last := refsBetween(low, high)
	return row.Collect(c.query, row.ScanRef, walkMessagesSQL, app, low, high, from, to, first, last, limit)
}

// idOfMessage is a message's id, or the beginning of its day.
func idOfMessage(c *conn, ref hark.Ref) ([]byte, error) {
	day := ref >> dayShift
	first, _ := refsOfDay(day)
	k := hark.KSUIDFloor(time.Unix(day*secondsOfDay, 0))
	id := k[:]
	_, err := c.one(func(r row.Row) error { id = r.Blob(0); return nil }, idOfMessageSQL, ref, first)
	return id, err
}
