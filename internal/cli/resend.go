package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type resendCmd struct {
	InApp
	Messages []string `arg:"" name:"message" help:"Messages, by id or event id; - reads them from stdin, one a line."`
	Endpoint []string `short:"e" placeholder:"ID" help:"To this endpoint or consumer, whatever became of the message there (repeatable). Default: to every endpoint where its delivery has not succeeded."`
	Wait     bool     `short:"w" help:"Wait for the answers and print them; exit 1 if one was not 2xx."`
}

// Help is shown by hark resend --help.
func (resendCmd) Help() string {
	return `Each goes out once, at once, also to an endpoint that is disabled or paused: filters are not asked, and a
failure is not tried again beyond what was planned before. A consumer that is named (hark listen has one) gets it
into its feed once more.

Examples:

  hark resend msg_…
  hark resend msg_… --endpoint ep_… --wait
  hark messages --since 1h --json | jq -r '.data[].id' | hark resend -`
}

// resent is a message that was queued for an endpoint once more.
type resent struct {
	Message  string `json:"msgId"`
	Endpoint string `json:"endpointId"`
	Result   string `json:"result"`
	last     string // the attempt before
}

// Run resends messages.
func (c *resendCmd) Run(ctx context.Context, sh *shell) error {
	ids, err := c.ids(sh)
	if err != nil {
		return err
	}
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	var all []resent
	worst := exitOK
	for _, id := range ids {
		some, err := c.resend(ctx, sh, api, id)
		all = append(all, some...)
		switch {
		case err == nil:
		case len(ids) == 1 || !isAboutOne(err):
			return err
		default: // the others can still go
			worst = max(worst, sh.fail(err))
		}
	}
	if c.Wait {
		err = c.await(ctx, sh, api, all)
	}
	if err == nil && worst != exitOK {
		return &hintError{err: errSilent, code: worst}
	}
	return err
}

// consumerPrefix is that of the ids of consumers, which are fed and not sent to.
const consumerPrefix = "sink_"

// isAboutOne says whether an error is about one message, and not about the server or the key.
func isAboutOne(err error) bool {
	if e, ok := errors.AsType[*apiError](err); ok {
		return !isPassing(err) && e.exitCode() != exitForbidden
	}
	e, ok := errors.AsType[*hintError](err)
	return ok && e.code == exitNotFound
}

