package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/observe"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/vault"
)

// Patient is what Examine looks at.
type Patient struct {
	Data          string
	Database      string // a PostgreSQL URL, to look at instead of what is in Data; "" for none
	MasterKey     string // its text; "": in MasterKeyFile
	MasterKeyFile string // "": in the data folder
	URL           string // where its server should answer
}

// Finding is one thing that was looked at: what was found, and what to do when it is not right.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func fine(check, detail string, args ...any) Finding {
	return Finding{Check: check, OK: true, Detail: fmt.Sprintf(detail, args...)}
}

func wrong(check, advice, detail string, args ...any) Finding {
	return Finding{Check: check, Detail: fmt.Sprintf(detail, args...), Advice: advice}
}

// What Examine holds to be too little or too slow.
const (
	leastFreeBytes = 1 << 30
	slowSync       = 20 * time.Millisecond
	maxSkew        = 5 * time.Second
)

// Examine checks a data folder or a database and the server on it. It changes nothing, and works beside
// a server.
func Examine(ctx context.Context, p Patient) []Finding {
	if p.Database != "" {
		return append(examineDatabase(ctx, p), examineServer(ctx, p))
	}
	findings := []Finding{examineFolder(p.Data)}
	if !findings[0].OK && hasData(p.Data) != nil {
		return append(findings, examineServer(ctx, p))
	}
	keyFile := MasterKeyFile(p.Data, p.MasterKeyFile)
	findings = append(findings, examinePermissions(p.Data, keyFile))
	findings = append(findings, examineStore(ctx, p, keyFile)...)
	return append(findings, examineSpace(p.Data), examineSync(p.Data), examineClock(p.Data), examineServer(ctx, p))
}

func examineFolder(dir string) Finding {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wrong("folder", "hark serve --data DIR makes it; --data names another one", "%s does not exist", dir)
	case err != nil:
		return wrong("folder", "check who owns it", "%v", err)
	case !info.IsDir():
		return wrong("folder", "--data names a folder", "%s is a file", dir)
	}
	if err := hasData(dir); err != nil {
		return wrong("folder", "--data names another one, or hark serve makes it", "%v", err)
	}
	probe, err := os.CreateTemp(dir, ".hark-doctor-")
	if err != nil {
		return wrong("folder", "run as the user that owns the folder", "cannot write: %v", err)
	}
	return errFinding("folder", errors.Join(probe.Close(), os.Remove(probe.Name())), fine("folder", "%s can be written", dir))
}

// errFinding is ok, unless there is an error.
func errFinding(check string, err error, ok Finding) Finding {
	if err != nil {
		return wrong(check, "", "%v", err)
	}
	return ok
}

// examinePermissions looks for files that others can read: payloads and secrets are in them.
func examinePermissions(dir, keyFile string) Finding {
	var open []string
	for _, path := range []string{dir, filepath.Join(dir, databaseFile), keyFile} {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, fmt.Sprintf("%s (%04o)", path, info.Mode().Perm()))
		}
	}
	// In a folder that is closed, what is inside is closed too.
	if len(open) == 1 && strings.HasPrefix(open[0], filepath.Join(dir, databaseFile)) {
		open = nil
	}
	if len(open) > 0 {
		return wrong("permissions", "chmod go= "+dir+" "+keyFile, "others can get at %s", strings.Join(open, ", "))
	}
	return fine("permissions", "only the owner gets in")
}

// examineStore opens the database and, with the master key, the secrets in it.
func examineStore(ctx context.Context, p Patient, keyFile string) []Finding {
	load := func() (*vault.Vault, error) { return vault.Load(keyFile) }
	if p.MasterKey != "" {
		load = func() (*vault.Vault, error) { return vault.Parse(p.MasterKey) }
	}
	var sealer store.Sealer
	keys, keyErr := load()
	if keyErr == nil {
		sealer = keys
	}
	st, err := sqlite.Open(ctx, p.Data, sqlite.Options{ReadOnly: true, Sealer: sealer})
	if err != nil {
		return []Finding{wrong("database", "hark restore a backup into another folder", "cannot be opened: %v", err)}
	}
	defer st.Close()
	var findings []Finding
	if errors.Is(keyErr, vault.ErrExposed) {
		findings = append(findings, wrong("master key", "chmod 600 "+keyFile, "is not read while others can read it"))
	} else if keyErr != nil {
		findings = append(findings, wrong("master key", "put the copy that you kept at "+keyFile, "%v", keyErr))
	} else if n, err := openSecrets(ctx, st); err != nil {
		findings = append(findings, wrong("master key", "put the key that this database was made with at "+keyFile,
			"does not open the secrets: %v", err))
	} else {
		findings = append(findings, fine("master key", "opens the secrets (endpoints tried: %d)", n), examineSources(ctx, st))
	}
	damage, err := st.Check(ctx)
	switch {
	case err != nil:
		findings = append(findings, wrong("database", "try again; then hark restore a backup", "cannot be checked: %v", err))
	case len(damage) > 0:
		findings = append(findings, wrong("database", "stop the server, keep a copy of the folder, hark restore a backup",
			"%s", strings.Join(damage[:min(len(damage), 3)], "; ")))
	default:
		stats, err := st.Stats(ctx)
		findings = append(findings, errFinding("database", err, fine("database", "is sound (%d MiB)", stats.Bytes>>20)))
	}
	return findings
}

