package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/internal/config"
)

func TestValidate_RefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   string // "" means that it is fine
	}{
		"as it comes":          {func(*config.Config) {}, ""},
		"no folder":            {func(c *config.Config) { c.Data = "" }, "--data"},
		"short bootstrap key":  {func(c *config.Config) { c.BootstrapKey = "short" }, "32 characters"},
		"public url":           {func(c *config.Config) { c.PublicURL = "https://hooks.example.com" }, ""},
		"public url, no URL":   {func(c *config.Config) { c.PublicURL = "hooks.example.com" }, "--public-url"},
		"network":              {func(c *config.Config) { c.AllowNetworks = []string{"10.1.0.0/16", "fd00::/8"} }, ""},
		"network, an address":  {func(c *config.Config) { c.AllowNetworks = []string{"10.1.0.1"} }, "--allow-networks"},
		"negative drain":       {func(c *config.Config) { c.Drain = -time.Second }, "negative"},
		"an address, no port":  {func(c *config.Config) { c.Addr = "localhost" }, "--addr"},
		"a port too high":      {func(c *config.Config) { c.MetricsAddr = "127.0.0.1:99999" }, "--metrics-addr"},
		"payloads too large":   {func(c *config.Config) { c.MaxPayload = 2<<20 + 1 }, "--max-payload"},
		"scripts too quick":    {func(c *config.Config) { c.TransformTime = time.Millisecond }, "--transform-time"},
		"scripts too slow":     {func(c *config.Config) { c.TransformTime = time.Minute }, "--transform-time"},
		"scripts too small":    {func(c *config.Config) { c.TransformMemory = 1 << 20 }, "--transform-memory"},
		"scripts too large":    {func(c *config.Config) { c.TransformMemory = 2 << 30 }, "--transform-memory"},
		"scripts with more":    {func(c *config.Config) { c.TransformTime, c.TransformMemory = 5*time.Second, 256<<20 }, ""},
		"negative in-flight":   {func(c *config.Config) { c.InFlight = -1 }, "--in-flight"},
		"pprof on loopback":    {func(c *config.Config) { c.Pprof = "[::1]:6060" }, ""},
		"pprof for everybody":  {func(c *config.Config) { c.Pprof = ":6060" }, "loopback"},
		"pprof by a host name": {func(c *config.Config) { c.Pprof = "example.com:6060" }, "loopback"},
	} {
		conf := config.Config{Data: "d"}
		c.change(&conf)
		err := conf.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Validate = %v, want %q", name, err, c.want)
		}
	}
}

func TestSecret_PrintsNowhere(t *testing.T) {
	conf := config.Config{JWTSecret: "hunter2hunter2"}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "secret", conf.JWTSecret, "all", conf)
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", conf, conf, conf, conf.JWTSecret), log.String()} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("the secret is in %s", shown)
		}
	}
}

func TestParseFile_ReadsPlainValues(t *testing.T) {
	got, err := config.ParseFile([]byte("addr: 127.0.0.1:80\nallow_networks: [10.0.0.0/8, fd00::/8]\ndrain: 5s\nhttps-only: true\npublic_url:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"addr": "127.0.0.1:80", "allow-networks": "10.0.0.0/8,fd00::/8", "drain": "5s", "https-only": "true", "public-url": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseFile (-want +got):\n%s", diff)
	}
}

func TestParseFile_RefusesWhatIsNotFlat(t *testing.T) {
	for _, text := range []string{"a: {b: c}", "a: [[1]]", "- a", "a_b: 1\na-b: 2", "a: [", "a: 1\na: 2"} {
		if got, err := config.ParseFile([]byte(text)); err == nil {
			t.Errorf("ParseFile(%q) = %v, want an error", text, got)
		}
	}
}

func TestFile_ReadsSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "jwt")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hark.yaml")
	if err := os.WriteFile(path, []byte("jwt_secret_file: "+secret+"\naddr_file: "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := file.Value("jwt-secret", true); got != "s3cret" || err != nil {
		t.Errorf("Value of a secret = %v, %v, want s3cret without the newline", got, err)
	}
	if got, err := file.Value("addr", false); got != nil || err != nil {
		t.Errorf("Value of a plain setting = %v, %v, want none: only secrets come from files", got, err)
	}
	unknown := file.Unknown(func(flag string, fromFile bool) bool {
		return flag == "jwt-secret" || flag == "addr" && !fromFile
	})
	if diff := cmp.Diff([]string{"addr_file"}, unknown); diff != "" {
		t.Errorf("Unknown (-want +got):\n%s", diff)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("addr: 127.0.0.1:80\nallow_networks: [10.0.0.0/8]"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := config.ParseFile(text)
		for name, v := range values {
			if _, ok := v.(string); !ok && v != nil || strings.Contains(name, "_") || err != nil {
				t.Errorf("%q: %v, %v", name, v, err)
			}
		}
	})
}
