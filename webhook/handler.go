package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// HandlerOptions are what a Handler is made with. Verifier and Work are required.
type HandlerOptions struct {
	Verifier *Verifier
	// Work is done once for every event, and again after an error. It may be called for an event whose
	// work was done already, if the process died before that was noted: what it changes must bear that.
	// Its context ends with the lease.
	Work func(context.Context, *Event) error
	// Store keeps events until their work is done; nil is a Memory of 10,000.
	Store Store

	// Workers is how many events are worked on at once; 0 means 8.
	Workers int
	// Attempts is how often the work is tried before the event is given up; 0 means 10.
	Attempts int
	// Backoff is how long to wait after the n-th attempt failed; nil doubles from one second to ten
	// minutes, give or take a fifth.
	Backoff func(attempt int) time.Duration
	// Lease is how long one attempt may take; 0 means a minute.
	Lease time.Duration
	// GaveUp hears of events that were given up, with their last error.
	GaveUp func(*Event, error)

	// Unsigned also takes requests of providers that do not sign. Anybody can send such.
	Unsigned bool
	// Logger hears of requests that were refused and work that failed, never of their content; nil is
	// silent.
	Logger *slog.Logger
}

// Handler receives the webhooks of one provider: it verifies them over the raw body, drops those that
// came before, and answers before the work is done.
//
//	POST ─▶ read, bounded ─▶ handshake? answer ─▶ verify ─▶ Store.Accept ─▶ 2xx
//	                                                            │
//	                                             Run: Claim ─▶ Work ─▶ Finish, or Retry, or Fail
//
// It promises that what was answered 2xx is in the store, that the work of an event is done until it
// succeeds or is given up, and that an event which comes twice, or a hundred times at once, is worked on
// as one. What it cannot take it answers 503, so that the provider sends it again. Events come in no
// particular order.
type Handler struct {
	opt  HandlerOptions
	wake chan struct{} // capacity one: something was accepted
}

// NewHandler makes a Handler. Serve it, and Run it once.
func NewHandler(opt HandlerOptions) (*Handler, error) {
	if opt.Verifier == nil || opt.Work == nil {
		return nil, errors.New("webhook: a Handler needs a Verifier and Work")
	}
	opt.Workers, opt.Attempts = cmp.Or(opt.Workers, 8), cmp.Or(opt.Attempts, 10)
	opt.Lease = cmp.Or(opt.Lease, time.Minute)
	if opt.Backoff == nil {
		opt.Backoff = backoff
	}
	if opt.Store == nil {
		opt.Store = NewMemory(10_000, 24*time.Hour)
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{opt: opt, wake: make(chan struct{}, 1)}, nil
}

// backoff is 1 s, 2 s, 4 s, … up to ten minutes.
func backoff(attempt int) time.Duration {
	wait := min(time.Second<<min(attempt-1, 20), 10*time.Minute)
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// retryAfter is what a provider is asked to wait, in seconds, when an event cannot be taken.
const retryAfter = 10

// ServeHTTP takes one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := readBody(r, h.opt.Verifier.options.MaxBody)
	if err != nil {
		w.WriteHeader(h.opt.Verifier.Status(err))
		return
	}
	in := Request{Method: r.Method, URL: calledURL(r), Header: r.Header, Body: body, Remote: remoteAddr(r)}
	if answer, ok := h.opt.Verifier.Challenge(r.Context(), in, now); ok {
		answer.write(w)
		return
	}
	verdict := h.opt.Verifier.Verify(r.Context(), in, now)
	if !verdict.OK() && !(h.opt.Unsigned && verdict.Cause == ErrUnsigned) {
		h.refuse(w, r, verdict)
		return
	}
	event := newEvent(h.opt.Verifier.Name(), &in, verdict, now)
	fresh, err := h.opt.Store.Accept(r.Context(), event)
	if err != nil {
		if !errors.Is(err, ErrFull) {
			h.opt.Logger.LogAttrs(r.Context(), slog.LevelError, "webhook not kept", slog.Any("err", err))
		}
		unavailable(w)
		return
	}
	if fresh {
		h.soon()
	}
	h.opt.Verifier.Reply(verdict).write(w)
}

// refuse answers a request that was not accepted. What may be accepted later is asked for again.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, v Verdict) {
	h.opt.Logger.LogAttrs(r.Context(), slog.LevelWarn, "webhook refused", slog.String("provider", h.opt.Verifier.Name()),
		slog.String("outcome", string(v.Outcome)), slog.String("reason", v.Detail))
	switch {
	case v.Outcome == Failed:
		h.opt.Verifier.Reply(v).write(w)
	case v.Cause == ErrUnsigned:
		w.WriteHeader(http.StatusUnauthorized)
	default: // no secret yet, or no key just now
		unavailable(w)
	}
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	w.WriteHeader(http.StatusServiceUnavailable)
}

