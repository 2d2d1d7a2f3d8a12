package deliver

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// readPage reads on in the lane's queue, with the messages of what is due.
func (o *owner) readPage(l *lane) {
	if !o.mayRead(l) {
		return
	}
	o.reads++
	after, limit := l.horizon, l.most()
	l.reading = &reading{after: after, settled: map[store.Position]struct{}{}}
	spare := (o.memory.mostBytes - o.memory.bytes) / mostReads
	o.background.Go(func() {
		p := page{lane: l, after: after}
		p.rows, p.err = o.opt.Store.ReadQueue(o.ctx, l.endpoint, after, min(limit, pageRows))
		p.full = len(p.rows) == min(limit, pageRows)
		if p.err == nil {
			o.attachMessages(p.rows, spare)
		}
		o.mailbox.send(func(in *mail) { in.pages = append(in.pages, p) })
	})
}

// attachMessages reads the messages of rows that are due. A row left without one is no harm: its
// worker reads it.
func (o *owner) attachMessages(rows []hark.Delivery, spare int64) {
	now := time.Now().UnixMilli()
	refs := make([]hark.Ref, 0, len(rows))
	for i := range rows {
		if rows[i].Due <= now && spare > 0 {
			refs = append(refs, rows[i].MessageRef)
		}
	}
	if len(refs) == 0 {
		return
	}
	// In parts, so that large payloads stop the reading before they fill the memory.
	found := make(map[hark.Ref]*hark.Message, len(refs))
	for len(refs) > 0 && spare > 0 {
		part := refs[:min(16, len(refs))]
		refs = refs[len(part):]
		messages, err := o.opt.Store.MessagesByRef(o.ctx, part)
		if err != nil {
			return
		}
		for i := range messages {
			found[messages[i].Ref] = &messages[i]
			spare -= int64(len(messages[i].Body()))
		}
	}
	for i := range rows {
		rows[i].Message = found[rows[i].MessageRef]
	}
}
