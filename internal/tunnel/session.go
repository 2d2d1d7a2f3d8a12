package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/stream"
)

// session is one connection.
type session struct {
	hub      *Hub
	conn     *websocket.Conn
	listener Listener
	group    string
	url      string
	window   int
	turn     *turn
	header   []outbound.Field
	scratch  []byte

	mu      sync.Mutex
	after   int64          // sent up to here
	flight  map[int64]sent // without an answer
	late    map[int64]sent // sent before another took the turn
	least   int64          // of what was ever sent
	most    int64
	bytes   int           // of what is in flight
	writing int           // writes under way
	moved   chan struct{} // capacity one: something was answered
}

// sent is something that waits for its answer. A gap has no message.
type sent struct {
	message hark.Ref
	bytes   int
}

// serve speaks with the client until either side ends it.
func (s *session) serve(ctx context.Context) {
	listening, hangUp := context.WithCancel(ctx) // a read that is cut off ends the connection
	defer hangUp()
	if err := s.start(listening); err != nil {
		s.refuse(ctx, err)
		return
	}
	defer func() {
		end, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		s.turn.giveBack(end, time.Now())
	}()
	working, stop := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { stop(s.answers(listening)) })
	all.Go(func() { stop(s.beat(working)) })
	stop(s.run(working)) // whose error is no cause if one of the others was first
	s.refuse(ctx, context.Cause(working))
	hangUp()
}

// start hears what the client wants, and takes the turn.
func (s *session) start(ctx context.Context) error {
	if s.conn.Subprotocol() != Protocol {
		return hark.Errorf(hark.BadRequest, "connect with the subprotocol %s", Protocol)
	}
	soon, stop := context.WithTimeout(ctx, startIn)
	defer stop()
	in, err := s.hear(soon)
	if err == nil {
		err = in.check()
	}
	if err != nil {
		return err
	}
	s.group, s.url, s.window = in.Group, in.URL, in.Window
	return s.open(ctx, in.From)
}

// open takes the turn and says where the group goes on: from where it was told to, if it was. The place is put
// there only when nobody else has the turn any more.
func (s *session) open(ctx context.Context, from string) error {
	seq, err := int64(0), error(nil)
	if from != "" {
		if seq, err = s.listener.Find(ctx, from); err != nil {
			return err
		}
	}
	if s.group == "" {
		return s.ready(ctx, seq)
	}
	s.turn = newTurn(s.hub.opt.Store, s.listener.ConsumerRef, s.group)
	if err := s.turn.take(ctx, time.Now()); err != nil {
		return err
	}
	if from == "" {
		return s.goOn(ctx)
	}
	if err := s.hub.opt.Store.SeekCursor(ctx, s.listener.ConsumerRef, s.group, seq, time.Now()); err != nil {
		return err
	}
	return s.ready(ctx, seq) // whoever had the turn may just have moved the place
}

// goOn says that it goes on at the group's place.
func (s *session) goOn(ctx context.Context) error {
	seq, err := s.hub.opt.Store.Cursor(ctx, s.listener.ConsumerRef, s.group)
	if err != nil && !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	return s.ready(ctx, seq)
}

// ready says where it goes on.
func (s *session) ready(ctx context.Context, seq int64) error {
	_, last, err := s.hub.opt.Store.FeedEnds(ctx, s.listener.ConsumerRef)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.after = seq
	s.mu.Unlock()
	return s.say(ctx, frame{Type: "ready", Cursor: stream.Cursor(seq), Window: s.window, Behind: max(last-seq, 0)})
}

