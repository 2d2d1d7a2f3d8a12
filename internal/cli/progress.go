package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress is one rewritten line on a terminal for work that takes a while. Where nobody looks it
// writes nothing.
type progress struct {
	w     io.Writer // nil: silent
	label string
	last  time.Time
	wrote int
}

// newProgress starts a line.
func (sh *shell) newProgress(label string) *progress {
	p := &progress{label: label}
	if sh.progress {
		p.w = sh.stderr
	}
	return p
}

// progressGrain keeps a fast loop from spending its time on the terminal.
const progressGrain = 80 * time.Millisecond

// set shows how far it is: done of total, or only done when the total is not known.
func (p *progress) set(done, total int64, unit func(int64) string) {
	if p.w == nil || time.Since(p.last) < progressGrain {
		return
	}
	p.last = time.Now()
	text := fmt.Sprintf("%s %s", p.label, unit(done))
	if total > 0 {
		const cells = 24
		share := min(float64(done)/float64(total), 1)
		full := int(share * cells)
		bar := strings.Repeat("█", full) + strings.Repeat("░", cells-full)
		text = fmt.Sprintf("%s %s %3.0f %% %s", p.label, bar, share*100, unit(done))
	}
	p.write(text)
}

// end removes the line.
func (p *progress) end() {
	if p.w != nil && p.wrote > 0 {
		p.write("")
		fmt.Fprint(p.w, "\r")
	}
}

func (p *progress) write(text string) {
	length := len([]rune(text))
	fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(p.wrote-length, 0)))
	p.wrote = length
}

// byteCount writes a size for people.
func byteCount(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, suffix := float64(n), ""
	for _, s := range []string{"KiB", "MiB", "GiB", "TiB"} {
		value /= unit
		suffix = s
		if value < unit {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}

// count writes a number as it is.
func count(n int64) string { return fmt.Sprint(n) }