// ids are the messages that were named, here or on stdin.
func (c *resendCmd) ids(sh *shell) ([]string, error) {
	var ids []string
	for _, id := range c.Messages {
		if id != "-" {
			ids = append(ids, id)
			continue
		}
		lines := bufio.NewScanner(sh.input())
		for lines.Scan() {
			if id := strings.TrimSpace(lines.Text()); id != "" {
				ids = append(ids, id)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
	}
	return ids, nil
}

// resend queues one message.
func (c *resendCmd) resend(ctx context.Context, sh *shell, api *inApp, id string) ([]resent, error) {
	endpoints := c.Endpoint
	if len(endpoints) == 0 {
		var err error
		if endpoints, err = unsucceeded(ctx, api, id); err != nil {
			return nil, err
		}
		if len(endpoints) == 0 {
			sh.note("%s: no delivery has failed (try: --endpoint ID, which sends it all the same)", id)
		}
	}
	var all []resent
	for _, endpoint := range endpoints {
		r := resent{Message: id, Endpoint: endpoint, Result: "queued again"}
		if c.Wait {
			attempts, err := attemptsAt(ctx, api, &r)
			if err != nil {
				return all, explainResend(ctx, api, &r, err)
			}
			if len(attempts) > 0 {
				r.last = attempts[0].ID
			}
		}
		err := api.do(ctx, http.MethodPost, api.path("msg", id, "endpoint", endpoint, "resend"), nil, map[string]any{}, nil)
		if isMissing(err) && len(c.Endpoint) == 0 { // the message is there: it was traced
			sh.note("%s: endpoint %s was deleted", id, endpoint)
			continue
		}
		if err != nil {
			return all, explainResend(ctx, api, &r, err)
		}
		all = append(all, r)
		if c.Wait {
			continue
		}
		if c.JSON {
			sh.jsonLine(r)
		} else {
			sh.say("queued again %s to %s", id, endpoint)
		}
	}
	return all, nil
}

// explainResend says which of the two is not there.
func explainResend(ctx context.Context, api *inApp, r *resent, err error) error {
	if !isMissing(err) {
		return err
	}
	thing := anEndpoint(r.Endpoint)
	if e := api.do(ctx, http.MethodGet, api.path("endpoint", r.Endpoint), nil, nil, nil); e == nil {
		thing = aMessage(r.Message)
	}
	return api.explain(ctx, thing, err)
}

// unsucceeded are the endpoints where a message's delivery failed, was canceled, or waits to be tried again.
func unsucceeded(ctx context.Context, api *inApp, id string) ([]string, error) {
	var trace traceOut
	if err := api.ask(ctx, question{about: aMessage(id), path: "/trace"}, &trace); err != nil {
		return nil, err
	}
	var all []string
	for _, e := range trace.Endpoints {
		if e.Delivery == nil || strings.HasPrefix(e.EndpointID, consumerPrefix) {
			continue
		}
		switch e.Delivery.StatusText {
		case "fail", "canceled", "sending":
			all = append(all, e.EndpointID)
		}
	}
	return all, nil
}

// attemptsAt are the last attempts of a message at an endpoint, newest first.
func attemptsAt(ctx context.Context, api *inApp, r *resent) ([]attemptOut, error) {
	var page listOf[attemptOut]
	query := url.Values{"endpoint_id": {r.Endpoint}, "limit": {"10"}, "with_content": {"false"}, "expanded_statuses": {"true"}}
	err := api.do(ctx, http.MethodGet, api.path("attempt", "msg", r.Message), query, nil, &page)
	return page.Data, err
}

// await waits for the answers and prints them.
func (c *resendCmd) await(ctx context.Context, sh *shell, api *inApp, all []resent) error {
	bar := sh.newProgress("waiting for answers")
	defer bar.end()
	failed := 0
	for i := range all {
		bar.set(int64(i), int64(len(all)), count)
		a, err := answerTo(ctx, api, &all[i])
		if err != nil {
			return explainResend(ctx, api, &all[i], err)
		}
		if a.StatusText == "fail" {
			failed++
		}
		bar.end()
		if c.JSON {
			sh.jsonLine(a)
			continue
		}
		sh.drawAnswer(a)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d were not answered 2xx", failed, len(all))
	}
	return nil
}

func (sh *shell) drawAnswer(a attemptOut) {
	colour := green
	if a.StatusText == "fail" {
		colour = red
	}
	line := fmt.Sprintf("%s  %s  %s  %d ms  %s", a.MessageID, a.EndpointID, sh.paint(colour, httpCode(a.ResponseStatusCode)), a.ResponseDurationMs, a.ID)
	if e := text(a.Error); e != "" {
		line += "  " + printable(e)
	}
	sh.say("%s", line)
}

// answerTo waits for the attempt that a resend makes. A planned one that succeeds before it takes its place.
func answerTo(ctx context.Context, api *inApp, r *resent) (attemptOut, error) {
	for pause := 20 * time.Millisecond; ; pause = min(pause*2, time.Second) {
		attempts, err := attemptsAt(ctx, api, r)
		if err != nil {
			return attemptOut{}, err
		}
		for _, a := range attempts {
			if a.ID > r.last && (a.TriggerType == 1 || a.StatusText == "success" || strings.HasPrefix(a.EndpointID, consumerPrefix)) {
				return a, nil
			}
		}
		select {
		case <-ctx.Done():
			return attemptOut{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}
