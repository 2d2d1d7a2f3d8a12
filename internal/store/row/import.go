package row

import (
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Import is an import under way. It adds the rows of all records but those of messages and requests.
type Import struct{ kinds *Kinds }

// NewImport begins an import.
func NewImport(k *Kinds) Import { return Import{kinds: k} }

// Add adds a record's row; done is false where that is not its to do. Each leaves a row that exists as it is.
func (i *Import) Add(c Conn, r *store.Record) (done bool, err error) {
	sql := &i.kinds.sql
	switch {
	case r.Environment != nil:
		err = once(c.Exec(sql.Environment.Insert, environmentValues(r.Environment)...))
	case r.EventType != nil:
		err = once(c.Exec(sql.EventType.Insert, eventTypeValues(r.EventType)...))
	case r.Key != nil:
		err = once(c.Exec(sql.Key.Insert, keyValues(r.Key)...))
	case r.Task != nil:
		err = once(c.Exec(sql.Task.Insert, taskValues(r.Task)...))
	case r.MessageKey != nil:
		m := r.MessageKey
		id, err := hark.ParseID(string(m.MessageID), hark.MessagePrefix)
		if err != nil {
			return true, fmt.Errorf("import the key of message %q: %w", m.MessageID, err)
		}
		return true, once(c.Exec(sql.MessageKey.Insert, m.Hash[:], m.Fingerprint[:], id[:], m.ExpiresAt))
	case r.Answer != nil:
		err = once(sql.Answer.remember(c.Exec, r.Answer, time.Time{})) // no other has expired
	default:
		return false, nil
	}
	return true, err
}

// once says so when a row did not go in because there is one like it.
func once(inserted int64, err error) error {
	if err == nil && inserted == 0 {
		return store.ErrTwice
	}
	return err
}
