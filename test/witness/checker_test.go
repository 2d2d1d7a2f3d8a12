package witness

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func sent(seq int64, hash string) Event {
	return Event{Kind: Sent, Seq: seq, Hash: hash, To: []string{"/e"}, Line: "a"}
}

func got(seq int64, hash, id string, status int) Event {
	return Event{Kind: Got, Seq: seq, Hash: hash, ID: id, Endpoint: "/e", Status: status}
}

// good is a log in which all promises are kept: message 1 is retried, 2 is repeated across a fault,
// 3 is refused, 4 stays in doubt, 5 is turned away once.
func good() []Event {
	return []Event{
		sent(1, "a"), {Kind: Acked, Seq: 1, ID: "msg_1"}, // 0, 1
		got(1, "a", "msg_1", 500), got(1, "a", "msg_1", 204), // 2, 3
		sent(2, "b"), got(2, "b", "msg_2", 204), // 4, 5
		{Kind: Began, Fault: 1, Note: "a fall"}, {Kind: Ended, Fault: 1}, // 6, 7
		got(2, "b", "msg_2", 204),                        // 8
		sent(2, "b"), {Kind: Acked, Seq: 2, ID: "msg_2"}, // 9, 10
		sent(3, "c"), {Kind: Refused, Seq: 3, Status: 422}, // 11, 12
		sent(4, "d"),                                               // 13
		sent(5, "e"), {Kind: Away, Seq: 5, Status: 503, Note: "1"}, // 14, 15
		{Kind: Acked, Seq: 5, ID: "msg_5"}, got(5, "e", "msg_5", 204), // 16, 17
		{Kind: Recorded, ID: "msg_1", Endpoint: "/e"}, // 18
		{Kind: Recorded, ID: "msg_2", Endpoint: "/e"},
		{Kind: Recorded, ID: "msg_5", Endpoint: "/e"},
		{Kind: Audited},
	}
}

func rules() Rules {
	return Rules{InFlight: 1, Before: time.Second, Ordered: map[string]Order{"/e": ByEndpoint}}
}

// The checker is worth nothing unless it sees what it is there for: each kind of broken promise,
// planted in a log that is otherwise fine.
func TestCheck_SeesEveryBrokenPromise(t *testing.T) {
	v := Check(good(), rules())
	if len(v.Violations) > 0 || v.Acked != 3 || v.Doubtful != 1 || v.Refused != 1 || v.Away != 1 || v.Repeats != 1 || v.Retries != 1 || v.Recorded != 3 {
		t.Fatalf("a good log: %v %q", v, v.Violations)
	}
	add := func(more ...Event) func([]Event) []Event {
		return func(log []Event) []Event { return append(log, more...) }
	}
	tests := map[string]struct {
		change func([]Event) []Event
		want   string
	}{
		"a lost message":                         {func(l []Event) []Event { return slices.Delete(l, 3, 4) }, "lost: message 1"},
		"a message from nowhere":                 {add(got(9, "", "msg_9", 204)), "never sent"},
		"a refused message that arrives":         {add(got(3, "c", "msg_3", 204)), "was refused and arrived"},
		"a refusal of what was acknowledged":     {add(Event{Kind: Refused, Seq: 1, Status: 422}), "and then refused with 422"},
		"another body":                           {func(l []Event) []Event { l[3].Hash = "x"; return l }, "another body"},
		"another id":                             {func(l []Event) []Event { l[3].ID = "msg_x"; return l }, "arrived at /e as msg_x"},
		"one id for two":                         {func(l []Event) []Event { l[5].ID = "msg_1"; return l }, "is the id of the messages"},
		"two ids for one":                        {add(Event{Kind: Acked, Seq: 1, ID: "msg_y"}), "acknowledged as msg_1 and as msg_y"},
		"a webhook under two ids":                {func(l []Event) []Event { l[1].ID = unknownID; l[3].ID = "msg_x"; return l }, "message 1 is msg_1, and arrived at /e as msg_x"},
		"a wrong signature":                      {func(l []Event) []Event { l[3].Note = "no match"; return l }, "no match"},
		"503 without a hint":                     {func(l []Event) []Event { l[15].Note = ""; return l }, "without Retry-After"},
		"a repeat before any fault":              {func(l []Event) []Event { return slices.Insert(l, 4, got(1, "a", "msg_1", 204)) }, "without a fault"},
		"a repeat of what came after it":         {func(l []Event) []Event { l[17].At = 9; return append(l, l[17]) }, "without a fault"},
		"a repeat of what was answered long ago": {func(l []Event) []Event { l[6].At, l[7].At = int64(time.Minute), int64(time.Minute); return l }, "before the fault"},
		"an endpoint it was not for":             {func(l []Event) []Event { l[3].Endpoint = "/other"; return l }, "was not for /other"},
		"a later message first": {func(l []Event) []Event {
			first := l[3]
			return slices.Insert(slices.Delete(l, 3, 4), 5, first)
		}, "out of order: message 2"},
		"a success that is not recorded":     {func(l []Event) []Event { return slices.Delete(l, 18, 19) }, "recorded 0 times"},
		"two owners who both settled":        {add(Event{Kind: Recorded, ID: "msg_1", Endpoint: "/e"}), "recorded 2 times"},
		"a record of what was not delivered": {add(Event{Kind: Recorded, ID: "msg_1", Endpoint: "/f"}), "never answered so"},
		"a record of what was not sent":      {add(Event{Kind: Recorded, ID: "msg_9", Endpoint: "/e"}), "where it never was"},
	}
	for name, test := range tests {
		v := Check(test.change(good()), rules())
		if !strings.Contains(strings.Join(v.Violations, "\n"), test.want) {
			t.Errorf("%s: got %q, want %q", name, v.Violations, test.want)
		}
	}
	strict := rules()
	strict.InFlight = 0
	if v := Check(good(), strict); len(v.Violations) != 1 || !strings.Contains(v.Violations[0], "only 0 can have been in flight") {
		t.Errorf("more repeats than were in flight: got %q", v.Violations)
	}
}

