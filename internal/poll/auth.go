package poll

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// authorize adds what proves who the poller is.
func (r *Runner) authorize(ctx context.Context, p *hark.Poller, req *http.Request) error {
	secret := p.Secret.Reveal()
	switch p.Auth.Type {
	case "basic":
		req.SetBasicAuth(p.Auth.Username, secret)
	case "bearer":
		req.Header.Set("Authorization", "Bearer "+secret)
	case "header":
		req.Header.Set(p.Auth.Name, secret)
	case "query":
		req.URL = withParam(req.URL, p.Auth.Name, secret)
	case "oauth2":
		text, err := r.token(ctx, p)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+text)
	}
	return nil
}

// tokens are OAuth 2 access tokens, in memory only.
type tokens struct {
	mu    sync.Mutex
	known map[hark.PollerID]token
}

type token struct {
	text    string
	until   time.Time
	updated time.Time // the poller's, when it was fetched: other settings need another token
}

func (t *tokens) find(p *hark.Poller, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.known[p.ID]; now.Before(k.until) && k.updated.Equal(p.UpdatedAt) {
		return k.text
	}
	return ""
}

func (t *tokens) put(id hark.PollerID, k token, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, known := range t.known { // those of pollers that are gone leave with their time
		if now.After(known.until) {
			delete(t.known, other)
		}
	}
	t.known[id] = k
}

func (t *tokens) forget(id hark.PollerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, id)
}

const (
	maxToken     = 64 << 10         // bytes of a token's answer
	tokenMargin  = 30 * time.Second // a token is renewed that much before its end
	tokenDefault = 5 * time.Minute  // how long one lives whose end is not said
)

// token finds an access token, or asks for one with the client's credentials (RFC 6749 §4.4), which go
// into the header or the form (§2.3.1).
func (r *Runner) token(ctx context.Context, p *hark.Poller) (string, error) {
	now := time.Now()
	if text := r.tokens.find(p, now); text != "" {
		return text, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if p.Auth.Scope != "" {
		form.Set("scope", p.Auth.Scope)
	}
	inBody := p.Auth.ClientAuth == "body"
	if inBody {
		form.Set("client_id", p.Auth.ClientID)
		form.Set("client_secret", p.Secret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Auth.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", troublef("the token's URL cannot be read")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", r.userAgent)
	if !inBody {
		req.SetBasicAuth(url.QueryEscape(p.Auth.ClientID), url.QueryEscape(p.Secret.Reveal()))
	}
	a, err := r.exchange(req, maxToken)
	if err != nil {
		return "", err
	}
	var out struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &out) != nil || out.AccessToken == "" {
		return "", &trouble{text: "no access token was given", status: a.status, after: retryAfter(a.header, now)}
	}
	life := tokenDefault
	if out.ExpiresIn > 0 && out.ExpiresIn < 1e6 {
		life = time.Duration(out.ExpiresIn * float64(time.Second))
	}
	r.tokens.put(p.ID, token{text: out.AccessToken, until: now.Add(life - tokenMargin), updated: p.UpdatedAt}, now)
	return out.AccessToken, nil
}
