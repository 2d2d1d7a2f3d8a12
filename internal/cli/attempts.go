package cli

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

type attemptsCmd struct {
	List attemptsList `cmd:"" default:"withargs" help:"List attempts of a message, or at an endpoint or consumer, newest first."`
	Show attemptsShow `cmd:"" help:"Show one attempt with the answer that it got."`
}

// Help is shown by hark attempts --help.
func (attemptsCmd) Help() string {
	return `An attempt is one HTTP exchange of a delivery.

Examples:

  hark attempts --message msg_…
  hark attempts --endpoint ep_… --status fail`
}

type attemptsList struct {
	InApp
	Listing
	Message  string  `short:"m" xor:"of" required:"" placeholder:"ID" help:"Attempts of this message."`
	Endpoint string  `short:"e" xor:"of" required:"" placeholder:"ID" help:"Attempts at this endpoint."`
	Consumer string  `xor:"of" required:"" placeholder:"ID" help:"What those who listen as this consumer have answered."`
	Status   string  `placeholder:"STATUS" help:"Only success or fail."`
	Since    moments `placeholder:"TIME" help:"Made after: 2h, 3d or a date."`
	Until    moments `placeholder:"TIME" help:"Made before: 2h, 3d or a date."`
}

// Help is shown by hark attempts list --help.
func (attemptsList) Help() string {
	return "Example:\n\n  hark attempts list --endpoint ep_… --status fail --since 24h"
}

// Run lists attempts.
func (c *attemptsList) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	of := aMessage(c.Message).at(path("attempt", "msg", c.Message))
	switch {
	case c.Endpoint != "":
		of = anEndpoint(c.Endpoint).at(path("attempt", "endpoint", c.Endpoint))
	case c.Consumer != "":
		of = aConsumer(c.Consumer).at(path("attempt", "endpoint", c.Consumer))
	}
	filter := url.Values{}
	if !c.JSON {
		filter.Set("with_content", "false")
	}
	codes := map[string]int{"success": 0, "fail": 2}
	if c.Status != "" {
		code, ok := codes[c.Status]
		if !ok {
			return usagef("hark attempts list --help", "--status %q is neither success nor fail", c.Status)
		}
		filter.Set("status", strconv.Itoa(code))
		filter.Set("expanded_statuses", "true")
	}
	c.Since.put(filter, "after")
	c.Until.put(filter, "before")
	return listing(ctx, sh, api, c.JSON, c.Listing, question{about: of, query: filter}, func(attempts []attemptOut) *table {
		t := newTable("ID", "MESSAGE", "ENDPOINT", "NO", "STATUS", "CODE", "TOOK", "AT", "ERROR")
		for _, a := range attempts {
			t.add(a.ID, a.MessageID, a.EndpointID, strconv.Itoa(a.Number), a.StatusText, httpCode(a.ResponseStatusCode),
				strconv.FormatInt(a.ResponseDurationMs, 10)+" ms", clock(a.Timestamp), text(a.Error))
		}
		return t
	})
}

// httpCode writes a status code; no answer at all is a dash.
func httpCode(code int) string {
	if code == 0 {
		return "-"
	}
	return strconv.Itoa(code)
}

type attemptsShow struct {
	InApp
	Message string `arg:"" help:"The message's id."`
	ID      string `arg:"" help:"The attempt's id."`
}

// Help is shown by hark attempts show --help.
func (attemptsShow) Help() string {
	return `The response's header is kept when the attempt failed, and always when hark listen has told of it: at most 50
fields and 4096 bytes, cut with …; ••• stands for cookies and other credentials.

Example:

  hark attempts show msg_… atmpt_…`
}

// Run shows an attempt.
func (c *attemptsShow) Run(ctx context.Context, sh *shell) error {
	attempt := named{"attempt", c.ID, "hark attempts --message " + c.Message, path("msg", c.Message, "attempt", c.ID)}
	return answer(ctx, sh, c, c.JSON, question{about: attempt}, func(a attemptOut) {
		trigger := "schedule"
		if a.TriggerType == 1 {
			trigger = "resend"
		}
		fields := [][2]string{
			{"id", a.ID}, {"message", a.MessageID}, {"endpoint", a.EndpointID}, {"url", a.URL},
			{"status", a.StatusText}, {"code", httpCode(a.ResponseStatusCode)},
			{"number", strconv.Itoa(a.Number)}, {"took", strconv.FormatInt(a.ResponseDurationMs, 10) + " ms"}, {"trigger", trigger},
			{"at", clock(a.Timestamp)}, {"next", clock(moment(a.NextAttempt))}, {"error", text(a.Error)},
		}
		for _, name := range slices.Sorted(maps.Keys(a.ResponseHeaders)) {
			for _, value := range a.ResponseHeaders[name] {
				fields = append(fields, [2]string{"header", name + ": " + value})
			}
		}
		sh.fields(append(fields, [2]string{"response", a.Response}))
	})
}
