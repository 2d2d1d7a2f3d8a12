package deliver

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/health"
	"github.com/harkhq/hark/internal/store"
)

// lane is an endpoint's short queue in memory.
//
// The invariant: rows and the deliveries in flight are all of the endpoint's queue rows at places
// up to horizon, and maybe some beyond it (fresh, manual). What is beyond the horizon is in the
// store and is read when the rows run low. known holds the places of everything in memory, in
// flight or waiting to be settled, so that no row is taken twice.
type lane struct {
	app, endpoint hark.Ref
	ep            *directory.Endpoint // nil: to be looked up
	loading       bool
	gone          bool // the endpoint was deleted, or the lease was lost: nothing is taken from it any more

	rows    []*hark.Delivery       // in order of place, complete up to horizon
	fresh   []*hark.Delivery       // accepted lately, beyond the horizon: sent in turn with rows
	manual  []*hark.Delivery       // sent by hand: they wait for nothing but a slot
	known   map[store.Position]int // and how many payload bytes each holds
	horizon store.Position
	reading *reading  // the read of the queue under way; nil: none
	readAt  time.Time // when the last one ended
	memory  *memory   // shared by all lanes

	lines map[uint64]int64 // ordered endpoints: lines that wait, and until when (ms)
	// delivered are messages that were delivered by hand while another attempt of theirs was out.
	delivered map[hark.Ref]struct{}

	inflight   int
	unrecorded int // answered, and not settled yet
	health     health.State
	limiter    *rate.Limiter // of the endpoint's throttleRate; nil: none
	turn       uint          // counts takes, to alternate between rows and fresh
	checked    time.Time     // when it was last asked whether the endpoint should be disabled
	queued     bool          // it stands in the turns
	parked     bool          // it stands in the owner's parked
	squeezed   bool          // it stands in the owner's squeezed
	unread     bool          // it stands in the owner's unread
	timer      int           // its index in the owner's timers; -1: none
	wakeAt     time.Time
	lastUsed   time.Time
	disabling  bool
}

// memory counts what all lanes hold together.
type memory struct {
	rows, mostRows   int
	bytes, mostBytes int64
}

func (m *memory) tight() bool { return m.rows >= m.mostRows }

// reading is what happens to a lane while a page of its queue is being read.
type reading struct {
	after store.Position
	// pending are rows committed meanwhile beyond the horizon: the page may have missed them.
	pending []hark.Delivery
	// overflow is the first place that did not fit into pending.
	overflow *store.Position
	// settled are places that left meanwhile: the page may still show them.
	settled map[store.Position]struct{}
	// again says that another node has committed rows meanwhile, which the page may have missed.
	again bool
}

// page is a part of an endpoint's queue.
type page struct {
	lane  *lane
	after store.Position
	rows  []hark.Delivery
	full  bool // there may be more behind it
	last  bool // of the pages that were read together
	err   error
}

// Sizes of a lane.
const (
	pageRows  = 256  // rows in memory, and read at a time
	tightRows = 16   // the same, when all lanes together hold too many
	lowWater  = 64   // fewer than this: read on
	freshRows = 64   // fresh rows kept beyond the horizon
	lineRows  = 4096 // rows in memory where lines block each other
	pending   = 1024 // rows remembered during a read
	// soon is how far ahead of its time a row is worth its memory.
	soon = time.Minute
	// lately is how old the due times are that other nodes' fresh rows may have, whose clocks differ and
	// whose commits take time. What is older is found by looking around. Reading from the first place each
	// time would walk through all rows that are gone and could not be cleaned up yet.
	lately = 10 * time.Second
)

var (
	firstPlace = store.Position{Due: math.MinInt64}
	lastPlace  = store.Position{Due: math.MaxInt64, MessageRef: math.MaxInt64}
)

const inFlight = math.MaxInt64 // the wait of a line whose delivery is out

func newLane(app, endpoint hark.Ref, memory *memory) *lane {
	return &lane{
		app: app, endpoint: endpoint, memory: memory,
		known: map[store.Position]int{}, horizon: lastPlace, timer: -1,
	}
}

func place(d *hark.Delivery) store.Position {
	return store.Position{Due: d.Due, MessageRef: d.MessageRef}
}

func compare(a, b store.Position) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.MessageRef, b.MessageRef))
}

func byPlace(d *hark.Delivery, p store.Position) int { return compare(place(d), p) }

func (l *lane) ordered() bool { return l.ep != nil && l.ep.Ordering != hark.Unordered }

// most is how many rows the lane may hold.
func (l *lane) most() int {
	switch {
	case l.ordered() && l.ep.Ordering != hark.OrderByEndpoint:
		return lineRows
	case l.memory.tight():
		return tightRows
	}
	return pageRows
}

