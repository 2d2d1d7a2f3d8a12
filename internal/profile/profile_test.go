package profile_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/profile"
)

// TestMain is also the process that holds a profile until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HOLD_IN"); dir != "" {
		_, err := profile.Folder(dir).Hold("dev", sample("held"))
		fmt.Println("held", err)
		select {}
	}
	os.Exit(m.Run())
}

func sample(key string) profile.Profile {
	return profile.Profile{URL: "https://hooks.example.com", Key: config.Secret(key), EnvironmentID: "org_1", Environment: "live", Scope: "admin",
		Application: "app_1", Sources: []profile.Source{{ID: "src_1", Provider: "stripe", Secret: "whsec_1"}}}
}

func TestFind_FollowsXDG(t *testing.T) {
	for _, tt := range []struct{ xdg, home, want string }{
		{"/x", "/home/ada", "/x/hark"},
		{"", "/home/ada", "/home/ada/.config/hark"},
		{"relative", "/home/ada", "/home/ada/.config/hark"},
		{"", "", ""},
	} {
		env := map[string]string{"XDG_CONFIG_HOME": tt.xdg, "HOME": tt.home}
		got, err := profile.Find(func(name string) (string, bool) { return env[name], env[name] != "" })
		if string(got) != tt.want || (tt.want == "") != errors.Is(err, profile.ErrNoHome) {
			t.Errorf("XDG %q, home %q: got %q, %v, want %q", tt.xdg, tt.home, got, err, tt.want)
		}
	}
}

func TestChange_KeepsWhatOnlyTheOwnerReads(t *testing.T) {
	dir := profile.Folder(filepath.Join(t.TempDir(), "new", "hark"))
	want := profile.Profiles{Use: "a", ByName: map[string]profile.Profile{"a": sample("k1"), "b": {URL: "http://127.0.0.1:1", Key: "k2"}}}
	if err := dir.Change(func(all *profile.Profiles) error { *all = want; return nil }); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Read()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Read: %v (-want +got):\n%s", err, diff)
	}
	for path, mode := range map[string]os.FileMode{string(dir): 0o700 | os.ModeDir, dir.Path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
}

func TestChange_ThatFailsChangesNothing(t *testing.T) {
	dir := profile.Folder(t.TempDir())
	if err := os.WriteFile(dir.Path(), []byte("not JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := dir.Change(func(*profile.Profiles) error { return nil }); err == nil || !strings.Contains(err.Error(), dir.Path()) {
		t.Errorf("Change of a broken file = %v, want one that names it", err)
	}
	if err := os.WriteFile(dir.Path(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dir.Change(func(all *profile.Profiles) error { all.Use = "x"; return no }); !errors.Is(err, no) {
		t.Errorf("Change = %v", err)
	}
	if text, err := os.ReadFile(dir.Path()); string(text) != "{}" {
		t.Errorf("the file became %q, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(string(dir), ".new-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestChange_FollowsALink(t *testing.T) {
	elsewhere, dir := filepath.Join(t.TempDir(), "kept.json"), profile.Folder(t.TempDir())
	if err := os.WriteFile(elsewhere, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, dir.Path()); err != nil {
		t.Fatal(err)
	}
	if err := dir.Change(func(all *profile.Profiles) error { all.Use = "linked"; return nil }); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(elsewhere); err != nil || !strings.Contains(string(text), "linked") {
		t.Errorf("the file that was linked to has %q, %v", text, err)
	}
}

func TestChange_LosesNothingWhenTwoChangeAtOnce(t *testing.T) {
	dir := profile.Folder(t.TempDir())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := dir.Change(func(all *profile.Profiles) error { all.ByName[fmt.Sprint(i)] = sample("k"); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, err := dir.Read(); len(all.ByName) != 20 || err != nil {
		t.Errorf("%d of 20 profiles are there, %v", len(all.ByName), err)
	}
}

func TestHold_LastsUntilRelease(t *testing.T) {
	dir := profile.Folder(filepath.Join(t.TempDir(), "hark"))
	if _, held, err := dir.Running("dev"); held || err != nil {
		t.Fatalf("held before anybody did: %v, %v", held, err)
	}
	h, err := dir.Hold("dev", sample("k"))
	if err != nil {
		t.Fatal(err)
	}
	p, held, err := dir.Running("dev")
	if diff := cmp.Diff(sample("k"), p); diff != "" || !held || err != nil {
		t.Errorf("Running: %v, %v (-want +got):\n%s", held, err, diff)
	}
	if _, err := dir.Hold("dev", sample("other")); !errors.Is(err, profile.ErrHeld) {
		t.Errorf("a second Hold = %v, want ErrHeld", err)
	}
	other, err := dir.Hold("shop", sample("other"))
	if err != nil {
		t.Fatalf("Hold under another name: %v", err)
	}
	all, err := dir.AllRunning()
	if diff := cmp.Diff(map[string]profile.Profile{"dev": sample("k"), "shop": sample("other")}, all); diff != "" || err != nil {
		t.Errorf("AllRunning: %v (-want +got):\n%s", err, diff)
	}
	for _, h := range []*profile.Held{h, other} {
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	}
	if _, held, err := dir.Running("dev"); held || err != nil {
		t.Errorf("after Release: %v, %v", held, err)
	}
	if left, _ := os.ReadDir(string(dir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestHold_EndsWithAProcessThatIsKilled(t *testing.T) {
	dir := profile.Folder(t.TempDir())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "HOLD_IN="+string(dir))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	if p, held, err := dir.Running("dev"); !held || err != nil || p.Key != "held" {
		t.Errorf("while it lives: %v, %v", held, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if _, held, err := dir.Running("dev"); held || err != nil {
		t.Errorf("after its death: %v, %v", held, err)
	}
	h, err := dir.Hold("dev", sample("next"))
	if err != nil {
		t.Fatalf("the next Hold: %v", err)
	}
	if err := h.Release(); err != nil {
		t.Error(err)
	}
}

func TestSecret_StaysTheSame(t *testing.T) {
	dir := profile.Folder(filepath.Join(t.TempDir(), "hark"))
	for _, fresh := range []string{"first", "second"} {
		if got, err := dir.Secret(func() string { return fresh }); got != "first" || err != nil {
			t.Errorf("Secret = %q, %v", got.Reveal(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(string(dir), "dev-secret")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestCheckName_RefusesWhatLeadsOut(t *testing.T) {
	for name, ok := range map[string]bool{
		"staging": true, "hooks.example.com": true, "127.0.0.1:8071": true, "::1:8071": true, "a_b-c": true,
		"": false, "..": false, ".x": false, "a/b": false, "-x": false, "a b": false, "a\x00": false, strings.Repeat("a", 101): false,
	} {
		if err := profile.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

func TestProfile_DoesNotShowItsKey(t *testing.T) {
	if text := fmt.Sprintf("%v %+v %#v", sample("hunter2"), sample("hunter2"), sample("hunter2")); strings.Contains(text, "hunter2") || strings.Contains(text, "whsec_1") {
		t.Errorf("shown: %s", text)
	}
}
