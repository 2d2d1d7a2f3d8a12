package health_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harkhq/hark/internal/health"
)

const most = 64

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// fail ends n attempts badly, one after the other, as soon as each may start.
func fail(t *testing.T, s *health.State, now time.Time, n int, class health.Class) time.Time {
	t.Helper()
	for range n {
		ok, wake := s.Ready(now, 0, most)
		if !ok {
			if wake.IsZero() {
				t.Fatal("not ready, with nothing in flight and no time to wait for")
			}
			now = wake
		}
		s.Started()
		s.Ended(now, class, 0, most)
	}
	return now
}

func TestState_OpensAfterTwentyFailuresAndBacksOffToAMinute(t *testing.T) {
	var s health.State
	fail(t, &s, start, 19, health.Bad)
	if s.Open() {
		t.Fatal("open after 19 failures")
	}
	fail(t, &s, start, 1, health.Bad)
	if !s.Open() {
		t.Fatal("not open after 20 failures")
	}
	now := start
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		ok, wake := s.Ready(now, 0, most)
		if ok || wake.Sub(now) != want*time.Second {
			t.Fatalf("opening %d: ready %v, wait %v, want %v", i, ok, wake.Sub(now), want*time.Second)
		}
		now = fail(t, &s, now, 1, health.Bad)
	}
}

func TestState_ProbesWithOneAttemptAndRecoversGently(t *testing.T) {
	var s health.State
	now := fail(t, &s, start, 21, health.Bad)
	_, wake := s.Ready(now, 0, most)
	now = wake
	if ok, _ := s.Ready(now, 0, most); !ok {
		t.Fatal("no probe after its time")
	}
	s.Started()
	if ok, _ := s.Ready(now, 1, most); ok {
		t.Fatal("a second probe beside the first")
	}
	s.Ended(now, health.Good, 0, most)
	if s.Open() || s.Limit(most) != 1 {
		t.Fatalf("after the probe: open %v, limit %d, want closed and 1", s.Open(), s.Limit(most))
	}
	for _, want := range []int{2, 4, 8, 16, 32, 64, 64} {
		s.Started()
		s.Ended(now, health.Good, 0, most)
		if s.Limit(most) != want {
			t.Fatalf("limit = %d, want %d", s.Limit(most), want)
		}
	}
}

func TestState_OverloadHalvesTheLimitOncePerInterval(t *testing.T) {
	var s health.State
	for range 4 { // the ends of attempts that were in flight together
		s.Started()
		s.Ended(start, health.Overload, 0, most)
	}
	if got := s.Limit(most); got != 8 {
		t.Errorf("limit = %d, want 8: half of 16, once", got)
	}
	s.Started()
	s.Ended(start.Add(time.Second), health.Overload, 0, most)
	if got := s.Limit(most); got != 4 {
		t.Errorf("limit = %d, want 4", got)
	}
}

func TestState_RetryAfterPausesTheEndpointWithinBounds(t *testing.T) {
	var s health.State
	s.Started()
	s.Ended(start, health.Overload, 30*time.Second, most)
	if ok, wake := s.Ready(start, 0, most); ok || wake.Sub(start) != 30*time.Second {
		t.Errorf("ready %v, wait %v, want 30 s", ok, wake.Sub(start))
	}
	s.Ended(start, health.Overload, 1000*time.Hour, most)
	if _, wake := s.Ready(start, 0, most); wake.Sub(start) != 15*time.Minute {
		t.Errorf("wait %v, want 15 min at most", wake.Sub(start))
	}
}

func TestState_RefusalsSayNothingAboutHealth(t *testing.T) {
	var s health.State
	fail(t, &s, start, 100, health.Refused)
	if s.Open() || s.Failures() != 0 || s.Limit(most) != 16 {
		t.Errorf("open %v, failures %d, limit %d", s.Open(), s.Failures(), s.Limit(most))
	}
}

// Whatever happens, an endpoint is never shut out: with nothing in flight it is ready, or becomes
// ready by itself within the longest pause; and the limit stays within its bounds.
func TestState_NeverShutsAnEndpointOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s health.State
		now, inflight := start, 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			if ok, _ := s.Ready(now, inflight, most); ok {
				s.Started()
				inflight++
			}
			if inflight > 0 && rapid.Bool().Draw(t, "ends") {
				inflight--
				class := health.Class(rapid.IntRange(0, 3).Draw(t, "class"))
				pause := time.Duration(rapid.IntRange(0, 3600).Draw(t, "pause")) * time.Second
				s.Ended(now, class, pause, most)
			}
			if l := s.Limit(most); l < 1 || l > most {
				t.Fatalf("limit %d", l)
			}
		}
		for ; inflight > 0; inflight-- {
			s.Ended(now, health.Bad, 0, most)
		}
		if ok, wake := s.Ready(now, 0, most); !ok {
			if wake.IsZero() || wake.Sub(now) > 15*time.Minute {
				t.Fatalf("shut out until %v", wake)
			}
			if ok, _ := s.Ready(wake, 0, most); !ok {
				t.Fatal("still not ready at the time it named")
			}
		}
	})
}

func TestState_AProbeThatDidNotTakePlaceMakesRoomForAnother(t *testing.T) {
	var s health.State
	now := time.Unix(1_000_000, 0)
	for range 20 {
		s.Started()
		s.Ended(now, health.Bad, 0, 64)
	}
	now = now.Add(time.Minute)
	s.Started()
	if ok, _ := s.Ready(now, 1, 64); ok {
		t.Fatal("two probes at once")
	}
	s.Ended(now, health.Unasked, 0, 64)
	if ok, _ := s.Ready(now, 0, 64); !ok || !s.Open() || s.Failures() != 20 {
		t.Errorf("ready %v, open %v, failures %d: want another probe and nothing else changed", ok, s.Open(), s.Failures())
	}
}
