package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/webhook"
)

// SigningSecret is the secret of sign and verify.
type SigningSecret struct {
	Secret config.Secret `required:"" env:"HARK_WEBHOOK_SECRET" placeholder:"WHSEC" help:"whsec_…, whsk_… or whpk_…; also HARK_WEBHOOK_SECRET_FILE."`
	JSON   bool          `help:"Answer with JSON."`
}

type signCmd struct {
	SigningSecret
	Payload string `arg:"" optional:"" default:"-" help:"The body, byte for byte; - for stdin (the default); @FILE for a file."`
	ID      string `placeholder:"ID" help:"The message id. Default: a new one."`
	At      stamp  `name:"timestamp" placeholder:"TIME" help:"Seconds since 1970, or a date. Default: now."`
}

// Help is shown by hark sign --help.
func (signCmd) Help() string {
	return `Prints the three headers of Standard Webhooks.

Examples:

  hark sign '{"type":"invoice.paid"}' --secret whsec_…
  hark sign @body.json > headers.txt && curl -H @headers.txt --data-binary @body.json localhost:3000/hooks`
}

// Run signs a payload.
func (c *signCmd) Run(sh *shell) error {
	key, err := webhook.ParseKey(c.Secret.Reveal())
	if err != nil {
		return usagef("--secret whsec_…", "the secret cannot be used: %w", err)
	}
	if !key.CanSign() {
		return usagef("the private whsk_… that belongs to it", "a public key can verify, not sign")
	}
	body, err := readPayload(sh, c.Payload)
	if err != nil {
		return err
	}
	at := c.At.Time
	if at.IsZero() {
		at = time.Now()
	}
	id := c.ID
	if id == "" {
		id = string(hark.NewMessageID(at))
	}
	if !webhook.ValidID(id) {
		return usagef("--id msg_1", "the id %q must be visible characters without a dot", id)
	}
	header := webhook.Sign([]webhook.Key{key}, id, at, body)
	if c.JSON {
		flat := map[string]string{}
		for name := range header {
			flat[strings.ToLower(name)] = header.Get(name)
		}
		return sh.json(flat)
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		sh.say("%s: %s", strings.ToLower(name), header.Get(name))
	}
	return nil
}

// stamp is a flag that takes seconds since 1970, or a date.
type stamp struct{ time.Time }

// UnmarshalText reads the flag.
func (s *stamp) UnmarshalText(text []byte) error {
	var seconds int64
	if n, err := fmt.Sscanf(string(text), "%d", &seconds); n == 1 && err == nil && fmt.Sprint(seconds) == string(text) {
		s.Time = time.Unix(seconds, 0)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither seconds since 1970 nor a date such as 2026-11-23T13:00:00Z", text)
	}
	s.Time = at
	return nil
}

type verifyCmd struct {
	SigningSecret
	Payload   string        `arg:"" optional:"" default:"-" help:"The body, byte for byte; - for stdin (the default); @FILE for a file."`
	ID        string        `placeholder:"ID" help:"The webhook-id header."`
	Timestamp string        `placeholder:"SECONDS" help:"The webhook-timestamp header."`
	Signature string        `placeholder:"LIST" help:"The webhook-signature header."`
	Headers   string        `type:"path" placeholder:"FILE" help:"File with the headers, one a line, as hark sign and curl -D write them."`
	Tolerance time.Duration `default:"5m" help:"How far the timestamp may be from now, either way."`
	Now       stamp         `placeholder:"TIME" help:"Judge the timestamp as of then: for a webhook from a log."`
}

// Help is shown by hark verify --help.
func (verifyCmd) Help() string {
	return `Exit 0 when the signature matches, 1 with a sentence when it does not, 2 when the question makes
no sense.

Examples:

  hark verify @body.json --secret whsec_… --headers headers.txt
  hark verify '{"test": 2432232314}' --secret whsec_… --id msg_… --timestamp 1614265330 \
       --signature v1,… --now 1614265330`
}

