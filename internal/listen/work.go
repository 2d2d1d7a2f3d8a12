package listen

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

// work deals with what waits, from the front, one after the other. Once taking has ended it begins with nothing
// more, and goes on for as long as the server may still hear of what was answered.
func (l *Listener) work(ctx, taking context.Context) error {
	var held worker
	for {
		it, found, say, to, changed := l.line.first()
		switch parts := taking.Err() != nil; {
		case say != nil:
			_ = to.say(ctx, *say) // a connection that is lost is made again, and the item comes again
			if known, err := l.onlyOne(ctx, &it); err != nil || known {
				return errors.Join(err, errDone)
			}
		case parts && !l.line.owes():
			return taking.Err()
		case parts:
			if err := await(ctx, changed); err != nil {
				return err
			}
		case !found:
			_ = await(taking, changed)
		case it.message == nil:
			it.gap.At = time.Now()
			l.emit(it.gap)
			l.line.answered(&it, answer{reply: reply{Type: "ack", Seq: it.seq}, gone: it.gap.To - it.gap.From + 1})
		default:
			if err := l.deal(ctx, taking, &held, &it); err != nil {
				return err
			}
		}
	}
}

func await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
		return nil
	}
}

// onlyOne says, of a listener to one message, whether the server knows what became of it.
func (l *Listener) onlyOne(ctx context.Context, it *item) (known bool, err error) {
	if !l.opt.Once || it.message == nil {
		return false, nil
	}
	return l.line.heardOf(ctx, it.seq)
}

// worker remembers what was told, so that nothing is told twice.
type worker struct {
	seq     int64 // of the message that was announced last
	id      hark.MessageID
	waiting bool // it was told that nothing listens
}

// deal forwards a message, and keeps the answer. While nothing listens it holds, as long as the message is
// still this listener's to deal with. What was cut off before it was answered is sent once more, and not again
// and again: there are programs that a message makes crash.
func (l *Listener) deal(ctx, taking context.Context, w *worker, it *item) error {
	m := it.message
	if m.At = time.Now(); w.seq != it.seq || w.id != m.ID {
		w.seq, w.id = it.seq, m.ID
		l.emit(*m)
	}
	if l.forward == nil {
		l.line.answered(it, answer{id: m.ID, reply: reply{Type: "ack", Seq: it.seq}, ok: true})
		return nil
	}
	wasCut := false
	for wait := firstWait; ; wait = min(2*wait, longestLocalWait) {
		out := m
		if now := time.Now(); now.Sub(m.At) > signedFor {
			l.mu.Lock()
			key := l.key
			l.mu.Unlock()
			out = signed(m, key, m.ID, m.Body, now)
		}
		r, err := l.forward.send(ctx, out)
		switch _, nobody := errors.AsType[*nobodyError](err); {
		case err == nil && r.cut && !wasCut:
			wasCut = true
			l.emit(Waiting{At: time.Now(), Message: m, URL: l.forward.url, Err: errors.New(r.Err), CutOff: true})
		case err == nil:
			w.waiting = false
			l.keep(ctx, it, r)
			return nil
		case !nobody:
			return err
		case !w.waiting:
			w.waiting = true
			l.emit(Waiting{At: time.Now(), Message: m, URL: l.forward.url, Err: err})
		}
		if !l.hold(taking, it, wait/2+rand.N(wait)) {
			return nil
		}
	}
}

// longestLocalWait is how soon a local server that is back is noticed.
const longestLocalWait = 2 * time.Second

// hold waits a while, or until ctx ends or the item is not ours any more: then it is not wanted.
func (l *Listener) hold(ctx context.Context, it *item, while time.Duration) (wanted bool) {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for {
		wanted, changed := l.line.wants(it)
		if !wanted {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-changed:
		}
	}
}

// keep tells of an answer, and keeps it until the server knows.
func (l *Listener) keep(ctx context.Context, it *item, r *Response) {
	say := l.told(r)
	say.Type, say.Seq = "response", it.seq
	if late := l.line.answered(it, answer{id: it.message.ID, reply: say, ok: r.OK()}); late != nil {
		_ = late.say(ctx, say) // if it is lost, whoever has the turn has told another answer
	}
	l.emit(*r)
}

// told is what the server is told of a response: of its header as much as is kept, so that cookies and other
// credentials stay here.
func (l *Listener) told(r *Response) reply {
	say := reply{Status: r.Status, Body: r.Body, DurationMs: float64(r.Took.Microseconds()) / 1000, Error: r.Err}
	if r.URL != l.forward.url {
		say.URL = shortURL(r.URL)
	}
	var head hark.Head
	head.SetHeader(r.Header)
	for _, f := range hark.KeepHeader(head.Header) {
		say.Headers = append(say.Headers, f.Pair())
	}
	return say
}

// maxURL is the longest that the server takes.
const maxURL = 2048

// shortURL is a URL as far as the server keeps it.
func shortURL(raw string) string {
	if len(raw) > maxURL {
		raw, _, _ = strings.Cut(raw, "?")
	}
	if len(raw) > maxURL {
		return ""
	}
	return raw
}

// announce says that messages come.
func (l *Listener) announce(s Session, behind int64) {
	r := Ready{At: time.Now(), Session: s, Behind: behind}
	if l.forward != nil {
		r.ForwardTo = l.forward.url
	}
	l.mu.Lock()
	r.Again, l.announced = l.announced, true
	l.mu.Unlock()
	l.emit(r)
}

// Retry forwards a message again, as it is but for the time of its signature, beside whatever else goes on. It
// is kept as an attempt by hand.
func (l *Listener) Retry(ctx context.Context, m *Message) (*Response, error) {
	r, err := l.again(ctx, m, m.ID, m.Body)
	if err != nil {
		return nil, err
	}
	r.Message, r.Retry = m, true
	say := l.told(r)
	say.Type, say.ID = "attempt", m.ID
	if c := l.line.retried(say); c != nil {
		_ = c.say(ctx, say) // what became of a retry may be lost with the connection
	}
	l.emit(*r)
	return r, nil
}

// Resend forwards a message with another body, as one of its own: under another id, and signed anew. A
// provider's signature does not fit it any more. The server is not told: it has no such message.
func (l *Listener) Resend(ctx context.Context, m *Message, body []byte) (*Response, error) {
	r, err := l.again(ctx, m, hark.NewMessageID(time.Now()), body)
	if err != nil {
		return nil, err
	}
	r.Edited = true
	l.emit(*r)
	return r, nil
}

// ErrNowhere says that there is no address to forward to.
var ErrNowhere = errors.New("there is no address to forward to")

func (l *Listener) again(ctx context.Context, m *Message, id hark.MessageID, body []byte) (*Response, error) {
	if l.forward == nil {
		return nil, ErrNowhere
	}
	l.mu.Lock()
	key := l.key
	l.mu.Unlock()
	return l.forward.send(ctx, signed(m, key, id, body, time.Now()))
}
