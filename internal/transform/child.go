package transform

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// child is a worker process as the host sees it. It is for one goroutine at a time. Whatever comes out of
// it is read with suspicion: a script that broke the engine could have written it.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	w      *bufio.Writer
	out    *bufio.Reader
	calls  int
	broken bool // killed, or not to be trusted any more
	once   sync.Once
}

// workerArg is the only argument of a worker; a second one says how much memory its scripts may have.
const workerArg = "transform-worker"

// startChild starts this program again as a worker, with no environment and no open files but the pipes.
func startChild(ctx context.Context, memory int64) (*child, error) {
	// What runs, even after the file was replaced: bytecode is only good for the engine that made it.
	program := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, workerArg, strconv.FormatInt(memory, 10))
	cmd.Env = []string{"TZ=UTC", "GOTRACEBACK=none"}
	cmd.Dir = "/"
	separate(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &child{cmd: cmd, in: in, w: bufio.NewWriter(in), out: bufio.NewReader(out)}
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	if kind, _, err := readFrame(w.out, 0); err != nil || kind != frameReady {
		w.end()
		return nil, errors.Join(errors.New("it did not say that it is ready"), err, context.Cause(ctx))
	}
	return w, nil
}

func (w *child) kill() { _ = w.cmd.Process.Kill() } // it may have ended by itself

// end ends the worker and waits until it is gone.
func (w *child) end() {
	w.once.Do(func() {
		w.kill()
		_ = w.in.Close()
		_ = w.cmd.Wait() // killed: that is no news
	})
}

// grace is how much longer than its time a script may take until its worker is killed. Most are stopped by
// the engine before; what is killed sits in a loop of the engine's own.
const grace = 200 * time.Millisecond

// do has the worker do one call. Afterwards the worker is good for another one, or broken.
func (w *child) do(ctx context.Context, c *call, r request) error {
	w.calls++
	start := time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, c.limits.Time+grace, errTime)
	defer cancel()
	stop := context.AfterFunc(limited, w.kill)
	a, err := w.exchange(c, r)
	if !stop() { // it is being killed, whatever it said
		w.broken = true
	}
	c.cpu = time.Since(start)
	if err == nil {
		if a.CPU >= 0 {
			c.cpu = min(a.CPU, c.cpu)
		}
		return errorOf(a, c)
	}
	w.broken = true
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return timeout(c.limits.Time)
	}
	return errorf(Crashed, "The script was stopped because it broke the JavaScript engine, or used up its memory.")
}

// exchange sends the request and reads what comes back, up to the answer.
func (w *child) exchange(c *call, r request) (answer, error) {
	if err := r.send(w.w); err != nil {
		return answer{}, err
	}
	most := max(c.limits.Result, 16<<20) // bytecode of a long script may be longer than any payload
	for {
		kind, text, err := readFrame(w.out, most)
		if err != nil {
			return answer{}, err
		}
		switch kind {
		case frameResult:
			c.result = text
		case framePayload:
			c.payload, c.written = text, true
		case frameCode:
			c.code = text
		case frameLog, frameLog + 1, frameLog + 2, frameLog + 3:
			c.print(int(kind-frameLog), text)
		case frameEnd:
			var a answer
			return a, json.Unmarshal(text, &a)
		default:
			return answer{}, errFrame
		}
	}
}
