package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark/internal/fixture"
	"github.com/harkhq/hark/internal/listen"
	"github.com/harkhq/hark/internal/scenario"
	"github.com/harkhq/hark/webhook"
)

// shot is one event that was sent, and its answer.
type shot struct {
	Event  string        `json:"event"`
	ID     string        `json:"id"`
	Status int           `json:"status"`
	Took   time.Duration `json:"-"`
	Answer string        `json:"answer"` // its beginning
	body   []byte        // all of it
}

func (s shot) ok() bool { return s.Status/100 == 2 }

// sender sends one event.
type sender func(ctx context.Context, d *fixture.Draft, now time.Time) (shot, error)

// destination is where the events go: a URL, a source or an application. A source says whose events it takes.
func (c *triggerCmd) destination(ctx context.Context, sh *shell) (sender, error) {
	if c.App != "" {
		api, err := InApp{Remote: c.Remote, App: c.App}.open(ctx)
		if err != nil {
			return nil, err
		}
		return publishing(api), nil
	}
	if c.Source != "" {
		if err := c.findSource(ctx); err != nil {
			return nil, err
		}
	}
	target, err := listen.ParseTarget(c.To)
	if err != nil {
		return nil, usagef("--to http://localhost:3000/hook", "%q is not a URL to send to", c.To)
	}
	provider := c.Provider
	if provider == "" {
		name, err := fixture.Find("", c.Event)
		if err != nil {
			return nil, c.unknown(err)
		}
		provider = name.Provider
	}
	signer, verifier, err := c.signer(provider)
	if err != nil {
		return nil, err
	}
	return signed{url: target.String(), signer: signer, verifier: verifier, http: newClient("", "").http}.send, nil
}

// findSource asks the server for the source's URL and provider.
func (c *triggerCmd) findSource(ctx context.Context) error {
	var s sourceOut
	if err := c.Remote.ask(ctx, question{about: aSource(c.Source)}, &s); err != nil {
		return err
	}
	c.To = text(s.URL)
	switch {
	case s.Provider != nil && c.Provider == "":
		c.Provider = *s.Provider
	case s.Provider != nil && c.Provider != *s.Provider:
		return usagef("--provider "+*s.Provider, "the source takes webhooks of %s, not of %s", *s.Provider, c.Provider)
	}
	return nil
}

// signed sends to a URL as a provider would.
type signed struct {
	url      string
	signer   *webhook.Signer
	verifier *webhook.Verifier
	http     *http.Client
}

// maxShownBytes is how much of an answer is shown.
const maxShownBytes = 300

func (s signed) send(ctx context.Context, d *fixture.Draft, now time.Time) (shot, error) {
	body, err := d.Body()
	if err != nil {
		return shot{}, usagef("--edit", "this is no JSON: %w", err)
	}
	r, err := s.signer.Sign(webhook.Request{Method: http.MethodPost, URL: s.url, Header: d.Header, Body: body}, now)
	if err != nil {
		return shot{}, usagef("docs/providers.md", "%w", err)
	}
	out := shot{Event: d.Event, ID: s.verifier.Verify(ctx, r, now).ID}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return out, fmt.Errorf("make request: %w", err)
	}
	req.Header = r.Header
	start := time.Now()
	resp, err := s.http.Do(req)
	out.Took = time.Since(start)
	if err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, unanswered(s.url, s.http.Timeout, err)
	}
	defer resp.Body.Close()
	out.body, _ = io.ReadAll(io.LimitReader(resp.Body, scenario.MaxAnswerBytes)) // the status is the answer
	out.Status, out.Answer = resp.StatusCode, string(out.body[:min(len(out.body), maxShownBytes)])
	return out, nil
}

// unanswered says why an exchange came to no answer.
func unanswered(target string, limit time.Duration, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return hintf(exitUnreachable, "is your server running there?", "cannot reach %s: %w", target, unwrapURL(err))
	}
	return hintf(exitUnreachable, "", "%s: %s", target, listen.WhyNot(err, limit, false))
}

