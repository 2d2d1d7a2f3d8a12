package listen

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/harkhq/hark"
)

func message(seq int64) item {
	return item{seq: seq, message: &Message{Seq: seq, ID: hark.MessageID(rune('a' + seq))}}
}

// step does what a worker does with the first of the line: it answers it, or says the answer. It answers
// what was asked of the program, and what was told to the server; 0 for nothing.
func step(q *line) (asked, told int64) {
	it, found, say, _, _ := q.first()
	switch {
	case !found:
		return 0, 0
	case say != nil:
		return 0, say.Seq
	}
	q.answered(&it, answer{id: it.id(), reply: reply{Type: "response", Seq: it.seq}, ok: true})
	return it.seq, 0
}

// TestLine_AsksOnceAndTellsInOrder plays a server that sends from its place, loses connections at any moment,
// and hears some of what is told: the program is asked each thing once, in order, and the server's place
// moves over nothing that was not told.
func TestLine_AsksOnceAndTellsInOrder(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var q line
		q.init()
		const n = 20
		place, sent := int64(0), int64(0)
		var c *connection
		var asked []int64
		for place < n {
			switch random.IntN(6) {
			case 0:
				if c != nil && random.IntN(3) == 0 {
					q.lost(c)
					c = nil
				}
			case 1:
				if c == nil {
					c = new(connection)
					q.ready(c, place)
					sent = place
				}
			case 2:
				if c != nil && sent < n {
					sent++
					q.add(message(sent))
				}
			default:
				one, told := step(&q)
				if one != 0 {
					asked = append(asked, one)
				}
				if told == 0 || random.IntN(4) == 0 { // what was told is lost
					if told != 0 {
						q.lost(c)
						c = nil
					}
					break
				}
				if told != place+1 {
					t.Fatalf("seed %d: told of %d behind %d", seed, told, place)
				}
				if place = told; random.IntN(4) > 0 { // else the acknowledgement is lost
					q.acked(told)
				} else {
					q.lost(c)
					c = nil
				}
			}
		}
		q.ready(new(connection), place)
		want := make([]int64, n)
		for i := range want {
			want[i] = int64(i + 1)
		}
		if !slices.Equal(asked, want) {
			t.Fatalf("seed %d: asked %v", seed, asked)
		}
		if tally := q.sofar(); tally.Messages != n || tally.Succeeded != n || len(q.answers) != 0 {
			t.Fatalf("seed %d: %+v, %d answers are kept", seed, tally, len(q.answers))
		}
	}
}

func TestLine_APlaceThatWasPutBackIsAskedForAgain(t *testing.T) {
	var q line
	q.init()
	c := new(connection)
	q.ready(c, 0)
	q.add(message(1))
	step(&q)
	step(&q)
	q.acked(1)
	q.ready(c, 0) // somebody has put it back
	q.add(message(1))
	if asked, _ := step(&q); asked != 1 {
		t.Errorf("asked for %d", asked)
	}
	// Another message of that number, of a feed that is new.
	it := message(1)
	it.message.ID = "other"
	q.ready(c, 0)
	q.add(it)
	if asked, _ := step(&q); asked != 1 {
		t.Error("another message was taken for the one that was answered")
	}
}

func TestLine_StandingByForgetsWhatWasNotBegun(t *testing.T) {
	var q line
	q.init()
	c := new(connection)
	q.ready(c, 0)
	q.add(message(1))
	q.add(message(2))
	it, _, _, _, _ := q.first()
	if yes, _ := q.wants(&it); !yes {
		t.Error("it is not wanted")
	}
	q.lost(c)
	if yes, _ := q.wants(&it); !yes {
		t.Error("what is held while there is no connection is let go")
	}
	q.ready(c, 0)
	q.add(message(1))
	q.standBy()
	if yes, _ := q.wants(&it); yes {
		t.Error("another has it, and it is held")
	}
	if late := q.answered(&it, answer{id: it.id()}); late != c {
		t.Error("what was under way is not told of")
	}
	if _, found, _, _, _ := q.first(); found {
		t.Error("something waits")
	}
}
