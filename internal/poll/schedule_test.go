package poll_test

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/poll"
)

func TestSchedule_GoesByTheClockOnTheWall(t *testing.T) {
	const berlin, newYork = "Europe/Berlin", "America/New_York"
	for _, tt := range []struct {
		cron, zone, after string
		want              []string // in UTC
	}{
		{"30 9 * * 1-5", "", "2026-01-02T09:30:00Z", []string{"2026-01-05T09:30:00Z", "2026-01-06T09:30:00Z"}},
		{"0 9 * * *", berlin, "2026-03-27T12:00:00Z", []string{"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"}},
		// 02:30 does not exist on the 29th, and comes as 03:30.
		{"30 2 * * *", berlin, "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		// 02:30 comes twice on October 25, and counts once.
		{"30 2 * * *", berlin, "2026-10-24T00:00:00Z", []string{"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"30 1 * * *", newYork, "2026-11-01T00:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		// Every hour is every hour that passes.
		{"0 * * * *", berlin, "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"0 * * * *", berlin, "2026-03-29T00:30:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"@daily", newYork, "2026-03-07T12:00:00Z", []string{"2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}},
		{"0 0 29 2 *", "", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	} {
		s, err := poll.ParseSchedule(&hark.PollerSettings{Cron: tt.cron, TimeZone: tt.zone})
		if err != nil {
			t.Errorf("%s: %v", tt.cron, err)
			continue
		}
		at, err := time.Parse(time.RFC3339, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if at = s.Next(at); at.Format(time.RFC3339) != want {
				t.Errorf("%s in %s after %s: got %s, want %s", tt.cron, tt.zone, tt.after, at.Format(time.RFC3339), want)
			}
		}
	}
}

func TestParseSchedule_RefusesWhatIsNone(t *testing.T) {
	for _, s := range []hark.PollerSettings{
		{Cron: "every day"}, {Cron: "60 * * * *"}, {Cron: "0 0 30 2 *"}, {Cron: "TZ=UTC 0 0 * * *"}, {Cron: "CRON_TZ=UTC 0 0 * * *"}, {Cron: "@every 1h"},
		{Cron: "0 0 0 * * *"}, {Cron: "0 0 * * *", TimeZone: "Mars"}, {Cron: "0 0 * * *", TimeZone: "Local"}, {Cron: "0 0 * * *", TimeZone: "../etc/passwd"},
	} {
		if _, err := poll.ParseSchedule(&s); err == nil {
			t.Errorf("%q in %q was taken", s.Cron, s.TimeZone)
		}
	}
}

func TestValidPointer(t *testing.T) {
	for text, want := range map[string]bool{"": true, "/": true, "/a/0": true, "/a~1b~0": true, "a": false, "/a~2": false, "/~": false} {
		if got := poll.ValidPointer(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
