package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/health"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/store"
)

// job is one attempt, from the claim to the settlement.
type job struct {
	lane     *lane // the owner's; workers do not touch it
	endpoint *directory.Endpoint
	delivery *hark.Delivery
	held     *held // the owner's; nil where the store is this process's own
	epoch    int64 // of the lease

	altered    *alter.Altered  // by the endpoint's transformation; nil without one
	execution  *hark.Execution // of it, when it is worth remembering
	verdict    verdict
	settlement store.Settlement
	unsent     bool // the attempt did not take place and nothing is to be recorded
	crowded    bool // it did not, because no turn came for its transformation
}

// inLine says that the attempt was made in the order of a line.
func (j *job) inLine() bool {
	return j.delivery.Trigger == hark.Scheduled && j.endpoint.Ordering != hark.Unordered
}

// workers are the goroutines that send: as many as attempts were ever in flight at once, kept
// because a grown stack is worth keeping.
type workers struct {
	engine *Engine
	ctx    context.Context // ends when the drain timeout has passed
	jobs   chan *job
	idle   chan struct{} // a token for each worker that waits
	all    sync.WaitGroup
}

func (w *workers) init(e *Engine) {
	w.engine = e
	w.jobs = make(chan *job, e.opt.InFlight)
	w.idle = make(chan struct{}, e.opt.InFlight)
}

// send gives a job to a worker that waits, or to a new one. There are never more jobs than InFlight.
func (w *workers) send(j *job) {
	select {
	case <-w.idle:
	default:
		w.all.Go(w.work)
	}
	w.jobs <- j
}

func (w *workers) work() {
	var s sender
	for j := range w.jobs {
		s.attempt(w.engine, w.ctx, j)
		if !j.unsent {
			w.engine.settler.add(j)
		}
		w.idle <- struct{}{} // before the owner knows, so that it finds a worker and needs no new one
		w.engine.mailbox.send(func(in *mail) { in.ended = append(in.ended, j) })
	}
}

func (w *workers) stop() {
	close(w.jobs)
	w.all.Wait()
}

// sender is a worker's own memory: a request, its answer and its text, used again and again.
type sender struct {
	request  outbound.Request
	response outbound.Response
	text     []byte
}

// attempt builds, sends and judges.
func (s *sender) attempt(e *Engine, ctx context.Context, j *job) {
	message, err := e.message(ctx, j.delivery)
	if err != nil {
		e.opt.Log.LogAttrs(ctx, slog.LevelError, "message not read", slog.Any("err", err))
		j.unsent = true
		return
	}
	if message == nil { // dropped: there is nothing to send, and nothing to tell of
		j.verdict = verdict{Class: health.Unasked}
		j.settlement = store.Settlement{Delivery: *j.delivery, Epoch: j.epoch}
		return
	}
	if e.lapsed(j, time.Now()) { // meanwhile: another node sends it
		j.unsent = true
		return
	}
	start := time.Now()
	attempt := &hark.Attempt{
		ID:             hark.NewAttemptID(start),
		ApplicationRef: j.delivery.ApplicationRef,
		MessageRef:     j.delivery.MessageRef,
		EndpointRef:    j.delivery.EndpointRef,
		MessageID:      message.ID,
		EndpointID:     j.endpoint.ID,
		EventType:      message.EventType,
		URL:            j.endpoint.URL,
		Number:         j.delivery.Attempts + 1,
		Trigger:        j.delivery.Trigger,
		StartedAt:      start,
	}
	x := exchange{Trigger: attempt.Trigger, Attempts: attempt.Number, Schedule: j.endpoint.Schedule(), RetryOn: j.endpoint.RetryOn, Spread: rand.Float64()}
	if reason := unsendable(message, j.endpoint); reason != "" {
		attempt.Error = reason
		x.Schedule = nil // trying again cannot help
		x.Expunged = message.Expunged
	} else if !s.exchange(e, ctx, j, message, attempt, &x) {
		j.unsent = true
		return
	}
	x.Now = time.Now()
	if !x.Blocked {
		attempt.Duration = x.Now.Sub(start)
	}
	j.verdict = judge(x)
	j.settle(attempt, x.Now)
	e.log(ctx, attempt, j)
}

// exchange transforms and sends; false says that nothing came of it, and nothing is to be recorded.
func (s *sender) exchange(e *Engine, ctx context.Context, j *job, m *hark.Message, attempt *hark.Attempt, x *exchange) bool {
	at := attempt.StartedAt
	if j.endpoint.Transformation.Runs() {
		if !e.alter(ctx, j, m, attempt, x) {
			return false
		}
		defer j.altered.Release()
		if x.Canceled || x.Altering {
			return true
		}
		at = time.Now() // it may have waited for its turn
		if e.lapsed(j, at) {
			return false
		}
	}
	res, err := s.post(e, ctx, j, m, at)
	if canceled(ctx, err) {
		return false
	}
	note(attempt, x, res, err)
	return true
}

