package postgres

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
	// The message itself may be gone: then its neighbour of that day will do.
	idOfMessageSQL = `SELECT id FROM message WHERE ref <= $1 AND ref >= $2 ORDER BY ref DESC LIMIT 1`

	walkMessagesSQL = `SELECT ref FROM message
WHERE application = $1 AND id > $2 AND id < $3 AND created_at >= $4 AND created_at < $5 AND ref >= $6 AND ref < $7
ORDER BY id LIMIT $8`
)

// walkMessages reads up to limit refs of an application's messages behind after, in the order of
// their ids, which is that of their refs but for messages that were accepted at different nodes, or
// in the same moment.
func walkMessages(c *conn, app, after hark.Ref, s span, limit int) (refs []hark.Ref, err error) {
	low, high, from, to := s.bounds()
	if after != 0 {
		if low, err = idOfMessage(c, after); err != nil {
			return nil, err
		}
	}
	first, last := refsBetween(low, high)
	return collect(c, scanRef, walkMessagesSQL, app, low, high, from, to, first, last, limit)
}

// idOfMessage is a message's id, or the beginning of its day.
func idOfMessage(c *conn, ref hark.Ref) ([]byte, error) {
	day := ref >> dayShift
	first, _ := refsOfDay(day)
	k := hark.KSUIDFloor(time.Unix(day*secondsOfDay, 0))
	id := k[:]
	_, err := c.one(func(r row) error { id = r.blob(0); return nil }, idOfMessageSQL, ref, first)
	return id, err
}

// goOn is where the next call starts after one that read these refs: 0 when there are no more.
func goOn(refs []hark.Ref, limit int) hark.Ref {
	if len(refs) < limit {
		return 0
	}
	return refs[len(refs)-1]
}

func scanRef(r row) (hark.Ref, error) { return r.int(0), nil }
