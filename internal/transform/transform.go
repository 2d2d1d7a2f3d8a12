// Package transform runs a user's JavaScript over a message on its way: Svix's function
// handler(webhook) { … return webhook } and Hookdeck's addHandler("transform", (request, context) => { …
// return request }), either of which may be async.
//
// The promise: whatever a script does, it harms nothing but its own run. Scripts run in worker processes, which
// are this program started again; Work makes it one. A run ends within its time, also in the middle of a
// regular expression or of a loop inside the engine; it has the memory that it was given and no more; a
// fault of the engine ends its worker and nothing else. No run sees anything of another: each has an engine
// of its own. A payload that the script leaves as it was keeps its bytes,
// and a number that it leaves as it was keeps its digits, however many. Why this engine: see DESIGN.md.
//
// It refuses a script that does not compile, and a result that is no message: Error says which, and where.
// It does not judge addresses, reserved headers or event types; who sends the message does. A script has
// no files, no network, no timers and no modules.
package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// MaxSource is how long a script may be.
const MaxSource = 1 << 20

// Dialect is how a script names its handler.
type Dialect string

// The dialects.
const (
	Svix     Dialect = "svix"     // function handler(webhook)
	Hookdeck Dialect = "hookdeck" // addHandler("transform", (request, context) => …)
)

// Script is a compiled script. It is immutable and safe for concurrent use.
type Script struct {
	engine  *Engine
	dialect Dialect
	hash    string
	code    []byte
}

// Dialect says how the script names its handler.
func (s *Script) Dialect() Dialect { return s.dialect }

// Hash is the SHA-256 of the source, in hex: the same source has the same hash everywhere.
func (s *Script) Hash() string { return s.hash }

// Message is what a script sees and may change. Svix's dialect shows EventType, Method, URL, Headers and
// Payload; Hookdeck's shows Headers, Payload (as body), Path and Query.
type Message struct {
	EventType string
	Method    string // POST when empty
	URL       string
	Headers   map[string]string
	Payload   []byte // JSON, or any text
	Path      string
	Query     string // without the question mark
}

// Input is what a script is called with.
type Input struct {
	Message
	// Env are the variables that belong to the script: context.env, process.env, webhook.variables.
	Env map[string]string
	// Connection is what Hookdeck's dialect shows as context.connection. nil: an empty object.
	Connection json.RawMessage
}

// Output is what became of a message. After an error only Log, LogCut and CPU mean anything.
type Output struct {
	Message         // as it is to be sent
	Changed Changes // in which fields it differs from the input
	// Canceled says that the script does not want the message sent. The message is the input's then.
	Canceled bool
	Log      []Line // what the script wrote to its console
	LogCut   bool   // it wrote more than that
	// CPU is what the run took of a processor's time; the clock's where the system does not tell, and where the
	// worker had to be killed.
	CPU time.Duration
}

// Changes says which fields of a message a script changed.
type Changes struct {
	EventType, Method, URL, Headers, Payload, Path, Query bool
}

// Line is something that a script wrote to its console.
type Line struct {
	Level string // debug, info, warn or error
	Text  string
}

// Limits bound a run. Zero values mean the defaults.
type Limits struct {
	Time   time.Duration // 1 s, waiting for a turn not counted
	Memory int64         // in bytes: 64 MiB; the engine's own limit caps it
	Result int           // bytes of the payload that comes out: 4 MiB
	Log    int           // bytes of console output: 16 KiB; negative: none
}

func (l Limits) withDefaults(memory int64) Limits {
	if l.Time <= 0 {
		l.Time = time.Second
	}
	if l.Memory <= 0 || l.Memory > memory {
		l.Memory = memory
	}
	if l.Result <= 0 {
		l.Result = 4 << 20
	}
	if l.Log == 0 {
		l.Log = 16 << 10
	}
	return l
}

