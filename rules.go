package hark

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rules say which of an endpoint's deliveries are made, when they are due, how many may start in a
// period, and which answers are worth another attempt. The zero value changes nothing. Its JSON is what
// stores keep.
type Rules struct {
	Delay        time.Duration `json:"delay,omitempty"`        // no attempt before a message has been accepted for this long
	RetryOn      []string      `json:"retryOn,omitempty"`      // status expressions (ParseStatuses); nil: every failure
	ThrottleUnit ThrottleUnit  `json:"throttleUnit,omitempty"` // what Endpoint.ThrottleRate counts in

	// DedupeBy are the parts that tell messages of one event type apart, as Deduplication.By has them;
	// nil: every message is delivered.
	DedupeBy  []string      `json:"dedupeBy,omitempty"`
	DedupeFor time.Duration `json:"dedupeFor,omitempty"` // how long a message keeps equal ones back; 0 means DefaultWindow
}

// IsZero says that no rule is set.
func (r Rules) IsZero() bool {
	return r.Delay == 0 && len(r.RetryOn) == 0 && r.ThrottleUnit == PerSecond && len(r.DedupeBy) == 0 && r.DedupeFor == 0
}

// DedupeWindow is how long a message keeps equal ones back.
func (r Rules) DedupeWindow() time.Duration {
	if r.DedupeFor > 0 {
		return r.DedupeFor
	}
	return DefaultWindow
}

// Limits of rules.
const (
	MaxDelay   = 24 * time.Hour
	MaxRetryOn = 32
)

// ThrottleUnit is the time in which ThrottleRate attempts may start.
type ThrottleUnit string

// Throttle units.
const (
	PerSecond ThrottleUnit = ""
	PerMinute ThrottleUnit = "minute"
	PerHour   ThrottleUnit = "hour"
)

// Period is how long the unit lasts.
func (u ThrottleUnit) Period() time.Duration {
	switch u {
	case PerMinute:
		return time.Minute
	case PerHour:
		return time.Hour
	}
	return time.Second
}

// Statuses is a set of HTTP status codes.
type Statuses struct{ in [1000]bool }

// Has says whether a code is in the set; in nil, which stands for no rule, every code is.
func (s *Statuses) Has(code int) bool {
	return s == nil || code >= 0 && code < len(s.in) && s.in[code]
}

// ParseStatuses reads status expressions: a code ("429"), a range ("500-599"), or a comparison
// (">=500", ">", "<=", "<"); with "!" in front they take codes out, whatever the others say. Where
// nothing is put in, all codes are in but those taken out. No expression at all is nil: no rule.
func ParseStatuses(expressions []string) (*Statuses, error) {
	if len(expressions) == 0 {
		return nil, nil
	}
	if len(expressions) > MaxRetryOn {
		return nil, fmt.Errorf("at most %d expressions, not %d", MaxRetryOn, len(expressions))
	}
	var set, out Statuses
	putIn := false
	for _, text := range expressions {
		rest, negative := strings.CutPrefix(text, "!")
		low, high, ok := parseStatusRange(rest)
		if !ok {
			return nil, fmt.Errorf(`%q is not a status expression such as 429, 500-599, >=500 or !501`, text)
		}
		into := &set
		if negative {
			into = &out
		}
		putIn = putIn || !negative
		for code := low; code <= high; code++ {
			into.in[code] = true
		}
	}
	for code := range set.in {
		set.in[code] = (set.in[code] || !putIn) && !out.in[code]
	}
	return &set, nil
}

// The codes that an answer can have.
const (
	lowestStatus  = 100
	highestStatus = 999
)

func parseStatusRange(text string) (low, high int, ok bool) {
	for _, op := range [4]string{">=", "<=", ">", "<"} {
		rest, is := strings.CutPrefix(text, op)
		if !is {
			continue
		}
		code, ok := parseStatus(rest)
		switch op {
		case ">=":
			return code, highestStatus, ok
		case "<=":
			return lowestStatus, code, ok
		case ">":
			return code + 1, highestStatus, ok
		}
		return lowestStatus, code - 1, ok
	}
	first, last, isRange := strings.Cut(text, "-")
	if low, ok = parseStatus(first); !ok || !isRange {
		return low, low, ok
	}
	high, ok = parseStatus(last)
	return low, high, ok && low <= high
}

func parseStatus(text string) (int, bool) {
	code, err := strconv.Atoi(text)
	return code, err == nil && len(text) == 3 && code >= lowestStatus && code <= highestStatus
}
