package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/harkhq/hark/internal/listen"
)

// actions are what keys set in motion. Each ends in a done, edit perhaps in an edited.
type actions struct {
	retry  func(*listen.Message) tea.Cmd
	resend func(*listen.Message, []byte) tea.Cmd
	edit   func(*listen.Message) tea.Cmd
	open   func(url string) tea.Cmd
}

// done says what became of an action.
type done struct {
	note   string
	failed bool
}

// edited is a body that a person has changed.
type edited struct {
	message *listen.Message
	body    []byte
}

// actor acts. It knows what it has begun, so that nothing of it is left at the end.
type actor struct {
	listener Listener
	opt      *Options

	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	folders []string // of files that were edited, or were to be when it ended
}

// begin says whether there is still time to do anything.
func (a *actor) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.running.Add(1)
	return true
}

// wait waits for what was begun, and tidies up.
func (a *actor) wait() {
	a.mu.Lock()
	a.closed = true
	folders := a.folders
	a.mu.Unlock()
	a.running.Wait()
	for _, dir := range folders {
		_ = os.RemoveAll(dir) // of the person's temporary files, one more
	}
}

// bind makes actions that end with ctx.
func (a *actor) bind(ctx context.Context) actions {
	act := func(do func() (string, error)) tea.Cmd {
		return func() tea.Msg {
			if !a.begin() {
				return nil
			}
			defer a.running.Done()
			note, err := do()
			if err != nil {
				return done{note: sentence(err), failed: true}
			}
			return done{note: note}
		}
	}
	return actions{
		retry: func(m *listen.Message) tea.Cmd {
			return act(func() (string, error) { return outcome(a.listener.Retry(ctx, m)) })
		},
		resend: func(m *listen.Message, body []byte) tea.Cmd {
			return act(func() (string, error) { return outcome(a.listener.Resend(ctx, m, body)) })
		},
		edit: func(m *listen.Message) tea.Cmd { return a.edit(ctx, m) },
		open: func(url string) tea.Cmd {
			return act(func() (string, error) { return a.open(url) })
		},
	}
}

func outcome(r *listen.Response, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case r.Err != "":
		return "", errors.New(r.Err)
	}
	return fmt.Sprintf("Sent; answered %d in %s.", r.Status, latency(r.Took)), nil
}

func sentence(err error) string {
	switch {
	case errors.Is(err, listen.ErrNowhere):
		return "There is nowhere to send it: start with --forward-to 4242."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens there: it was not sent."
	}
	return "Failed: " + err.Error()
}

// edit has the person edit a message's body. The editor has the terminal meanwhile.
func (a *actor) edit(ctx context.Context, m *listen.Message) tea.Cmd {
	words := strings.Fields(a.opt.Editor) // "code --wait"
	if len(words) == 0 {
		return func() tea.Msg {
			return done{note: "There is no editor: export EDITOR=nano", failed: true}
		}
	}
	return func() tea.Msg {
		file, err := a.file(m)
		if err != nil {
			return done{note: "Nothing was sent: " + err.Error(), failed: true}
		}
		cmd := exec.CommandContext(ctx, words[0], append(words[1:], file)...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it can tidy up
		cmd.WaitDelay = 2 * time.Second
		return tea.ExecProcess(cmd, func(err error) tea.Msg { return afterEdit(m, file, filepath.Base(words[0]), err) })()
	}
}

// file writes a message's body into a file that nobody else reads.
func (a *actor) file(m *listen.Message) (string, error) {
	dir, err := os.MkdirTemp("", "hark-")
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	a.folders = append(a.folders, dir)
	a.mu.Unlock()
	name := filepath.Join(dir, "body.txt")
	if t := bytes.TrimSpace(m.Body); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		name = filepath.Join(dir, "body.json") // for the editor's colours
	}
	return name, os.WriteFile(name, m.Body, 0o600)
}

func afterEdit(m *listen.Message, file, editor string, failure error) tea.Msg {
	defer os.RemoveAll(filepath.Dir(file))
	if failure != nil {
		return done{note: fmt.Sprintf("Nothing was sent, for %s failed: %v", editor, failure), failed: true}
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return done{note: "Nothing was sent: " + err.Error(), failed: true}
	}
	if cut, ok := bytes.CutSuffix(body, []byte("\n")); ok && !bytes.HasSuffix(m.Body, []byte("\n")) {
		body = cut // editors end the last line
	}
	if bytes.Equal(body, m.Body) {
		return done{note: "Nothing was changed, and nothing sent."}
	}
	return edited{message: m, body: body}
}

// open shows a URL in a browser, or says it.
func (a *actor) open(url string) (string, error) {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	path, err := exec.LookPath(opener)
	if err != nil || !a.opt.Display {
		return "There is no browser here; it is at " + url, nil
	}
	cmd := exec.Command(path, url)
	if err := cmd.Start(); err != nil {
		return "There is no browser here; it is at " + url, nil
	}
	// Some openers stay for as long as the browser does. It is the person's, and not waited for.
	return "Opened " + url, cmd.Process.Release()
}
