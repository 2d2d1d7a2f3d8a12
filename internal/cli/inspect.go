package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

type inspectCmd struct {
	Start  inspectStart  `cmd:"" default:"withargs" help:"Make a URL that takes anything, and show what comes in there, until ^C."`
	Answer inspectAnswer `cmd:"" help:"Change what it answers while it runs."`
}

// Help is shown by hark inspect --help.
func (inspectCmd) Help() string {
	return `A bin to throw things at: a source without verification, of an application of its own. It shows method,
path, query, headers and body of what comes in, and is removed at the end, unless --keep.

Examples:

  hark inspect
  hark inspect --status 503 --body 'try later' --header Retry-After=60
  hark inspect answer --status 200`
}

// AnswerFlags are what a bin answers.
type AnswerFlags struct {
	Status int               `placeholder:"CODE" help:"200 to 299, or 400 to 599. Default: 200."`
	Body   *string           `placeholder:"TEXT" help:"A text, or @FILE."`
	Header map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A header (repeatable)."`
}

func (f AnswerFlags) isEmpty() bool { return f.Status == 0 && f.Body == nil && f.Header == nil }

// answerOut is an answer, as the API has it.
type answerOut struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// over is the answer with what the flags say put over it; nil is the plain 200.
func (f AnswerFlags) over(sh *shell, a *answerOut) (*answerOut, error) {
	if f.isEmpty() {
		return a, nil
	}
	if a == nil {
		a = &answerOut{Status: http.StatusOK}
	}
	if f.Status != 0 {
		a.Status = f.Status
	}
	if f.Header != nil {
		a.Headers = f.Header
	}
	if f.Body != nil {
		text := []byte(*f.Body)
		if strings.HasPrefix(*f.Body, "@") {
			var err error
			if text, err = readPayload(sh, *f.Body); err != nil {
				return nil, err
			}
		}
		a.Body = string(text)
	}
	return a, nil
}

// binMark is the metadata by which a bin is known.
const binMark = "hark.inspect"

type inspectStart struct {
	Remote
	App    string `short:"a" env:"HARK_APP" placeholder:"ID" help:"The application whose messages the requests become. Default: one of its own, which is removed with it."`
	Source string `short:"s" placeholder:"ID" help:"Show what comes in at this source, instead of making one."`
	AnswerFlags
	Keep  bool `help:"Leave the URL working at the end."`
	Limit int  `short:"n" placeholder:"N" help:"End after so many requests."`
}

// Help is shown by hark inspect start --help.
func (inspectStart) Help() string {
	return `The first line on stdout is the URL. On a terminal a line that is typed changes the answer: a status, and
what else is there as its body. With --json each line is an object: ready, then request.

Examples:

  hark inspect start
  hark inspect start --status 410 --keep
  hark inspect start --source src_… --json`
}

// Run makes a bin and shows what comes in.
func (c *inspectStart) Run(ctx context.Context, sh *shell) (err error) {
	if c.Limit < 0 {
		return usagef("--limit 10", "--limit must be 1 or more, not %d", c.Limit)
	}
	if c.Source != "" && (!c.isEmpty() || c.typed["app"]) {
		return usagef("hark inspect answer "+c.Source+" --status 503", "--source shows a source as it is: what it answers and its application stay")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	b := &bin{api: api, sh: sh, asJSON: c.JSON, limit: c.Limit}
	if c.Source != "" {
		err = api.ask(ctx, question{about: aSource(c.Source)}, &b.source)
	} else {
		err = c.create(ctx, b)
	}
	if err != nil {
		return err
	}
	if c.Source == "" && !c.Keep {
		defer func() {
			if e := b.remove(ctx); err == nil {
				err = e
			}
		}()
	}
	err = b.show(ctx, c.Source == "")
	if c.Source == "" && c.Keep {
		sh.note("%s goes on (try: hark inspect --source %s, or hark sources delete %s)", b.source.ID, b.source.ID, b.source.ID)
	}
	return err
}

// create makes the source.
func (c *inspectStart) create(ctx context.Context, b *bin) error {
	answer, err := c.over(b.sh, nil)
	if err != nil {
		return err
	}
	in := map[string]any{
		"name": "inspect", "unverified": true, "deduplicate": map[string]any{"off": true}, "metadata": map[string]string{binMark: "true"},
		"methods": []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, "forwardCredentials": true,
	}
	setIf(in, "answer", answer, answer != nil)
	setIf(in, "applicationId", c.App, c.App != "")
	return b.api.ask(ctx, question{path: "/source", method: http.MethodPost, in: in}, &b.source)
}

// bin is a source that is looked into.
type bin struct {
	api    *client
	sh     *shell
	source sourceOut
	asJSON bool
	limit  int
	shown  int
}

// removeWait is how long the end of the command takes at most.
const removeWait = 5 * time.Second

// remove deletes the source, and its application if it was made for it.
func (b *bin) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
	defer cancel()
	err := b.api.ask(ctx, question{path: aSource(b.source.ID).path, method: http.MethodDelete}, nil)
	if err != nil && !isMissing(err) {
		return fmt.Errorf("remove %s: %w", b.source.ID, err)
	}
	path := anApplication(b.source.ApplicationID).path
	var app applicationOut
	if err := b.api.ask(ctx, question{path: path}, &app); err != nil || app.Metadata["hark.source"] != b.source.ID {
		return nil // it is not its own
	}
	return b.api.ask(ctx, question{path: path, method: http.MethodDelete}, nil)
}

