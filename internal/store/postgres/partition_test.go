package postgres

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

func (c *town) days() (days []int64) {
	c.Helper()
	c.ok(c.nodes[0].read(c.Context(), func(x *conn) (err error) {
		days, err = row.Collect(x.query, row.ScanRef, daysSQL)
		return err
	}))
	return days
}

// acceptAt accepts a message that is some days old.
func (c *town) acceptAt(at time.Time, eventID string) *store.Acceptance {
	c.Helper()
	a := fresh(c.eps[0].Ref)
	a.Message.ID, a.Message.CreatedAt, a.Message.ApplicationRef, a.Message.EventID = hark.NewMessageID(at), at, c.app.Ref, eventID
	a.Deliveries[0].Due = at.UnixMilli()
	c.ok(c.nodes[0].Accept(c.Context(), []*store.Acceptance{a}))
	return a
}

func TestReclaim_DropsDaysThatAreOver(t *testing.T) {
	c := newTown(t, 2, 1, Options{})
	now := time.Now()
	day := 24 * time.Hour
	old, kept, queued := c.acceptAt(now.Add(-100*day), "old"), c.acceptAt(now.Add(-80*day), "kept"), c.acceptAt(now.Add(-110*day), "queued")
	for _, a := range []*store.Acceptance{old, kept} {
		c.ok(c.nodes[0].Settle(t.Context(), []store.Settlement{success(a.Deliveries[0], 0)}))
	}
	reclaim := func(node int) {
		t.Helper()
		for more := true; more; {
			var err error
			more, err = c.nodes[node].Reclaim(t.Context(), now, 100)
			c.ok(err)
		}
	}
	// Somebody who reads for long keeps the day, and nobody else waits for it.
	tx, err := c.nodes[1].pool.Begin(t.Context())
	c.ok(err)
	_, err = tx.Exec(t.Context(), `SELECT count(*) FROM message`)
	c.ok(err)
	start := time.Now()
	reclaim(0)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("beside a reader it took %v", took)
	}
	c.ok(tx.Rollback(t.Context()))
	before := len(c.days())
	reclaim(0)
	if got := c.days(); len(got) != before-1 {
		t.Errorf("%d days left of %d", len(got), before)
	}
	for _, m := range []struct {
		*store.Acceptance
		kept bool
	}{{old, false}, {kept, true}, {queued, true}} {
		_, err := c.nodes[1].Message(t.Context(), c.app.Ref, m.Message.EventID, true)
		if m.kept != (err == nil) {
			t.Errorf("%s: %v", m.Message.EventID, err)
		}
	}
	// The other node does not know yet that the day is gone; a late attempt of it harms nobody.
	c.ok(c.nodes[1].Settle(t.Context(), []store.Settlement{success(old.Deliveries[0], 0)}))
	if again := c.acceptAt(now.Add(-100*day), "old"); again.Outcome != store.Accepted {
		t.Errorf("the event id is not free: outcome %d", again.Outcome)
	}
	// Tables for the days to come are there before they are needed.
	days := c.days()
	if last := days[len(days)-1]; last != now.Unix()/secondsOfDay+daysAhead {
		t.Errorf("the last day is %d", last)
	}
}

func TestAccept_MakesADayThatAnotherNodeHasDropped(t *testing.T) {
	c := newTown(t, 2, 1, Options{})
	at := time.Now().Add(-200 * 24 * time.Hour)
	a := c.acceptAt(at, "")
	c.ok(c.nodes[0].Settle(t.Context(), []store.Settlement{success(a.Deliveries[0], 0)}))
	dropped, err := c.nodes[1].dropDay(t.Context(), dayOf(hark.KSUIDFloor(at)))
	if err != nil || !dropped {
		t.Fatalf("drop: %v, %v", dropped, err)
	}
	c.acceptAt(at, "")
}
