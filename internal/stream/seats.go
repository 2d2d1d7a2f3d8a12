package stream

import "sync"

// seats are the places of tails on this server, which all tenants share. Whoever comes when all are taken gets
// one from the tenant that has most, as long as that leaves it no fewer: so nobody can take all of them, and
// one that is alone may.
type seats struct {
	most int

	mu    sync.Mutex
	taken int
	by    map[string][]*seat // the newest last
}

// seat is one place. lost is closed when somebody else gets it.
type seat struct {
	tenant string
	lost   chan struct{}
}

// take answers a seat, or nil.
func (s *seats) take(tenant string) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most && !s.makeRoom(tenant) {
		return nil
	}
	if s.by == nil {
		s.by = map[string][]*seat{}
	}
	mine := &seat{tenant: tenant, lost: make(chan struct{})}
	s.by[tenant] = append(s.by[tenant], mine)
	s.taken++
	return mine
}

// makeRoom takes the newest seat of the tenant that has most.
func (s *seats) makeRoom(tenant string) bool {
	rich := tenant
	for other, list := range s.by {
		if len(list) > len(s.by[rich]) {
			rich = other
		}
	}
	list := s.by[rich]
	if len(list) < len(s.by[tenant])+2 {
		return false
	}
	last := list[len(list)-1]
	close(last.lost)
	s.remove(last)
	return true
}

// give gives a seat back.
func (s *seats) give(mine *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(mine)
}

// remove takes a seat out of the list, if it is still there.
func (s *seats) remove(gone *seat) {
	list := s.by[gone.tenant]
	for i, one := range list {
		if one != gone {
			continue
		}
		s.by[gone.tenant] = append(list[:i:i], list[i+1:]...)
		if s.taken--; len(list) == 1 {
			delete(s.by, gone.tenant)
		}
		return
	}
}
