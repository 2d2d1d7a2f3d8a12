package deliver

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// A consumer is an endpoint that is pulled. Its lane is like any other, but nothing is sent: a delivery
// is settled by going to the end of the consumer's feed, in one transaction with whatever else is
// settled then. That can be repeated without harm, so only memory bounds how many are on their way.
const mostFeeding = 4 * pageRows

// claimFed takes the next delivery of a consumer's lane.
func (o *owner) claimFed(l *lane, now time.Time) *hark.Delivery {
	if l.unrecorded >= mostFeeding {
		return nil // the next settlement gives it another turn
	}
	d, wake, _ := l.next(now, true)
	if d == nil {
		o.lookBeyond(l, wake, now)
	}
	return d
}

// feed hands a delivery to the settler.
func (o *owner) feed(l *lane, d *hark.Delivery, now time.Time) {
	j := o.job(l, d)
	l.unrecorded++
	l.lastUsed = now
	j.settlement = store.Settlement{Delivery: *d, Epoch: j.epoch, FedAt: now}
	j.settlement.Delivery.Message = nil
	o.metrics.fed.Inc()
	o.settler.add(j)
}
