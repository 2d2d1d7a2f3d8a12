package witness

import (
	"maps"
	"slices"
)

// entry is what stands under a number of a feed.
type entry struct {
	seq int64
	id  string
}

// feed is what all its readers have seen of it.
type feed struct {
	entries map[int64]entry
	numbers map[int64]int64 // by message
	last    int64
	readers map[string]*reading
}

// reading is where a reader stands.
type reading struct {
	at       int64 // the number that it got last
	opened   bool  // nothing came yet since it has come, or come back
	from, to int64 // between these its place must have been then
	asked    int64 // the highest number that it wanted to acknowledge
	done     int64 // the highest whose acknowledgement was confirmed
	seen     map[int64]bool
}

func (c *checker) feed(name string) *feed {
	f := c.feeds[name]
	if f == nil {
		f = &feed{entries: map[int64]entry{}, numbers: map[int64]int64{}, readers: map[string]*reading{}}
		c.feeds[name] = f
	}
	return f
}

func (f *feed) reader(name string) *reading {
	r := f.readers[name]
	if r == nil {
		r = &reading{seen: map[int64]bool{}}
		f.readers[name] = r
	}
	return r
}

// readFeed looks at an event of a reader.
func (c *checker) readFeed(e Event) {
	f := c.feed(e.Feed)
	r := f.reader(e.Reader)
	switch e.Kind {
	case Opened:
		c.Openings++
		r.opened, r.from, r.to = true, e.Number, e.Number
		if e.Grouped {
			r.from, r.to = r.done, r.asked
		}
	case Fed:
		c.Reads++
		c.place(r, e, e.Number)
		r.seen[e.Number] = true
		c.fed(f, e)
	case Gap:
		c.Gaps++
		c.place(r, e, e.From)
		for n := e.From; n <= e.Number; n++ {
			r.seen[n] = true
		}
	case Asked:
		r.asked = max(r.asked, e.Number)
	case Confirmed:
		r.done = max(r.done, e.Number)
	case Denied:
		c.violate("%s was denied the feed %s: %d %s", e.Reader, e.Feed, e.Status, e.Note)
	}
}

// place holds what a reader got against where it stood; first is the event's first number.
func (c *checker) place(r *reading, e Event, first int64) {
	switch {
	case r.opened && first <= r.from:
		c.violate("back: %s of %s began with number %d, and %d was dealt with", e.Reader, e.Feed, first, r.from)
	case r.opened && first > r.to+1:
		c.violate("left out: %s of %s began with number %d, and only %d was dealt with", e.Reader, e.Feed, first, r.to)
	case !r.opened && first != r.at+1:
		c.violate("numbers: %s of %s got %d behind %d", e.Reader, e.Feed, first, r.at)
	}
	r.opened, r.at = false, e.Number
}

// fed holds an entry against what was sent, and against what others have read under its number.
func (c *checker) fed(f *feed, e Event) {
	f.last = max(f.last, e.Number)
	s := c.stories[e.Seq]
	switch {
	case s == nil:
		c.violate("phantom: %s in the feed %s was never sent", e.ID, e.Feed)
		return
	case e.Hash != s.hash:
		c.violate("phantom: message %d is in the feed %s with another body", e.Seq, e.Feed)
	case !slices.Contains(s.feeds, e.Feed):
		c.violate("phantom: message %d was not for the feed %s, where it is", e.Seq, e.Feed)
	}
	if seq, known := c.ids[e.ID]; known && seq != e.Seq {
		c.violate("%s is the id of the messages %d and %d", e.ID, seq, e.Seq)
	}
	c.ids[e.ID] = e.Seq
	here := entry{e.Seq, e.ID}
	if there, known := f.entries[e.Number]; known && there != here {
		c.violate("order: number %d of %s is message %d (%s) to one and message %d (%s) to another", e.Number, e.Feed, there.seq, there.id, here.seq, here.id)
	}
	if n, known := f.numbers[e.Seq]; known && n != e.Number {
		c.violate("fed twice: message %d has the numbers %d and %d of %s", e.Seq, n, e.Number, e.Feed)
	}
	f.entries[e.Number], f.numbers[e.Seq] = here, e.Number
}

// judgeFeeds looks for a message in the feeds that it was for; id is what it is called elsewhere.
func (c *checker) judgeFeeds(seq int64, s *story, id string) {
	for _, name := range s.feeds {
		f := c.feed(name)
		n := f.numbers[seq]
		switch {
		case n == 0 && s.ackedID != "":
			c.Missing++
			c.violate("lost: message %d, acknowledged as %s, is not in the feed %s", seq, s.ackedID, name)
		case n == 0:
		case s.refused && s.ackedID == "":
			c.violate("phantom: message %d was refused and is in the feed %s", seq, name)
		case id != "" && f.entries[n].id != id:
			c.violate("message %d is %s, and in the feed %s it is %s", seq, id, name, f.entries[n].id)
		}
	}
}

// readers looks for numbers that somebody has never got.
func (c *checker) readers() {
	for _, name := range slices.Sorted(maps.Keys(c.feeds)) {
		f := c.feeds[name]
		c.Entries += len(f.entries)
		c.Readers += len(f.readers)
		for _, who := range slices.Sorted(maps.Keys(f.readers)) {
			r := f.readers[who]
			for n := int64(1); n <= f.last; n++ {
				if !r.seen[n] {
					c.Missing++
					c.violate("hole: %s of %s never got number %d", who, name, n)
				}
			}
		}
	}
}
