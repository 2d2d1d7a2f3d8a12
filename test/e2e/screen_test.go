//go:build unix

package e2e_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/harkhq/hark/test/harness"
)

// terminal is a program on a terminal: what it draws, and keys for it.
type terminal struct {
	keyboard *os.File
	line     *os.File // the program's end of it
	screen   vt10x.Terminal
	ended    chan error
	before   string // what stty knew of it before the program began

	mu    sync.Mutex
	drawn bytes.Buffer // all that was ever written
}

// startTerminal runs a command on a terminal of a size.
func startTerminal(t *testing.T, columns, rows int, cmd *exec.Cmd) *terminal {
	t.Helper()
	keyboard, line, err := pty.Open()
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	term := &terminal{keyboard: keyboard, line: line, screen: vt10x.New(vt10x.WithSize(columns, rows)), ended: make(chan error, 1)}
	term.resize(t, columns, rows)
	term.before = term.settings(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that it is told of another size
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		part := make([]byte, 64<<10)
		for {
			n, err := keyboard.Read(part)
			term.mu.Lock()
			term.drawn.Write(part[:n])
			term.mu.Unlock()
			_, _ = term.screen.Write(part[:n])
			if err != nil {
				return
			}
		}
	})
	reading.Go(func() { term.ended <- cmd.Wait() })
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = line.Close()
		_ = keyboard.Close()
		reading.Wait()
	})
	return term
}

func (term *terminal) resize(t *testing.T, columns, rows int) {
	t.Helper()
	if err := pty.Setsize(term.keyboard, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		t.Fatal(err)
	}
	term.screen.Resize(columns, rows)
}

func (term *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(term.keyboard, keys); err != nil {
		t.Fatal(err)
	}
}

// sees waits until texts stand on the screen.
func (term *terminal) sees(t *testing.T, texts ...string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		now := term.screen.String()
		for _, text := range texts {
			if !strings.Contains(now, text) {
				return fmt.Errorf("%q is not on the screen:\n%s", text, now)
			}
		}
		return nil
	})
}

func (term *terminal) output() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.drawn.String()
}

// settings are what stty knows of the terminal.
func (term *terminal) settings(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("stty", "-g")
	cmd.Stdin = term.line
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("stty: %v", err)
	}
	return string(out)
}

// listening is hark listen on a terminal, forwarding to a sink at /hook if there is one.
func listening(t *testing.T, server *harness.Server, sink *harness.Sink, env ...string) (term *terminal, cmd *exec.Cmd) {
	t.Helper()
	home := t.TempDir()
	cmd = exec.Command(harness.Binary(t), "listen")
	if sink != nil {
		cmd.Args = append(cmd.Args, "--forward-to", sink.URL+"/hook")
	}
	cmd.Env = append([]string{"HOME=" + home, "TMPDIR=" + home, "XDG_CONFIG_HOME=" + home + "/config", "PATH=" + os.Getenv("PATH"),
		"TERM=xterm-256color", "HARK_URL=" + server.URL, "HARK_API_KEY=" + harness.Key}, env...)
	t.Cleanup(func() {
		if rest, _ := filepath.Glob(home + "/hark-*"); len(rest) > 0 {
			t.Errorf("files were left: %q", rest)
		}
	})
	return startTerminal(t, 80, 24, cmd), cmd
}

// editor is a script that people call an editor.
func editor(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "editor")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// ends waits for the end, and looks at what it leaves.
func (term *terminal) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-term.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("it does not end:\n%s", term.screen.String())
	}
	if after := term.settings(t); after != term.before {
		t.Errorf("the terminal was left in another state: %s, not %s", after, term.before)
	}
	// What a process has written last is read after its end.
	for deadline := time.Now().Add(time.Minute); !term.isLeft(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the screen was not left, or the cursor not shown again")
		}
	}
}

// isLeft says whether the usual screen is back, with its cursor.
func (term *terminal) isLeft() bool {
	out := term.output()
	return strings.LastIndex(out, "\x1b[?1049l") >= strings.LastIndex(out, "\x1b[?1049h") &&
		strings.LastIndex(out, "\x1b[?25h") >= strings.LastIndex(out, "\x1b[?25l")
}