// run sends what the window has room for, while it is our turn, and stands by while it is not.
func (s *session) run(ctx context.Context) error {
	for {
		ours, err := s.turn.renew(ctx, time.Now())
		if err == nil && ours {
			err = s.step(ctx)
		}
		if errors.Is(err, errLost) || err == nil && !ours {
			err = s.standBy(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// errLost says that another tunnel has taken the turn.
var errLost = errors.New("another tunnel has the turn")

// step waits for something to send and sends it, or for room; a while at most.
func (s *session) step(ctx context.Context) error {
	after, room := s.room()
	if room == 0 {
		return s.pause(ctx, renewEvery)
	}
	page, err := s.hub.opt.Streams.Wait(ctx, s.listener.ConsumerRef, after, room, renewEvery)
	if err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return s.pause(ctx, 0)
	}
	ours, err := s.turn.isOurs(ctx)
	if err == nil && !ours {
		err = errLost
	}
	if err != nil {
		return err
	}
	return s.send(ctx, page)
}

// room is how many messages may be sent behind which place.
func (s *session) room() (after int64, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes >= windowBytes {
		return s.after, 0
	}
	return s.after, max(s.window-len(s.flight), 0)
}

// pause waits for an answer, or the end; while 0 it only looks.
func (s *session) pause(ctx context.Context, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-s.hub.opt.Streams.Ended():
		return errEnds
	case <-ctx.Done():
		return ctx.Err()
	case <-s.moved:
	case <-timer.C:
	}
	return nil
}

// standBy waits until the turn is free, takes it, and says so.
func (s *session) standBy(ctx context.Context) error {
	s.mu.Lock()
	if len(s.late) > maxLate {
		s.late = nil
	}
	if s.late == nil {
		s.late = map[int64]sent{}
	}
	maps.Copy(s.late, s.flight) // beside what is late since another time
	s.flight, s.bytes = map[int64]sent{}, 0
	s.mu.Unlock()
	if err := s.say(ctx, frame{Type: "standby"}); err != nil {
		return err
	}
	for {
		free, err := s.turn.isFree(ctx, time.Now())
		if err != nil {
			return err
		}
		if free {
			if err := s.turn.take(ctx, time.Now()); err != nil {
				return err
			}
			return s.goOn(ctx)
		}
		if err := s.pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

func (s *session) send(ctx context.Context, p stream.Page) error {
	ep, err := s.listener.Endpoint(ctx)
	if err != nil {
		return err
	}
	for i := range p.Items {
		item := &p.Items[i]
		out, f := sent{}, frame{Type: "gap", Seq: item.Seq, Cursor: stream.Cursor(item.Seq), From: item.From}
		if m := item.Message; m != nil && !m.Expunged {
			s.header, s.scratch = ep.AppendHeader(s.header[:0], m, s.hub.opt.HeaderPrefixes, time.Now(), s.scratch)
			out, f = sent{m.Ref, len(m.Body())}, messageFrame(item, s.header)
		}
		s.mu.Lock()
		s.flight[item.Seq] = out
		s.bytes += out.bytes
		s.after = item.Seq
		if s.most = max(s.most, item.Seq); s.least == 0 || item.Seq < s.least {
			s.least = item.Seq
		}
		s.mu.Unlock()
		if err := s.say(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// beat finds out that the client has gone, or may not listen any more.
func (s *session) beat(ctx context.Context) error {
	every := time.NewTicker(pingEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
		if err := s.listener.Check(ctx); err != nil {
			return err
		}
		if _, err := s.listener.Endpoint(ctx); err != nil {
			return err
		}
		if s.isWriting() { // which has its own limit, and would hold up the ping
			continue
		}
		ping, cancel := context.WithTimeout(ctx, pongIn)
		err := s.conn.Ping(ping)
		cancel()
		if err != nil {
			return errors.Join(errGone, err)
		}
	}
}

func (s *session) isWriting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing > 0
}

// hear reads what the client says next.
func (s *session) hear(ctx context.Context) (in heard, err error) {
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		return in, errors.Join(errGone, err)
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return in, errProtocol
	}
	return in, nil
}

func (s *session) say(ctx context.Context, f frame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.writing++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.writing--
		s.mu.Unlock()
	}()
	// A write that is cut off ends the connection, and nobody would hear why.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}
