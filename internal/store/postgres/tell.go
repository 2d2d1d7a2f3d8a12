package postgres

import (
	"context"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// The engine is told of a delivery when its commit is known here. The database shows the row before that:
// whoever reads it may send it and settle it, and the engine remembers nothing of what is settled. Told of
// it only then, it would take it for new, and send it again. So
//
//   - a writer that settles a row waits until the writer that brings it has told of it;
//   - where the outcome was in doubt, or the shard's lease has changed since, nobody is told: the endpoint
//     is woken, and the engine reads what is there.

// making is what a writer brings and has not told of.
type making struct {
	first, end int64                 // the numbers of new messages
	enqueued   map[hark.Ref]struct{} // messages of which it queues deliveries; nil: none
	told       chan struct{}         // closed when nobody needs to wait for it any more
}

// has says whether a settlement's row may be among it.
func (m *making) has(s *settlement) bool {
	number := s.Delivery.MessageRef & (1<<dayShift - 1)
	_, enqueued := m.enqueued[s.Delivery.MessageRef]
	return enqueued || m.first <= number && number < m.end
}

// begin waits for what other writers have to tell first of the rows that the group settles, and lets them
// wait for its own, whose messages have the numbers from first on. Who makes others wait waits for nobody.
func (w *writer) begin(ctx context.Context, first int64) error {
	if err := w.awaitOthers(ctx); err != nil {
		return err
	}
	w.leases = w.store.node.Load()
	g := &w.group
	if len(g.accept)+len(g.enqueue) == 0 {
		return nil
	}
	m := &making{first: first, end: first + int64(len(g.accept)), told: make(chan struct{})}
	if len(g.enqueue) > 0 {
		m.enqueued = make(map[hark.Ref]struct{}, len(g.enqueue))
		for _, e := range g.enqueue {
			m.enqueued[e.d.MessageRef] = struct{}{}
		}
	}
	w.untold.Lock()
	defer w.untold.Unlock()
	w.making = m
	return nil
}

func (w *writer) awaitOthers(ctx context.Context) error {
	if len(w.group.settle) == 0 {
		return nil
	}
	for _, other := range w.all {
		w.untold.Lock()
		m := other.making
		w.untold.Unlock()
		if other == w || m == nil || !slices.ContainsFunc(w.group.settle, m.has) {
			continue
		}
		select {
		case <-m.told:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// made says that nobody needs to wait any more: all is told, or there is nothing to tell.
func (w *writer) made() {
	w.untold.Lock()
	defer w.untold.Unlock()
	if w.making != nil {
		close(w.making.told)
		w.making = nil
	}
}

// isLate says that finding out what became of the group may take long: others may settle what it has
// brought, and it tells nobody.
func (w *writer) isLate() {
	w.leases = nil
	w.made()
}

// tell calls the hook with what was queued for this node, and wakes the others for the rest.
func (w *writer) tell(queued []hark.Delivery) {
	if len(queued) == 0 {
		return
	}
	w.hookTurn.Lock()
	defer w.hookTurn.Unlock()
	if m := w.store.node.Load(); m != nil {
		var late []hark.Ref
		queued = slices.DeleteFunc(queued, func(d hark.Delivery) bool {
			shard := store.ShardOf(d.EndpointRef)
			epoch, held := m.held[shard]
			switch {
			case !held:
				w.store.bell.wake(d.EndpointRef)
			case w.leases != m && !w.leases.holds(shard, epoch):
				late = append(late, d.EndpointRef)
			default:
				return false
			}
			return true
		})
		if wake := w.store.listeners.wake; len(late) > 0 && wake != nil {
			wake(late)
		}
	}
	if len(queued) > 0 && w.hook != nil {
		w.hook(queued)
	}
}

// holds says whether the node had a shard at an epoch.
func (m *membership) holds(shard int, epoch int64) bool {
	if m == nil {
		return false
	}
	had, ok := m.held[shard]
	return ok && had == epoch
}

// join takes note of what the node holds. What is told of under the leases of before is told before the
// engine learns of the new ones.
func (s *Store) join(m *membership) {
	s.writers.hookTurn.Lock()
	defer s.writers.hookTurn.Unlock()
	s.node.Store(m)
}

// OnQueued names the function that is told of committed deliveries.
func (s *Store) OnQueued(hook func([]hark.Delivery)) { s.writers.hook = hook }
