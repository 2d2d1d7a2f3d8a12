package row

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/harkhq/hark"
)

// shelf is rows by their ids, as a database has them: late ones stand between others.
type shelf struct{ ids []hark.KSUID }

func (s *shelf) behind(floor hark.KSUID) (found []TailKey) {
	for _, id := range s.ids {
		if slices.Compare(id[:], floor[:]) > 0 {
			found = append(found, TailKey{ID: id})
		}
	}
	return found
}

// Rows come in up to as late as an attempt may take, looks come soon or after minutes, and some fail:
// everything is seen once, ten seconds after it is there at the latest, if somebody looks.
func TestWindow_SeesEveryRowOnceHoweverLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
		var s shelf
		var w Window
		w.Keep(now, s.behind(w.Floor(now)))
		want, got := map[hark.KSUID]int{}, map[hark.KSUID]int{}
		look := func() {
			found := s.behind(w.Floor(now))
			for _, k := range w.Fresh(found) {
				got[k.ID]++
			}
			w.Keep(now, found)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "wait")) * time.Millisecond)
			for range rapid.IntRange(0, 3).Draw(t, "rows") {
				late := rapid.SampledFrom([]int{0, 1, 100, 4_000, 20_000, 40_000}).Draw(t, "late")
				id := hark.NewKSUID(now.Add(-time.Duration(late) * time.Millisecond))
				s.ids = append(s.ids, id)
				want[id] = 1
			}
			switch rapid.IntRange(0, 2).Draw(t, "look") {
			case 0:
				look()
			case 1: // one that fails changes nothing
				w.Fresh(s.behind(w.Floor(now)))
			}
		}
		look()
		now = now.Add(windowEvery)
		look()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		now = now.Add(10 * time.Minute)
		look()
		now = now.Add(windowEvery)
		if look(); len(w.known) != 0 {
			t.Fatalf("it still knows %d", len(w.known))
		}
	})
}
