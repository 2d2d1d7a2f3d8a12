// Package alter applies endpoints' transformations: it shows a message to the script, and makes of what comes
// out the request that is to be sent.
//
// The promises: a payload that the script left alone keeps its bytes. A script is compiled once for as long as
// it and its variables stay the same. Applications take turns, and so do the endpoints of one; scripts that
// take long, or of which nothing is known, never have more than half of the places, one for each
// application: so endless loops, however many, delay nobody else's scripts (turns.go). What changed payloads
// hold in memory is bounded, for all and for each application.
//
// It refuses headers that frame, sign or mark a request, and addresses that are none. It does not judge
// addresses: the sender's policy does, as for every address. Package transform keeps scripts from doing harm.
package alter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/transform"
)

// Options of a Runner. Zero values mean the defaults.
type Options struct {
	Parallel int           // scripts that run at the same time: two for each processor, and 4 at least
	Time     time.Duration // of one run: 1 s
	Memory   int64         // of one run, in bytes: 64 MiB
	Result   int           // bytes of a payload that comes out: 2 MiB
	Patience time.Duration // how long a run waits for its turn: 10 s
	Held     int64         // bytes of changed payloads on their way, about: 32 MiB; a quarter for one application
	// HeaderPrefixes name the signature headers, which scripts cannot set. Nil means those of Standard
	// Webhooks and Svix.
	HeaderPrefixes []string
}

func (o Options) withDefaults() Options {
	if o.Parallel <= 0 {
		o.Parallel = max(4, 2*runtime.GOMAXPROCS(0)) // one application has half of them
	}
	if o.Time <= 0 {
		o.Time = time.Second
	}
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	if o.Result <= 0 {
		o.Result = 2 << 20
	}
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	if o.Held <= 0 {
		o.Held = 32 << 20
	}
	if o.HeaderPrefixes == nil {
		o.HeaderPrefixes = []string{"webhook-", "svix-"}
	}
	return o
}

// Runner runs transformations. It is safe for concurrent use.
type Runner struct {
	options Options
	engine  *transform.Engine
	turns   turns
	scripts scripts
	held    held
}

// New makes a Runner. The program must call transform.Work first thing in main. No process is started until
// the first script.
func New(options Options) *Runner {
	options = options.withDefaults()
	r := &Runner{options: options, engine: transform.New(transform.Options{Parallel: options.Parallel, Memory: options.Memory})}
	r.turns.init(options.Parallel)
	r.scripts.known = map[[32]byte]*compiled{}
	r.held.most, r.held.byApp = options.Held, map[hark.Ref]int64{}
	return r
}

// Close waits until no script runs, and ends the processes. It may be called once.
func (r *Runner) Close(ctx context.Context) error { return r.engine.Close(ctx) }

// Job is a message to alter.
type Job struct {
	Application, Endpoint hark.Ref // who takes turns
	Key                   [32]byte // of the transformation (hark.Transformation.Key)
	Transformation        *hark.Transformation
	EventType             string
	URL                   string // the endpoint's
	Body                  []byte
	Head                  *hark.Head // of an inbound message; nil for others
	Log                   int        // bytes of console output that are kept: 4 KiB
}

// Altered is a message as its endpoint is to get it.
type Altered struct {
	Body     []byte
	Method   string           // "": as always
	URL      string           // where it goes; "": as always
	Target   *outbound.Target // the same
	Set      []outbound.Field // headers in place of those with the same name, in the order of their names
	Gone     []string         // names of headers that are not sent, in lower case
	Place    *string          // what path and query are said to be; nil: what they were
	Changed  transform.Changes
	Canceled bool // it is not to be sent

	// Of the run, whether or not it went well:
	Took   time.Duration
	Log    []hark.LogLine
	LogCut bool

	release func()
}

// Release says that the message is no longer on its way. It may be called on what came with an error.
func (a *Altered) Release() {
	if a.release != nil {
		a.release()
		a.release = nil
	}
}

// Failure says why a transformation failed. Its text is for the person who wrote it.
type Failure struct {
	Kind         transform.Kind
	Detail       string
	Line, Column int // in the script, from 1; 0 when not known
	Stack        []string
}

func (f *Failure) Error() string {
	if f.Line == 0 || strings.Contains(f.Detail, "(line ") {
		return f.Detail
	}
	return fmt.Sprintf("%s (line %d, column %d)", f.Detail, f.Line, f.Column)
}

// Exhausted says that it wanted more time or memory than there is for it.
func (f *Failure) Exhausted() bool {
	return f.Kind == transform.Timeout || f.Kind == transform.OutOfMemory || f.Kind == transform.Crashed
}

// ErrBusy says that no turn came, or that too much is on its way: try again later.
var ErrBusy = errors.New("too many transformations wait for their turn")

func failed(err error) error {
	e, ok := errors.AsType[*transform.Error](err)
	if !ok {
		return err
	}
	return &Failure{Kind: e.Kind, Detail: e.Message, Line: e.Line, Column: e.Column, Stack: e.Stack}
}

func refused(format string, args ...any) error {
	return &Failure{Kind: transform.BadResult, Detail: fmt.Sprintf(format, args...)}
}

// Check says whether a transformation's code compiles and starts: an error that is a *Failure is its own. app
// is whose turn it is.
func (r *Runner) Check(ctx context.Context, app hark.Ref, t *hark.Transformation) error {
	turn, err := r.turns.take(ctx, app, dry, t.Key(), r.options.Patience)
	if err != nil {
		return err
	}
	start := time.Now()
	_, err = r.scripts.find(ctx, r.engine, t.Key(), t)
	turn.done(time.Since(start))
	return failed(err)
}

