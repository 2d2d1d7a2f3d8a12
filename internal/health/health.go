// Package health judges how an endpoint is doing from how its attempts end, and says how much it
// may be sent: how many attempts at once, and not before when. It is pure: no clock, no I/O, no
// goroutine; its owner tells it the time.
//
//	           20 failures in a row                  its time is up
//	closed ───────────────────────────▶ open ───────────────────────────▶ probing
//	  ▲  limit: additive increase,       ▲  nothing is sent; 1 s, doubling   │ one attempt
//	  │  halved on overload              │  up to a minute                   │
//	  │                                  └────────── it failed ◀─────────────┤
//	  └───────────── it succeeded: limit 1, 2, 4 … up again ◀────────────────┘
//
// What is not sent waits in the queue; an open breaker loses nothing and uses up no attempts.
package health

import "time"

// Class is how an attempt ended, as far as health cares.
type Class int8

// Classes of attempts.
const (
	Good     Class = iota // answered 2xx
	Refused               // answered, but refused this message (4xx): says nothing about its health
	Bad                   // no connection, or a 5xx
	Overload              // 429, 502, 503, 504 or a timeout: it is asked too much
	Unasked               // nothing was sent: says nothing at all
)

// The numbers of the rule.
const (
	startLimit   = 16               // attempts in flight while nothing is known
	tripAfter    = 20               // failures in a row that open the breaker
	firstOpen    = time.Second      // how long it stays open the first time
	longestOpen  = time.Minute      // how long it stays open at most
	cutInterval  = time.Second / 10 // overload seen within this time of a cut is the same overload
	longestPause = 15 * time.Minute // an endpoint's own Retry-After is obeyed up to this
)

// State is an endpoint's health. The zero value is a healthy endpoint of which nothing is known.
type State struct {
	limit     float64 // attempts in flight; 0 means startLimit
	failures  int     // in a row
	open      bool
	probing   bool // the one attempt of a half-open breaker is in flight
	opened    time.Duration
	notBefore time.Time // nothing is sent before
	cut       time.Time // when the limit was last cut
	ramping   bool      // recovering: the limit doubles until it meets a failure or the maximum
}

// Ready says whether one more attempt may start when inflight are under way and most is the
// endpoint's configured maximum. If not and wake is not zero, ask again then; if wake is zero, ask
// again when an attempt has ended.
func (s *State) Ready(now time.Time, inflight, most int) (ok bool, wake time.Time) {
	if now.Before(s.notBefore) {
		return false, s.notBefore
	}
	if s.open {
		return !s.probing, time.Time{}
	}
	return inflight < s.Limit(most), time.Time{}
}

// Limit is how many attempts may be in flight.
func (s *State) Limit(most int) int {
	limit := s.limit
	if limit == 0 {
		limit = startLimit
	}
	return max(1, min(int(limit), most))
}

// Open says that the breaker is open or probing.
func (s *State) Open() bool { return s.open }

// Failures is the number of bad or overloaded attempts in a row.
func (s *State) Failures() int { return s.failures }

// Idle says that there is nothing to remember.
func (s *State) Idle(now time.Time) bool {
	return s.failures == 0 && !s.open && !now.Before(s.notBefore)
}

// Started tells of an attempt that Ready allowed.
func (s *State) Started() {
	if s.open {
		s.probing = true
	}
}

// Ended tells of an attempt's end. pause is how long the endpoint asked to be left alone (its
// Retry-After), zero if it did not.
func (s *State) Ended(now time.Time, class Class, pause time.Duration, most int) {
	if class == Overload && pause > 0 {
		s.holdUntil(now.Add(min(pause, longestPause)))
	}
	switch class {
	case Unasked:
		s.probing = false
	case Good:
		s.good(most)
	case Refused:
		s.probing = false
		if s.open { // it answers: that is what the probe asked
			s.good(most)
		}
	case Bad, Overload:
		s.failures++
		s.ramping = false
		if class == Overload {
			s.cutLimit(now, most)
		}
		s.trip(now)
	}
}

func (s *State) good(most int) {
	s.failures, s.opened = 0, 0
	limit := s.limit
	switch {
	case s.open:
		s.open, s.probing, s.ramping = false, false, true
		limit = 1
	case limit == 0:
		limit = startLimit
	case s.ramping:
		limit *= 2
	default:
		limit += 1 / limit
	}
	if limit >= float64(most) {
		s.ramping = false
	}
	s.limit = min(limit, float64(max(most, 1)))
}

func (s *State) cutLimit(now time.Time, most int) {
	if now.Sub(s.cut) < cutInterval {
		return
	}
	s.cut = now
	s.limit = max(1, float64(s.Limit(most))/2)
}

// trip opens the breaker when there were too many failures, and opens it again, for longer, when
// the probe failed.
func (s *State) trip(now time.Time) {
	again := s.open && s.probing
	s.probing = false
	if !again && (s.open || s.failures < tripAfter) {
		return
	}
	s.open = true
	s.opened = min(max(firstOpen, 2*s.opened), longestOpen)
	s.holdUntil(now.Add(s.opened))
}

func (s *State) holdUntil(t time.Time) {
	if t.After(s.notBefore) {
		s.notBefore = t
	}
}
