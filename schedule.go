package hark

import (
	"fmt"
	"time"
)

// Schedule lists the waits between the attempts of a delivery: the n-th entry is the wait after
// the n-th attempt failed. An empty Schedule means one attempt and no retry.
type Schedule []time.Duration

// StandardSchedule is the example of Standard Webhooks 1.0.0: ten attempts in 75 hours and 35 minutes.
var StandardSchedule = Schedule{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Limits of a schedule.
const (
	MaxRetries   = 50
	MaxRetryWait = 7 * 24 * time.Hour
)

// Next says how long to wait after the given number of attempts has failed, or that all are used
// up. spread is uniform in [0, 1) and moves the wait by up to a fifth either way, so that
// deliveries which failed together do not come back together.
func (s Schedule) Next(attempts int, spread float64) (wait time.Duration, ok bool) {
	if attempts < 1 || attempts > len(s) {
		return 0, false
	}
	return time.Duration(float64(s[attempts-1]) * (0.8 + 0.4*spread)), true
}

// Validate refuses what no delivery should follow.
func (s Schedule) Validate() error {
	if len(s) > MaxRetries {
		return fmt.Errorf("at most %d retries, not %d", MaxRetries, len(s))
	}
	for i, wait := range s {
		if wait < 0 || wait > MaxRetryWait {
			return fmt.Errorf("wait %d must be between 0 and %v", i+1, MaxRetryWait)
		}
	}
	return nil
}
