// Package scenario reads and runs lists of steps: events like those of providers, and calls to an API in
// between, each of which can use what the ones before it have answered.
//
// It promises that a file that it has read has only known fields, known events' places and references to
// earlier steps; that a mistake is said with file, line and step; and that a step that does not become
// what it expects ends the run. It refuses files that could not have been meant: anchors, steps without
// end, values that grow without bound. A scenario is a program of whoever wrote it: it sends what it says
// to where it says, and can read the environment.
//
// How events are made, signed and sent is the caller's business (Runner.Send).
package scenario

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Limits of a file.
const (
	maxFileBytes  = 1 << 20
	maxSteps      = 1000
	maxDepth      = 64      // of values in values
	maxValueBytes = 4 << 20 // of what a step sends, after its references are filled in
	maxSpan       = 10 * time.Minute
	// MaxAnswerBytes bounds what is read of an answer.
	MaxAnswerBytes = 4 << 20
)

// Scenario is a file that was read.
type Scenario struct {
	File                      string
	API                       string            // what the paths of requests are relative to
	To, Source, App, Provider string            // for events whose step does not say
	Secret                    string            // likewise
	Env                       map[string]string // for variables that are not set
	Stripe                    bool              // the file is in the format of the Stripe CLI
	Steps                     []Step
}

// Step is one event or one request.
type Step struct {
	Number, Line int
	Name         string
	Wait         time.Duration // before it
	Event        *Event
	Request      *Request
	Expect       Expect
	Retry        Retry
}

// Event is an event to send.
type Event struct {
	Type, Provider  string
	To, Source, App string
	Secret          string // what it is signed with
	Header          http.Header
	Override, Add   []Change
	Remove          []string
}

// Change puts a value at a path.
type Change struct {
	Path  string
	Value any
}

// Request is a call to an API.
type Request struct {
	Method string
	Path   string // below the API; else URL is set
	URL    string
	Base   string // instead of the scenario's API
	Header http.Header
	Body   *any // JSON, or text as it is
	Form   *any // an object, as application/x-www-form-urlencoded
}

// Expect is what a step must come to. The zero value wants any 2xx.
type Expect struct {
	Status []Range
	Body   *any // all that is named here must be in the answer
}

// Range is a range of statuses.
type Range struct{ From, To int }

// Retry says how long, and how often, a request is sent again until it comes to what is expected.
type Retry struct{ For, Every time.Duration }

// Error is a mistake in a file, or what became of a step, with its place.
type Error struct {
	File   string
	Line   int
	Number int    // of the step; 0 when it is none's
	Name   string // of the step
	Err    error
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where += fmt.Sprintf(":%d", e.Line)
	}
	if e.Number > 0 {
		where += fmt.Sprintf(": step %d", e.Number)
		if e.Name != "" {
			where += " (" + e.Name + ")"
		}
	}
	return where + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Kinds of what a scenario can end with, beside what Send has said.
var (
	ErrFile        = errors.New("cannot be run")
	ErrUnexpected  = errors.New("unexpected answer")
	ErrReference   = errors.New("a reference leads to nothing")
	ErrUnreachable = errors.New("nobody answers")
)

// at puts the place of a step to an error.
func (s *Scenario) at(step *Step, err error) error {
	return &Error{File: s.File, Line: step.Line, Number: step.Number, Name: step.Name, Err: err}
}
