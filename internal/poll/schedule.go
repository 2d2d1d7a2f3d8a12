package poll

import (
	"errors"
	"strings"
	"time"
	_ "time/tzdata" // also where the system knows no time zones

	"github.com/robfig/cron/v3"

	"github.com/harkhq/hark"
)

// MinEvery and MaxEvery bound an interval.
const (
	MinEvery = time.Second
	MaxEvery = 31 * 24 * time.Hour
)

// Schedule says when a poller runs.
type Schedule struct {
	every time.Duration
	cron  *cron.SpecSchedule
	zone  *time.Location
}

// ErrZone is what ParseSchedule says of a time zone that it does not know.
var ErrZone = errors.New("is not a time zone such as Europe/Berlin")

// ParseSchedule reads a poller's schedule. Its errors are for people.
func ParseSchedule(s *hark.PollerSettings) (Schedule, error) {
	if s.Cron == "" {
		return Schedule{every: s.Every}, nil
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		return Schedule{}, ErrZone
	}
	if strings.HasPrefix(s.Cron, "TZ=") || strings.HasPrefix(s.Cron, "CRON_TZ=") {
		return Schedule{}, errors.New("the time zone has a field of its own")
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(s.Cron)
	if err != nil {
		return Schedule{}, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, errors.New("an interval has a field of its own")
	}
	spec.Location = zone
	out := Schedule{cron: spec, zone: zone}
	if out.Next(time.Now()).IsZero() {
		return Schedule{}, errors.New("names a time that never comes")
	}
	return out, nil
}

// First is when a new poller runs for the first time.
func (s Schedule) First(now time.Time) time.Time {
	if s.cron == nil {
		return now
	}
	return s.Next(now)
}

// everyHour is what the parser leaves in a field that was a star.
const everyHour = 1 << 63

// Next is the first time after now. A cron line that names hours goes by the clock on the wall: a time that
// the change to summer time leaves out comes an hour later, one that comes twice in autumn is taken
// once, the first time. One that takes every hour (its field has a star) goes by hours that pass.
func (s Schedule) Next(now time.Time) time.Time {
	if s.cron == nil {
		return now.Add(s.every)
	}
	if s.cron.Hour&everyHour != 0 {
		return s.cron.Next(now.In(s.zone)).UTC()
	}
	clock := *s.cron
	clock.Location = time.UTC
	local := now.In(s.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC).Add(-3 * time.Hour)
	for {
		if wall = clock.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		if at := s.moment(wall); at.After(now) {
			return at
		}
	}
}

// moment is when the clock on the wall shows a time: the first time it does, or as much later as it jumps
// over it.
func (s Schedule) moment(wall time.Time) time.Time {
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(s.zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before := wall.Add(-offset(wall.Add(-24 * time.Hour)))
	after := wall.Add(-offset(wall.Add(24 * time.Hour)))
	if offset(before) != offset(wall.Add(-24*time.Hour)) && offset(after) == offset(wall.Add(24*time.Hour)) {
		return after.UTC()
	}
	return before.UTC()
}

// Back-off after failures in a row.
const (
	firstBackOff   = 30 * time.Second
	longestBackOff = time.Hour
	longestAsked   = 24 * time.Hour // that a server may ask for
)

// believed is for how many failures in a row the time that a server asks for is taken as it is.
const believed = 3

// backOff is how long to stay away after so many failures in a row, when the server asks for asked.
func backOff(failures int, asked time.Duration) time.Duration {
	asked = min(asked, longestAsked)
	if asked > 0 && failures <= believed {
		return max(asked, MinEvery)
	}
	wait := longestBackOff
	if failures < 8 {
		wait = min(wait, firstBackOff<<(failures-1))
	}
	return max(wait, asked)
}