// Run verifies a signature.
func (c *verifyCmd) Run(sh *shell) error {
	verifier, err := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{c.Secret.Reveal()}, Tolerance: c.Tolerance})
	if err != nil {
		return usagef("--secret whsec_…", "the secret cannot be used: %w", err)
	}
	header, err := c.header()
	if err != nil {
		return err
	}
	body, err := readPayload(sh, c.Payload)
	if err != nil {
		return err
	}
	now := c.Now.Time
	if now.IsZero() {
		now = time.Now()
	}
	verify := func(body []byte) error {
		return verifier.Verify(context.Background(), webhook.Request{Header: header, Body: body}, now).Err()
	}
	err = verify(body)
	if errors.Is(err, webhook.ErrMissingHeader) || errors.Is(err, webhook.ErrMalformed) {
		return usagef("--id, --timestamp and --signature, or --headers FILE", "%w", err)
	}
	why := c.explain(err, verify, header, body, now)
	if c.JSON {
		if err := sh.json(map[string]any{"valid": err == nil, "reason": why}); err != nil {
			return err
		}
	}
	if err != nil {
		if c.JSON {
			return errSilent
		}
		return errors.New(why)
	}
	if !c.JSON {
		sh.say("valid: signed with this secret at %s", clock(signedAt(header)))
	}
	return nil
}

// header collects the three headers from the flags and the file.
func (c *verifyCmd) header() (http.Header, error) {
	header := http.Header{}
	if c.Headers != "" {
		text, err := os.ReadFile(c.Headers)
		if err != nil {
			return nil, usagef("--headers FILE", "read headers: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				header.Add(textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value))
			}
		}
	}
	for name, value := range map[string]string{
		webhook.HeaderID: c.ID, webhook.HeaderTimestamp: c.Timestamp, webhook.HeaderSignature: c.Signature,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	return header, nil
}

// explain says in a sentence why a signature does not match. For the mistakes that nearly
// everybody makes once, it tries what would have matched.
func (c *verifyCmd) explain(err error, verify func([]byte) error, header http.Header, body []byte, now time.Time) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, webhook.ErrTooOld):
		return fmt.Sprintf("the timestamp is %s old, and only %s are tolerated: a replay, or a webhook from a log (then use --now)",
			now.Sub(signedAt(header)).Round(time.Second), c.Tolerance)
	case errors.Is(err, webhook.ErrTooNew):
		return fmt.Sprintf("the timestamp is %s in the future: one of the two clocks is wrong",
			signedAt(header).Sub(now).Round(time.Second))
	case !errors.Is(err, webhook.ErrNoSignatureMatch):
		return err.Error()
	}
	for _, other := range nearBodies(body) {
		if verify(other.body) == nil {
			return "the signature is for " + other.what
		}
	}
	signature := header.Get(webhook.HeaderSignature) + header.Get("Svix-Signature")
	secret := c.Secret.Reveal()
	symmetric := !strings.HasPrefix(secret, "whpk") && !strings.HasPrefix(secret, "whsk")
	switch hasV1, hasV1a := hasVersion(signature, "v1"), hasVersion(signature, "v1a"); {
	case !hasV1 && !hasV1a:
		return "the signature header has neither a v1 nor a v1a signature: it looks like v1,BASE64"
	case symmetric && !hasV1:
		return "the signature is v1a (ed25519), which the public key whpk_… verifies, not a whsec_… secret"
	case !symmetric && !hasV1a:
		return "the signature is v1 (HMAC), which a whsec_… secret verifies, not an ed25519 key"
	}
	return "the signature does not match: another secret, another id or timestamp, or a body that was changed " +
		"on the way (a framework that parsed the JSON and wrote it again does that: verify the raw bytes)"
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
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "the same body with other line ends (LF, not CRLF)"},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		near = append(near, nearBody{compact.Bytes(), "the same JSON without the white space: verify the raw bytes, not a pretty print"})
	}
	var value any
	if json.Unmarshal(body, &value) == nil {
		if sorted, err := json.Marshal(value); err == nil {
			near = append(near, nearBody{sorted, "the same JSON with its keys sorted: verify the raw bytes, not what a parser wrote"})
		}
	}
	return near
}

// signedAt is the moment that the headers name; the caller has verified their form.
func signedAt(header http.Header) time.Time {
	var seconds int64
	_, _ = fmt.Sscan(header.Get(webhook.HeaderTimestamp)+header.Get("Svix-Timestamp"), &seconds)
	return time.Unix(seconds, 0)
}
