package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// shell is where a command reads and writes.
type shell struct {
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	lookupEnv func(string) (string, bool)
	width     int  // of the terminal that stdout is; 0 when it is none
	colour    bool // stdout is a terminal whose owner has nothing against colour
	progress  bool // stderr is a terminal
	keyboard  bool // stdin is a terminal, and so is stdout
	model     *kong.Application
	asked     <-chan struct{} // closed when the command is asked to end; nil: it never is
}

// newShell looks at what the streams are.
func newShell(stdin io.Reader, stdout, stderr io.Writer) *shell {
	sh := &shell{stdin: stdin, stdout: stdout, stderr: stderr, lookupEnv: os.LookupEnv}
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		sh.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			sh.width = w
		}
		sh.colour = sh.env("NO_COLOR") == "" && sh.env("TERM") != "dumb"
		in, ok := stdin.(*os.File)
		sh.keyboard = ok && term.IsTerminal(int(in.Fd()))
	}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		sh.progress = sh.env("TERM") != "dumb"
	}
	return sh
}

func (sh *shell) env(name string) string {
	v, _ := sh.lookupEnv(name)
	return v
}

// input is stdin for those who read it to its end: an interrupt ends it, also on a terminal where nobody types.
func (sh *shell) input() io.Reader { return interruptible{sh.stdin, sh.asked} }

type interruptible struct {
	from  io.Reader
	asked <-chan struct{}
}

// Read reads, or says that it was interrupted.
func (in interruptible) Read(p []byte) (int, error) {
	type read struct {
		n   int
		err error
	}
	buf, done := make([]byte, len(p)), make(chan read, 1)
	go func() { // nothing can interrupt the reading itself, so after an interrupt this ends with the process
		n, err := in.from.Read(buf)
		done <- read{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, buf[:r.n]), r.err
	case <-in.asked:
		return 0, context.Canceled
	}
}

// say writes a line of the answer.
func (sh *shell) say(format string, args ...any) {
	fmt.Fprintf(sh.stdout, format+"\n", args...)
}

// note writes a line beside the answer.
func (sh *shell) note(format string, args ...any) {
	fmt.Fprintf(sh.stderr, format+"\n", args...)
}

// json writes a value as indented JSON. Raw JSON keeps its order and its numbers.
func (sh *shell) json(v any) error {
	enc := json.NewEncoder(sh.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// jsonLine writes a value as one line of JSON.
func (sh *shell) jsonLine(v any) {
	line, _ := json.Marshal(v) // what is written here is texts, numbers and JSON that was read: that always can be
	sh.say("%s", line)
}

// Colours of the sixteen that every terminal has.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
	bold   = "1"
)

// paint colours text where colour is wanted.
func (sh *shell) paint(colour, text string) string {
	if !sh.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// usageError is a command line that makes no sense.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef is a usage error of a command's own.
func usagef(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// hintError is a failure with a way on.
type hintError struct {
	err  error
	code int
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hintf is a failure with an exit code and a way on; an empty hint is left out.
func hintf(code int, hint, format string, args ...any) error {
	return &hintError{err: fmt.Errorf(format, args...), code: code, hint: hint}
}

// errSilent ends a command that has said why already.
var errSilent = errors.New("failed")

// fail tells the person and answers with the exit code.
func (sh *shell) fail(err error) int {
	code, hint := exitFailed, ""
	if e, ok := errors.AsType[*hintError](err); ok {
		code, hint = e.code, e.hint
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		code, hint = exitUsage, e.hint
	}
	if e, ok := errors.AsType[*apiError](err); ok && code == exitFailed {
		code = e.exitCode()
	}
	if errors.Is(err, errSilent) {
		return code
	}
	text := strings.TrimSpace(err.Error())
	if hint != "" {
		text += " (try: " + hint + ")"
	}
	sh.note("hark: %s", text)
	return code
}
