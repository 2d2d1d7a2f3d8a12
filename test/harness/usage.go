package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has cost so far, as /proc says.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // bytes now
	PeakRSS int64         // bytes at most, since the start
	Threads int
	FDs     int
}

// clockTick is the unit of CPU time in /proc/PID/stat; Linux fixes it at 100 per second for all
// architectures that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage reads what the server has cost so far.
func (s *Server) Usage() (Usage, error) { return UsageOf(s.PID()) }

// UsageOf reads what the process pid has cost so far.
func UsageOf(pid int) (Usage, error) {
	var u Usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The name in parentheses may contain spaces; fields are counted after it, from the third on.
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 12 {
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		u.CPU = time.Duration(user+system) * clockTick
	}
	status := fmt.Sprintf("/proc/%d/status", pid)
	u.RSS = kilobytes(firstField(status, "VmRSS", ""))
	u.PeakRSS = kilobytes(firstField(status, "VmHWM", ""))
	u.Threads, _ = strconv.Atoi(firstField(status, "Threads", ""))
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		u.FDs = len(fds)
	}
	return u, nil
}

// FamilyCPU is the processor time that a process and its children have used, with those that have ended.
func FamilyCPU(pid int) time.Duration {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	var ticks int64
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest)
		if len(f) < 15 {
			continue
		}
		own := e.Name() == strconv.Itoa(pid)
		if !own && f[1] != strconv.Itoa(pid) {
			continue
		}
		used := f[11:13]
		if own {
			used = f[11:15] // and what children used that are gone
		}
		for _, text := range used {
			n, _ := strconv.ParseInt(text, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	return n << 10
}

// BusyTime is the processor time that the whole machine has spent on anything so far, over all
// cores; 0 where /proc does not say.
func BusyTime() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var busy time.Duration
	for i, text := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal; guests are in user already
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseInt(text, 10, 64)
		busy += time.Duration(n) * clockTick
	}
	return busy
}
