package sdk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

// drive installs the packages of a folder from its lock file and runs scripts with them.
func drive(t *testing.T, folder string, scripts ...string) {
	binary := harness.Binary(t) // first of all the skip of -short
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: the JavaScript client needs %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	for _, file := range append([]string{folder + "/package.json", folder + "/package-lock.json"}, scripts...) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install(t, dir)
	s := harness.Run(t, "--log-level", "warn")
	for _, script := range scripts {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
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
