package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark/webhook"
)

// explain says in a sentence why a request is not verified. For the mistakes that nearly everybody
// makes once, it tries what would have matched.
func (c *verifyCmd) explain(verdict webhook.Verdict, o webhook.Options, r webhook.Request, now time.Time) string {
	switch verdict.Cause {
	case webhook.ErrTooOld, webhook.ErrTooNew:
		return c.explainTime(verdict, o, r)
	case webhook.ErrKeyFetch:
		return verdict.Detail + " (--fetch, or give the key with --secret)"
	case webhook.ErrNoSignatureMatch, webhook.ErrWrongToken, webhook.ErrMissingHeader, webhook.ErrMalformed:
	default:
		return verdict.Detail
	}
	verified := func(provider string, o webhook.Options, r webhook.Request) bool {
		v, err := webhook.NewVerifier(provider, o)
		return err == nil && v.Verify(context.Background(), r, now).OK()
	}
	o.Client = nil // what follows is guessing
	for _, guess := range nearBodies(r.Body) {
		other := r
		other.Body = guess.body
		if verified(c.Provider, o, other) {
			return "the signature is for " + guess.what
		}
	}
	for _, guess := range nearSecrets(c.Secret.Reveal()) {
		other := o
		other.Secrets = []string{guess.secret}
		if verified(c.Provider, other, r) {
			return "the signature was made with " + guess.what
		}
	}
	for _, guess := range nearURLs(r.URL) {
		other := r
		other.URL = guess
		if verified(c.Provider, o, other) {
			return "the signature is for the URL " + guess + ": --url must be what the provider calls"
		}
	}
	if c.Provider != webhook.StandardWebhooks && verified(webhook.StandardWebhooks, o, r) { // which many providers' are
		return fmt.Sprintf("the signature is not %s's, but it is right as Standard Webhooks: leave out --provider", c.Provider)
	}
	for _, p := range webhook.Providers() {
		if p.Name != c.Provider && verified(p.Name, o, r) {
			return fmt.Sprintf("the signature is not %s's, but it is right as %s's: --provider %s", c.Provider, p.Title, p.Name)
		}
	}
	return c.hint(verdict, r)
}

// explainTime is for a timestamp that is too far from now. Whether the signature is right is another question.
func (c *verifyCmd) explainTime(verdict webhook.Verdict, o webhook.Options, r webhook.Request) string {
	why := verdict.Detail
	if verdict.Cause == webhook.ErrTooOld {
		why += ": a replay, or a webhook from a log (then use --now)"
	}
	o.Tolerance = math.MaxInt64
	if v, err := webhook.NewVerifier(c.Provider, o); err == nil && v.Verify(context.Background(), r, time.Now()).Cause == webhook.ErrNoSignatureMatch {
		why += "; and the signature does not match either"
	}
	return why
}

// hint is for when nothing would have matched.
func (c *verifyCmd) hint(verdict webhook.Verdict, r webhook.Request) string {
	if verdict.Cause != webhook.ErrNoSignatureMatch {
		return verdict.Detail
	}
	if c.Provider == webhook.StandardWebhooks {
		signature, secret := r.Header.Get(webhook.HeaderSignature)+r.Header.Get("Svix-Signature"), c.Secret.Reveal()
		symmetric := !strings.HasPrefix(secret, "whpk") && !strings.HasPrefix(secret, "whsk")
		switch hasV1, hasV1a := hasVersion(signature, "v1"), hasVersion(signature, "v1a"); {
		case !hasV1 && !hasV1a:
			return "the signature header has neither a v1 nor a v1a signature: it looks like v1,BASE64"
		case symmetric && !hasV1:
			return "the signature is v1a (ed25519), which the public key whpk_… verifies, not a whsec_… secret"
		case !symmetric && !hasV1a:
			return "the signature is v1 (HMAC), which a whsec_… secret verifies, not an ed25519 key"
		}
	}
	if len(r.Body) == 0 {
		return "the signature does not match, and the body is empty: something has read it before"
	}
	return verdict.Detail + " (a framework that parsed the JSON and wrote it again does that: verify the raw bytes)"
}

func hasVersion(list, version string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(s string) bool { return strings.HasPrefix(s, version+",") })
}

type nearBody struct {
	body []byte
	what string
}

// nearBodies are the bodies that people sign when they mean this one.
func nearBodies(body []byte) []nearBody {
	trimmed := bytes.TrimRight(body, "\r\n")
	near := []nearBody{
		{trimmed, "the same body without the newline at its end (an editor or echo put it there)"},
		{append(bytes.Clone(trimmed), '\n'), "the same body with a newline at its end"},
		{append(bytes.Clone(trimmed), "\r\n"...), "the same body with CRLF at its end"},
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "the same body with other line ends (LF, not CRLF)"},
		{bytes.TrimPrefix(body, []byte("\ufeff")), "the same body without the byte order mark at its beginning"},
	}
	if once, ok := narrowed(body); ok {
		near = append(near, nearBody{once, "the same text in UTF-8: it was read as Latin-1, and written again"})
	}
	var inner string
	if json.Unmarshal(body, &inner) == nil {
		near = append(near, nearBody{[]byte(inner), "the text in this JSON string: it was encoded twice"})
	}
	for again := range otherJSON(body) {
		near = append(near, nearBody{again.body, "the same JSON " + again.what + ": a parser read it and wrote it again, so verify the raw bytes"})
	}
	return near
}

// narrowed undoes what becomes of UTF-8 that is taken for Latin-1.
func narrowed(body []byte) ([]byte, bool) {
	out := make([]byte, 0, len(body))
	for _, r := range string(body) {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, utf8.Valid(out)
}

type nearSecret struct{ secret, what string }

// nearSecrets are the texts that people copy when they mean this one.
func nearSecrets(secret string) []nearSecret {
	near := []nearSecret{
		{strings.TrimSpace(secret), "this secret without the white space around it"},
		{secret + "\n", "this secret with a newline at its end: whoever signs read it from a file"},
		{strings.Trim(secret, `"'`), "this secret without its quotes"},
	}
	if _, rest, ok := strings.Cut(secret, "_"); ok {
		near = append(near, nearSecret{rest, "this secret without its prefix"})
	}
	near = append(near, nearSecret{"whsec_" + secret, "this secret with whsec_ before it"})
	return slices.DeleteFunc(near, func(n nearSecret) bool { return n.secret == secret || n.secret == "" })
}

// nearURLs are the URLs that a proxy makes of one.
func nearURLs(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	var near []string
	for _, change := range []func(*url.URL){
		func(u *url.URL) { u.Scheme = map[string]string{"http": "https", "https": "http"}[u.Scheme] },
		func(u *url.URL) { u.Host = u.Hostname() },
		func(u *url.URL) { u.Path = strings.TrimSuffix(u.Path, "/") },
		func(u *url.URL) { u.Path += "/" },
		func(u *url.URL) { u.RawQuery = "" },
	} {
		other := *u
		change(&other)
		if text := other.String(); text != address {
			near = append(near, text)
		}
	}
	return near
}
