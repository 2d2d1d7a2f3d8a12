package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Child is a process that dies with this one.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // of the process; valid when done is closed
}

// StartChild starts a process.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = childAttr()
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread ends that started it: so keep it for that long.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return c, nil
}

// PID is the process's id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Signal sends it a signal.
func (c *Child) Signal(s os.Signal) error { return c.cmd.Process.Signal(s) }

// Kill ends it with SIGKILL and waits until it is gone. It may be called twice.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill() // an error means that it has ended already
	<-c.done
}

// Stop asks it to end with SIGTERM and reports how it went; after limit it is killed.
func (c *Child) Stop(limit time.Duration) error {
	if err := c.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-time.After(limit):
		c.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", filepath.Base(c.cmd.Path), limit)
	}
}

// Environ is this process's environment without settings that would change the server under test.
func Environ() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "HARK_") && !strings.HasPrefix(kv, "OTEL_") {
			out = append(out, kv)
		}
	}
	return out
}
