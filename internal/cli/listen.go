package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
	"github.com/harkhq/hark/internal/profile"
	"github.com/harkhq/hark/internal/refusal"
	"github.com/harkhq/hark/internal/screen"
)

// Forwarding says which messages go where; hark dev is told the same.
type Forwarding struct {
	ForwardTo  string   `short:"f" placeholder:"ADDRESS" help:"Where messages go: 4242, localhost:4242/webhook, /path or a URL. Left out, they are printed."`
	Events     []string `short:"e" aliases:"event-type" placeholder:"TYPE" help:"Only these event types, as invoice.paid or orders/create (--event-type is the same)."`
	FilterBody []string `sep:"none" aliases:"filter" placeholder:"JSON" help:"Only messages whose payload matches, as an endpoint's filter (--filter is the same)."`
	Headers    []string `short:"H" sep:"none" aliases:"header" placeholder:"NAME: VALUE" help:"Sent besides, in place of others of the name."`
	SkipVerify bool     `help:"Do not verify the certificate of the local address."`
	Format     string   `enum:"text,json" default:"text" help:"text, or json: one record a line, for scripts."`
	Plain      bool     `help:"Lines, also on a terminal."`
}

type listenCmd struct {
	InApp
	Forwarding
	Source      string  `placeholder:"ID" help:"Only what came from this source, by id or uid."`
	Since       moments `placeholder:"TIME" xor:"from" help:"Begin with what was accepted since then: 10m, 3d or a date."`
	Live        bool    `xor:"from" help:"Begin now, and skip what waits."`
	FanOut      bool    `help:"Get every message although other listeners of this machine get them, too. Begins now."`
	Once        bool    `help:"End after the first message: exits 0 if it was answered 2xx."`
	PrintSecret bool    `help:"Print the signing secret and nothing else."`
}

// Help is shown by hark listen --help.
func (listenCmd) Help() string {
	return `Messages of the application come here in order, byte for byte, with every header that a provider has sent,
so that its own signature verifies; and signed by Hark with a secret that stays the same for this machine and
application. So does the URL that is printed: what anybody sends there comes here. Without --app and --source
the application is "local", which is made when it is missing.

A webhook is forwarded by the method by which it came. What stands behind the source's token, and the query,
go behind those of the address: PUT /in/TOKEN/eu?x=1 becomes PUT /webhook/eu?x=1 with --forward-to 4242/webhook.
A message that was published is a POST to the address.

Nothing is lost. What arrived while the laptop slept, the server restarted or nothing listened here comes
when it can, and counts as dealt with when your program has answered, whatever it answered; what was cut
off, as when your program starts anew, is sent once more. The answer is kept as an attempt, header and all:
hark attempts list --message ID. It goes on where this machine stopped; the first time, now.

On a terminal it is a screen, on which ? shows the keys: details, retry, edit and resend, filter, copy as
curl. There are lines with --plain or --once, or if NO_COLOR is set, and where the output is no terminal.

Listeners that ask for different things (--source, --events, --filter-body) do not disturb each other: each of
these goes on where it stopped, until this machine has not asked for it for 30 days. Of several that ask for the
same the newest gets the messages, and the others stand by. --fan-out gives each of them every message.

Examples:

  hark listen --forward-to 4242
  hark listen --forward-to localhost:3000/stripe --source stripe
  hark listen --forward-to localhost:3001 --source github         (in another terminal)
  hark listen --app shop --events order.paid,order.refunded --forward-to 3000 --since 10m
  export WEBHOOK_SECRET=$(hark listen --print-secret)
  hark listen --forward-to 3000 --once --format json`
}

// Run listens until it is interrupted.
func (c *listenCmd) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	opt, err := c.options(sh, api)
	if err != nil {
		return err
	}
	if c.PrintSecret {
		return api.via.listenError(c.printSecret(ctx, sh, opt), api.base)
	}
	name, invite := cmp.Or(opt.Application, c.Source, listen.LocalApplication), ""
	if c.Source == "" { // else only its provider knows how to sign
		invite = "hark trigger payment_intent.succeeded --app " + name
	}
	l, err := c.listener(sh, opt, c.JSON, name, invite)
	if err != nil {
		return err
	}
	return follow(ctx, sh, l, opt, api)
}

// shownListener is a listener, and the screen that shows it if there is one.
type shownListener struct {
	*listen.Listener
	screen *screen.Screen
}

// listener makes a listener that tells what happens: on a screen, in lines, or in records. The screen calls
// what is listened to by a name, and invites to a command.
func (f *Forwarding) listener(sh *shell, opt listen.Options, records bool, name, invite string) (l shownListener, err error) {
	out := &listenPrinter{sh: sh, bodies: opt.ForwardTo == nil}
	switch {
	case records || f.Format == "json":
		opt.Emit = out.record
	case sh.keyboard && sh.colour && !f.Plain && !opt.Once:
		l.screen = screen.New(screen.Options{
			Input: sh.stdin, Output: sh.stdout, Application: name, Dashboard: opt.Server, Invite: invite,
			Headers: opt.Headers, SkipVerify: opt.SkipVerify, Editor: cmp.Or(sh.env("VISUAL"), sh.env("EDITOR")),
			Display: runtime.GOOS != "linux" || cmp.Or(sh.env("DISPLAY"), sh.env("WAYLAND_DISPLAY")) != "",
		})
		opt.Emit = l.screen.Emit
	default:
		opt.Emit = out.text
	}
	l.Listener, err = listen.New(opt)
	return l, err
}

