package listen

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// newTestListener is a listener to a server that is a function.
func newTestListener(t *testing.T, opt Options, handler http.HandlerFunc) *Listener {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	opt.Server, opt.Machine = server.URL, "m-1"
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMark_IsMadeOnceADayAndKeepsWhatElseThereIs(t *testing.T) {
	patches, metadata, broken := 0, map[string]string{}, true
	l := newTestListener(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if patches++; broken || r.Method != http.MethodPatch || r.URL.Path != "/api/v1/app/app_1/consumer/sink_1" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var in struct{ Metadata map[string]string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		metadata = in.Metadata
		_ = json.NewEncoder(w).Encode(consumerOut{ID: "sink_1", Metadata: metadata})
	})
	yesterday := map[string]string{ownerMark: "m-1", usedMark: "2001-02-03", "team": "blue"}
	l.session, l.own = Session{ApplicationID: "app_1"}, consumerOut{ID: "sink_1", Metadata: maps.Clone(yesterday)}
	l.mark(t.Context())
	broken = false
	l.mark(t.Context()) // once more, for it went wrong
	l.mark(t.Context())
	if patches != 2 {
		t.Errorf("%d requests, want 2", patches)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if want := map[string]string{ownerMark: "m-1", usedMark: today, "team": "blue"}; !maps.Equal(metadata, want) {
		t.Errorf("%v, want %v", metadata, want)
	}
}

func TestSecret_IsTheMachinesAndAnotherForEachApplication(t *testing.T) {
	first := ""
	answer := func(w http.ResponseWriter, r *http.Request) {
		if first == "" || !strings.HasSuffix(r.URL.Path, "/consumer/listen-m-1/secret") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"key": first})
	}
	secret := func(opt Options, app hark.ApplicationID) string {
		t.Helper()
		s, err := newTestListener(t, opt, answer).secret(context.Background(), app)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := secret(Options{MachineKey: "k"}, "app_1")
	if _, err := webhook.ParseKey(one); err != nil || one != secret(Options{MachineKey: "k"}, "app_1") {
		t.Errorf("%q: %v", one, err)
	}
	if one == secret(Options{MachineKey: "k"}, "app_2") || one == secret(Options{MachineKey: "l"}, "app_1") {
		t.Error("another's secret is the same")
	}
	if s := secret(Options{}, "app_1"); s != "" {
		t.Errorf("without a key: %q", s)
	}
	if s := secret(Options{Secret: "whsec_given", MachineKey: "k"}, "app_1"); s != "whsec_given" {
		t.Errorf("with one that was given: %q", s)
	}
	first = "whsec_first" // the one that is there stays
	if s := secret(Options{MachineKey: "k"}, "app_1"); s != first {
		t.Errorf("with a consumer there: %q", s)
	}
}

func TestMachineKey_IsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hark")
	key, err := MachineKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := MachineKey(dir)
	if err != nil || again != key || len(key) != 64 {
		t.Errorf("%d characters, then others: %v", len(key), err)
	}
	file := filepath.Join(dir, "machine-key")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MachineKey(dir); err == nil {
		t.Error("half a key is taken for one")
	}
}