// show shows what comes in until ctx ends.
func (b *bin) show(ctx context.Context, isNew bool) error {
	if b.asJSON {
		b.sh.jsonLine(map[string]string{"kind": "ready", "sourceId": b.source.ID, "url": text(b.source.URL)})
	} else {
		b.sh.say("%s", text(b.source.URL))
		b.sh.note("%s shows what comes in there (^C to end)", b.source.ID)
	}
	query := url.Values{"source_id": {b.source.ID}, "kind": {"request"}}
	if isNew { // what comes before the first look is shown, too
		query.Set("since", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	}
	if b.sh.keyboard && !b.asJSON {
		b.sh.note("A line that you type changes the answer: 503 try later")
		go b.listen(ctx) // it reads the terminal until the process ends: nothing else can end that
	}
	w := watcher{api: b.api, sh: b.sh, query: query}
	return w.watch(ctx, func(e *tailOut, _ []byte) error {
		if e.Request == nil {
			b.sh.note("… %d or more left out: there is more than can be followed", e.Skipped)
			return nil
		}
		if err := b.draw(ctx, e.Request.ID); err != nil {
			return err
		}
		if b.shown++; b.shown == b.limit {
			return errEnough
		}
		return nil
	})
}

// draw shows one request.
func (b *bin) draw(ctx context.Context, id string) error {
	var raw json.RawMessage
	if err := b.api.ask(ctx, question{path: path("source", b.source.ID, "request", id)}, &raw); err != nil {
		return err
	}
	if b.asJSON {
		b.sh.jsonLine(map[string]any{"kind": "request", "request": raw})
		return nil
	}
	return showing(b.sh, false, raw, b.sh.drawRequest)
}

type inspectAnswer struct {
	Remote
	ID string `arg:"" optional:"" name:"source" help:"The source, by id or uid. Default: the only one that hark inspect has made."`
	AnswerFlags
	Reset bool `help:"Answer a plain 200 again."`
}

// Help is shown by hark inspect answer --help.
func (inspectAnswer) Help() string {
	return `What is not named stays as it is. Only a source without verification may answer with an error.

Examples:

  hark inspect answer --status 503 --body 'try later' --header Retry-After=60
  hark inspect answer src_… --reset`
}

// Run changes the answer.
func (c *inspectAnswer) Run(ctx context.Context, sh *shell) error {
	if c.Reset != c.isEmpty() {
		return usagef("hark inspect answer --help", "say what to answer, or --reset")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	source, err := c.find(ctx, api)
	if err != nil {
		return err
	}
	var answers *answerOut
	if !c.Reset {
		if answers, err = c.over(sh, source.Answer); err != nil {
			return err
		}
	}
	change := question{about: aSource(source.ID), method: http.MethodPatch, in: map[string]any{"answer": answers}}
	return answer(ctx, sh, api, c.JSON, change, func(s sourceOut) { sh.say("%s answers %s", s.ID, s.Answer) })
}

// String says what an answer is, in a few words.
func (a *answerOut) String() string {
	if a == nil {
		return "200"
	}
	line := strconv.Itoa(a.Status)
	for _, part := range []string{pairs(a.Headers), a.Body} {
		if part != "" {
			line += "  " + printable(part)
		}
	}
	return line
}

// find is the source that was named, or the only bin.
func (c *inspectAnswer) find(ctx context.Context, api *client) (s sourceOut, err error) {
	if c.ID != "" {
		return s, api.ask(ctx, question{about: aSource(c.ID)}, &s)
	}
	const everySource = 1 << 20
	all, err := list[sourceOut](ctx, api, question{path: "/source"}, Listing{Limit: everySource}, &progress{})
	if err != nil {
		return s, err
	}
	found := 0
	for _, one := range all.Data {
		if one.Metadata[binMark] != "" {
			s = one
			found++
		}
	}
	switch found {
	case 0:
		return s, hintf(exitNotFound, "hark inspect", "nothing is being inspected")
	case 1:
		return s, nil
	}
	return s, usagef("hark inspect answer SOURCE; hark sources lists them", "several are being inspected, so which one?")
}
