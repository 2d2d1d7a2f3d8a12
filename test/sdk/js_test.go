package sdk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestJavaScript_FirstGeneration(t *testing.T)  { drive(t, "js-v1", "drive.mjs") }
func TestJavaScript_SecondGeneration(t *testing.T) { drive(t, "js-v2", "drive.mjs") }
func TestJavaScript_ProvidersLibraries(t *testing.T) {
	drive(t, "senders", "senders.mjs", "triggered.mjs", "listened.mjs")
}

// drive installs the packages of a folder from its lock file and runs scripts with them, beside what they share.
func drive(t *testing.T, folder string, scripts ...string) {
	t.Parallel()
	binary := harness.Binary(t) // first of all the skip of -short
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: the JavaScript client needs %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	copyTo(t, dir, append([]string{folder + "/package.json", "hark.mjs"}, scripts...)...)
	if err := os.Symlink(installed(t, folder), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	s := harness.Run(t, "--log-level", "warn")
	for _, script := range scripts {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HARK_URL="+s.URL, "HARK_KEY="+harness.Key, "HARK_BIN="+binary)
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Errorf("node %s: %v", script, err)
		}
	}
}

// installed is the node_modules folder of a lock file. It stays in the user's cache from one run to the next,
// under what decides its content; two runs at once may both make it, and use whichever was done first.
func installed(t *testing.T, folder string) string {
	t.Helper()
	files := []string{folder + "/package.json", folder + "/package-lock.json"}
	version, err := exec.Command("npm", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	key := runtime.GOOS + runtime.GOARCH + string(version)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key += string(b)
	}
	kept, err := harness.Cache("npm", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err == nil {
		return kept + "/node_modules"
	}
	dir, err := os.MkdirTemp(filepath.Dir(kept), "new-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // gone already, unless it failed or another run was first
	copyTo(t, dir, files...)
	install(t, dir)
	if err := os.Rename(dir, kept); err != nil {
		if _, other := os.Stat(kept); other != nil {
			t.Fatal(err)
		}
	}
	return kept + "/node_modules"
}

func copyTo(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// install runs npm ci. Packages that cannot be had are a reason to skip; packages that are not
// what the lock file says are not.
func install(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	for _, code := range []string{"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENOTCACHED", "ERR_SOCKET_TIMEOUT", "ENETUNREACH"} {
		if bytes.Contains(out, []byte(code)) {
			t.Skipf("SKIPPED, NOT TESTED: the JavaScript client cannot be installed offline: %s", out)
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Skipf("SKIPPED, NOT TESTED: npm ci took longer than two minutes: %s", out)
	}
	t.Fatalf("npm ci: %v\n%s", err, out)
}
