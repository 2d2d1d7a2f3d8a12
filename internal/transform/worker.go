package transform

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"modernc.org/quickjs"
)

//go:embed prelude.js
var prelude string

// preludeLine is the line in which the prelude begins, as far as the engine knows. No script is that long, so
// a place in a stack says whose it is.
const preludeLine = MaxSource + 1

// Work turns the process into a worker if an Engine started it as one, and then does not return. It must be
// the first thing that main does (TestMain, in tests), since a worker has no use for anything else.
func Work() {
	if len(os.Args) != 3 || os.Args[1] != workerArg {
		return
	}
	memory, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		os.Exit(2)
	}
	confine(memory)
	os.Exit(work(bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)))
}

// work answers requests, one after the other, until the host is gone: then it ends in the middle of a
// script, if need be.
func work(in *bufio.Reader, out *bufio.Writer) (code int) {
	w := &worker{out: out}
	if err := w.warm(); err != nil {
		return 1
	}
	requests := make(chan request)
	go func() {
		for {
			var r request
			if err := r.receive(in); err != nil {
				os.Exit(0)
			}
			requests <- r
		}
	}()
	w.frame(frameReady, nil)
	for r := range requests {
		before, counts := processorTime()
		a := w.answer(r)
		a.CPU = -1
		if after, ok := processorTime(); ok && counts {
			a.CPU = after - before
		}
		text, err := json.Marshal(a)
		if err != nil {
			return 1
		}
		w.frame(frameEnd, text)
	}
	return 0
}

// worker is what is inside of a worker process.
type worker struct {
	out     *bufio.Writer
	prelude []byte // as bytecode

	// Of the call that is being done:
	limits request
	start  time.Time
	log    call // counts what the console has had
	tooBig int
}

// warm compiles the prelude, and so finds out whether the engine works.
func (w *worker) warm() error {
	vm, err := quickjs.NewVM()
	if err != nil {
		return err
	}
	w.prelude, err = vm.Compile(strings.Repeat("\n", preludeLine)+prelude, quickjs.EvalGlobal)
	return errors.Join(err, vm.Close())
}

// frame sends one at once: the host must have it even if the worker is killed next.
func (w *worker) frame(kind byte, text []byte) {
	if errors.Join(writeFrame(w.out, kind, text), w.out.Flush()) != nil {
		os.Exit(0) // the host is gone
	}
}

// answer does one call, with an engine that nobody has used before and nobody will use after.
func (w *worker) answer(r request) answer {
	w.limits, w.start, w.tooBig = r, time.Now(), 0
	w.log = call{limits: Limits{Log: r.Log}}
	vm, err := quickjs.NewVM()
	if err != nil {
		os.Exit(1) // the host starts another worker, and asks that one
	}
	defer vm.Close() // what it says does not matter: nothing of this engine is used again
	vm.SetMemoryLimit(uintptr(r.Memory))
	if r.Op == "compile" {
		code, err := vm.Compile(string(r.code), quickjs.EvalGlobal)
		if err != nil {
			return w.failed(err)
		}
		w.frame(frameCode, code)
		return answer{}
	}
	if err := w.run(vm, r); err != nil {
		return w.failed(err)
	}
	if w.tooBig > 0 {
		return answer{Kind: BadResult, TooBig: w.tooBig}
	}
	return answer{}
}

// run evaluates the script and calls its handler; for a probe it only looks which handler there is.
func (w *worker) run(vm *quickjs.VM, r request) error {
	hark, err := w.open(vm)
	if err != nil {
		return err
	}
	defer hark.object.Free() // an engine with values outside of it does not go away
	if _, err := hark.call("prepare", string(r.Input)); err != nil {
		return err
	}
	if err := hark.left(); err != nil {
		return err
	}
	if _, err := vm.EvalBytecode(r.code); err != nil {
		return err
	}
	if r.Op == "probe" {
		return w.result(hark.call("dialect"))
	}
	waits, err := hark.call("begin", string(r.payload))
	for err == nil && waits == true {
		var done int
		if err = hark.left(); err != nil {
			break
		}
		// What a job threw is its promise's affair. If time is up, the next call says so.
		if done, _ = vm.ExecutePendingJobs(); done == 0 {
			break
		}
		waits, err = hark.call("waits")
	}
	if err != nil {
		return err
	}
	return w.result(hark.call("finish"))
}

// result sends what a call said, if it was text.
func (w *worker) result(value any, err error) error {
	text, ok := value.(string)
	if err != nil || !ok {
		return err
	}
	const most = 1 << 20 // more than that is no message
	if len(text) < most {
		w.frame(frameResult, []byte(text))
	}
	return nil
}

// doors are the prelude's functions, as Go sees them.
type doors struct {
	w      *worker
	vm     *quickjs.VM
	object quickjs.Value
}

// open runs the prelude.
func (w *worker) open(vm *quickjs.VM) (*doors, error) {
	emit := func(args []any) (any, error) {
		if text, ok := args[0].(string); ok && len(text) <= w.limits.Result {
			w.frame(framePayload, []byte(text))
		} else {
			w.tooBig = len(text)
		}
		return nil, nil
	}
	log := func(args []any) (any, error) {
		level, _ := args[0].(int)
		text, _ := args[1].(string)
		if !w.log.logCut { // the host counts too; this spares it the rest
			w.log.print(level, []byte(text))
			w.frame(frameLog+byte(min(max(level, 0), 3)), []byte(text[:min(len(text), max(w.limits.Log, 0)+1)]))
		}
		return nil, nil
	}
	if err := errors.Join(vm.RegisterHostFunc("hark_emit", emit), vm.RegisterHostFunc("hark_log", log)); err != nil {
		return nil, err
	}
	object, err := vm.EvalBytecodeValue(w.prelude)
	return &doors{w: w, vm: vm, object: object}, err
}

// errLate stands for a call that was not made because time was up.
var errLate = errors.New("time is up")

// left gives the engine the time that is left.
func (d *doors) left() error {
	left := d.w.limits.Time - time.Since(d.w.start)
	if left <= 0 {
		return errLate
	}
	return d.vm.SetEvalTimeout(left)
}

// call calls one of the functions.
func (d *doors) call(name string, args ...any) (any, error) {
	if err := d.left(); err != nil {
		return nil, err
	}
	atom, err := d.vm.NewAtom(name)
	if err != nil {
		return nil, err
	}
	f, err := d.object.GetPropertyValue(atom)
	if err != nil {
		return nil, err
	}
	defer f.Free()
	return f.Call(quickjs.UndefinedValue, args...)
}

// failed says what an error of the engine means.
func (w *worker) failed(err error) answer {
	thrown, ok := errors.AsType[*quickjs.Error](err)
	switch {
	case time.Since(w.start) >= w.limits.Time || errors.Is(err, errLate):
		return answer{Kind: Timeout}
	case !ok || strings.HasPrefix(thrown.Error(), "InternalError: out of memory"):
		return answer{Kind: OutOfMemory}
	case thrown.Name == "HarkBad":
		return answer{Kind: BadResult, Message: cut(thrown.Message, 1000)}
	}
	return answer{Kind: Threw, Message: cut(thrown.Error(), 1000), Stack: cut(thrown.Stack, 8000)}
}

// cut is the beginning of a text.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