func (a Answer) write(w http.ResponseWriter) {
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // whoever asked may have gone
}

func remoteAddr(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

func (h *Handler) soon() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lookEvery bounds how long events wait that another process has accepted or left.
const lookEvery = time.Second

// Run works on events until ctx ends, and returns when the work under way is done. What is left stays in
// the store.
func (h *Handler) Run(ctx context.Context) error {
	free := make(chan struct{}, h.opt.Workers)
	for range h.opt.Workers {
		free <- struct{}{}
	}
	var working sync.WaitGroup
	defer working.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-h.wake:
		}
		timer.Reset(h.claim(ctx, free, &working))
	}
}

// claim starts workers on what is due; it answers when to look again.
func (h *Handler) claim(ctx context.Context, free chan struct{}, working *sync.WaitGroup) time.Duration {
	for {
		n := len(free)
		if n == 0 { // a worker wakes it
			return lookEvery
		}
		now := time.Now()
		events, next, err := h.opt.Store.Claim(ctx, now, h.opt.Lease, n)
		if err != nil && ctx.Err() == nil {
			h.opt.Logger.LogAttrs(ctx, slog.LevelError, "webhooks not claimed", slog.Any("err", err))
		}
		for _, e := range events {
			<-free
			working.Go(func() {
				h.work(context.WithoutCancel(ctx), e)
				free <- struct{}{}
				h.soon()
			})
		}
		if len(events) < n {
			if wait := next.Sub(now); !next.IsZero() && wait < lookEvery {
				return max(wait, time.Millisecond)
			}
			return lookEvery
		}
	}
}

// work does one attempt.
func (h *Handler) work(ctx context.Context, e *Event) {
	attempt, cancel := context.WithTimeout(ctx, h.opt.Lease)
	defer cancel()
	err := h.try(attempt, e)
	now := time.Now()
	var noted error
	switch {
	case err == nil:
		noted = h.opt.Store.Finish(ctx, e.Key, now)
	case e.Attempt < h.opt.Attempts:
		noted = h.opt.Store.Retry(ctx, e.Key, now.Add(h.opt.Backoff(e.Attempt)), err.Error())
	default:
		if noted = h.opt.Store.Fail(ctx, e.Key, now, err.Error()); noted == nil && h.opt.GaveUp != nil {
			h.opt.GaveUp(e, err)
		}
	}
	if err != nil {
		h.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "webhook not worked on", slog.String("provider", e.Provider),
			slog.String("type", e.Type), slog.String("id", e.ID), slog.Int("attempt", e.Attempt), slog.Any("err", err))
	}
	if noted != nil { // it is worked on again when its lease ends
		h.opt.Logger.LogAttrs(ctx, slog.LevelError, "webhook's end not noted", slog.Any("err", noted))
	}
}

// try runs the work; a panic in it is an error like another, and takes nobody else's work along.
func (h *Handler) try(ctx context.Context, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return h.opt.Work(ctx, e)
}