// runCopied runs the command that was put into the terminal's clipboard.
func runCopied(t *testing.T, output string) {
	t.Helper()
	_, text, found := strings.Cut(output, "\x1b]52;c;")
	text, _, ended := strings.Cut(text, "\a")
	command, err := base64.StdEncoding.DecodeString(text)
	if !found || !ended || err != nil {
		t.Fatalf("nothing was copied: %v", err)
	}
	if out, err := exec.Command("bash", "-c", string(command)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func TestScreen_ListRetryEditAndQuit(t *testing.T) {
	t.Parallel()
	server := harness.Run(t)
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) {
		_, _ = io.WriteString(w, "{\"thanks\":true}\n\x1b]0;pwned\a")
	})
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s", tool)
		}
	}
	term, _ := listening(t, server, sink, "VISUAL="+editor(t, `sed -i 's/crème/tea/' "$1"`))
	term.sees(t, "● connected", "No messages yet", sink.URL+"/hook")
	api := server.Client()
	api.Publish(t, "local", "cake.baked", map[string]string{"with": "crème", "evil": "\u009b2J \x1b[2J"})
	term.sees(t, "cake.baked", "200", "1 message", "● answers")

	term.press(t, "r")
	term.sees(t, "2× cake.baked", "Sent; answered 200")
	arrivals := sink.Wait(t, "/hook", 2, time.Minute)
	if a, b := arrivals[0], arrivals[1]; !bytes.Equal(a.Body, b.Body) || a.Header.Get("webhook-id") != b.Header.Get("webhook-id") {
		t.Errorf("a retry sent other bytes: %q and %q", a.Body, b.Body)
	}
	term.press(t, "c")
	term.sees(t, "Copied as curl")
	runCopied(t, term.output())
	arrivals = sink.Wait(t, "/hook", 3, time.Minute)
	if a, b := arrivals[0], arrivals[2]; !bytes.Equal(a.Body, b.Body) || a.Header.Get("webhook-signature") != b.Header.Get("webhook-signature") ||
		a.Header.Get("Content-Type") != b.Header.Get("Content-Type") {
		t.Errorf("curl sent something else: %v %q and %v %q", a.Header, a.Body, b.Header, b.Body)
	}
	term.press(t, "e")
	term.sees(t, "edited cake.baked")
	if last := sink.Wait(t, "/hook", 4, time.Minute)[3]; !bytes.Contains(last.Body, []byte(`"tea"`)) {
		t.Errorf("the edited body was not sent: %q", last.Body)
	}

	term.press(t, "\r")
	term.sees(t, "Answered 200 OK", "Esc back", `"with": "tea"`)
	term.resize(t, 40, 12)
	term.sees(t, "local           ● connected\n", "Esc back  r retry")
	term.press(t, "G")
	term.sees(t, `{"thanks":true}`, `\x1b]0;pwned\x07`)
	term.press(t, "q/tea\r")
	term.sees(t, "1 of 2 match /tea")
	term.press(t, "q")
	term.ends(t)
	term.sees(t, "1 message, 1 answered 2xx")
	for _, evil := range []string{"pwned\a", "\u009b", "\x1b[2J \x1b"} {
		if strings.Contains(term.output(), evil) {
			t.Errorf("%q reached the terminal", evil)
		}
	}
}

func TestScreen_AnEditorHoldsNothingUp(t *testing.T) {
	t.Parallel()
	server := harness.Run(t)
	sink := harness.NewSink(t, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	term, cmd := listening(t, server, sink, "EDITOR="+editor(t, "echo editing; until [ -e "+gate+" ]; do sleep 0.05; done; exit 3"))
	term.sees(t, "● connected")
	api := server.Client()
	api.Publish(t, "local", "a.b", map[string]int{"n": 1})
	term.sees(t, "204")
	term.press(t, "e")
	term.sees(t, "editing")
	api.Publish(t, "local", "c.d", map[string]int{"n": 2})
	sink.Wait(t, "/hook", 2, time.Minute)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	term.sees(t, "c.d", "Nothing was sent, for editor failed: exit status 3")
	if n := len(sink.Arrivals("/hook")); n != 2 {
		t.Errorf("%d requests", n)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	term.ends(t)
	term.sees(t, "2 messages, 2 answered 2xx")
}

func TestScreen_LinesWithoutColour(t *testing.T) {
	t.Parallel()
	server := harness.Run(t)
	term, cmd := listening(t, server, nil, "NO_COLOR=1")
	term.sees(t, "Ready! Your webhook signing secret is 'whsec_", "Send webhooks to http://")
	url, _, _ := strings.Cut(strings.SplitAfter(term.output(), "Send webhooks to ")[1], "\r")
	resp, err := http.Post(url, "text/plain", strings.NewReader("evil \x1b]0;pwned\a\u009b2J\x1b[2J end"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	term.sees(t, "evil", "end")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-term.ended; err != nil || strings.Contains(term.output(), "\x1b") {
		t.Errorf("%v: %q", err, term.output())
	}
}

func TestScreen_WhatCannotBeginDrawsNone(t *testing.T) {
	t.Parallel()
	server := harness.Run(t)
	term, _ := listening(t, server, nil, "HARK_API_KEY=nonsense")
	term.sees(t, "the server does not know this API key")
	if err := <-term.ended; err == nil || strings.Contains(term.output(), "\x1b[?1049h") {
		t.Errorf("%v: %q", err, term.output())
	}
}
