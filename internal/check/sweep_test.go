package check_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/check"
	"github.com/harkhq/hark/webhook"
)

// TestRun_FindsNothingWrongWithTheLibraryItself asks a receiver that verifies by the book, for every
// provider whose secrets can be made up: what is found there is a fault of the check.
func TestRun_FindsNothingWrongWithTheLibraryItself(t *testing.T) {
	checked := 0
	for _, p := range webhook.Providers() {
		for _, secret := range []string{secret, "0123456789abcdef0123456789abcdef", "user:password0123456789"} {
			if _, err := webhook.NewSigner(p.Name, webhook.Options{Secrets: []string{secret}}); err != nil {
				continue
			}
			verifier, err := webhook.NewVerifier(p.Name, webhook.Options{Secrets: []string{secret}})
			if err != nil {
				continue
			}
			server := httptest.NewServer(&receiver{verifier: verifier, refuse: http.StatusUnauthorized, maxBody: 4 << 20})
			r, err := check.Run(context.Background(), check.Options{
				URL: server.URL + "/hooks", Provider: p.Name, Secret: secret, Slow: time.Millisecond, Timeout: time.Minute,
				Skip: []string{"large-body", "fast"}, // which are not of its scheme
			})
			server.Close()
			if err != nil {
				t.Errorf("%s: %v", p.Name, err)
				break
			}
			if r.Verdicts[0].Result == check.Fail { // it wants parameters, or fields that no event of ours has
				t.Logf("%s: %s", p.Name, r.Verdicts[0].Means)
				break
			}
			checked++
			if !r.Sound || len(found(r)) > 0 {
				t.Errorf("%s: found %v:\n%s", p.Name, found(r), means(r))
			}
			break
		}
	}
	if checked < 100 {
		t.Errorf("%d providers were checked", checked)
	}
}
