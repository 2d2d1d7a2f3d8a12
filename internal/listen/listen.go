// Package listen brings the messages of a server to a program on this machine: in order, one after the other,
// byte for byte, with every header, so that signatures verify here as they would there.
//
// It promises that nothing is lost: a message is done with when the program has answered, whatever it
// answered, and the server knows. Whatever happens in between (the server restarts, the network drops, the
// laptop sleeps) it connects again, for ever, and goes on where it was; while nothing listens at the local
// address it holds, and what was cut off before it was answered is sent once more. A message whose answer the
// server never heard of comes again: then the answer is told, and the program not asked twice, as long as this
// process lives.
//
// What happens is told as Events: a terminal's lines, a screen and records for scripts are made of them.
//
// It refuses redirects, and to touch anything of an application but a source and a consumer for each selection
// (selection.go), which belong to this machine and are named after it.
package listen

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// Options say what to listen to, and where it goes.
type Options struct {
	Server    string // of the API: http://127.0.0.1:8071
	Key       string // an API key that may make consumers
	Machine   string // a name that stays (Machine), from which those of its things are made
	UserAgent string

	// Application is whose messages to listen to, by id or uid. Left out it is the source's, or one for
	// local development, which is made when it is missing.
	Application string
	Source      string // only what came from this source, by id or uid
	EventTypes  []string
	Filter      json.RawMessage // only messages that match; nil: all

	// ForwardTo is the local address; nil forwards nothing, and is done with a message when it was told.
	ForwardTo  *url.URL
	Headers    []hark.HeadField // sent besides, in place of others of the same name
	SkipVerify bool             // of the local address's certificate

	// From is where to begin: a time, start or end. Left out it is where this machine stopped; the first
	// time, now.
	From string
	// Secret is what messages are signed with, if the consumer must be made; left out, the server makes one.
	Secret string
	// MachineKey is this machine's (MachineKey). From it comes the secret of its consumers where there is none yet, so
	// that they all have one.
	MachineKey string
	// Unused is for how long this machine does not use a selection until it is removed; 0 is 30 days.
	Unused time.Duration
	// FanOut makes this listener one of its own: it begins now, and gets every message, as the others do.
	// Otherwise those of one machine and application that select the same are one, and the newest of them is it.
	FanOut bool
	// Once ends it after the first message.
	Once bool

	// Emit is told what happens, one thing after the other; it must not block for long.
	Emit func(Event)
	Log  *slog.Logger // nil is silent
}

// Session is what was found or made to listen with.
type Session struct {
	ApplicationID hark.ApplicationID
	ConsumerID    hark.EndpointID
	SourceID      string // whose URL it is
	Secret        string // what messages are signed with
	URL           string // to which anybody can send; "" where the key may not know it
}

// Tally counts what a Run has come to.
type Tally struct {
	Messages  int   // dealt with
	Succeeded int   // of them, those that were answered 2xx
	Gone      int64 // that expired before they came
}

// Listener brings messages. Its methods may be called from several goroutines.
type Listener struct {
	opt     Options
	api     *api
	forward *forwarder
	group   string

	emitting  sync.Mutex
	mu        sync.Mutex
	session   Session
	own       consumerOut
	key       webhook.Key
	announced bool // that messages come
	line      line
}

// New makes a Listener. Nothing is asked or made before Prepare or Run.
func New(opt Options) (*Listener, error) {
	if opt.Emit == nil {
		opt.Emit = func(Event) {}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Machine == "" {
		return nil, errors.New("a listener needs the machine's name")
	}
	api, err := newAPI(opt.Server, opt.Key, opt.UserAgent)
	if err != nil {
		return nil, err
	}
	l := &Listener{opt: opt, api: api, group: "listen"}
	if opt.FanOut {
		l.group = "" // the place is kept here
	}
	if opt.ForwardTo != nil {
		l.forward = newForwarder(&opt)
	}
	l.line.init()
	return l, nil
}

func (l *Listener) emit(e Event) {
	l.emitting.Lock()
	defer l.emitting.Unlock()
	l.opt.Emit(e)
}

// parting is how long a listener that is to end waits for the local answer that is under way, and for the
// server to know it: what it does not know comes again the next time.
const parting = 3 * time.Second

// Run prepares, and brings messages until ctx ends, Once is done, or the server refuses the key. The end of
// ctx is no error: nothing more is forwarded, and it parts.
func (l *Listener) Run(ctx context.Context) (Tally, error) {
	session, err := l.Prepare(ctx)
	if err != nil {
		return Tally{}, err
	}
	from, err := l.from(ctx, session)
	if err != nil {
		return Tally{}, err
	}
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	taking, enough := context.WithCancel(working)
	defer enough()
	defer context.AfterFunc(ctx, func() {
		enough()
		time.AfterFunc(parting, func() { stop(ctx.Err()) })
	})()
	var all sync.WaitGroup
	all.Go(func() { stop(l.connect(working, from)) })
	all.Go(func() { stop(l.work(working, taking)) })
	all.Go(func() { l.stayMarked(working) })
	all.Wait()
	if cause := context.Cause(working); ctx.Err() == nil && !errors.Is(cause, errDone) {
		return l.line.sofar(), cause
	}
	return l.line.sofar(), nil
}

// errDone says that Once is done.
var errDone = errors.New("one message is dealt with")

// from is where to begin. The end is asked for once, so that it does not move while connecting fails.
func (l *Listener) from(ctx context.Context, s Session) (string, error) {
	from := l.opt.From
	if from == "" && l.opt.FanOut {
		from = "end"
	}
	if from != "end" {
		return from, nil
	}
	var page struct {
		Cursor string `json:"cursor"`
	}
	err := l.api.do(ctx, http.MethodGet, path("app", string(s.ApplicationID), "consumer", string(s.ConsumerID), "messages")+"?cursor=end&limit=1", nil, &page)
	return page.Cursor, err
}

// How long to wait before connecting again.
const (
	firstWait   = 200 * time.Millisecond
	longestWait = 5 * time.Second
)

// connect keeps a connection to the server, for as long as it is any use.
func (l *Listener) connect(ctx context.Context, from string) error {
	told := false
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		l.mark(ctx) // the laptop may have slept for long
		wasReady, err := l.tunnel(ctx, from)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wasReady {
			from, told, wait = "", false, firstWait
			if l.group == "" {
				from = "at_" + strconv.FormatInt(l.line.known(), 36)
			}
		}
		if e, ok := errors.AsType[*APIError](err); ok {
			switch e.Status {
			case http.StatusUnauthorized, http.StatusForbidden:
				return e
			case http.StatusNotFound: // somebody has deleted the consumer, or it is another server now
				if from, err = l.prepareAgain(ctx, from); err != nil {
					return err
				}
			case http.StatusBadRequest:
				return e
			}
		}
		if !told {
			told = true
			l.emit(Reconnecting{At: time.Now(), Err: err})
		}
		l.opt.Log.LogAttrs(ctx, slog.LevelDebug, "connect again", slog.Duration("in", wait), slog.Any("err", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// prepareAgain makes what is gone, and says where to begin: a new feed has other numbers.
func (l *Listener) prepareAgain(ctx context.Context, from string) (string, error) {
	l.mu.Lock()
	before := l.session.ConsumerID
	l.mu.Unlock()
	s, err := l.Prepare(ctx)
	switch {
	case err != nil && isRefused(err):
		return "", err
	case err == nil && s.ConsumerID != before && l.group == "":
		return "start", nil
	case err == nil && s.ConsumerID != before:
		return "", nil
	}
	return from, nil
}

// isRefused says that trying again is no use.
func isRefused(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
}
