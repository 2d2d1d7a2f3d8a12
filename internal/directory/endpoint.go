package directory

import (
	"time"

	"github.com/harkhq/hark"
)

// AppendSignatures appends the space-separated signatures of all the endpoint's secrets that are
// live at the moment at: newest first, as Standard Webhooks asks for during a rotation.
func (e *Endpoint) AppendSignatures(dst []byte, id hark.MessageID, at time.Time, body []byte) []byte {
	first := true
	for i, s := range e.Secrets {
		if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(at) {
			continue
		}
		if !first {
			dst = append(dst, ' ')
		}
		first = false
		dst = e.keys[i].AppendSignature(dst, string(id), at.Unix(), body)
	}
	return dst
}

// Schedule is the endpoint's retry schedule, or the standard one.
func (e *Endpoint) Schedule() hark.Schedule {
	if e.RetrySchedule != nil {
		return e.RetrySchedule
	}
	return hark.StandardSchedule
}

// AttemptTimeout is how long one attempt may take.
func (e *Endpoint) AttemptTimeout() time.Duration {
	if e.Timeout > 0 {
		return e.Timeout
	}
	return hark.DefaultTimeout
}

// MostInFlight is how many attempts may be in flight at once when all goes well.
func (e *Endpoint) MostInFlight() int {
	if e.Concurrency > 0 {
		return e.Concurrency
	}
	return hark.DefaultConcurrency
}

// Held says that its deliveries wait: it is paused or disabled.
func (e *Endpoint) Held() bool { return e.Paused || e.Disabled }
