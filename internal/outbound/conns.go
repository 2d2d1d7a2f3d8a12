package outbound

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// conn is one connection. It is busy, idle, or closed:
//
//	add ─▶ busy ─ put ─▶ idle ─ take ─▶ busy …
//	         └─ drop ─▶ closed ◀─ too old, too many, Close
//
// A busy connection belongs to one Post and to the group of its context.
type conn struct {
	nc    net.Conn // what is read and written: raw, or TLS over it
	raw   net.Conn
	key   string
	born  time.Time
	group *group
	slot  int  // in group.conns
	dead  bool // interrupted while busy

	idleSince    time.Time
	newer, older *conn // in the list of all idle connections
}

// group is the busy connections of one context. They are watched together, so that a request costs
// neither a goroutine nor a registration with its context while others of that context are busy.
type group struct {
	done  <-chan struct{}
	conns []*conn
	stop  func() bool
}

// conns keeps all connections of a client. Closing a raw connection is how whoever reads or writes
// it is interrupted; TLS connections are closed without a goodbye, which could block.
type conns struct {
	perKey, total int
	timeout       time.Duration

	mu             sync.Mutex
	closed         bool
	idle           map[string][]*conn // per key, newest last
	newest, oldest *conn
	count          int
	expiry         *time.Timer
	busy           map[<-chan struct{}]*group // by ctx.Done()
	dials          map[*context.CancelFunc]struct{}
}

// take gives the newest idle connection of a key, or nil.
func (s *conns) take(ctx context.Context, key string, now time.Time) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[key]
	if len(list) == 0 || s.closed {
		return nil
	}
	cn := list[len(list)-1]
	if now.Sub(cn.idleSince) >= s.timeout {
		return nil // the expiry timer is about to close it and all that are older
	}
	s.unlink(cn, len(list)-1)
	s.watch(ctx, cn)
	return cn
}

// add takes in a fresh connection as busy. It refuses when the client is closed.
func (s *conns) add(ctx context.Context, cn *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.watch(ctx, cn)
	return true
}

// put makes a busy connection idle, at the price of the oldest when there are too many.
func (s *conns) put(cn *conn, now time.Time) {
	var surplus *conn
	s.mu.Lock()
	s.unwatch(cn)
	switch list := s.idle[cn.key]; {
	case cn.dead || s.closed:
		surplus = cn
	case len(list) >= s.perKey:
		surplus = list[0]
		s.unlink(surplus, 0)
		s.link(cn, now)
	default:
		s.link(cn, now)
		if s.count > s.total {
			surplus = s.oldest
			s.unlink(surplus, 0)
		}
	}
	s.mu.Unlock()
	if surplus != nil {
		_ = surplus.raw.Close()
	}
}

// drop closes a busy connection.
func (s *conns) drop(cn *conn) {
	s.mu.Lock()
	s.unwatch(cn)
	s.mu.Unlock()
	_ = cn.raw.Close()
}

// dialing registers the cancel function of a connection in the making; false when closed.
func (s *conns) dialing(cancel *context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.dials == nil {
		s.dials = make(map[*context.CancelFunc]struct{})
	}
	s.dials[cancel] = struct{}{}
	return true
}

func (s *conns) dialed(cancel *context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dials, cancel)
}

func (s *conns) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *conns) idleCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// close interrupts what is busy or dialling, and closes what is idle.
func (s *conns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for cancel := range s.dials {
		(*cancel)()
	}
	for _, g := range s.busy {
		g.interrupt()
	}
	for s.oldest != nil {
		cn := s.oldest
		s.unlink(cn, 0)
		_ = cn.raw.Close()
	}
}

// watch puts a connection into its context's group, making the group when it is the first.
func (s *conns) watch(ctx context.Context, cn *conn) {
	done := ctx.Done()
	g := s.busy[done]
	if g == nil {
		g = &group{done: done}
		if done != nil {
			g.stop = context.AfterFunc(ctx, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				g.interrupt()
			})
		}
		if s.busy == nil {
			s.busy = make(map[<-chan struct{}]*group)
		}
		s.busy[done] = g
	}
	cn.group, cn.slot = g, len(g.conns)
	g.conns = append(g.conns, cn)
}

// unwatch takes a connection out of its group, and ends the group when it was the last.
func (s *conns) unwatch(cn *conn) {
	g := cn.group
	last := g.conns[len(g.conns)-1]
	g.conns[cn.slot], last.slot = last, cn.slot
	g.conns[len(g.conns)-1] = nil
	g.conns = g.conns[:len(g.conns)-1]
	cn.group = nil
	if len(g.conns) == 0 && g.done != nil {
		g.stop()
		delete(s.busy, g.done)
	}
}

// interrupt ends the exchanges of a group.
func (g *group) interrupt() {
	for _, cn := range g.conns {
		cn.dead = true
		_ = cn.raw.Close()
	}
}

func (s *conns) link(cn *conn, now time.Time) {
	cn.idleSince = now
	if s.idle == nil {
		s.idle = make(map[string][]*conn)
	}
	s.idle[cn.key] = append(s.idle[cn.key], cn)
	cn.older = s.newest
	if s.newest != nil {
		s.newest.newer = cn
	} else {
		s.oldest = cn
	}
	s.newest = cn
	s.count++
	if s.expiry == nil {
		s.expiry = time.AfterFunc(s.timeout, s.expire)
	} else if s.count == 1 {
		s.expiry.Reset(s.timeout)
	}
}

// unlink takes an idle connection, number i of its key, off both lists.
func (s *conns) unlink(cn *conn, i int) {
	// An empty list stays, for the next connection of its key; keys are forgotten when there are
	// more of them than connections.
	s.idle[cn.key] = slices.Delete(s.idle[cn.key], i, i+1)
	if len(s.idle[cn.key]) == 0 && len(s.idle) > s.total {
		delete(s.idle, cn.key)
	}
	if cn.newer != nil {
		cn.newer.older = cn.older
	} else {
		s.newest = cn.older
	}
	if cn.older != nil {
		cn.older.newer = cn.newer
	} else {
		s.oldest = cn.newer
	}
	cn.newer, cn.older = nil, nil
	s.count--
}

// expire closes the connections that nobody has used for too long.
func (s *conns) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := time.Now()
	for s.oldest != nil {
		if wait := s.timeout - now.Sub(s.oldest.idleSince); wait > 0 {
			s.expiry.Reset(wait)
			return
		}
		cn := s.oldest
		s.unlink(cn, 0)
		_ = cn.raw.Close()
	}
}
