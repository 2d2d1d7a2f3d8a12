package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// Inspection is what an operator wants to know of a database when something is wrong.
type Inspection struct {
	Major             int           // version of the server
	SynchronousCommit string        // as this role's transactions have it
	Standbys          int           // that must confirm a commit
	Skew              time.Duration // of its clock, positive when it is ahead
	Commit            time.Duration // what a small one takes

	OldestHolder string        // whose transaction or slot keeps dead rows from being removed; "" for none
	OldestFor    time.Duration // and for how long, where it is a transaction

	LiveRows, DeadRows int64 // of the queue, as the server estimates them
	Bloat              float64

	NodesAlive, FreeShards int
	Due                    int64 // rows of the queue that are due, at most one is counted

	Sources int64         // those that are enabled
	Failing []hark.Source // of them, some that can verify nothing: id, since when, and why
}

const (
	inspectSQL = `SELECT current_setting('server_version_num')::bigint / 10000, current_setting('synchronous_commit'),
  (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
  (extract(epoch FROM clock_timestamp()) * 1000)::bigint`

	// Of this database: others' snapshots hold back shared tables only.
	holderSQL = `SELECT coalesce(nullif(application_name, ''), usename::text, 'somebody') || ' (pid ' || pid || ', ' || state || ')',
  (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY age(backend_xmin) DESC LIMIT 1`

	queueRowsSQL = `SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'queue' AND schemaname = current_schema()`

	countSourcesSQL = `SELECT count(*) FROM source WHERE deleted_at = 0 AND NOT disabled`

	failingSourcesSQL = `SELECT id, failing_since, failing_cause FROM source
WHERE deleted_at = 0 AND NOT disabled AND failing_since > 0 ORDER BY failing_since LIMIT 3`

	anyDueSQL = `SELECT count(*) FROM (SELECT 1 FROM queue WHERE due <= $1 LIMIT 1) AS q`
)

// Inspect looks at a database, on a connection of its own.
func Inspect(ctx context.Context, url string, now time.Time) (look Inspection, err error) {
	err = apart(ctx, url, func(c *conn) error {
		began := time.Now()
		if _, err := c.one(func(r row.Row) error {
			look.Major, look.SynchronousCommit, look.Standbys = int(r.Int(0)), r.Text(1), int(r.Int(2))
			middle := now.Add(time.Since(began) / 2)
			look.Skew = r.Time(3).Sub(middle)
			return nil
		}, inspectSQL); err != nil {
			return err
		}
		if _, err := c.one(func(r row.Row) error {
			look.OldestHolder, look.OldestFor = r.Text(0), time.Duration(r.Int(1))*time.Millisecond
			return nil
		}, holderSQL); err != nil {
			return err
		}
		if _, err := c.one(func(r row.Row) error { look.LiveRows, look.DeadRows = r.Int(0), r.Int(1); return nil }, queueRowsSQL); err != nil {
			return err
		}
		look.Bloat = float64(look.DeadRows) / float64(max(1, look.LiveRows+look.DeadRows))
		t, err := readLeases(c, func(end time.Time) bool { return end.After(now) })
		if err != nil {
			return err
		}
		look.NodesAlive, look.FreeShards = len(t.alive), len(t.free())
		if look.Due, err = c.int(anyDueSQL, now); err != nil {
			return err
		}
		if look.Sources, err = c.int(countSourcesSQL); err != nil {
			return err
		}
		if look.Failing, err = row.Collect(c.query, func(r row.Row) (hark.Source, error) {
			return hark.Source{ID: hark.SourceID(r.Text(0)), FailingSince: r.Time(1), FailingCause: r.Text(2)}, nil
		}, failingSourcesSQL); err != nil {
			return err
		}
		look.Commit, err = commitTime(c)
		return err
	})
	return look, err
}

// commitTime is the median of some small commits. What they change is a number that nobody reads.
func commitTime(c *conn) (time.Duration, error) {
	const tries = 9
	var took [tries]time.Duration
	for i := range took {
		began := time.Now()
		if _, err := c.exec(touchSQL); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	for i := range took { // insertion sort: there are nine
		for j := i; j > 0 && took[j] < took[j-1]; j-- {
			took[j], took[j-1] = took[j-1], took[j]
		}
	}
	return took[tries/2], nil
}

const touchSQL = `UPDATE counter SET next = next WHERE name = 'lease'`

// CheckKey tries a master key on what the first node left sealed; nothing sealed is fine.
func CheckKey(ctx context.Context, url string, sealer store.Sealer) error {
	return apart(ctx, url, func(c *conn) error {
		var sealed []byte
		found, err := c.one(func(r row.Row) error { sealed = r.Blob(0); return nil }, installationSQL, masterKeyName)
		if err != nil || !found {
			return err
		}
		return checkKey(sealer, sealed)
	})
}
