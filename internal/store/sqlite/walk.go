package sqlite

import (
	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// Walks page through everything of one application or endpoint, for work in the background. They
// look at a bounded number of rows a call, and say from where to go on.

const (
	idOfMessageSQL = `SELECT id FROM message WHERE application = ? AND ref <= ? ORDER BY ref DESC LIMIT 1`

	walkMessagesSQL = `SELECT ref FROM message
WHERE listed = 1 AND application = ? AND id > ? AND id < ? AND created_at >= ? AND created_at < ?
ORDER BY id LIMIT ?`
)

// walkMessages reads up to limit refs of an application's messages behind after, in the order of
// their ids, which is that of their refs but for messages that were accepted in the same moment.
func walkMessages(c *conn, app, after hark.Ref, s row.Span, limit int) (refs []hark.Ref, err error) {
	low, high, from, to := s.Bounds()
	if after != 0 {
		if _, err := c.one(func(r row.Row) error { low = r.Blob(0); return nil }, idOfMessageSQL, app, after); err != nil {
			return nil, err
		}
	}
	return row.Collect(c.query, row.ScanRef, walkMessagesSQL, app, low, high, from, to, limit)
}
