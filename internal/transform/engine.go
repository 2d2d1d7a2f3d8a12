package transform

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Options are how an engine is set up. Zero values mean the defaults.
type Options struct {
	// Parallel is how many scripts run at the same time, each in a process of its own; others wait for
	// their turn. Default: one for each processor that Go uses.
	Parallel int
	// Memory is the most that any run may have, in bytes: 64 MiB.
	Memory int64
}

// Engine runs scripts in worker processes. It starts none until the first script; then they stay. It is safe
// for concurrent use.
type Engine struct {
	options Options
	turns   chan struct{}
	closing chan struct{} // closed by Close

	mu   sync.Mutex
	idle []*child
}

// New prepares an engine. The program must call Work first thing in main.
func New(options Options) *Engine {
	if options.Parallel <= 0 {
		options.Parallel = runtime.GOMAXPROCS(0)
	}
	if options.Memory <= 0 {
		options.Memory = 64 << 20
	}
	return &Engine{options: options, turns: make(chan struct{}, options.Parallel), closing: make(chan struct{})}
}

// Start has one worker ready, for those who do not want the first script to wait for it.
func (e *Engine) Start(ctx context.Context) error {
	return e.turn(ctx, func() error {
		w, err := e.take(ctx)
		if err != nil {
			return err
		}
		e.put(w)
		return nil
	})
}

// errClosed is what a closed engine answers.
var errClosed = errors.New("the engine for scripts is closed")

// Close waits until no script runs, and ends the workers. It may be called once. Whoever comes later, or
// still waits for a turn, gets an error.
func (e *Engine) Close(ctx context.Context) error {
	close(e.closing)
	for range cap(e.turns) {
		select {
		case e.turns <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.idle {
		w.end()
	}
	e.idle = nil
	return nil
}

// turn calls f when it is its turn.
func (e *Engine) turn(ctx context.Context, f func() error) error {
	select {
	case <-e.closing:
		return errClosed
	default:
	}
	select {
	case e.turns <- struct{}{}:
		defer func() { <-e.turns }()
	case <-e.closing:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f()
}

// do has a worker of its own do one call, and says what became of it.
func (e *Engine) do(ctx context.Context, c *call, r request) error {
	r.Time, r.Memory, r.Result, r.Log = c.limits.Time, c.limits.Memory, c.limits.Result, c.limits.Log
	return e.turn(ctx, func() error {
		w, err := e.take(ctx)
		if err != nil {
			return err
		}
		used := w.calls > 0
		err = e.use(ctx, w, c, r)
		if broken, ok := errors.AsType[*Error](err); !ok || broken.Kind != Crashed || !used {
			return err
		}
		// The worker may have been dead before: by then it is not this script's fault. Running a script
		// twice harms nobody.
		if w, err = e.start(ctx); err != nil {
			return err
		}
		*c = call{limits: c.limits}
		return e.use(ctx, w, c, r)
	})
}

// use has a worker do one call, and keeps it for the next if it can.
func (e *Engine) use(ctx context.Context, w *child, c *call, r request) error {
	err := w.do(ctx, c, r)
	if w.broken || w.calls >= mostCalls {
		w.end()
	} else {
		e.put(w)
	}
	return err
}

// mostCalls is after how many calls a worker is replaced, so that nothing adds up in it for ever.
const mostCalls = 10_000

// take is an idle worker, or a new one.
func (e *Engine) take(ctx context.Context) (*child, error) {
	e.mu.Lock()
	if n := len(e.idle); n > 0 {
		w := e.idle[n-1]
		e.idle = e.idle[:n-1]
		e.mu.Unlock()
		return w, nil
	}
	e.mu.Unlock()
	return e.start(ctx)
}

func (e *Engine) start(ctx context.Context) (*child, error) {
	const patience = 30 * time.Second // for a start that takes some tens of milliseconds
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w, err := startChild(ctx, e.options.Memory)
	if err != nil {
		return nil, fmt.Errorf("start a worker for scripts: %w", err)
	}
	return w, nil
}

func (e *Engine) put(w *child) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.idle = append(e.idle, w)
}