// message is the delivery's message, read from the store where it is not at hand; nil if it is gone.
func (e *Engine) message(ctx context.Context, d *hark.Delivery) (*hark.Message, error) {
	if d.Message != nil {
		return d.Message, nil
	}
	found, err := e.opt.Store.MessagesByRef(ctx, []hark.Ref{d.MessageRef})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

// unsendable says why an attempt cannot take place at all, or "".
func unsendable(m *hark.Message, ep *directory.Endpoint) string {
	switch {
	case m.Expunged:
		return "the message's payload was deleted"
	case ep.Broken != nil:
		return fmt.Sprintf("the endpoint cannot be sent to: %v", ep.Broken)
	}
	return ""
}

// post signs and sends.
func (s *sender) post(e *Engine, ctx context.Context, j *job, m *hark.Message, at time.Time) (*outbound.Response, error) {
	ep, body := j.endpoint, m.Body()
	if j.altered != nil {
		body = j.altered.Body
	}
	r := &s.request
	r.Into = &s.response
	r.Method, r.Target, r.Body, r.Timeout, r.SkipTLSVerify = "", ep.Target, body, ep.AttemptTimeout(), ep.SkipTLSVerify
	r.Header = ep.AppendContent(r.Header[:0], m, e.opt.HeaderPrefixes)
	if j.altered != nil {
		redress(r, j.altered)
	}
	r.Header, s.text = ep.AppendSigned(r.Header, m.ID, body, e.opt.HeaderPrefixes, at, s.text)
	if j.altered != nil {
		r.Header = appendOwn(r.Header, ep.Fields, j.altered)
	} else {
		r.Header = append(r.Header, ep.Fields...)
	}
	return e.opt.Client.Post(ctx, r)
}

// note writes down what came back.
func note(a *hark.Attempt, x *exchange, res *outbound.Response, err error) {
	if err != nil {
		a.Error = err.Error()
		if failure, ok := errors.AsType[*outbound.Error](err); ok {
			x.TimedOut = failure.Kind == outbound.Timeout
			x.Blocked = failure.Kind == outbound.Blocked
			a.Phases = failure.Phases
		}
	}
	if res == nil {
		return
	}
	a.StatusCode, x.Status = res.Status, res.Status
	a.Response, res.Body = res.Body, nil      // ours now: the response is used again
	if res.Status < 200 || res.Status > 299 { // nobody asks about a success's, and there are many
		a.ResponseHeader = hark.KeepHeader(res.Fields())
	}
	a.Phases = res.Phases
	x.RetryAfter = res.Header("Retry-After")
}

// canceled says that the attempt was cut off because Hark is stopping.
func canceled(ctx context.Context, err error) bool { return err != nil && ctx.Err() != nil }

// settle turns the verdict into what the store is asked to do.
func (j *job) settle(a *hark.Attempt, now time.Time) {
	a.Status = j.verdict.Status
	j.settlement = store.Settlement{
		Delivery: *j.delivery,
		Epoch:    j.epoch,
		Attempt:  a,
		OwnURL:   j.altered != nil && j.altered.Target != nil,
		// Only a resend can overtake other rows of its message: retries are the one row there is.
		Succeeded: a.Status == hark.Succeeded && a.Trigger == hark.Manual,
	}
	j.settlement.Delivery.Message = nil
	if j.verdict.Retry {
		at := now.Add(j.verdict.Wait)
		a.NextAttempt = time.UnixMilli(at.UnixMilli()).UTC()
		j.settlement.Retry = retryRow(j.delivery, j.endpoint.Ordering != hark.Unordered, at.UnixMilli())
	}
}

// log writes one wide line per attempt: at debug level, but for those that end a delivery badly.
func (e *Engine) log(ctx context.Context, a *hark.Attempt, j *job) {
	level := slog.LevelDebug
	if a.Status == hark.Failed && a.NextAttempt.IsZero() {
		level = slog.LevelWarn
	}
	if !e.opt.Log.Enabled(ctx, level) {
		return
	}
	e.opt.Log.LogAttrs(ctx, level, "attempt",
		slog.String("message", string(a.MessageID)), slog.String("endpoint", string(a.EndpointID)),
		slog.Int("n", a.Number), slog.Int("status", a.StatusCode), slog.String("outcome", a.Status.String()),
		slog.Duration("took", a.Duration), slog.String("err", a.Error))
}
