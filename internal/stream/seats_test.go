package stream

import "testing"

func TestSeats_NoTenantTakesAllWhileAnotherWantsOne(t *testing.T) {
	s := seats{most: 4}
	var a []*seat
	for range 4 {
		a = append(a, s.take("a")) // alone, it may have all
	}
	if s.take("a") != nil {
		t.Error("a fifth of four")
	}
	lost := func(one *seat) bool {
		select {
		case <-one.lost:
			return true
		default:
			return false
		}
	}
	first, second := s.take("b"), s.take("b")
	if first == nil || second == nil || !lost(a[3]) || !lost(a[2]) || lost(a[1]) {
		t.Fatal("b gets half, and a loses its newest")
	}
	if s.take("b") != nil || s.take("a") != nil {
		t.Error("two and two is even: nobody gets a seat from the other")
	}
	c := s.take("c")
	if c == nil || lost(c) {
		t.Fatal("c gets one")
	}
	if s.take("d") == nil || lost(c) {
		t.Error("and so does d")
	}
	if s.take("e") != nil {
		t.Error("a fifth tenant of four seats")
	}
}

func TestSeats_ComeBack(t *testing.T) {
	s := seats{most: 1}
	a := s.take("a")
	s.give(a)
	s.give(a) // a seat that was lost is given back, too
	if b := s.take("b"); b == nil || s.taken != 1 || len(s.by) != 1 {
		t.Errorf("taken %d, by %v", s.taken, s.by)
	}
}
