package witness

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Rules are what a campaign may expect.
type Rules struct {
	// InFlight is how many deliveries may have been in flight or unrecorded at one fault.
	InFlight int
	// Before and After are how long before a fault began, and after it was over, something may have
	// been answered that was not recorded. The machine is shared, disks stall.
	Before, After time.Duration
	// Ordered names the paths that keep order, and how.
	Ordered map[string]Order
}

// Order is how wide a line is.
type Order int

// The widths of lines.
const (
	ByEndpoint Order = iota + 1
	ByLine           // the payload's member "line"
)

// Verdict is what the checker finds in a log.
type Verdict struct {
	Acked, Doubtful, Refused int
	Away                     int // publishes that were answered 503, and sent again
	Deliveries               int // answered 2xx, distinct message and endpoint
	Retries                  int // arrivals after one that was answered with a failure
	Recorded                 int // successes that the API has listed
	Missing                  int // deliveries and entries that somebody must have got, and has not, yet

	Entries  int // of feeds
	Readers  int // of feeds
	Openings int // how often they have come, or come back
	Reads    int // entries that they got, those of groups that were not acknowledged again
	Gaps     int

	Faults     map[string]int
	Repeats    int // deliveries that were answered 2xx at a fault, and came again after it
	MostRepeat int // across one fault
	OldestGap  time.Duration
	// Pauses are, by kind of fault, the longest silences of endpoints that it has stopped: counted
	// from the fault, where that was alone.
	Pauses map[string][]time.Duration

	Violations []string // empty: all promises held
}

func (v *Verdict) String() string {
	faults := 0
	for _, n := range v.Faults {
		faults += n
	}
	text := fmt.Sprintf("%d acknowledged, %d in doubt, %d refused, %d times 503; %d deliveries, %d retries, %d recorded; %d faults, %d repeated across them (at most %d across one, answered at most %v before it)",
		v.Acked, v.Doubtful, v.Refused, v.Away, v.Deliveries, v.Retries, v.Recorded, faults, v.Repeats, v.MostRepeat, v.OldestGap.Round(time.Millisecond))
	if v.Readers > 0 {
		text += fmt.Sprintf("; %d entries of feeds, read %d times by %d readers who came %d times, %d gaps", v.Entries, v.Reads, v.Readers, v.Openings, v.Gaps)
	}
	return text
}

// maxShown keeps a broken run readable.
const maxShown = 20

func (v *Verdict) violate(format string, args ...any) {
	if len(v.Violations) < maxShown {
		v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
	} else if len(v.Violations) == maxShown {
		v.Violations = append(v.Violations, "… and more")
	}
}

// unknownID is what an acknowledged webhook's message is called: the answer to a provider names none.
const unknownID = "unknown"

// story is everything that the log says about one message. Places are those of events in the log.
type story struct {
	to      []string
	feeds   []string
	line    string
	hash    string
	sent    int
	acked   int
	ackedID string
	refused bool   // and never acknowledged
	ways    []*way // few
}

// way is what is known of a message at one path.
type way struct {
	path      string
	arrivals  []arrival
	delivered int      // the place of the first that was answered 2xx; 0: none
	recorded  []string // ids of the attempts that succeeded, in the API
}

// at is the message's way to a path.
func (s *story) at(path string) *way {
	for _, w := range s.ways {
		if w.path == path {
			return w
		}
	}
	w := &way{path: path}
	s.ways = append(s.ways, w)
	return w
}

type arrival struct {
	at    int64
	place int
	id    string
	ok    bool
}

// fault is one of the faults, with what came again across it.
type fault struct {
	what         string
	place        int
	began, ended int64
	alone        bool
	repeats      int
}

// checker reads a log.
type checker struct {
	Verdict
	rules   Rules
	stories map[int64]*story
	ids     map[string]int64
	feeds   map[string]*feed
	faults  []*fault
	numbers map[int]*fault
	audited bool
}