// admit counts a row as known, and answers the lane's own copy of it. Where payloads take too much
// memory, its own is read again later.
func (l *lane) admit(d hark.Delivery) *hark.Delivery {
	bytes := 0
	if d.Message != nil {
		bytes = len(d.Message.Body())
		if l.memory.bytes+int64(bytes) > l.memory.mostBytes {
			d.Message, bytes = nil, 0
		}
	}
	l.known[place(&d)] = bytes
	l.memory.rows++
	l.memory.bytes += int64(bytes)
	return &d
}

// dismiss undoes admit.
func (l *lane) dismiss(at store.Position) {
	bytes, ok := l.known[at]
	if !ok {
		return
	}
	delete(l.known, at)
	l.memory.rows--
	l.memory.bytes -= int64(bytes)
}

// push takes in a committed row: into memory if its place is within the horizon, else it stays in
// the store until it is read. It comes as a value: a row that stays must not pin all that came
// with it.
func (l *lane) push(d hark.Delivery, now time.Time) {
	at := place(&d)
	if _, dup := l.known[at]; dup {
		return
	}
	switch {
	case d.Trigger == hark.Manual:
		l.manual = append(l.manual, l.admit(d))
	case compare(at, l.horizon) <= 0:
		l.insert(d)
	default:
		// While the endpoint is not known, it may be one that wants its order kept.
		if l.ep != nil && !l.ordered() && d.Attempts == 0 && d.Due <= now.UnixMilli() && len(l.fresh) < freshRows {
			l.fresh = append(l.fresh, l.admit(d))
		} else if l.reading != nil {
			l.reading.remember(d)
		}
	}
}

func (r *reading) remember(d hark.Delivery) {
	if len(r.pending) < pending {
		d.Message = nil // it would not be counted
		r.pending = append(r.pending, d)
		return
	}
	if at := place(&d); r.overflow == nil || compare(at, *r.overflow) < 0 {
		r.overflow = &at
	}
}

// insert puts a row at its place. Where memory is full the last row goes back to the store, and
// the horizon with it.
func (l *lane) insert(d hark.Delivery) {
	at, most := place(&d), l.most()
	i := len(l.rows)
	if i > 0 && compare(place(l.rows[i-1]), at) > 0 {
		i, _ = slices.BinarySearchFunc(l.rows, at, byPlace)
	}
	l.rows = slices.Insert(l.rows, i, l.admit(d))
	if len(l.rows) > most {
		l.trim(max(most, len(l.rows)-1)) // no lower at once: it would be read again at once
	}
}

// trim forgets the rows behind the first n (n > 0).
func (l *lane) trim(n int) {
	for _, d := range l.rows[n:] {
		l.dismiss(place(d))
	}
	clear(l.rows[n:])
	l.rows = l.rows[:n]
	if last := place(l.rows[n-1]); compare(last, l.horizon) < 0 {
		l.horizon = last
	}
}

// lookAgain has the store's rows read anew, because another node has committed some: they are found
// beside those that are known. Rows far behind the present are read when it is their turn.
func (l *lane) lookAgain(now time.Time) {
	switch {
	case l.reading != nil:
		l.reading.again = true
	case l.horizon.Due <= now.Add(-soon).UnixMilli():
	case l.ep == nil || l.ordered(): // nothing may be taken before it is known what stands before it
		l.forget()
	default:
		if from := (store.Position{Due: now.Add(-lately).UnixMilli()}); compare(from, l.horizon) < 0 {
			l.horizon = from
		}
	}
}

// forget gives all waiting rows back to the store: the endpoint takes none for now, or what the
// store has is to be read anew. Lines wait only for what is in flight; the rest stands in the rows.
func (l *lane) forget() {
	for _, list := range [2][]*hark.Delivery{l.rows, l.fresh} {
		for _, d := range list {
			l.dismiss(place(d))
		}
	}
	if l.reading != nil {
		l.reading = &reading{after: l.reading.after, overflow: &firstPlace, settled: l.reading.settled}
	}
	l.rows, l.fresh, l.horizon = nil, nil, firstPlace
	maps.DeleteFunc(l.lines, func(_ uint64, until int64) bool { return until != inFlight })
}

// end gives up everything that waits: the endpoint was deleted, or is another node's. What is out goes
// on, and gives the lane turns yet; it takes nothing in them.
func (l *lane) end() {
	l.gone = true
	l.forget()
	for _, d := range l.manual {
		l.dismiss(place(d))
	}
	l.manual = nil
}

