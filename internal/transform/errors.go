package transform

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Error says what is wrong with a script, or went wrong in it. Message is a sentence for the person who
// wrote the script.
type Error struct {
	Kind    Kind
	Message string
	// Stack says where, innermost first: "handler (script:3:9)". Only when Kind is Threw.
	Stack []string
	// Line and Column say where, from 1, when it is known: always for a mistake in the syntax.
	Line, Column int
}

func (e *Error) Error() string { return e.Message }

// Kind names what went wrong.
type Kind string

// The kinds of errors.
const (
	Invalid     Kind = "invalid"       // the script does not compile, or has no handler
	Timeout     Kind = "timeout"       // it took too long
	OutOfMemory Kind = "out_of_memory" // it wanted too much memory
	Threw       Kind = "threw"         // it threw something
	BadResult   Kind = "bad_result"    // what it returned cannot be sent
	Crashed     Kind = "crashed"       // it found a fault in the engine
)

func errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// errTime is the cause when a run's own time is up.
var errTime = errors.New("the script's time is up")

// errorOf is what an answer of a worker means; nil when it means that all went well.
func errorOf(a answer, c *call) error {
	switch {
	case a.Kind == "":
		return nil
	case a.Kind == Timeout:
		return timeout(c.limits.Time)
	case a.Kind == OutOfMemory:
		return errorf(OutOfMemory, "The script wanted more than %s of memory.", size(c.limits.Memory))
	case a.TooBig > 0:
		return errorf(BadResult, "The payload is %s long; at most %s are allowed.", size(int64(a.TooBig)), size(int64(c.limits.Result)))
	case a.Kind == BadResult:
		return &Error{Kind: BadResult, Message: a.Message}
	}
	return thrown(a)
}

func timeout(after time.Duration) *Error {
	return errorf(Timeout, "The script was stopped because it took longer than %v.", after)
}

// thrown is what a script threw.
func thrown(a answer) *Error {
	e := &Error{Kind: Threw, Message: "The script threw " + a.Message, Stack: stack(a.Stack)}
	switch a.Message {
	case "":
		e.Message = "The script threw something that cannot be shown."
	case "null": // what the engine throws when it has no memory for an error
		e.Message = "The script threw null, or had no memory left for an error."
	}
	if len(e.Stack) > 0 {
		e.Line, e.Column = place(e.Stack[0])
	}
	return e
}

// stack is the first frames that are in the script.
func stack(text string) (frames []string) {
	const most, long = 8, 200
	for line := range strings.Lines(text) {
		frame := strings.TrimPrefix(strings.TrimSpace(line), "at ")
		frame = strings.ReplaceAll(frame, "<eval>", "script")
		if line, _ := place(frame); line == 0 || line > preludeLine {
			continue // inside the engine, or in the prelude
		}
		if len(frame) > long {
			frame = frame[:long] + "…"
		}
		if frames = append(frames, strings.ToValidUTF8(frame, "")); len(frames) == most {
			break
		}
	}
	return frames
}

var scriptPlace = regexp.MustCompile(`script:(\d+):(\d+)`)

// place is the line and the column in a frame.
func place(frame string) (line, column int) {
	found := scriptPlace.FindStringSubmatch(frame)
	if found == nil {
		return 0, 0
	}
	line, _ = strconv.Atoi(found[1]) // digits; a number that is too large is no place
	column, _ = strconv.Atoi(found[2])
	return line, column
}

// syntaxError turns what the engine threw while it compiled into the sentence about it.
func syntaxError(e *Error) *Error {
	message := strings.TrimPrefix(e.Message, "The script threw ")
	message = strings.TrimPrefix(message, "SyntaxError: ")
	if e.Line > 0 {
		message += fmt.Sprintf(" (line %d, column %d)", e.Line, e.Column)
	}
	return &Error{Kind: Invalid, Message: "The script does not compile: " + message + ".", Line: e.Line, Column: e.Column}
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