// Check reads a log and decides.
func Check(events []Event, rules Rules) *Verdict {
	c := &checker{rules: rules, stories: map[int64]*story{}, ids: map[string]int64{}, feeds: map[string]*feed{}, numbers: map[int]*fault{}}
	c.Faults, c.Pauses = map[string]int{}, map[string][]time.Duration{}
	for place, e := range events {
		c.read(place, e)
	}
	for _, seq := range slices.Sorted(maps.Keys(c.stories)) {
		c.judge(seq, c.stories[seq])
	}
	c.readers()
	for i, f := range c.faults {
		c.Repeats += f.repeats
		c.MostRepeat = max(c.MostRepeat, f.repeats)
		if f.repeats > rules.InFlight {
			c.violate("fault %d (%s): %d deliveries came again, and only %d can have been in flight", i+1, f.what, f.repeats, rules.InFlight)
		}
	}
	for path, order := range rules.Ordered {
		c.order(path, order)
	}
	c.pauses(events)
	return &c.Verdict
}

func (c *checker) read(place int, e Event) {
	s := c.stories[e.Seq]
	switch e.Kind {
	case Began:
		f := &fault{what: e.Note, place: place, began: e.At, ended: math.MaxInt64 / 2, alone: e.Alone}
		c.faults, c.numbers[e.Fault] = append(c.faults, f), f
		c.Faults[e.Note]++
	case Ended:
		c.numbers[e.Fault].ended = e.At
	case Sent:
		if s == nil {
			c.stories[e.Seq] = &story{to: e.To, feeds: e.Feeds, line: e.Line, hash: e.Hash, sent: place}
		}
	case Acked:
		if s.ackedID == "" {
			s.acked, s.ackedID = place, e.ID
		} else if s.ackedID != e.ID {
			c.violate("message %d was acknowledged as %s and as %s", e.Seq, s.ackedID, e.ID)
		}
	case Refused:
		if s.refused = true; s.ackedID != "" {
			c.violate("message %d was acknowledged, and then refused with %d", e.Seq, e.Status)
		}
	case Away:
		if c.Away++; e.Note == "" {
			c.violate("message %d was answered %d without Retry-After", e.Seq, e.Status)
		}
	case Got:
		c.arrived(place, e)
	case Recorded:
		c.recorded(e)
	case Audited:
		c.audited = true
	case Opened, Fed, Gap, Asked, Confirmed, Denied:
		c.readFeed(e)
	}
}

func (c *checker) arrived(place int, e Event) {
	s := c.stories[e.Seq]
	if s == nil {
		c.violate("phantom: %s at %s was never sent", e.ID, e.Endpoint)
		return
	}
	if e.Hash != s.hash {
		c.violate("phantom: message %d arrived at %s with another body", e.Seq, e.Endpoint)
	}
	if e.Note != "" {
		c.violate("message %d at %s: %s", e.Seq, e.Endpoint, e.Note)
	}
	if seq, known := c.ids[e.ID]; known && seq != e.Seq {
		c.violate("%s is the id of the messages %d and %d", e.ID, seq, e.Seq)
	}
	c.ids[e.ID] = e.Seq
	w, ok := s.at(e.Endpoint), e.Status/100 == 2
	w.arrivals = append(w.arrivals, arrival{e.At, place, e.ID, ok})
	if ok && w.delivered == 0 {
		w.delivered = place
	}
}

func (c *checker) recorded(e Event) {
	c.Recorded++
	s := c.stories[c.ids[e.ID]]
	if s == nil {
		c.violate("%s is recorded as delivered to %s, where it never was", e.ID, e.Endpoint)
		return
	}
	w := s.at(e.Endpoint)
	w.recorded = append(w.recorded, e.Note)
	if w.delivered == 0 {
		c.violate("%s is recorded as delivered to %s, which never answered so", e.ID, e.Endpoint)
	}
}

func (c *checker) judge(seq int64, s *story) {
	switch {
	case s.ackedID != "":
		c.Acked++
	case s.refused:
		c.Refused++
		if len(s.ways) > 0 {
			c.violate("phantom: message %d was refused and arrived", seq)
		}
	default:
		c.Doubtful++
	}
	id := s.ackedID
	if id == unknownID {
		id = ""
	}
	for _, w := range s.ways {
		if len(w.arrivals) > 0 && !slices.Contains(s.to, w.path) {
			c.violate("message %d was not for %s, where it arrived", seq, w.path)
		}
		for _, a := range w.arrivals {
			if id == "" {
				id = a.id
			}
			if a.id != id {
				c.violate("message %d is %s, and arrived at %s as %s", seq, id, w.path, a.id)
			}
		}
		c.repeats(seq, w)
	}
	c.judgeFeeds(seq, s, id)
	for _, path := range s.to {
		w := s.at(path)
		if w.delivered > 0 {
			c.Deliveries++
		}
		if s.ackedID == "" {
			continue
		}
		if w.delivered == 0 {
			c.Missing++
			c.violate("lost: message %d, acknowledged as %s, was never delivered to %s (%d arrivals)", seq, s.ackedID, path, len(w.arrivals))
		}
		if c.audited && len(w.recorded) != 1 {
			c.violate("message %d (%s) is recorded %d times as delivered to %s: %v", seq, id, len(w.recorded), path, w.recorded)
		}
	}
}