// use takes the endpoint's configuration. Rows taken in for another way of ordering are read anew.
func (l *lane) use(ep *directory.Endpoint) {
	l.ep = ep
	if l.ordered() && len(l.fresh) > 0 {
		l.forget()
	}
	if most := l.most(); len(l.rows) > most {
		l.trim(most)
	}
}

// unsent takes a row back whose attempt did not take place.
func (l *lane) unsent(j *job) {
	l.release(j)
	if j.delivery.Trigger == hark.Manual && !l.gone { // kept: an endpoint that is held reads no rows
		l.manual = append(l.manual, j.delivery)
		return
	}
	l.dismiss(place(j.delivery))
	l.forget()
}

// settle notes that a row's place is free, and takes in its next state if it has one.
func (l *lane) settle(j *job, now time.Time) {
	at := place(j.delivery)
	l.dismiss(at)
	if l.reading != nil {
		l.reading.settled[at] = struct{}{}
	}
	if j.settlement.Succeeded {
		l.dropMessage(j.delivery.MessageRef)
	}
	if j.settlement.Retry != nil {
		l.retry(j, now)
	}
	if l.inflight+l.unrecorded == 0 {
		l.delivered = nil
	}
}

// retry takes in the next state of a row whose attempt failed.
func (l *lane) retry(j *job, now time.Time) {
	if _, ok := l.delivered[j.delivery.MessageRef]; ok { // only the store knows whether it is still there
		if l.lines != nil && j.inLine() {
			delete(l.lines, j.delivery.Line)
		}
		l.forget()
		return
	}
	if l.reading != nil {
		delete(l.reading.settled, place(j.settlement.Retry))
	}
	if l.lines != nil && j.inLine() {
		l.lines[j.delivery.Line] = j.settlement.Retry.RetryAt
	}
	l.push(*j.settlement.Retry, now)
}

// dropMessage makes the lane read anew where rows of a message may wait that was delivered by hand
// meanwhile. The store has removed those that it had then, and a line that one of them blocked is
// free; one that was queued since is still there.
func (l *lane) dropMessage(ref hark.Ref) {
	same := func(d *hark.Delivery) bool { return d.MessageRef == ref }
	if l.ordered() || slices.ContainsFunc(l.rows, same) || slices.ContainsFunc(l.fresh, same) {
		l.forget()
	}
	for at := range l.known {
		if at.MessageRef == ref {
			if l.delivered == nil {
				l.delivered = map[hark.Ref]struct{}{}
			}
			l.delivered[ref] = struct{}{}
		}
	}
}

// read takes in a page that was asked for.
func (l *lane) read(p page, now time.Time) {
	r := l.reading
	l.reading, l.readAt = nil, now
	l.takeIn(p, r, now)
	if r.again {
		l.lookAgain(now)
	}
}

func (l *lane) takeIn(p page, r *reading, now time.Time) {
	// What was committed meanwhile lies beyond the horizon and is found by the next read, where this
	// one is of no use: it failed, or the lane was trimmed and the page has a gap before it.
	if p.err != nil || compare(l.horizon, p.after) != 0 {
		return
	}
	if l.app == 0 && len(p.rows) > 0 {
		l.app = p.rows[0].ApplicationRef
	}
	l.horizon = lastPlace
	if p.full && len(p.rows) > 0 {
		l.horizon = place(&p.rows[len(p.rows)-1])
	}
	if r.overflow != nil && compare(*r.overflow, l.horizon) <= 0 {
		l.horizon = store.Position{Due: r.overflow.Due, MessageRef: r.overflow.MessageRef - 1}
	}
	// Before the page, which may show an earlier state of them.
	for _, d := range r.pending {
		if _, left := r.settled[place(&d)]; !left && compare(place(&d), l.horizon) <= 0 {
			l.push(d, now)
		}
	}
	for i := range p.rows {
		d := p.rows[i]
		at := place(&d)
		_, left := r.settled[at]
		_, known := l.known[at]
		if !left && !known && compare(at, l.horizon) <= 0 {
			if d.Trigger == hark.Manual {
				l.manual = append(l.manual, l.admit(d))
				continue
			}
			l.insert(d)
		}
	}
	l.keepSoon(now)
}

// keepSoon lets go of rows that are not due soon, but for the first of them, which sets the timer.
func (l *lane) keepSoon(now time.Time) {
	limit := now.Add(soon).UnixMilli()
	i, _ := slices.BinarySearchFunc(l.rows, store.Position{Due: limit, MessageRef: math.MaxInt64}, byPlace)
	if keep := i + 8; keep < len(l.rows) {
		l.trim(keep)
	}
}