// follow runs a listener to its end.
func follow(ctx context.Context, sh *shell, l shownListener, opt listen.Options, api *client) error {
	var tally listen.Tally
	var err error
	if l.screen != nil {
		tally, err = l.screen.Run(ctx, l)
	} else {
		tally, err = l.Run(ctx)
	}
	switch {
	case ctx.Err() != nil, l.screen != nil && err == nil: // a screen ends when it is asked to
		sh.note("%s", tallied(tally, opt.ForwardTo != nil))
		return nil
	case err != nil:
		return api.via.listenError(err, api.base)
	case opt.ForwardTo != nil && tally.Succeeded < tally.Messages:
		return errSilent // the line above says what was answered
	}
	return nil
}

// tallied is one line about a session.
func tallied(t listen.Tally, forwarded bool) string {
	text := messages(int64(t.Messages))
	if forwarded {
		text += fmt.Sprintf(", %d answered 2xx", t.Succeeded)
	}
	if t.Gone > 0 {
		text += fmt.Sprintf(", %d expired before they came", t.Gone)
	}
	return text
}

func messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func (c *listenCmd) printSecret(ctx context.Context, sh *shell, opt listen.Options) error {
	l, err := listen.New(opt)
	if err != nil {
		return err
	}
	s, err := l.Prepare(ctx)
	if err != nil {
		return err
	}
	if c.JSON || c.Format == "json" {
		return sh.json(map[string]string{"secret": s.Secret})
	}
	sh.say("%s", s.Secret)
	return nil
}

// options reads the command line.
func (c *listenCmd) options(sh *shell, api *client) (opt listen.Options, err error) {
	dir, err := profile.Find(sh.lookupEnv)
	if err != nil {
		return opt, err
	}
	machine, err := listen.Machine(string(dir))
	if err != nil {
		return opt, err
	}
	key, err := listen.MachineKey(string(dir))
	if err != nil {
		return opt, err
	}
	opt, err = c.Forwarding.options()
	if err != nil {
		return opt, err
	}
	opt.Server, opt.Key, opt.Machine, opt.MachineKey = api.base, api.key, machine, key
	opt.Application, opt.Source, opt.FanOut, opt.Once = c.App, c.Source, c.FanOut, c.Once
	if c.Source == "" {
		opt.Application = cmp.Or(c.App, api.via.app)
	}
	switch {
	case c.Since.After(time.Now()):
		return opt, usagef("--since 10m", "--since is a time that has passed, such as 10m")
	case !c.Since.IsZero():
		opt.From = c.Since.UTC().Format(time.RFC3339Nano)
	case c.Live:
		opt.From = "end"
	}
	return opt, nil
}

// options are what the flags say.
func (f *Forwarding) options() (opt listen.Options, err error) {
	opt = listen.Options{UserAgent: "hark-listen", SkipVerify: f.SkipVerify}
	if opt.EventTypes, err = eventTypesOf(f.Events); err != nil {
		return opt, err
	}
	if f.ForwardTo != "" {
		if opt.ForwardTo, err = listen.ParseTarget(f.ForwardTo); err != nil {
			return opt, usagef("hark listen --forward-to 4242", "%w", err)
		}
	}
	if opt.Filter, err = filterOf(f.FilterBody); err != nil {
		return opt, err
	}
	for _, text := range f.Headers {
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return opt, usagef(`--headers "X-Debug: 1"`, "%q is no header", text)
		}
		opt.Headers = append(opt.Headers, hark.HeadField{Name: name, Value: value})
	}
	return opt, nil
}

// eventTypesOf reads event types as people write them: as the provider does (orders/create), or * for all.
func eventTypesOf(names []string) (types []string, err error) {
	for _, name := range names {
		name = strings.ReplaceAll(strings.TrimSpace(name), "/", ".")
		switch {
		case name == "*":
			return nil, nil
		case name == "" || strings.Trim(name, eventTypeLetters) != "":
			return nil, usagef(`--events invoice.paid,invoice.voided, or --filter-body '{"type": {"$startsWith": "invoice."}}'`,
				"%q is no event type; --events takes whole ones", name)
		}
		types = append(types, name)
	}
	return types, nil
}

// eventTypeLetters are what event types are made of.
const eventTypeLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// filterOf makes one filter of several, all of which must match.
func filterOf(filters []string) (json.RawMessage, error) {
	var all []json.RawMessage
	for _, f := range filters {
		if !json.Valid([]byte(f)) {
			return nil, usagef(`--filter-body '{"amount": {"$gt": 100}}'`, "--filter-body is not JSON")
		}
		all = append(all, json.RawMessage(f))
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return json.Marshal(map[string]any{"$and": all})
}

// listenError says what to do about what ended a listener.
func (v via) listenError(err error, base string) error {
	if e, ok := errors.AsType[*listen.UnreachableError](err); ok {
		return hintf(exitUnreachable, v.elsewhere(), "%w", e)
	}
	e, ok := errors.AsType[*listen.APIError](err)
	if !ok {
		return err
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return v.explain(&apiError{Refusal: refusal.Refusal{Code: e.Code, Detail: e.Detail}, Status: e.Status}, base)
	case http.StatusForbidden:
		return hintf(exitForbidden, "a key of scope admin; one for a single application needs --app", "%w", e)
	case http.StatusNotFound:
		list, _, _ := strings.Cut(e.What, " ")
		return hintf(exitNotFound, "hark "+list+"s", "%w", e)
	}
	return err
}

// localURL shortens an address for hints.
func localURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}