// dry is the endpoint of what is not delivered.
const dry hark.Ref = -1

// Trial is a message that was altered and will not be sent.
type Trial struct {
	Altered
	Shown map[string]string // the headers that the script was shown
}

// Headers are those that would be sent, but for the signature's and the endpoint's own.
func (t *Trial) Headers() map[string]string {
	headers := maps.Clone(t.Shown)
	for _, name := range t.Gone {
		delete(headers, name)
	}
	for _, f := range t.Set {
		maps.DeleteFunc(headers, func(name, _ string) bool { return strings.EqualFold(name, f.Name) })
		headers[f.Name] = f.Value
	}
	return headers
}

// Try is Apply for a message that will not be sent: it takes a turn of its own beside its endpoint's.
func (r *Runner) Try(ctx context.Context, job Job) (t Trial, err error) {
	job.Endpoint = dry
	t.Shown = r.input(&job).Headers
	t.Altered, err = r.Apply(ctx, job)
	t.Release()
	return t, err
}

// Apply runs the transformation on a message. A *Failure is the script's; ErrBusy, and every other error, says
// nothing about it. Release what it answers when it was sent.
func (r *Runner) Apply(ctx context.Context, job Job) (a Altered, err error) {
	if !r.held.hasRoom(job.Application) {
		return a, ErrBusy
	}
	turn, err := r.turns.take(ctx, job.Application, job.Endpoint, job.Key, r.options.Patience)
	if err != nil {
		return a, err
	}
	in := r.input(&job)
	out, took, err := r.run(ctx, &job, in)
	turn.done(out.CPU)
	a.Took, a.LogCut = took, out.LogCut
	for _, line := range out.Log {
		a.Log = append(a.Log, hark.LogLine(line))
	}
	if err != nil {
		return a, failed(err)
	}
	if a.Canceled = out.Canceled; a.Canceled {
		return a, nil
	}
	if err := r.read(&a, &job, &in, &out); err != nil {
		return a, err
	}
	if a.Changed.Payload {
		a.release = r.held.add(job.Application, int64(len(a.Body)))
	}
	return a, nil
}

// run compiles the script if it must, and runs it. took is the run's time alone.
func (r *Runner) run(ctx context.Context, job *Job, in transform.Input) (out transform.Output, took time.Duration, err error) {
	script, err := r.scripts.find(ctx, r.engine, job.Key, job.Transformation)
	if err != nil {
		return out, 0, err
	}
	limits := transform.Limits{Time: r.options.Time, Memory: r.options.Memory, Result: r.options.Result, Log: job.Log}
	if limits.Log == 0 {
		limits.Log = 4 << 10
	}
	start := time.Now()
	out, err = script.Run(ctx, in, limits)
	return out, time.Since(start), err
}

// input is what the script is shown. The names of headers are in lower case.
func (r *Runner) input(job *Job) transform.Input {
	in := transform.Input{Env: job.Transformation.Variables, Message: transform.Message{
		EventType: job.EventType, URL: job.URL, Payload: job.Body, Headers: map[string]string{},
	}}
	if job.Head == nil {
		in.Headers["content-type"] = "application/json"
		return in
	}
	in.Path, in.Query = job.Head.Path, job.Head.Query
	for name, values := range job.Head.Shown() {
		in.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return in
}

// read makes the request of what came out.
func (r *Runner) read(a *Altered, job *Job, in *transform.Input, out *transform.Output) error {
	a.Body, a.Changed = out.Payload, out.Changed
	if out.Changed.Method {
		a.Method = out.Method
	}
	if out.Changed.URL {
		target, err := outbound.ParseTarget(out.URL)
		if err != nil {
			return refused("The script set a url that nothing can be sent to: %v.", err)
		}
		a.URL, a.Target = out.URL, target
	}
	if out.Changed.Path || out.Changed.Query {
		place := out.Path
		if out.Query != "" {
			place += "?" + out.Query
		}
		a.Place = &place
	}
	if !out.Changed.Headers {
		return nil
	}
	for name := range in.Headers {
		if _, there := out.Headers[name]; !there {
			a.Gone = append(a.Gone, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out.Headers)) {
		value := out.Headers[name]
		if before, there := in.Headers[name]; there && before == value {
			continue
		}
		if problem := r.problem(name, value); problem != "" {
			return refused("The script set the header %s: %s.", name, problem)
		}
		a.Set = append(a.Set, outbound.Field{Name: name, Value: value})
	}
	return nil
}

// problem says why a script may not set a header, or "".
func (r *Runner) problem(name, value string) string {
	lower := strings.ToLower(name)
	if lower == "content-type" { // who changes the body knows what it is
		return ""
	}
	if strings.HasPrefix(lower, "hark-") || slices.ContainsFunc(r.options.HeaderPrefixes, func(prefix string) bool {
		return strings.HasPrefix(lower, strings.ToLower(prefix))
	}) {
		return "this header cannot be set"
	}
	return outbound.FieldProblem(name, value)
}

// held counts what changed payloads hold.
type held struct {
	mu    sync.Mutex
	most  int64
	all   int64
	byApp map[hark.Ref]int64
}

func (h *held) hasRoom(app hark.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all < h.most && h.byApp[app] < max(h.most/4, 1)
}

func (h *held) add(app hark.Ref, bytes int64) (release func()) {
	change := func(by int64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all += by
		if h.byApp[app] += by; h.byApp[app] == 0 {
			delete(h.byApp, app)
		}
	}
	change(bytes)
	return func() { change(-bytes) }
}
