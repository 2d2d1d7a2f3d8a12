package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

type verifyCmd struct {
	Signature
	Payload   string        `arg:"" optional:"" default:"-" help:"The body, byte for byte; - for stdin (the default); @FILE for a file."`
	Headers   string        `type:"path" placeholder:"FILE" help:"File with the headers, one a line, as hark sign and curl -D write them."`
	ID        string        `placeholder:"ID" help:"The webhook-id header."`
	Timestamp string        `placeholder:"SECONDS" help:"The webhook-timestamp header."`
	Signed    string        `name:"signature" placeholder:"LIST" help:"The webhook-signature header."`
	Query     string        `placeholder:"QUERY" help:"The URL's query, for handshakes."`
	Tolerance time.Duration `placeholder:"DURATION" help:"How far the timestamp may be from now, either way. Default: the provider's."`
	Now       stamp         `placeholder:"TIME" help:"Judge the timestamp as of then: for a webhook from a log."`
	Fetch     bool          `help:"Fetch the provider's keys and certificates, from its own hosts only."`
	Challenge bool          `help:"Print the answer to a handshake instead."`
	List      bool          `help:"List the providers."`
}

// Help is shown by hark verify --help.
func (verifyCmd) Help() string {
	return `Exit 0 when the signature matches, 1 with a sentence when it does not, 2 when the question makes
no sense.

Examples:

  hark verify @body.json --secret whsec_… --headers headers.txt
  hark verify '{"test": 2432232314}' --secret whsec_… --id msg_… --timestamp 1614265330 \
       --signature v1,… --now 1614265330
  hark verify --provider github --secret s3cr3t --header 'X-Hub-Signature-256: sha256=…' < body.json
  hark verify --provider twitter --secret s3cr3t --challenge --method GET --query crc_token=abc ''`
}

// Run verifies a signature.
func (c *verifyCmd) Run(sh *shell) error {
	if c.List {
		return c.list(sh)
	}
	o := c.options()
	o.Tolerance = c.Tolerance
	if c.Fetch {
		o.Client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	verifier, err := webhook.NewVerifier(c.Provider, o)
	if err != nil {
		return unusable(err)
	}
	body, err := readPayload(sh, c.Payload)
	if err != nil {
		return err
	}
	r, err := c.received(body)
	if err != nil {
		return err
	}
	now := c.Now.Time
	if now.IsZero() {
		now = time.Now()
	}
	if c.Challenge {
		return c.answer(sh, verifier, r, now)
	}
	verdict := verifier.Verify(context.Background(), r, now)
	if verdict.Outcome == webhook.NotConfigured {
		return usagef("--secret SECRET, or HARK_WEBHOOK_SECRET", "there is no secret to verify with")
	}
	return c.print(sh, verdict, func() string { return c.explain(verdict, o, r, now) })
}

// received is the request, with the headers of the file and of the three flags.
func (c *verifyCmd) received(body []byte) (webhook.Request, error) {
	r, err := c.request(body)
	if err != nil {
		return r, err
	}
	if err := readHeaders(r.Header, c.Headers); err != nil {
		return r, err
	}
	standard := map[string]string{webhook.HeaderID: c.ID, webhook.HeaderTimestamp: c.Timestamp, webhook.HeaderSignature: c.Signed}
	given := 0
	for name, value := range standard {
		if value != "" {
			r.Header.Set(name, value)
			given++
		}
	}
	if c.Provider == webhook.StandardWebhooks && !c.Challenge && len(c.Header) == 0 && c.Headers == "" && given < len(standard) {
		return r, usagef("--id, --timestamp and --signature, or --headers FILE", "there is no webhook-id, webhook-timestamp or webhook-signature header")
	}
	if c.Query != "" {
		if r.URL == "" {
			r.URL = "https://localhost/"
		}
		r.URL += "?" + strings.TrimPrefix(c.Query, "?")
	}
	return r, nil
}

// print writes the verdict; why is asked only for a bad one.
func (c *verifyCmd) print(sh *shell, verdict webhook.Verdict, why func() string) error {
	reason := ""
	if !verdict.OK() {
		reason = why()
	}
	if c.JSON {
		out := map[string]any{"valid": verdict.OK(), "reason": reason, "outcome": verdict.Outcome, "cause": string(verdict.Cause),
			"id": verdict.ID, "idSigned": verdict.IDSigned, "type": verdict.Type, "typeSigned": verdict.TypeSigned}
		if err := sh.json(out); err != nil {
			return err
		}
	}
	switch {
	case !verdict.OK() && c.JSON:
		return errSilent
	case !verdict.OK():
		return errors.New(reason)
	case c.JSON:
		return nil
	}
	what := "signed with this secret"
	if verdict.Outcome == webhook.Authenticated {
		what = "the caller knows the secret, but nothing binds the body to it"
	}
	if !verdict.Timestamp.IsZero() {
		what += " at " + clock(verdict.Timestamp)
	}
	sh.say("valid: %s", what)
	return nil
}

// answer prints what a handshake wants to hear.
func (c *verifyCmd) answer(sh *shell, verifier *webhook.Verifier, r webhook.Request, now time.Time) error {
	answer, ok := verifier.Challenge(context.Background(), r, now)
	if !ok {
		if verdict := verifier.Verify(context.Background(), r, now); verdict.Outcome == webhook.Failed && verdict.Cause != webhook.ErrMissingHeader {
			return fmt.Errorf("this is no handshake of %s that can be answered: %s", c.Provider, verdict.Detail)
		}
		return fmt.Errorf("this is no handshake of %s, or a parameter that it needs is not set, or the headers that sign it are missing", c.Provider)
	}
	if c.JSON {
		flat := map[string]string{}
		for name := range answer.Header {
			flat[strings.ToLower(name)] = answer.Header.Get(name)
		}
		return sh.json(map[string]any{"status": answer.Status, "headers": flat, "body": string(answer.Body), "secret": answer.Secret})
	}
	if len(answer.Body) > 0 {
		sh.say("%s", answer.Body)
	}
	sh.note("status: %d", answer.Status)
	for _, name := range slices.Sorted(maps.Keys(answer.Header)) {
		sh.note("%s: %s", strings.ToLower(name), answer.Header.Get(name))
	}
	if answer.Secret != "" {
		sh.note("the secret from now on: %s", answer.Secret)
	}
	return nil
}

// list names the providers.
func (c *verifyCmd) list(sh *shell) error {
	list := webhook.Providers()
	if c.JSON {
		return sh.json(list)
	}
	for _, p := range list {
		sh.say("%-26s %s", p.Name, p.Title)
	}
	return nil
}