// goodFeed is a log in which two read a feed, one of them as a group, each coming back once: there are
// two messages in it, between them one that is gone, and a third is in doubt.
func goodFeed() []Event {
	sent := func(seq int64, hash string) Event {
		return Event{Kind: Sent, Seq: seq, Hash: hash, Feeds: []string{"f"}}
	}
	of := func(reader string, e Event) Event {
		e.Feed, e.Reader = "f", reader
		return e
	}
	fed := func(reader string, number, seq int64, hash, id string) Event {
		return of(reader, Event{Kind: Fed, Number: number, Seq: seq, Hash: hash, ID: id})
	}
	return []Event{
		sent(1, "a"), {Kind: Acked, Seq: 1, ID: "msg_1"}, // 0, 1
		of("alone", Event{Kind: Opened}), fed("alone", 1, 1, "a", "msg_1"), // 2, 3
		sent(2, "b"), {Kind: Acked, Seq: 2, ID: unknownID}, sent(3, "c"), // 4, 5, 6
		of("alone", Event{Kind: Opened, Number: 1}),                                         // 7
		of("alone", Event{Kind: Gap, From: 2, Number: 2}), fed("alone", 3, 2, "b", "msg_2"), // 8, 9
		of("group", Event{Kind: Opened, Grouped: true}), fed("group", 1, 1, "a", "msg_1"), // 10, 11
		of("group", Event{Kind: Gap, From: 2, Number: 2}), of("group", Event{Kind: Asked, Number: 2}), // 12, 13
		of("group", Event{Kind: Confirmed, Number: 2}), fed("group", 3, 2, "b", "msg_2"), // 14, 15
		of("group", Event{Kind: Opened, Grouped: true}), fed("group", 3, 2, "b", "msg_2"), // 16, 17
		of("group", Event{Kind: Asked, Number: 3}), of("group", Event{Kind: Opened, Grouped: true}), // 18, 19
	}
}

