package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// verdict is what the checker finds in a log.
type verdict struct {
	Acked, Doubtful, Refused int
	Deliveries               int // answered 2xx, distinct message and endpoint
	Retries                  int // arrivals after one that was answered with a failure

	Kills      int
	Repeats    []int // by kill: deliveries that were answered 2xx before it and came again after
	MostRepeat int
	OldestGap  time.Duration // longest time from such an answer to the kill
	killedAt   []int64

	Violations []string // empty: all promises held
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d acknowledged, %d in doubt, %d refused; %d deliveries, %d retries; %d kills, %d repeated across them (at most %d across one, answered at most %v before it)",
		v.Acked, v.Doubtful, v.Refused, v.Deliveries, v.Retries, v.Kills, sum(v.Repeats), v.MostRepeat, v.OldestGap.Round(time.Millisecond))
}

func sum(ns []int) (total int) {
	for _, n := range ns {
		total += n
	}
	return total
}

// recordLimit is how long after its answer a delivery has to be recorded at the latest: what comes
// again after a longer time was not in flight by any reading. The machine is shared, disks stall.
const recordLimit = 2 * time.Second

// maxShown keeps a broken run readable.
const maxShown = 20

func (v *verdict) violate(format string, args ...any) {
	if len(v.Violations) < maxShown {
		v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
	} else if len(v.Violations) == maxShown {
		v.Violations = append(v.Violations, "… and more")
	}
}

// story is everything that the log says about one message.
type story struct {
	app      int
	hash     string
	ackedID  string
	refused  bool // and never acknowledged
	arrivals map[string][]arrival
}

type arrival struct {
	at, life int64 // life counts the kills before it
	id       string
	ok       bool
}

