package hostile

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// TestDisk_FullRefusesAndRecovers fills the disk under the data folder: publishes are answered 503
// with Retry-After, what was acknowledged before is kept and delivered, and when there is room
// again everything goes on by itself.
func TestDisk_FullRefusesAndRecovers(t *testing.T) {
	harness.Binary(t) // first of all the skip of -short
	disk := smallDisk(t, "48m")
	sink := harness.NewSink(t, nil)
	s := harness.RunWith(t, harness.Options{Dir: filepath.Join(disk, "data"), Args: []string{"--log-level", "error"}})
	c := s.Client()
	app := c.Application(t, "full disk")
	c.Endpoint(t, app, sink.URL+"/x", map[string]any{"retrySchedule": []float64{0.2, 0.2, 0.5, 0.5, 1, 1, 1, 1, 1, 1}})
	acked := map[string]bool{c.Publish(t, app, "disk.before", map[string]any{"n": 0}): true}

	fill(t, filepath.Join(disk, "filler"), 1<<20)
	refused := publishUntilRefused(t, c, app, acked)
	if refused.header.Get("Retry-After") == "" {
		t.Errorf("503 on a full disk says no Retry-After: %v", refused.header)
	}
	if !strings.HasPrefix(refused.header.Get("Content-Type"), "application/json") {
		t.Errorf("503 on a full disk is not JSON: %.200q", refused.body)
	}
	// Reading goes on while writing cannot.
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/msg?limit=5", nil, nil)

	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, func() error {
		id, answer := publish(t, c, app)
		if id == "" {
			return fmt.Errorf("with room again: %d %.200q", answer.status, answer.body)
		}
		acked[id] = true
		return nil
	})
	// Everything acknowledged is there, and is delivered.
	harness.Eventually(t, time.Minute, func() error {
		got := map[string]bool{}
		for _, a := range sink.Arrivals("/x") {
			got[a.ID] = true
		}
		for id := range acked {
			if !got[id] {
				return fmt.Errorf("%s was acknowledged and not delivered (%d of %d were)", id, len(got), len(acked))
			}
		}
		return nil
	})
	for id := range acked {
		c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/msg/"+id, nil, nil)
	}
	t.Logf("%d messages acknowledged around a full disk, all kept and delivered", len(acked))
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func publish(t *testing.T, c *harness.Client, app string) (id string, got answer) {
	t.Helper()
	body := `{"eventType":"disk.full","payload":{"pad":"` + strings.Repeat("x", 8<<10) + `"}}`
	var err error
	got.status, got.header, got.body, err = c.Raw(t.Context(), http.MethodPost, "/api/v1/app/"+app+"/msg?with_content=false", strings.NewReader(body), nil)
	if err != nil {
		t.Fatalf("a publish on a full disk got no answer: %v", err)
	}
	if got.status != http.StatusAccepted {
		return "", got
	}
	_, rest, _ := strings.Cut(string(got.body), `"id":"`)
	id, _, _ = strings.Cut(rest, `"`)
	return id, got
}

// publishUntilRefused publishes until several publishes in a row were refused.
func publishUntilRefused(t *testing.T, c *harness.Client, app string, acked map[string]bool) answer {
	t.Helper()
	var last answer
	for row, n := 0, 0; row < 5; n++ {
		if n > 20000 {
			t.Fatal("the disk never filled up")
		}
		id, got := publish(t, c, app)
		switch {
		case id != "":
			acked[id] = true
			row = 0
		case got.status == http.StatusServiceUnavailable:
			last = got
			row++
		default:
			t.Fatalf("on a full disk a publish was answered %d %.200q, want 503", got.status, got.body)
		}
	}
	return last
}

// smallDisk mounts a file system of its own for the test.
func smallDisk(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a full disk needs a mount, and that needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file until less than leave bytes are free.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
			t.Fatal(err)
		}
		if int64(st.Bavail)*st.Bsize <= leave {
			return
		}
		if _, err := f.Write(block); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return
			}
			t.Fatal(err)
		}
	}
}
