package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/store/postgres"
	"github.com/harkhq/hark/internal/vault"
)

// What Examine holds to be too slow or too old in a database.
const (
	slowCommit    = 50 * time.Millisecond
	oldestXmin    = 10 * time.Minute
	leastPostgres = 15
)

// examineDatabase looks at a PostgreSQL database, as far as it can be reached.
func examineDatabase(ctx context.Context, p Patient) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	status, err := postgres.Migrations(ctx, p.Database)
	if err != nil {
		return []Finding{wrong("database", "check the URL, the network, the password, and that it is up", "%v", err)}
	}
	switch {
	case len(status.Newer) > 0:
		return []Finding{wrong("schema", "use the version that made it, or a newer one", "is newer than this hark: %s", strings.Join(status.Newer, ", "))}
	case len(status.Changed) > 0:
		return []Finding{wrong("schema", "use the version that made it", "is another version's: %s", strings.Join(status.Changed, ", "))}
	case len(status.Pending) > 0:
		return []Finding{wrong("schema", "hark migrate up", "lacks %s", strings.Join(status.Pending, ", "))}
	}
	findings := []Finding{fine("schema", "is up to date (%d migrations)", len(status.Applied))}
	findings = append(findings, examineMasterKey(ctx, p))
	look, err := postgres.Inspect(ctx, p.Database, time.Now())
	if err != nil {
		return append(findings, wrong("database", "", "%v", err))
	}
	return append(findings, judgeDatabase(look)...)
}

// examineMasterKey tries the master key on what the first node left sealed.
func examineMasterKey(ctx context.Context, p Patient) Finding {
	file := MasterKeyFile(p.Data, p.MasterKeyFile)
	load := func() (*vault.Vault, error) { return vault.Load(file) }
	if p.MasterKey != "" {
		load = func() (*vault.Vault, error) { return vault.Parse(p.MasterKey) }
	}
	keys, err := load()
	if err != nil {
		return wrong("master key", "name the one of all nodes with --master-key-file or HARK_MASTER_KEY", "%v", err)
	}
	err = postgres.CheckKey(ctx, p.Database, keys)
	switch {
	case errors.Is(err, ErrOtherKey):
		return wrong("master key", "give every node the same", "%v", err)
	case err != nil:
		return wrong("master key", "", "%v", err)
	}
	return fine("master key", "opens what the database has sealed")
}

func judgeDatabase(look postgres.Inspection) []Finding {
	var out []Finding
	judge := func(bad bool, check, advice, detail string, args ...any) {
		f := fine(check, detail, args...)
		if bad {
			f.OK, f.Advice = false, advice
		}
		out = append(out, f)
	}
	judge(look.Major < leastPostgres, "version", "PostgreSQL 15 or newer", "PostgreSQL %d", look.Major)
	judge(look.SynchronousCommit == "off", "durability", "SET synchronous_commit = on for hark's role: 202 promises that a message survives a crash",
		"synchronous_commit is %s, %d standbys must confirm", look.SynchronousCommit, look.Standbys)
	judge(look.Skew.Abs() > maxSkew, "clock", "turn on NTP on both machines", "the database's differs from this one's by %v", look.Skew.Abs().Round(time.Millisecond))
	judge(look.Commit > slowCommit, "commit", "a faster disk or network: every publish waits for one", "takes %v", look.Commit.Round(10*time.Microsecond))
	detail := "nothing holds old rows"
	if look.OldestHolder != "" {
		detail = fmt.Sprintf("%s has held old rows for %v", look.OldestHolder, look.OldestFor.Round(time.Second))
	}
	judge(look.OldestFor > oldestXmin, "old rows", "end it: what was deleted since cannot be cleaned up, and the queue becomes slow", "%s", detail)
	judge(look.Bloat > 0.9 && look.DeadRows > 1_000_000, "queue", "VACUUM hark.queue, and see what keeps autovacuum from it",
		"%d live and %d dead rows", look.LiveRows, look.DeadRows)
	judge(look.NodesAlive == 0 && look.Due > 0, "nodes", "start hark serve", "%d are alive, %d shards are nobody's", look.NodesAlive, look.FreeShards)
	return append(out, judgeSources(int(look.Sources), look.Failing))
}
