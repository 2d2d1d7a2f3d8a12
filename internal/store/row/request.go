package row

import (
	"fmt"
	"time"

	"github.com/harkhq/hark"
)

// ScanRequest reads source, the source's id, id, received_at, outcome, cause, detail, secret, event_id,
// event type, message, status, took, size, method, remote, expunged.
func ScanRequest(r Row) (hark.Request, error) {
	q := hark.Request{
		SourceRef: r.Int(0), SourceID: hark.SourceID(r.Text(1)), ID: hark.RequestID(r.ID(2, hark.RequestPrefix)), ReceivedAt: r.Time(3),
		Outcome: hark.RequestOutcome(r.Int(4)), Cause: hark.RejectionCause(r.Text(5)), Detail: r.Text(6), Secret: int(r.Int(7)),
		EventID: r.Text(8), EventType: r.Text(9), Status: int(r.Int(11)), Took: micros(r.Int(12)), Size: int(r.Int(13)),
		Method: r.Text(14), Remote: r.Text(15), Expunged: r.Bool(16),
	}
	if !r.Null(10) {
		q.MessageID = hark.MessageID(r.ID(10, hark.MessagePrefix))
	}
	return q, nil
}

// Merge puts together lists that are each in a list's order, up to its limit.
func (r IDRange) Merge(lists [][]hark.Request) []hark.Request {
	if len(lists) == 1 {
		return lists[0]
	}
	var all []hark.Request
	for len(all) < r.Limit {
		first := -1
		for i, l := range lists {
			if len(l) > 0 && (first < 0 || (l[0].ID > lists[first][0].ID) == r.Down) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		all = append(all, lists[first][0])
		lists[first] = lists[first][1:]
	}
	return all
}

// Micros is how durations are stored.
func Micros(d time.Duration) int64 { return min(d.Microseconds(), 1<<31-1) }

// MessageKSUID is the binary form of a request's message; nil when it has none.
func MessageKSUID(id hark.MessageID) ([]byte, error) {
	if id == "" {
		return nil, nil
	}
	k, err := hark.ParseID(string(id), hark.MessagePrefix)
	if err != nil {
		return nil, fmt.Errorf("message %q of a request: %w", id, err)
	}
	return k[:], nil
}
