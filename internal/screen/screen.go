// Package screen is what hark listen shows on a terminal: a list of the messages that came and of what the
// local program answered, with everything about each of them a key away.
//
//	list ── Enter ──▶ details        r retry   e edit and resend   c copy as curl   o open
//	  ▲                  │
//	  └────── Esc ───────┘           / filter  s secret and addresses   ? help   q quit
//
// It promises that nothing of a message reaches the terminal but what can be read (control characters are
// written as escapes), that it holds up no message, also while an editor is open, and that the terminal is
// afterwards as it was before. It remembers at most 1,000 messages and 16 MiB; what it forgets is on the server.
//
// It refuses to show the signing secret before it is asked to, and to send what an editor has not changed.
package screen

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	tea "charm.land/bubbletea/v2"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

// Options say what is shown beside the messages.
type Options struct {
	Input  io.Reader // the terminal
	Output io.Writer

	Application string           // as the person calls it
	Dashboard   string           // what o opens
	Invite      string           // a command that sends a message to try with; "" if there is none
	Headers     []hark.HeadField // that are sent besides, for curl
	SkipVerify  bool             // for curl
	Editor      string           // a command; "" for none
	Display     bool             // there is a desktop on which a browser can open
}

// Listener is what brings messages: a listen.Listener that tells Screen.Emit what happens.
type Listener interface {
	Run(context.Context) (listen.Tally, error)
	Retry(context.Context, *listen.Message) (*listen.Response, error)
	Resend(ctx context.Context, m *listen.Message, body []byte) (*listen.Response, error)
}

// Screen shows one listener.
type Screen struct {
	opt  Options
	wake chan struct{} // holds one

	mu      sync.Mutex
	waiting []listen.Event // that the screen has not been told of
	bytes   int            // of them
}

// New makes a Screen.
func New(opt Options) *Screen { return &Screen{opt: opt, wake: make(chan struct{}, 1)} }

// Emit tells what has happened. It does not wait for the screen, which an editor may cover.
func (s *Screen) Emit(e listen.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, e)
	s.bytes += weight(e)
	for len(s.waiting) > 2*maxMessages || s.bytes > maxBytes && len(s.waiting) > 1 {
		s.forget()
	}
	s.nudge()
}

// forget drops the oldest of what the list would forget at once. What says how the connection does stays, while
// there is anything else: nothing newer might say it.
func (s *Screen) forget() {
	oldest := max(0, slices.IndexFunc(s.waiting, func(e listen.Event) bool {
		switch e.(type) {
		case listen.Ready, listen.Reconnecting, listen.Standby:
			return false
		}
		return true
	}))
	s.bytes -= weight(s.waiting[oldest])
	s.waiting = slices.Delete(s.waiting, oldest, oldest+1)
}

// nudge says that something waits.
func (s *Screen) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// weight is about how many bytes an event keeps in memory.
func weight(e listen.Event) int {
	switch e := e.(type) {
	case listen.Message:
		return messageBytes(&e)
	case listen.Response:
		return responseBytes(&e)
	}
	return 0
}

// happened is what the screen is told: events, in their order.
type happened []listen.Event

// tell hands over what waits, all at once, so that a flood costs one drawing.
func (s *Screen) tell(ctx context.Context, send func(tea.Msg)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.mu.Lock()
		events := s.waiting
		s.waiting, s.bytes = nil, 0
		s.mu.Unlock()
		if len(events) > 0 {
			send(happened(events))
		}
	}
}

// Run shows what the listener brings, until the person quits, ctx ends, or the listener does: then its
// error is answered. The screen comes with the first event, so that what cannot begin does not flicker.
func (s *Screen) Run(ctx context.Context, l Listener) (tally listen.Tally, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tally, err = l.Run(ctx)
	}()
	select {
	case <-ended:
		return tally, err
	case <-s.wake:
		s.nudge()
	}
	failed := s.show(ctx, l, ended)
	cancel()
	<-ended
	if failed != nil {
		return tally, fmt.Errorf("show the screen: %w", failed)
	}
	return tally, err
}

// show draws, and takes keys, until the person quits, ctx ends, or ended is closed.
func (s *Screen) show(ctx context.Context, l Listener, ended <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	showing, shut := context.WithCancel(context.WithoutCancel(ctx)) // it ends by quitting, which tidies up
	acts := &actor{listener: l, opt: &s.opt}
	p := tea.NewProgram(newModel(&s.opt, acts.bind(ctx)), tea.WithContext(showing), tea.WithInput(s.opt.Input),
		tea.WithOutput(s.opt.Output), tea.WithoutSignalHandler())
	var all sync.WaitGroup
	all.Go(func() { s.tell(showing, p.Send) })
	all.Go(func() {
		select {
		case <-ended:
		case <-ctx.Done():
		}
		p.Quit()
	})
	_, err := p.Run()
	cancel()
	shut()
	all.Wait()
	acts.wait()
	return err
}
