package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

type endpointsSecret struct{ OneEndpoint }

// Help is shown by hark endpoints secret --help.
func (endpointsSecret) Help() string {
	return `Only the secret goes to stdout, so that it can be piped.

Example:

  hark endpoints secret ep_… | wl-copy`
}

// Run prints an endpoint's secret.
func (c *endpointsSecret) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), path: "/secret"}, func(s struct {
		Key string `json:"key"`
	}) {
		sh.say("%s", s.Key)
	})
}

type endpointsRotate struct {
	OneEndpoint
	Key   string        `placeholder:"WHSEC" help:"The new secret; one is made when left out."`
	Grace time.Duration `default:"24h" help:"How long the old secret goes on signing beside the new one."`
}

// Help is shown by hark endpoints rotate --help.
func (endpointsRotate) Help() string {
	return "Until the grace has passed, every attempt carries both signatures.\n\nExample:\n\n  hark endpoints rotate ep_… --grace 48h"
}

// Run rotates an endpoint's secret.
func (c *endpointsRotate) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"gracePeriodSeconds": int(c.Grace.Seconds())}
	setIf(in, "key", c.Key, c.Key != "")
	return confirm(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), path: "/secret/rotate", method: http.MethodPost, in: in}, "rotated")
}

type endpointsStats struct {
	OneEndpoint
	Since moments `placeholder:"TIME" help:"Count from here: 2h, 3d or a date. Default: 28 days."`
	Until moments `placeholder:"TIME" help:"Count up to here. Default: now."`
}

// Help is shown by hark endpoints stats --help.
func (endpointsStats) Help() string { return "Example:\n\n  hark endpoints stats ep_… --since 24h" }

// Run counts an endpoint's attempts.
func (c *endpointsStats) Run(ctx context.Context, sh *shell) error {
	query := url.Values{}
	c.Since.put(query, "since")
	c.Until.put(query, "until")
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), path: "/stats", query: query}, func(s struct{ Success, Pending, Sending, Fail, Canceled int64 }) {
		t := newTable("STATUS", "ATTEMPTS")
		t.add("success", count(s.Success))
		t.add("fail", count(s.Fail))
		t.add("sending", count(s.Sending))
		t.add("pending", count(s.Pending))
		t.add("canceled", count(s.Canceled))
		t.write(sh)
	})
}

// moments is a flag that takes a date, or how long ago: 90m, 2h, 3d.
type moments struct{ time.Time }

// UnmarshalText reads the flag.
func (m *moments) UnmarshalText(text []byte) error {
	at, err := parseMoment(string(text), time.Now())
	m.Time = at
	return err
}

// put adds the moment to a query, if there is one.
func (m moments) put(query url.Values, name string) {
	if !m.IsZero() {
		query.Set(name, m.UTC().Format(time.RFC3339Nano))
	}
}

// parseMoment reads a date, a date and time, or a span before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	var days int
	var rest string
	if n, _ := fmt.Sscanf(text, "%dd%s", &days, &rest); n >= 1 && days >= 0 && days < 36500 && fmt.Sprintf("%dd%s", days, rest) == text {
		ago := time.Duration(0)
		if rest != "" {
			var err error
			if ago, err = time.ParseDuration(rest); err != nil {
				return time.Time{}, fmt.Errorf("%q is neither a date nor a span such as 2h or 3d", text)
			}
		}
		return now.AddDate(0, 0, -days).Add(-ago), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a date nor a span such as 2h or 3d", text)
}
