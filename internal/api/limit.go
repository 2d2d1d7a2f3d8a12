package api

import (
	"strconv"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// limiter counts the requests of each key in windows of one second: enough to keep one client from
// taking everything, and simple enough to tell clients exactly (RateLimit header fields, an IETF draft).
type limiter struct {
	most int // in a window; 0: no limit

	mu      sync.Mutex
	window  int64 // seconds since 1970
	counted map[string]int
}

func newLimiter(most int) *limiter { return &limiter{most: most, counted: map[string]int{}} }

// take counts one request; left is how many more there may be in this second.
func (l *limiter) take(key string, now time.Time) (left int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Unix(); second != l.window {
		l.window = second
		clear(l.counted)
	}
	n := l.counted[key]
	if n >= l.most {
		return 0, false
	}
	l.counted[key] = n + 1
	return l.most - n - 1, true
}

// limit refuses a request when its key has made too many, and says how many are left. It counts per
// server, so behind a balancer a key may make as many at each.
func (c *call) limit() error {
	l := c.api.limiter
	if l.most <= 0 {
		return nil
	}
	key := string(c.caller.KeyID)
	if key == "" {
		key = string(c.caller.EnvironmentID) + " " + string(c.caller.ApplicationID) + " " + c.caller.Actor
	}
	left, ok := l.take(key, c.began)
	h := c.Header()
	h["Ratelimit-Policy"] = []string{`"default";q=` + strconv.Itoa(l.most) + `;w=1`}
	h["Ratelimit"] = []string{`"default";r=` + strconv.Itoa(left) + `;t=1`}
	if !ok {
		return &hark.Error{Code: hark.RateLimited, RetryAfter: time.Second,
			Detail: "This key may make " + strconv.Itoa(l.most) + " requests a second."}
	}
	return nil
}
