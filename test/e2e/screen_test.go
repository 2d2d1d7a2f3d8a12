package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
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
	harness.Eventually(t, 15*time.Second, func() error {
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

func TestScreen_ListRetryEditAndQuit(t *testing.T) {
	server := harness.Run(t)
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) {
		_, _ = io.WriteString(w, "{\"thanks\":true}\n\x1b]0;pwned\a")
	})
	home := t.TempDir()
	editor := filepath.Join(home, "editor")
	if err := os.WriteFile(editor, []byte("#!/bin/sh\nsed -i 's/crème/tea/' \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Binary(t), "listen", "--forward-to", sink.URL+"/hook")
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "XDG_CONFIG_HOME=" + home + "/config", "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color",
		"VISUAL=" + editor, "HARK_URL=" + server.URL, "HARK_API_KEY=" + harness.Key}
	term := startTerminal(t, 80, 24, cmd)
	before := term.settings(t)

	term.sees(t, "● connected", "No messages yet", sink.URL+"/hook")
	api := server.Client()
	api.Publish(t, "local", "cake.baked", map[string]string{"with": "crème", "evil": "\u009b2J \x1b[2J"})
	term.sees(t, "cake.baked", "200", "1 message", "● answers")
	term.press(t, "r")
	term.sees(t, "2× cake.baked", "Sent; answered 200")
	arrivals := sink.Wait(t, "/hook", 2, 5*time.Second)
	if a, b := arrivals[0], arrivals[1]; !bytes.Equal(a.Body, b.Body) || a.Header.Get("webhook-id") != b.Header.Get("webhook-id") {
		t.Errorf("a retry sent other bytes: %q and %q", a.Body, b.Body)
	}

	term.press(t, "e")
	term.sees(t, "edited cake.baked")
	if last := sink.Wait(t, "/hook", 3, 5*time.Second)[2]; !bytes.Contains(last.Body, []byte(`"tea"`)) {
		t.Errorf("the edited body was not sent: %q", last.Body)
	}
	term.press(t, "\r")
	term.sees(t, "Answered 200 OK", "Esc back", `"with": "tea"`)
	term.resize(t, 40, 12)
	term.press(t, "G")
	term.sees(t, `{"thanks":true}`, `\x1b]0;pwned\x07`)
	term.press(t, "q/tea\r")
	term.sees(t, "1 of 2 match /tea")

	term.press(t, "q")
	select {
	case err := <-term.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("q did not end it")
	}
	term.sees(t, "1 message, 1 answered 2xx")
	if after := term.settings(t); after != before {
		t.Errorf("the terminal was left in another state: %s, not %s", after, before)
	}
	out := term.output()
	if strings.LastIndex(out, "\x1b[?1049l") < strings.LastIndex(out, "\x1b[?1049h") || strings.LastIndex(out, "\x1b[?25h") < strings.LastIndex(out, "\x1b[?25l") {
		t.Error("the screen was not left, or the cursor not shown again")
	}
	for _, evil := range []string{"pwned\a", "\u009b", "\x1b[2J \x1b"} {
		if strings.Contains(out, evil) {
			t.Errorf("%q reached the terminal", evil)
		}
	}
	if rest, _ := filepath.Glob(home + "/hark-*"); len(rest) > 0 {
		t.Errorf("files were left: %q", rest)
	}
}
