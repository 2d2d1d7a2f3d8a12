package webhook

import (
	"strconv"
	"time"
)

// readTime reads a signed timestamp and says whether it is near enough to now.
func readTime(text, unit string, c *call, providers int) (time.Time, *finding) {
	at, ok := parseTime(text, unit)
	if !ok {
		return at, bad("the timestamp %s", mustBe(unit))
	}
	if limit, ok := c.options.tolerance(providers); ok {
		return at, near(at, c.now, limit)
	}
	return at, nil
}

func near(at, now time.Time, limit time.Duration) *finding {
	switch age := now.Sub(at); {
	case at.After(now.AddDate(100, 0, 0)):
		f := failed(ErrTooNew, "the timestamp is more than a hundred years in the future: milliseconds perhaps, where seconds are wanted")
		return &f
	case age > limit:
		f := failed(ErrTooOld, "the timestamp is %v old, and only %v are tolerated", age.Round(time.Second), limit)
		return &f
	case age < -limit:
		f := failed(ErrTooNew, "the timestamp is %v in the future, and only %v are tolerated: one of the two clocks is wrong", (-age).Round(time.Second), limit)
		return &f
	}
	return nil
}

func parseTime(text, unit string) (time.Time, bool) {
	switch unit {
	case "rfc3339":
		at, err := time.Parse(time.RFC3339, text)
		return at.UTC(), err == nil
	case "ms":
		n, ok := parseTimestamp(text)
		return time.UnixMilli(min(n, farFuture*1000)).UTC(), ok
	}
	n, ok := parseTimestamp(text)
	return time.Unix(min(n, farFuture), 0).UTC(), ok
}

func mustBe(unit string) string {
	switch unit {
	case "rfc3339":
		return "must be a date such as 2026-11-25T10:00:00Z"
	case "ms":
		return "must be milliseconds since 1970"
	}
	return "must be seconds since 1970"
}

// formatTime writes a timestamp as a provider does.
func formatTime(at time.Time, unit string) string {
	switch unit {
	case "rfc3339":
		return at.UTC().Format(time.RFC3339Nano)
	case "ms":
		return strconv.FormatInt(at.UnixMilli(), 10)
	}
	return strconv.FormatInt(at.Unix(), 10)
}

// farFuture, in the year 2242, is where timestamps stop counting: beyond, differences overflow.
const farFuture = 1 << 33

// parseTimestamp reads the one spelling of a moment since 1970: what is signed is the spelling.
func parseTimestamp(text string) (int64, bool) {
	t, err := strconv.ParseInt(text, 10, 64)
	if err != nil || t < 0 || strconv.FormatInt(t, 10) != text {
		return 0, false
	}
	return t, true
}
