package tunnel

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// answers deals with what the client says until it has gone. One thing after the other: a client that says
// more than can be kept waits.
func (s *session) answers(ctx context.Context) error {
	for {
		in, err := s.hear(ctx)
		if err != nil {
			return err
		}
		switch in.Type {
		case "response", "ack":
			err = s.answer(ctx, &in)
		case "attempt":
			err = s.retried(ctx, &in)
		default:
			err = errProtocol
		}
		if err != nil {
			return err
		}
	}
}

// answer keeps what a message was answered, and moves the place behind it.
func (s *session) answer(ctx context.Context, in *heard) error {
	out, ok := s.landed(in.Seq)
	if !ok && s.wasSent(in.Seq) {
		return nil // it was answered before the turn went to and fro, and once more
	}
	if !ok {
		return errProtocol
	}
	said := frame{Type: "acked", Seq: in.Seq}
	if in.Type == "response" && out.message != 0 {
		id, err := s.record(ctx, out.message, in, hark.Scheduled)
		if err != nil {
			return err
		}
		said.Attempt = string(id)
	}
	// Another's place is not ours to move: it may have been put back on purpose.
	if ours, err := s.turn.isOurs(ctx); err != nil {
		return err
	} else if ours && s.group != "" {
		if err := s.hub.opt.Store.MoveCursor(ctx, s.listener.ConsumerRef, s.group, in.Seq, time.Now()); err != nil {
			return err
		}
	}
	if err := s.say(ctx, said); err != nil {
		return err
	}
	select {
	case s.moved <- struct{}{}:
	default:
	}
	return nil
}

// landed takes what was sent with a number, and all before it, out of what waits for an answer.
func (s *session) landed(seq int64) (out sent, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out, ok = s.flight[seq]; !ok {
		out, ok = s.late[seq]
		delete(s.late, seq)
		return out, ok
	}
	for n, f := range s.flight {
		if n <= seq {
			s.bytes -= f.bytes
			delete(s.flight, n)
		}
	}
	return out, true
}

// wasSent says whether a number was sent at all.
func (s *session) wasSent(seq int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.least > 0 && seq >= s.least && seq <= s.most
}

// retried keeps what an earlier message was answered when it was forwarded again by hand.
func (s *session) retried(ctx context.Context, in *heard) error {
	said := frame{Type: "recorded", ID: in.ID}
	m, err := s.listener.Message(ctx, in.ID)
	switch {
	case errors.Is(err, hark.ErrNotFound): // it has expired meanwhile
	case err != nil:
		return err
	default:
		id, err := s.record(ctx, m.Ref, in, hark.Manual)
		if err != nil {
			return err
		}
		said.Attempt = string(id)
	}
	return s.say(ctx, said)
}

func (s *session) record(ctx context.Context, message hark.Ref, in *heard, trigger hark.Trigger) (hark.AttemptID, error) {
	l := &s.listener
	a, err := in.attempt(time.Now(), trigger)
	if err != nil {
		return "", err
	}
	a.ApplicationRef, a.MessageRef, a.EndpointRef, a.URL = l.ApplicationRef, message, l.ConsumerRef, cmp.Or(a.URL, s.url)
	row := hark.Delivery{ApplicationRef: l.ApplicationRef, EndpointRef: l.ConsumerRef, MessageRef: message}
	return a.ID, s.hub.opt.Store.Settle(ctx, []store.Settlement{{Delivery: row, Attempt: a, Told: true, OwnURL: true}})
}