// secretsToTry bounds how many endpoints' secrets are opened: one master key seals them all.
const secretsToTry = 20

func openSecrets(ctx context.Context, st store.Store) (tried int, err error) {
	envs, err := st.ListEnvironments(ctx)
	if err != nil {
		return 0, err
	}
	for _, env := range envs {
		apps, err := st.ListApplications(ctx, env.ID, store.ApplicationFilter{WithEndpoints: true}, store.Page{Limit: secretsToTry})
		if err != nil {
			return tried, err
		}
		for _, app := range apps {
			var eps []hark.Endpoint
			if eps, err = st.ListEndpoints(ctx, app.Ref, store.Page{Limit: secretsToTry}); err != nil {
				return tried, err
			}
			if tried += len(eps); tried >= secretsToTry {
				return tried, nil
			}
		}
	}
	return tried, nil
}

// examineSources looks for sources that can verify nothing of what comes.
func examineSources(ctx context.Context, st store.Store) Finding {
	envs, err := st.ListEnvironments(ctx)
	if err != nil {
		return errFinding("sources", err, Finding{})
	}
	count := 0
	var failing []hark.Source
	for _, env := range envs {
		for page := (store.Page{Limit: 250}); ; {
			some, err := st.ListSources(ctx, env.ID, 0, page)
			if err != nil {
				return errFinding("sources", err, Finding{})
			}
			for _, s := range some {
				if s.Disabled {
					continue
				}
				if count++; !s.FailingSince.IsZero() {
					failing = append(failing, s)
				}
			}
			if len(some) < page.Limit {
				break
			}
			page.From = string(some[len(some)-1].ID)
		}
	}
	return judgeSources(count, failing)
}

func judgeSources(count int, failing []hark.Source) Finding {
	if len(failing) == 0 {
		return fine("sources", "none of %d fails its verification", count)
	}
	var some []string
	for _, s := range failing[:min(len(failing), 3)] {
		some = append(some, fmt.Sprintf("%s has verified nothing since %s: %s", s.ID, s.FailingSince.Format(time.RFC3339), s.FailingCause))
	}
	return wrong("sources", "most likely the secret was changed at the provider: hark sources rotate; hark sources --status failing lists all",
		"%s", strings.Join(some, "; "))
}

func examineSpace(dir string) Finding {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return wrong("disk space", "", "%v", err)
	}
	free := uint64(fs.Bavail) * uint64(fs.Bsize)
	if free < leastFreeBytes {
		return wrong("disk space", "free some, or move the folder: publishing stops with 503 when it is full",
			"%d MiB are free", free>>20)
	}
	return fine("disk space", "%.1f GiB are free", float64(free)/(1<<30))
}

// examineSync measures what one commit waits for.
func examineSync(dir string) Finding {
	f, err := os.CreateTemp(dir, ".hark-doctor-")
	if err != nil {
		return wrong("fsync", "", "%v", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	page := make([]byte, 4096)
	for range 15 {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return wrong("fsync", "", "%v", err)
		}
		if err := f.Sync(); err != nil {
			return wrong("fsync", "", "%v", err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	median := took[len(took)/2].Round(time.Microsecond)
	if median > slowSync {
		return wrong("fsync", "use a local SSD: every publish waits for one", "takes %v", median)
	}
	return fine("fsync", "takes %v", median)
}

// examineClock compares the clock with what cannot lie in the future. Signatures carry the time,
// and receivers refuse those that are minutes off.
func examineClock(dir string) Finding {
	now := time.Now()
	latest, what := time.Time{}, ""
	if built, err := time.Parse(time.RFC3339, observe.ReadBuild().Time); err == nil {
		latest, what = built, "this program was built"
	}
	if info, err := os.Stat(filepath.Join(dir, databaseFile)); err == nil && info.ModTime().After(latest) {
		latest, what = info.ModTime(), "the database was written"
	}
	if latest.Sub(now) > maxSkew {
		return wrong("clock", "turn on NTP: receivers refuse signatures that are minutes off",
			"says %s, but %s at %s", now.UTC().Format(time.RFC3339), what, latest.UTC().Format(time.RFC3339))
	}
	return fine("clock", "says %s", now.UTC().Format(time.RFC3339))
}

// examineServer asks the server how it is. No server is fine when none has the folder.
func examineServer(ctx context.Context, p Patient) Finding {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.URL, "/")+"/api/v1/health", nil)
	if err != nil {
		return wrong("server", "--server http://HOST:PORT", "%v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if used, _ := sqlite.InUse(p.Data); used && p.Database == "" {
			return wrong("server", "--server names where it listens", "a server uses the folder, but none answers at %s", p.URL)
		}
		return fine("server", "is not running")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return wrong("server", "read its log", "%s answers %s", p.URL, resp.Status)
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && time.Since(at).Abs() > maxSkew {
		return wrong("server", "turn on NTP on both machines", "its clock differs from this one by %v", time.Since(at).Abs().Round(time.Second))
	}
	return fine("server", "answers at %s", p.URL)
}