// repeats looks at what came after a delivery had been answered 2xx.
func (c *checker) repeats(seq int64, w *way) {
	for i := 1; i < len(w.arrivals); i++ {
		before, a := w.arrivals[i-1], w.arrivals[i]
		if !before.ok {
			c.Retries++
			continue
		}
		between := slices.DeleteFunc(slices.Clone(c.faults), func(f *fault) bool {
			return f.place > a.place || f.ended < before.at-int64(c.rules.After)
		})
		if len(between) == 0 {
			c.violate("message %d came to %s again without a fault in between", seq, w.path)
			continue
		}
		// Of several the one that explains it best, and then the one that has explained the least.
		f := slices.MinFunc(between, func(f, g *fault) int {
			early := max(f.began-before.at, 0)/int64(time.Second) - max(g.began-before.at, 0)/int64(time.Second)
			if early != 0 {
				return int(early)
			}
			return f.repeats - g.repeats
		})
		f.repeats++
		gap := time.Duration(f.began - before.at)
		c.OldestGap = max(c.OldestGap, gap)
		if gap > c.rules.Before {
			c.violate("message %d came to %s again, although it was answered %v before the fault", seq, w.path, gap)
		}
	}
}

// order looks for messages that were delivered for the first time after one of their line that was
// sent only when they had been acknowledged.
func (c *checker) order(path string, order Order) {
	type first struct {
		seq   int64
		place int
	}
	lines := map[string][]first{}
	for seq, s := range c.stories {
		place := s.at(path).delivered
		if place == 0 || s.ackedID == "" {
			continue
		}
		line := ""
		if order == ByLine {
			line = s.line
		}
		lines[line] = append(lines[line], first{seq, place})
	}
	for _, line := range lines {
		slices.SortFunc(line, func(a, b first) int { return a.place - b.place })
		latest := line[0]
		for _, d := range line {
			if c.stories[d.seq].acked < c.stories[latest.seq].sent {
				c.violate("out of order: message %d came to %s before message %d, which was acknowledged before that was sent", latest.seq, path, d.seq)
			}
			if c.stories[d.seq].sent > c.stories[latest.seq].sent {
				latest = d
			}
		}
	}
}

// aPause is what tells a silence from an ordinary gap between two arrivals.
const aPause = 500 * time.Millisecond

// pauses measures how long faults that were alone have silenced endpoints.
func (c *checker) pauses(events []Event) {
	arrivals := map[string][]int64{}
	for _, e := range events {
		if e.Kind == Got {
			arrivals[e.Endpoint] = append(arrivals[e.Endpoint], e.At)
		}
	}
	for i, f := range c.faults {
		next := int64(math.MaxInt64)
		if i+1 < len(c.faults) {
			next = c.faults[i+1].began
		}
		for _, at := range arrivals {
			if d, end := silence(at, f.began); f.alone && d > aPause && end < next {
				c.Pauses[f.what] = append(c.Pauses[f.what], d)
			}
		}
	}
	for _, all := range c.Pauses {
		slices.Sort(all)
	}
}

// silence is the longest gap between arrivals that began at a fault or just after it, when what was on
// its way had come, and where it ended. It is zero for an endpoint with so little to do that its
// silence says nothing.
func silence(at []int64, fault int64) (longest time.Duration, end int64) {
	last, _ := slices.BinarySearch(at, fault+int64(aPause))
	if last < 20 || last == len(at) || fault-at[last-20] > int64(4*time.Second) {
		return 0, 0
	}
	for i := last; i > 0 && at[i] > fault; i-- {
		if d := time.Duration(at[i] - max(fault, at[i-1])); d > longest {
			longest, end = d, at[i]
		}
	}
	return longest, end
}
