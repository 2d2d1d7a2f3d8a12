package deliver

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/health"
)

// exchange is what happened in one attempt, as far as judging needs it.
type exchange struct {
	Status     int    // of the response; 0 when there was none
	RetryAfter string // the response's header
	TimedOut   bool
	Expunged   bool // there was nothing to send any more
	Blocked    bool // by our own rules: how long that took would tell about our network
	Canceled   bool // by the endpoint's transformation
	Altering   bool // its transformation failed: nothing was sent
	Exhausted  bool // that, and because it wanted too much
	Trigger    hark.Trigger
	Attempts   int // made, this one included
	Schedule   hark.Schedule
	RetryOn    *hark.Statuses // nil: every answer that is not a success
	Spread     float64        // uniform in [0, 1)
	Now        time.Time
}

// verdict is what follows from it.
type verdict struct {
	Status  hark.AttemptStatus
	Retry   bool
	Wait    time.Duration // before the retry
	Pause   time.Duration // the endpoint asked to be left alone for this long
	Class   health.Class
	Disable string // reason to take the endpoint out of service; "" for none
}

// longestRetryAfter bounds what an endpoint may ask for beyond its own schedule, so that a mistaken
// "Retry-After: 1e9" does not park a message for ever.
const longestRetryAfter = time.Hour

// judge applies the rules of Standard Webhooks 1.0.0: 2xx is success; 3xx is a failure and never
// followed; 410 disables the endpoint; 429, 502, 503 and 504 ask for less; everything else fails.
func judge(x exchange) verdict {
	v := verdict{Class: classify(x)}
	if x.Status >= 200 && x.Status < 300 {
		v.Status = hark.Succeeded
		return v
	}
	if x.Canceled {
		v.Status = hark.Canceled
		return v
	}
	v.Status = hark.Failed
	asked, hasAsked := parseRetryAfter(x.RetryAfter, x.Now)
	if hasAsked {
		v.Pause = asked
	}
	if x.Status == http.StatusGone {
		v.Disable = "gone"
		return v
	}
	if x.Trigger == hark.Manual {
		return v
	}
	if x.Status != 0 && !x.RetryOn.Has(x.Status) { // without an answer there is nothing to go by
		return v
	}
	wait, ok := x.Schedule.Next(x.Attempts, x.Spread)
	if !ok {
		return v
	}
	if hasAsked {
		wait = max(wait, min(asked, max(longestRetryAfter, 2*wait)))
	}
	v.Retry, v.Wait = true, wait
	return v
}

func classify(x exchange) health.Class {
	switch s := x.Status; {
	case x.Canceled, x.Altering && !x.Exhausted:
		return health.Unasked
	case s >= 200 && s < 300:
		return health.Good
	// A transformation that eats up its time is asked for less often, as an endpoint would be.
	case x.Exhausted, x.TimedOut, s == 429, s == 502, s == 503, s == 504:
		return health.Overload
	case s >= 300 && s < 500:
		return health.Refused
	case x.Expunged:
		return health.Unasked
	}
	return health.Bad
}

// parseRetryAfter reads seconds (a fraction is allowed, as Svix does) or an HTTP date (RFC 9110
// §10.2.3). What is negative, past or not understood is as if it were not there.
func parseRetryAfter(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds > 0) {
			return 0, false
		}
		return time.Duration(min(seconds, float64(hark.MaxRetryWait/time.Second)) * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil || !at.After(now) {
		return 0, false
	}
	return min(at.Sub(now), hark.MaxRetryWait), true
}