func TestCheck_SeesWhatIsWrongWithAFeed(t *testing.T) {
	v := Check(goodFeed(), Rules{})
	if len(v.Violations) > 0 || v.Entries != 2 || v.Readers != 2 || v.Openings != 5 || v.Reads != 5 || v.Gaps != 2 {
		t.Fatalf("a good log: %v %q", v, v.Violations)
	}
	without := func(i, n int) func([]Event) []Event {
		return func(l []Event) []Event { return slices.Delete(l, i, i+n) }
	}
	with := func(i int, change func(*Event)) func([]Event) []Event {
		return func(l []Event) []Event { change(&l[i]); return l }
	}
	more := func(e Event) func([]Event) []Event {
		e.Feed, e.Reader = "f", "group"
		return func(l []Event) []Event { return append(l, e) }
	}
	tests := map[string]struct {
		change func([]Event) []Event
		want   string
	}{
		"a message that is not fed":       {func(l []Event) []Event { return append(l, Event{Kind: Acked, Seq: 3, ID: "msg_3"}) }, "lost: message 3"},
		"a refused one that is":           {func(l []Event) []Event { l[5] = Event{Kind: Refused, Seq: 2}; return l }, "message 2 was refused and is in the feed"},
		"one that it is not for":          {with(4, func(e *Event) { e.Feeds = nil }), "message 2 was not for the feed f"},
		"another body":                    {with(15, func(e *Event) { e.Hash = "x" }), "another body"},
		"another id":                      {with(1, func(e *Event) { e.ID = "msg_x" }), "message 1 is msg_x, and in the feed f it is msg_1"},
		"a message from nowhere":          {more(Event{Kind: Fed, Number: 3, Seq: 9, ID: "msg_9"}), "never sent"},
		"the same twice":                  {more(Event{Kind: Fed, Number: 4, Seq: 2, ID: "msg_2", Hash: "b"}), "fed twice: message 2 has the numbers 3 and 4"},
		"another order for another":       {with(17, func(e *Event) { e.Seq, e.Hash, e.ID = 3, "c", "msg_3" }), "order: number 3"},
		"a number left out":               {without(8, 1), "left out: alone of f began with number 3"},
		"a number left out under way":     {without(12, 1), "group of f got 3 behind 1"},
		"what is behind Last-Event-ID":    {with(7, func(e *Event) { e.Number = 2 }), "back: alone of f began with number 2"},
		"a place before the acknowledged": {more(Event{Kind: Fed, Number: 2, Seq: 3, ID: "msg_3", Hash: "c"}), "back: group of f began with number 2, and 2 was"},
		"a place behind it":               {more(Event{Kind: Fed, Number: 5, Seq: 3, ID: "msg_3", Hash: "c"}), "left out: group of f began with number 5, and only 3"},
		"an end that one never saw":       {without(14, 6), "hole: group of f never got number 3"},
		"a reader that is turned away":    {more(Event{Kind: Denied, Status: 404, Note: "gone"}), "denied the feed f: 404 gone"},
	}
	for name, test := range tests {
		v := Check(test.change(goodFeed()), Rules{})
		if !strings.Contains(strings.Join(v.Violations, "\n"), test.want) {
			t.Errorf("%s: got %q, want %q", name, v.Violations, test.want)
		}
	}
}

func TestCheck_LinesAreKeptApart(t *testing.T) {
	log := good()
	first := log[3]
	log = slices.Insert(slices.Delete(log, 3, 4), 5, first)
	log[3].Line = "b" // of message 2, which comes too early
	byLine := rules()
	byLine.Ordered["/e"] = ByLine
	if v := Check(log, byLine); len(v.Violations) > 0 {
		t.Errorf("two lines: got %q", v.Violations)
	}
	log[3].Line = "a"
	if v := Check(log, byLine); len(v.Violations) != 1 {
		t.Errorf("one line: got %q", v.Violations)
	}
}

func TestCheck_MeasuresWhatAFaultSilenced(t *testing.T) {
	var log []Event
	at := func(ms int, e Event) { e.At = int64(ms) * int64(time.Millisecond); log = append(log, e) }
	for i := range 40 { // every 50 ms, and then not for 3 s
		at(50*i, got(1, "", "msg_1", 500))
	}
	at(2000, Event{Kind: Began, Fault: 1, Note: "a fall", Alone: true})
	at(2010, got(1, "", "msg_1", 500))
	at(5000, got(1, "", "msg_1", 500))
	v := Check(log, rules())
	if p := v.Pauses["a fall"]; len(p) != 1 || p[0] != 2990*time.Millisecond {
		t.Errorf("got %v, want one of 2.99 s", p)
	}
	log = slices.Insert(log, len(log)-1, Event{Kind: Began, At: int64(4 * time.Second), Fault: 2, Note: "a push"})
	if p := Check(log, rules()).Pauses; len(p) != 0 {
		t.Errorf("with another fault meanwhile: got %v, want none", p)
	}
}
