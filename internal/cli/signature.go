package cli

import (
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

// Signature is what sign and verify have in common: whose scheme, which secret, and the request.
type Signature struct {
	Provider string            `default:"standard-webhooks" placeholder:"NAME" help:"Whose scheme; hark verify --list names them. Default: standard-webhooks."`
	Secret   config.Secret     `env:"HARK_WEBHOOK_SECRET" placeholder:"SECRET" help:"As the provider shows it: whsec_…, a token, a key as PEM; also HARK_WEBHOOK_SECRET_FILE."`
	Param    map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"What else a provider needs, such as webhook_id; may be repeated."`
	Header   []string          `sep:"none" placeholder:"'NAME: VALUE'" help:"A header of the request; may be repeated."`
	Method   string            `default:"POST" placeholder:"METHOD" help:"The request's method, for those who sign it. Default: POST."`
	URL      string            `name:"url" placeholder:"URL" help:"The URL as the provider calls it, for those who sign it."`
	JSON     bool              `help:"Answer with JSON."`
}

// options are what the library is asked with.
func (s *Signature) options() webhook.Options {
	o := webhook.Options{Params: s.Param}
	if secret := s.Secret.Reveal(); secret != "" {
		o.Secrets = []string{secret}
	}
	return o
}

// request is the request that the flags describe.
func (s *Signature) request(body []byte) (webhook.Request, error) {
	r := webhook.Request{Method: strings.ToUpper(s.Method), URL: s.URL, Header: http.Header{}, Body: body}
	for _, line := range s.Header {
		if !addHeader(r.Header, line) {
			return r, usagef("--header 'Name: value'", "%q is no header", line)
		}
	}
	return r, nil
}

// addHeader adds a header line, as curl -D and hark sign write them.
func addHeader(header http.Header, line string) bool {
	name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok || strings.TrimSpace(name) == "" {
		return false
	}
	header.Add(textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value))
	return true
}

// readHeaders reads a file with a header on each line. Others, such as a status line, are passed over.
func readHeaders(header http.Header, path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return usagef("--headers FILE", "read headers: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		addHeader(header, line)
	}
	return nil
}

// unusable makes an error of the library's constructors a usage error.
func unusable(err error) error {
	if errors.Is(err, webhook.ErrKey) {
		return usagef("--secret, as the provider shows it", "the secret cannot be used: %w", err)
	}
	return usagef("hark verify --list", "%w", err)
}

type signCmd struct {
	Signature
	Payload string `arg:"" optional:"" default:"-" help:"The body, byte for byte; - for stdin (the default); @FILE for a file."`
	ID      string `placeholder:"ID" help:"The message id, for Standard Webhooks. Default: a new one."`
	At      stamp  `name:"timestamp" placeholder:"TIME" help:"Seconds since 1970, or a date. Default: now."`
}

// Help is shown by hark sign --help.
func (signCmd) Help() string {
	return `Prints the headers that a provider would send with this body; for public-key schemes --secret is the
private key. Where the signature stands in the body (adyen, mailgun, …), the body follows after an empty line.

Examples:

  hark sign '{"type":"invoice.paid"}' --secret whsec_…
  hark sign @body.json > headers.txt && curl -H @headers.txt --data-binary @body.json localhost:3000/hooks
  hark sign @push.json --provider github --secret s3cr3t --header 'X-GitHub-Event: push'`
}

// Run signs a payload.
func (c *signCmd) Run(sh *shell) error {
	signer, err := webhook.NewSigner(c.Provider, c.options())
	if err != nil {
		return unusable(err)
	}
	body, err := readPayload(sh, c.Payload)
	if err != nil {
		return err
	}
	at := c.At.Time
	if at.IsZero() {
		at = time.Now()
	}
	given, err := c.request(body)
	if err != nil {
		return err
	}
	if c.Provider == webhook.StandardWebhooks && given.Header.Get(webhook.HeaderID) == "" {
		id := c.ID
		if id == "" {
			id = string(hark.NewMessageID(at))
		}
		given.Header.Set(webhook.HeaderID, id)
	}
	signed, err := signer.Sign(given, at)
	if err != nil {
		return usagef("docs/providers.md", "%w", err)
	}
	return c.print(sh, signed, string(body))
}

// print writes the headers, and what else the signature is in.
func (c *signCmd) print(sh *shell, signed webhook.Request, body string) error {
	changed := string(signed.Body) != body
	if c.JSON {
		flat := map[string]string{}
		for name := range signed.Header {
			flat[strings.ToLower(name)] = signed.Header.Get(name)
		}
		if changed {
			return sh.json(map[string]any{"headers": flat, "body": string(signed.Body)})
		}
		return sh.json(flat)
	}
	for _, name := range slices.Sorted(maps.Keys(signed.Header)) {
		sh.say("%s: %s", strings.ToLower(name), signed.Header.Get(name))
	}
	if changed {
		sh.say("")
		fmt.Fprint(sh.stdout, string(signed.Body))
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