// Compile checks a script and makes it ready to run. It also lets it start, under the default limits and
// with the variables that its runs will have: what throws before the handler is called is found here. An
// *Error says what is wrong with it.
func (e *Engine) Compile(ctx context.Context, source string, env map[string]string) (*Script, error) {
	if len(source) > MaxSource {
		return nil, errorf(Invalid, "The script is %d bytes long; at most %d are allowed.", len(source), MaxSource)
	}
	hash := sha256.Sum256([]byte(source))
	s := &Script{engine: e, hash: hex.EncodeToString(hash[:])}
	limits := Limits{}.withDefaults(e.options.Memory)

	compiled := &call{limits: limits}
	if err := e.do(ctx, compiled, request{Op: "compile", code: []byte(source)}); err != nil {
		if broken, ok := errors.AsType[*Error](err); ok && broken.Kind == Threw {
			return nil, syntaxError(broken)
		}
		return nil, err
	}
	s.code = compiled.code

	input, err := json.Marshal(inputOf(Input{Env: env}))
	if err != nil {
		return nil, err
	}
	started := &call{limits: limits}
	if err := e.do(ctx, started, request{Op: "probe", Input: input, code: s.code}); err != nil {
		return nil, err
	}
	s.dialect = Dialect(started.result)
	if s.dialect != Svix && s.dialect != Hookdeck {
		return nil, errorf(Invalid, "The script has no handler. Write function handler(webhook) { … return webhook }.")
	}
	return s, nil
}

// Run calls the script's handler with a message. An *Error says what went wrong with the script, and a
// person can act on it; any other error is the context's or the machine's. Output.Log is there in both cases.
func (s *Script) Run(ctx context.Context, in Input, limits Limits) (Output, error) {
	if in.Method == "" {
		in.Method = "POST"
	}
	input, err := json.Marshal(inputOf(in))
	if err != nil {
		return Output{}, err
	}
	c := &call{limits: limits.withDefaults(s.engine.options.Memory)}
	err = s.engine.do(ctx, c, request{Op: "run", Input: input, code: s.code, payload: in.Payload})
	out := Output{Log: c.log, LogCut: c.logCut, CPU: c.cpu}
	if err != nil {
		return out, err
	}
	if err := out.read(in.Message, c); err != nil {
		return Output{Log: c.log, LogCut: c.logCut, CPU: c.cpu}, err
	}
	return out, nil
}

// wireInput is what prelude.js is given, but for the payload.
type wireInput struct {
	EventType   string            `json:"eventType"`
	Method      string            `json:"method"`
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Path        string            `json:"path"`
	Query       string            `json:"query"`
	ParsedQuery map[string]any    `json:"parsed_query"`
	Env         map[string]string `json:"env"`
	Connection  json.RawMessage   `json:"connection"`
}

func inputOf(in Input) wireInput {
	w := wireInput{
		EventType: in.EventType, Method: in.Method, URL: in.URL, Headers: in.Headers, Path: in.Path,
		Query: in.Query, ParsedQuery: parseQuery(in.Query), Env: in.Env, Connection: in.Connection,
	}
	if w.Headers == nil {
		w.Headers = map[string]string{}
	}
	if w.Env == nil {
		w.Env = map[string]string{}
	}
	if w.Connection == nil {
		w.Connection = json.RawMessage("{}")
	}
	return w
}

// call is one use of the engine: what bounds it, and what comes out of it.
type call struct {
	limits Limits

	result  []byte
	payload []byte
	written bool // payload is what came out, and not as it went in
	code    []byte
	log     []Line
	logged  int
	logCut  bool
	cpu     time.Duration
}

// print is a line for the console.
func (c *call) print(level int, text []byte) {
	const most, line = 200, 16 // lines; what a line counts beside its text
	left := c.limits.Log - c.logged - line
	if left < 0 || len(c.log) == most {
		c.logCut = true
		return
	}
	if len(text) > left {
		text, c.logCut = text[:left], true
	}
	levels := [...]string{"debug", "info", "warn", "error"}
	c.log = append(c.log, Line{Level: levels[min(max(level, 0), 3)], Text: strings.ToValidUTF8(string(text), "\uFFFD")})
	c.logged += len(text) + line
}