// check reads a log and decides. endpoints names the receivers of each application; inFlight is
// how many deliveries may have been in flight at one kill.
func check(events []event, endpoints map[int][]string, inFlight int) *verdict {
	v := &verdict{}
	stories, ids := map[int64]*story{}, map[string]int64{}
	var life int64
	for _, e := range events {
		switch e.Kind {
		case killed:
			life++
			v.Kills++
			v.Repeats = append(v.Repeats, 0)
			v.killedAt = append(v.killedAt, e.At)
		case sent:
			if stories[e.Seq] == nil {
				stories[e.Seq] = &story{app: e.App, hash: e.Hash, arrivals: map[string][]arrival{}}
			}
		case acked:
			s := stories[e.Seq]
			if s.ackedID != "" && s.ackedID != e.ID {
				v.violate("message %d was acknowledged as %s and as %s", e.Seq, s.ackedID, e.ID)
			}
			s.ackedID = e.ID
		case refused:
			stories[e.Seq].refused = true
		case got:
			v.arrived(e, life, stories, ids)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(stories)) {
		v.judge(seq, stories[seq], endpoints)
	}
	for i, n := range v.Repeats {
		v.MostRepeat = max(v.MostRepeat, n)
		if n > inFlight {
			v.violate("kill %d: %d deliveries came again, and only %d can have been in flight", i+1, n, inFlight)
		}
	}
	return v
}

func (v *verdict) arrived(e event, life int64, stories map[int64]*story, ids map[string]int64) {
	s := stories[e.Seq]
	if s == nil {
		v.violate("phantom: %s at %s was never sent", e.ID, e.Endpoint)
		return
	}
	if e.Hash != s.hash {
		v.violate("phantom: message %d arrived at %s with another body", e.Seq, e.Endpoint)
	}
	if e.Forged != "" {
		v.violate("message %d at %s: %s", e.Seq, e.Endpoint, e.Forged)
	}
	if seq, known := ids[e.ID]; known && seq != e.Seq {
		v.violate("%s is the id of the messages %d and %d", e.ID, seq, e.Seq)
	}
	ids[e.ID] = e.Seq
	s.arrivals[e.Endpoint] = append(s.arrivals[e.Endpoint], arrival{e.At, life, e.ID, e.Status/100 == 2})
}

func (v *verdict) judge(seq int64, s *story, endpoints map[int][]string) {
	switch {
	case s.ackedID != "":
		v.Acked++
	case s.refused:
		v.Refused++
		if len(s.arrivals) > 0 {
			v.violate("phantom: message %d was refused and arrived", seq)
		}
	default:
		v.Doubtful++
	}
	id := s.ackedID
	for _, endpoint := range slices.Sorted(maps.Keys(s.arrivals)) {
		if !slices.Contains(endpoints[s.app], endpoint) {
			v.violate("message %d of application %d arrived at %s", seq, s.app, endpoint)
		}
		for _, a := range s.arrivals[endpoint] {
			if id == "" {
				id = a.id
			}
			if a.id != id {
				v.violate("message %d is %s, and arrived at %s as %s", seq, id, endpoint, a.id)
			}
		}
		v.repeats(seq, endpoint, s.arrivals[endpoint])
	}
	for _, endpoint := range endpoints[s.app] {
		delivered := slices.ContainsFunc(s.arrivals[endpoint], func(a arrival) bool { return a.ok })
		if delivered {
			v.Deliveries++
		}
		if s.ackedID != "" && !delivered {
			v.violate("lost: message %d, acknowledged as %s, was never delivered to %s (%d arrivals)", seq, s.ackedID, endpoint, len(s.arrivals[endpoint]))
		}
	}
}

// repeats looks at what came after a delivery had been answered 2xx.
func (v *verdict) repeats(seq int64, endpoint string, arrivals []arrival) {
	for i, a := range arrivals[1:] {
		before := arrivals[i]
		if !before.ok {
			v.Retries++
			continue
		}
		if a.life == before.life {
			v.violate("message %d came to %s again without a crash in between", seq, endpoint)
			continue
		}
		v.Repeats[before.life]++
		gap := time.Duration(v.killedAt[before.life] - before.at)
		v.OldestGap = max(v.OldestGap, gap)
		if gap > recordLimit {
			v.violate("message %d came to %s again, although it was answered %v before the kill", seq, endpoint, gap)
		}
	}
}

// The checker is worth nothing unless it sees what it is there for: each kind of broken promise,
// planted in a log that is otherwise fine.
func TestChecker_SeesEveryBrokenPromise(t *testing.T) {
	good := func() []event {
		return []event{
			{Kind: started},
			{Kind: sent, Seq: 1, Hash: "a"}, {Kind: acked, Seq: 1, ID: "msg_1"},
			{Kind: got, Seq: 1, Hash: "a", ID: "msg_1", Endpoint: "/e", Status: 500},
			{Kind: got, Seq: 1, Hash: "a", ID: "msg_1", Endpoint: "/e", Status: 204},
			{Kind: sent, Seq: 2, Hash: "b"}, {Kind: got, Seq: 2, Hash: "b", ID: "msg_2", Endpoint: "/e", Status: 204},
			{Kind: killed}, {Kind: started},
			{Kind: got, Seq: 2, Hash: "b", ID: "msg_2", Endpoint: "/e", Status: 204},
			{Kind: sent, Seq: 2, Hash: "b"}, {Kind: acked, Seq: 2, ID: "msg_2"},
			{Kind: sent, Seq: 3, Hash: "c"}, {Kind: refused, Seq: 3, Status: 503},
			{Kind: sent, Seq: 4, Hash: "d"},
		}
	}
	endpoints := map[int][]string{0: {"/e"}}
	v := check(good(), endpoints, 1)
	if len(v.Violations) > 0 || v.Acked != 2 || v.Doubtful != 1 || v.Refused != 1 || v.MostRepeat != 1 || v.Retries != 1 {
		t.Fatalf("a good log: %v %q", v, v.Violations)
	}
	tests := map[string]struct {
		change func([]event) []event
		want   string
	}{
		"a lost message": {func(l []event) []event { return append(l[:4:4], l[5:]...) }, "lost: message 1"},
		"a message from nowhere": {func(l []event) []event {
			return append(l, event{Kind: got, Seq: 9, ID: "msg_9", Endpoint: "/e", Status: 204})
		}, "never sent"},
		"a refused message that arrives": {func(l []event) []event {
			return append(l, event{Kind: got, Seq: 3, Hash: "c", ID: "msg_3", Endpoint: "/e", Status: 204})
		}, "was refused and arrived"},
		"another body":      {func(l []event) []event { l[4].Hash = "x"; return l }, "another body"},
		"another id":        {func(l []event) []event { l[4].ID = "msg_x"; return l }, "arrived at /e as msg_x"},
		"one id for two":    {func(l []event) []event { l[6].ID = "msg_1"; return l }, "is the id of the messages"},
		"two ids for one":   {func(l []event) []event { return append(l, event{Kind: acked, Seq: 1, ID: "msg_y"}) }, "acknowledged as msg_1 and as msg_y"},
		"a wrong signature": {func(l []event) []event { l[4].Forged = "no match"; return l }, "no match"},
		"a repeat without a crash": {func(l []event) []event {
			return append(l, event{Kind: got, Seq: 2, Hash: "b", ID: "msg_2", Endpoint: "/e", Status: 204})
		}, "without a crash"},
		"a repeat of what was answered long ago": {func(l []event) []event { l[7].At = int64(time.Minute); return l }, "before the kill"},
		"a stranger's endpoint":                  {func(l []event) []event { l[4].Endpoint = "/other"; return l }, "arrived at /other"},
	}
	for name, test := range tests {
		v := check(test.change(good()), endpoints, 1)
		if !strings.Contains(strings.Join(v.Violations, "\n"), test.want) {
			t.Errorf("%s: got %q, want %q", name, v.Violations, test.want)
		}
	}
	if v := check(good(), endpoints, 0); len(v.Violations) != 1 {
		t.Errorf("more repeats than were in flight: got %q", v.Violations)
	}
}
