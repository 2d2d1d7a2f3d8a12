package transform

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// separate keeps a worker out of the terminal's group: an interrupt is the host's affair.
func separate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// confine takes from a worker what it will not need. Its scripts cannot reach any of this; a script that
// breaks the engine finds little. What cannot be limited stays as it is.
func confine(memory int64) {
	time.AfterFunc(time.Hour, func() {}).Stop() // Go opens a file for its first timer, which later it could not
	if has, ok := dataNow(); ok {
		// An array that grows is there twice while it is moved.
		limit(syscall.RLIMIT_DATA, has+uint64(2*memory)+ownMemory)
	}
	limit(syscall.RLIMIT_CORE, 0)
	limit(syscall.RLIMIT_FSIZE, 0)
	limit(syscall.RLIMIT_NOFILE, 0) // what is open stays open; nothing more can be, no file and no socket
	const nice = 5                  // delivering goes before transforming
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
}

func limit(resource int, most uint64) {
	_ = syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most})
}

// dataNow is how much the process has already of what RLIMIT_DATA counts.
func dataNow() (uint64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(status), "VmData:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, false
	}
	kib, err := strconv.ParseUint(fields[0], 10, 64)
	return kib << 10, err == nil
}
