package row

import (
	"cmp"
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Retention says before which id an application's messages go, or a source's requests.
type Retention struct {
	Ref hark.Ref
	End []byte
}

// Retentions are the applications, or the sources, behind a ref, as Walk.Go asks for them.
func Retentions(ctx context.Context, lend Lend, now time.Time, query string) func(after hark.Ref, limit int) ([]Retention, error) {
	return func(after hark.Ref, limit int) ([]Retention, error) {
		return List(ctx, lend, ScanRetention(now), query, after, limit)
	}
}

// ScanRetention reads the ref of an application or source, the retention of its environment, and deleted_at.
func ScanRetention(now time.Time) func(Row) (Retention, error) {
	return func(r Row) (Retention, error) {
		end := LastID()
		if r.Int(2) == 0 { // what belongs to something deleted all goes
			kept := cmp.Or(time.Duration(r.Int(1)), hark.DefaultRetention)
			k := hark.KSUIDFloor(now.Add(-kept))
			end = k[:]
		}
		return Retention{r.Int(0), end}, nil
	}
}

// Old is a message or request whose time may be over.
type Old struct {
	Ref hark.Ref
	ID  []byte
}

// ScanOld reads ref and id.
func ScanOld(r Row) (Old, error) { return Old{r.Int(0), r.Blob(1)}, nil }

// walkApplications, or sources, are looked at in one call.
const walkApplications = 1000

// Walk is where retention is in its walk over the applications, or the sources. It starts at the beginning after a
// restart; that costs one seek per application.
type Walk struct {
	app hark.Ref // done up to here
	id  []byte   // of the application behind it, done up to here
}

// Go goes on until limit messages were looked at or the walk ends, chunk messages at a time. It asks
// applications for those behind a ref, and expire to remove up to limit messages of one behind an id:
// it answers the messages that it looked at.
func (w *Walk) Go(limit, chunk int,
	applications func(after hark.Ref, limit int) ([]Retention, error),
	expire func(app Retention, after []byte, limit int) ([]Old, error),
) (more bool, err error) {
	apps, err := applications(w.app, walkApplications)
	if err != nil {
		return false, err
	}
	for _, app := range apps {
		for full := true; full; {
			if limit <= 0 {
				return true, nil
			}
			after, some := w.id, min(limit, chunk)
			if after == nil {
				after = []byte{} // NULL is behind nothing
			}
			old, err := expire(app, after, some)
			if err != nil {
				return false, err
			}
			limit -= len(old)
			if full = len(old) == some; full {
				w.id = old[len(old)-1].ID
			}
		}
		w.app, w.id = app.Ref, nil
	}
	if len(apps) < walkApplications {
		w.app = 0
		return false, nil
	}
	return true, nil
}