// publishing sends through the API; the message's type is the event's, with dots.
func publishing(api *inApp) sender {
	return func(ctx context.Context, d *fixture.Draft, _ time.Time) (shot, error) {
		payload := d.Document
		if d.Raw != nil {
			payload = d.Raw
		}
		if !json.Valid(payload) || bytes.TrimSpace(payload)[0] != '{' {
			return shot{}, usagef("--raw '{…}'", "the event is not a JSON object")
		}
		out := shot{Event: strings.ReplaceAll(d.Event, "/", "."), Status: http.StatusAccepted}
		var m messageOut
		in := map[string]any{"eventType": out.Event, "payload": payload}
		start := time.Now()
		err := api.ask(ctx, question{path: "/msg", method: http.MethodPost, query: url.Values{"with_content": {"false"}}, in: in}, &m)
		out.ID, out.Took = m.ID, time.Since(start)
		return out, err
	}
}

// volley sends many, and says what became of each.
type volley struct {
	sh     *shell
	asJSON bool
	total  int
	rate   float64

	mu           sync.Mutex
	sent, failed int
	err          error // the first that is no answer; it ends the volley
}

// maxInFlight is how many requests may wait for their answers when there is a rate to keep.
const maxInFlight = 64

// fire sends them all, one after the other or at a rate. An interrupt ends it.
func (v *volley) fire(ctx context.Context, one func(context.Context) (shot, error)) error {
	started := time.Now()
	lanes, pause := 1, time.Duration(0)
	if v.rate > 0 {
		lanes, pause = maxInFlight, time.Duration(float64(time.Second)/v.rate)
	}
	free := make(chan struct{}, lanes)
	bar := v.sh.newProgress("triggering")
	var wg sync.WaitGroup
	for i := 0; i < v.total && v.wait(ctx, free, started.Add(time.Duration(i)*pause)); i++ {
		wg.Go(func() {
			defer func() { <-free }()
			s, err := one(ctx)
			v.record(s, err, bar)
		})
	}
	wg.Wait()
	bar.end()
	return v.verdict(ctx, time.Since(started))
}

// wait waits for the time of the next one, and for room; false when there shall be no next one.
func (v *volley) wait(ctx context.Context, free chan<- struct{}, due time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(due)):
	}
	select {
	case <-ctx.Done():
		return false
	case free <- struct{}{}:
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err == nil
}

// record writes the line of one.
func (v *volley) record(s shot, err error, bar *progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		if v.err == nil {
			v.err = err
		}
		return
	}
	v.sent++
	if !s.ok() {
		v.failed++
	}
	bar.end()
	v.print(s)
	if v.total > 1 {
		bar.set(int64(v.sent), int64(v.total), count)
	}
}

func (v *volley) print(s shot) {
	if v.asJSON {
		v.sh.jsonLine(struct {
			shot
			Milliseconds float64 `json:"ms"`
		}{s, float64(s.Took.Microseconds()) / 1000})
		return
	}
	colour := green
	if !s.ok() {
		colour = red
	}
	id := s.ID
	if id == "" {
		id = "-"
	}
	v.sh.say("%s  %s  %s  %s", s.Event, printable(id), v.sh.paint(colour, fmt.Sprint(s.Status)), s.Took.Round(100*time.Microsecond))
	if !s.ok() && v.failed == 1 {
		if answer := strings.TrimSpace(s.Answer); answer != "" {
			v.sh.note("answer: %s", printable(answer))
		}
	}
}

// verdict is the end of the command.
func (v *volley) verdict(ctx context.Context, took time.Duration) error {
	if v.total > 1 {
		v.sh.note("%d of %d sent in %s", v.sent, v.total, took.Round(time.Millisecond))
	}
	switch {
	case v.err != nil && !errors.Is(v.err, context.Canceled):
		return v.err
	case ctx.Err() != nil:
		return ctx.Err()
	case v.failed > 0:
		return fmt.Errorf("%d of %d were not answered 2xx", v.failed, v.sent)
	}
	return nil
}
