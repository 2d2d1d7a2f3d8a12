package laptop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// listener is hark listen on the laptop, now one process and now another.
type listener struct {
	binary string
	args   []string
	env    []string
	log    *os.File

	mu      sync.Mutex
	process *harness.Child
	records []*records // of each process
}

// newListener prepares a listener to an application behind a proxy.
func newListener(t *testing.T, dir, server, app, to string) *listener {
	t.Helper()
	log, err := os.OpenFile(dir+"/listener.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{binary: harness.Binary(t), log: log, args: []string{"listen", "--app", app, "--forward-to", to, "--format", "json"}}
	l.env = append(harness.Environ(), "XDG_CONFIG_HOME="+dir, "HARK_URL="+server, "HARK_API_KEY="+harness.Key)
	t.Cleanup(func() {
		if p := l.running(); p != nil {
			p.Kill()
		}
		log.Close()
	})
	return l
}

func (l *listener) start() error {
	cmd := exec.Command(l.binary, l.args...)
	cmd.Env = l.env
	out := &records{}
	cmd.Stdout, cmd.Stderr = out, l.log
	p, err := harness.StartChild(cmd)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.process, l.records = p, append(l.records, out)
	return nil
}

// startAgain starts it as a person would: again, while the server cannot be reached. Once it has been ready it goes
// on by itself; it may stand by already, for another that has connected again has taken the turn.
func (l *listener) startAgain(limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		if err := l.start(); err != nil {
			return err
		}
		for {
			select {
			case <-l.running().Done():
			case <-time.After(20 * time.Millisecond):
				if _, was := l.out().find("ready"); !was && time.Now().Before(deadline) {
					continue
				}
			}
			break
		}
		if _, was := l.out().find("ready"); was {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("hark listen was not ready within %v:\n%s", limit, l.said())
		}
		l.running().Kill()
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *listener) running() *harness.Child {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.process
}

// out is what the process prints that was started last.
func (l *listener) out() *records {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[len(l.records)-1]
}

func (l *listener) isReady() bool { return l.out().last("ready", "reconnecting", "standby") == "ready" }

// all is what every process of it has printed.
func (l *listener) all() []*records {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// said is the end of what it wrote for people.
func (l *listener) said() string {
	text, err := os.ReadFile(l.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// record is one line of --format json.
type record struct {
	Type       string
	Seq        int64
	ID         string
	Secret     string
	Again      bool
	ConsumerID string
	Status     *int
	Body       *string
	Reason     string
	Error      string
	From       int64
	To         int64
}

// records takes what a process prints, a line at a time.
type records struct {
	mu   sync.Mutex
	rest []byte
	all  []record
	bad  []string
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, p...)
	for {
		line, rest, whole := bytes.Cut(r.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil || rec.Type == "" {
			r.bad = append(r.bad, fmt.Sprintf("%.200q: %v", line, err))
		} else {
			r.all = append(r.all, rec)
		}
		r.rest = append([]byte(nil), rest...)
	}
}

// last is the type of the last record among these types; "" if there is none.
func (r *records) last(types ...string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0; i-- {
		for _, t := range types {
			if r.all[i].Type == t {
				return t
			}
		}
	}
	return ""
}

// find is the first record of a type.
func (r *records) find(kind string) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.all {
		if rec.Type == kind {
			return rec, true
		}
	}
	return record{}, false
}

// isBack says whether it has connected again, at least once.
func (r *records) isBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.all, func(rec record) bool { return rec.Type == "ready" && rec.Again })
}