// wantsPage says that the rows run low and the store has more that is due soon. A lane without rows
// always wants to know what is next.
func (l *lane) wantsPage(now time.Time) bool {
	return l.reading == nil && compare(l.horizon, lastPlace) < 0 && len(l.rows) < min(lowWater, l.most()) &&
		(len(l.rows) == 0 || l.horizon.Due <= now.Add(soon).UnixMilli())
}

// beyond says what to do about the store's rows while none in memory may start: read on, because
// lines block each other and there may be another behind them, or look again at a moment.
func (l *lane) beyond(now time.Time) (read bool, wake time.Time) {
	switch {
	case l.reading != nil || compare(l.horizon, lastPlace) == 0:
		return false, wake
	case l.horizon.Due > now.UnixMilli():
		return false, time.UnixMilli(l.horizon.Due)
	}
	return l.ordered() && len(l.rows) < l.most(), wake
}

// next takes the row whose turn it is. If there is none, wake says when to look again (zero: when
// something happens), and parked that only a retry was ready, which may not start now.
func (l *lane) next(now time.Time, retries bool) (d *hark.Delivery, wake time.Time, parked bool) {
	if len(l.manual) > 0 {
		d, l.manual = l.manual[0], l.manual[1:]
		return d, time.Time{}, false
	}
	if l.ep.Held() {
		return nil, time.Time{}, false
	}
	if l.ordered() {
		return l.nextInLine(now.UnixMilli(), retries)
	}
	return l.nextDue(now.UnixMilli(), retries)
}

// nextDue alternates between the oldest row and the freshest arrivals, so that a backlog does not
// make new messages hours late.
func (l *lane) nextDue(now int64, retries bool) (d *hark.Delivery, wake time.Time, parked bool) {
	l.turn++
	if l.turn%2 == 0 && !l.ep.ID.IsPulled() && len(l.fresh) > 0 && l.fresh[0].Due <= now {
		d, l.fresh = l.fresh[0], l.fresh[1:]
		return d, wake, false
	}
	for i, row := range l.rows {
		if row.Due > now {
			wake = earlier(wake, row.Due)
			break
		}
		if row.RetryAt > now { // it comes from a time when the endpoint was ordered
			wake = earlier(wake, row.RetryAt)
			continue
		}
		if row.Attempts > 0 && !retries {
			parked = true
			continue
		}
		l.remove(i)
		return row, time.Time{}, false
	}
	if len(l.fresh) > 0 && l.fresh[0].Due <= now {
		d, l.fresh = l.fresh[0], l.fresh[1:]
		return d, wake, false
	}
	return nil, wake, parked
}

// earlier is the earlier of two moments, of which the first may be none.
func earlier(t time.Time, ms int64) time.Time {
	if at := time.UnixMilli(ms); t.IsZero() || at.Before(t) {
		return at
	}
	return t
}

// nextInLine takes the first row whose line waits for nothing.
func (l *lane) nextInLine(now int64, retries bool) (d *hark.Delivery, wake time.Time, parked bool) {
	if l.lines == nil {
		l.lines = map[uint64]int64{}
	}
	earliest := int64(math.MaxInt64)
	for i, row := range l.rows {
		if row.Due > now {
			earliest = min(earliest, row.Due)
			break
		}
		until, waits := l.lines[row.Line]
		if !waits && row.RetryAt > now {
			until, waits = row.RetryAt, true
			l.lines[row.Line] = until
		}
		if waits && until > now {
			if !parked || until > now+1 { // what is parked is not woken by time
				earliest = min(earliest, until)
			}
			continue
		}
		if row.Attempts > 0 && !retries {
			parked = true
			l.lines[row.Line] = now + 1 // it keeps its place: nothing of its line overtakes it
			continue
		}
		l.lines[row.Line] = inFlight
		l.remove(i)
		return row, wake, false
	}
	if earliest < math.MaxInt64 {
		wake = time.UnixMilli(earliest)
	}
	return nil, wake, parked
}

func (l *lane) remove(i int) {
	if i == 0 {
		l.rows[0] = nil
		l.rows = l.rows[1:]
		return
	}
	l.rows = slices.Delete(l.rows, i, i+1)
}

// release frees the line of an ordered delivery that is over.
func (l *lane) release(j *job) {
	if l.lines != nil && j.settlement.Retry == nil && j.inLine() {
		delete(l.lines, j.delivery.Line)
	}
}

// idle says that the lane can be dropped: the store has no row that it does not know of, and it
// knows of none.
func (l *lane) idle(now time.Time) bool {
	return len(l.known) == 0 && l.inflight == 0 && l.reading == nil && !l.queued && !l.unread &&
		compare(l.horizon, lastPlace) == 0 && l.health.Idle(now) && now.Sub(l.lastUsed) > 5*time.Minute
}
