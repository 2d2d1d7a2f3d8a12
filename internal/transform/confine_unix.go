//go:build unix && !linux

package transform

import (
	"os/exec"
	"syscall"
)

// separate keeps a worker out of the terminal's group: an interrupt is the host's affair.
func separate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// confine takes from a worker what it will not need. The memory has only the engine's own limit here.
func confine(int64) {
	for _, resource := range []int{syscall.RLIMIT_CORE, syscall.RLIMIT_FSIZE} {
		_ = syscall.Setrlimit(resource, &syscall.Rlimit{})
	}
}
