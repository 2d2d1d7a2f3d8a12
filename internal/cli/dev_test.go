package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/webhook"
)

// buffer is written by a command and read by a test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startDev runs hark dev, with its configuration in home, until the test ends, and answers how to run other commands beside it and the
// signing secret.
func startDev(t *testing.T, home string, args ...string) (hark func(args ...string) (out string, code int), secret string) {
	t.Helper()
	env := map[string]string{"XDG_CONFIG_HOME": home}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, name := range []string{"HARK_URL", "HARK_API_KEY", "HARK_PROFILE", "HARK_APP"} {
		t.Setenv(name, "")
	}
	ctx, stop := context.WithCancel(t.Context())
	var out buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"dev"}, args...), &shell{stdin: strings.NewReader(""), stdout: &out, stderr: &out, lookupEnv: lookup})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("hark dev exits %d:\n%s", code, out.String())
		}
	})
	said := regexp.MustCompile(`signing secret is '(whsec_\S+)'`)
	for began := time.Now(); !said.MatchString(out.String()); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("hark dev is not ready:\n%s", out.String())
		}
	}
	return func(args ...string) (string, int) {
		var out buffer
		code := run(t.Context(), args, &shell{stdin: strings.NewReader(""), stdout: &out, stderr: &out, lookupEnv: lookup})
		return out.String(), code
	}, said.FindStringSubmatch(out.String())[1]
}

func TestDev_OneSecretVerifiesWhatEveryProviderSends(t *testing.T) {
	type arrival struct {
		header http.Header
		body   []byte
	}
	arrivals := make(chan arrival, 1)
	handler := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a body that breaks off does not verify
		arrivals <- arrival{r.Header, body}
	}))
	defer handler.Close()
	hark, secret := startDev(t, t.TempDir(), "--forward-to", handler.URL)
	for _, tt := range []struct{ provider, event string }{
		{"stripe", "payment_intent.succeeded"}, {"github", "pull_request.opened"}, {"shopify", "orders/create"},
		{"slack", "app_mention"}, {"standard-webhooks", "loaf.baked"},
	} {
		if out, code := hark("trigger", tt.event, "--provider", tt.provider); code != exitOK {
			t.Fatalf("trigger %s exits %d: %s", tt.event, code, out)
		}
		var got arrival
		select {
		case got = <-arrivals:
		case <-time.After(time.Minute):
			t.Fatalf("%s did not arrive", tt.event)
		}
		for _, provider := range []string{tt.provider, webhook.StandardWebhooks} { // and Hark's own signature
			v, err := webhook.NewVerifier(provider, webhook.Options{Secrets: []string{secret}})
			if err != nil {
				t.Fatal(err)
			}
			request := webhook.Request{Method: http.MethodPost, URL: handler.URL, Header: got.header, Body: got.body}
			if verdict := v.Verify(t.Context(), request, time.Now()); !verdict.OK() {
				t.Errorf("%s, by the scheme of %s: %s\n%v", tt.event, provider, verdict.Detail, got.header)
			}
		}
	}
}

func TestDev_SecretAndURLsStayTheSameOnAMachine(t *testing.T) {
	type of struct{ secret, tokens string }
	start := func(home string, args ...string) (got of) {
		t.Run("start", func(t *testing.T) {
			hark, secret := startDev(t, home, args...)
			out, code := hark("sources", "--json")
			tokens := regexp.MustCompile(`/in/\w{32}"`).FindAllString(out, -1)
			if slices.Sort(tokens); code != exitOK || len(slices.Compact(tokens)) < 5 {
				t.Fatalf("sources exits %d: %s", code, out)
			}
			got = of{secret, strings.Join(tokens, " ")}
		})
		return got
	}
	home, folder := t.TempDir(), t.TempDir()
	first := start(home)
	if second := start(home); second != first {
		t.Errorf("the second start has %v, the first had %v", second, first)
	}
	if kept := start(home, "--data", folder); kept != first {
		t.Errorf("in a new folder it has %v, without it had %v", kept, first)
	}
	other := start(t.TempDir(), "--data", folder)
	for token := range strings.FieldsSeq(first.tokens) {
		if !strings.Contains(other.tokens, token) {
			t.Errorf("another machine has changed a URL of the folder: %s became one of %s", token, other.tokens)
		}
	}
	if other := start(t.TempDir()); other.secret == first.secret || other.tokens == first.tokens {
		t.Errorf("two machines have %v and %v", first, other)
	}
}
