package sqlite

import (
	"time"

	"github.com/harkhq/hark"
)

// Walks page through everything of one application or endpoint, for work in the background. They
// look at a bounded number of rows a call, and say from where to go on.

// span is the time in which messages were created: [since, until), open where zero.
type span struct{ since, until time.Time }

func (s span) bounds() (low, high []byte, from, to int64) {
	lowest, highest := hark.KSUIDFloor(s.since), hark.KSUIDFloor(s.until.Add(slack))
	low, high = lowest[:], highest[:]
	if s.since.IsZero() {
		low = []byte{}
	}
	if s.until.IsZero() {
		high = lastID()
	}
	return low, high, lowerBound(s.since), upperBound(s.until)
}

const (
	idOfMessageSQL = `SELECT id FROM message WHERE application = ? AND ref <= ? ORDER BY ref DESC LIMIT 1`

	walkMessagesSQL = `SELECT ref FROM message
WHERE listed = 1 AND application = ? AND id > ? AND id < ? AND created_at >= ? AND created_at < ?
ORDER BY id LIMIT ?`
)

// walkMessages reads up to limit refs of an application's messages behind after, in the order of
// their ids, which is that of their refs but for messages that were accepted in the same moment.
func walkMessages(c *conn, app, after hark.Ref, s span, limit int) (refs []hark.Ref, err error) {
	low, high, from, to := s.bounds()
	if after != 0 {
		if _, err := c.one(func(r row) error { low = r.blob(0); return nil }, idOfMessageSQL, app, after); err != nil {
			return nil, err
		}
	}
	return collect(c, scanRef, walkMessagesSQL, app, low, high, from, to, limit)
}

// goOn is where the next call starts after one that read these refs: 0 when there are no more.
func goOn(refs []hark.Ref, limit int) hark.Ref {
	if len(refs) < limit {
		return 0
	}
	return refs[len(refs)-1]
}

func scanRef(r row) (hark.Ref, error) { return r.int(0), nil }
