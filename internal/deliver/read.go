package deliver

import (
	"maps"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// lanesAtOnce is how many lanes are read by one question, where several nodes share a store: each of them
// learns of most rows by reading. rowsAtOnce bounds what all of them may bring.
const (
	lanesAtOnce = 64
	rowsAtOnce  = 1024
)

// lanesOfRead and mostReads are what a read is, and how many there may be.
func (o *owner) lanesOfRead() int {
	if o.tenure == nil {
		return 1
	}
	return lanesAtOnce
}

func (o *owner) isReadable() bool {
	if o.tenure == nil {
		return o.reads+len(o.wanted) < mostReads
	}
	return o.reads < mostReadsTogether && len(o.wanted) < lanesAtOnce
}

// readPage reads on in the lane's queue, with the messages of what is due.
func (o *owner) readPage(l *lane) {
	if !o.mayRead(l) {
		return
	}
	l.reading = &reading{after: l.horizon, settled: map[store.Position]struct{}{}}
	o.wanted = append(o.wanted, l)
}

// readWanted starts the reads that were asked for.
func (o *owner) readWanted() {
	for len(o.wanted) > 0 {
		n := min(len(o.wanted), o.lanesOfRead())
		lanes := o.wanted[:n:n]
		o.wanted = o.wanted[n:]
		o.readTogether(lanes)
	}
	o.wanted = nil
}

// readTogether reads a page of each lane.
func (o *owner) readTogether(lanes []*lane) {
	o.reads++
	pages := make([]page, len(lanes))
	known := make([]map[store.Position]int, len(lanes))
	limit := max(tightRows, min(pageRows, rowsAtOnce/len(lanes)))
	for i, l := range lanes {
		limit = min(limit, l.most())
		pages[i] = page{lane: l, after: l.reading.after, last: i == len(lanes)-1}
		known[i] = maps.Clone(l.known)
	}
	spare := (o.memory.mostBytes - o.memory.bytes) / mostReads
	o.background.Go(func() {
		rows, err := o.readQueues(pages, limit)
		var due []*hark.Delivery
		now := time.Now().UnixMilli()
		for i := range pages {
			p := &pages[i]
			if p.err = err; err != nil {
				continue
			}
			p.rows, p.full = rows[i], len(rows[i]) == limit
			for j := range p.rows {
				if _, has := known[i][place(&p.rows[j])]; !has && p.rows[j].Due <= now {
					due = append(due, &p.rows[j])
				}
			}
		}
		o.attachMessages(due, spare)
		o.mailbox.send(func(in *mail) { in.pages = append(in.pages, pages...) })
	})
}

func (o *owner) readQueues(pages []page, limit int) ([][]hark.Delivery, error) {
	if o.tenure == nil {
		rows, err := o.opt.Store.ReadQueue(o.ctx, pages[0].lane.endpoint, pages[0].after, limit)
		return [][]hark.Delivery{rows}, err
	}
	starts := make([]store.QueueStart, len(pages))
	for i := range pages {
		starts[i] = store.QueueStart{EndpointRef: pages[i].lane.endpoint, After: pages[i].after}
	}
	return o.tenure.cluster.ReadQueues(o.ctx, starts, limit)
}

// attachMessages reads the messages of rows. A row left without one is no harm: its worker reads it.
func (o *owner) attachMessages(rows []*hark.Delivery, spare int64) {
	// In parts, so that large payloads stop the reading before they fill the memory.
	found := make(map[hark.Ref]*hark.Message, len(rows))
	for at, part := 0, 16; at < len(rows) && spare > 0; {
		refs := make([]hark.Ref, 0, part)
		for _, d := range rows[at:min(at+part, len(rows))] {
			refs = append(refs, d.MessageRef)
		}
		at += len(refs)
		messages, err := o.opt.Store.MessagesByRef(o.ctx, refs)
		if err != nil {
			return
		}
		var bytes int64
		for i := range messages {
			found[messages[i].Ref] = &messages[i]
			bytes += int64(len(messages[i].Body()))
		}
		spare -= bytes
		if bytes*16 < spare { // four times as many take a quarter of what is left at most
			part = min(4*part, rowsAtOnce)
		}
	}
	for _, d := range rows {
		d.Message = found[d.MessageRef]
	}
}
