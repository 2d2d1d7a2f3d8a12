package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/harkhq/hark/internal/cli"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/transform"
)

func TestMain(m *testing.M) {
	transform.Work()
	testscript.Main(withDatabase{m}, map[string]func(){
		"hark": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// withDatabase takes the database server of the scripts away at the end.
type withDatabase struct{ m *testing.M }

func (w withDatabase) Run() int { return postgrestest.Run(w.m) }

// TestScripts runs the commands as a user types them. Beyond what testscript knows, a script can
//
//	server [FLAG…]   start hark serve on a free port, and set HARK_URL and HARK_API_KEY
//	halt             send it SIGTERM; it must exit 0; its output is then in server.log
//	twice            send it SIGTERM twice; it must not wait for what is in flight
//	sink NAME CODE   start a receiver that answers CODE (hang: never), and set $NAME to its URL
//	received NAME N  wait until it has received N webhooks
//	database NAME    set $NAME to the URL of an empty PostgreSQL database; [postgres] says whether there can be one
//	grab NAME RE     set $NAME to the first group of RE in the last stdout
//
// $NOBODY is an address that nobody listens on, or can.
func TestScripts(t *testing.T) {
	t.Parallel()
	nobody := takenAddr(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HARK_BOOTSTRAP_KEY", "")
			env.Setenv("NOBODY", nobody)
			env.Setenv("GOGC", "400") // most commands have done their work before there is enough to collect
			env.Values[worldKey{}] = &world{t: t, sinks: map[string]*sink{}}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "postgres" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return postgrestest.IsInstalled(), nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"server": startServer, "halt": stopServer, "twice": stopServerTwice, "sink": startSink, "received": received, "grab": grab,
			"database": makeDatabase,
		},
	})
}

// takenAddr is a loopback address that is held for the time of the test, and not listened on.
func takenAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd) // what the scripts start must not hold it longer
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
}

// world is what a script has running.
type world struct {
	t      *testing.T
	server *exec.Cmd
	log    *lockedLog
	read   *sync.WaitGroup // of who reads the log: to be waited for before the server is
	sinks  map[string]*sink
}

type worldKey struct{}

func makeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], postgrestest.Shared(worldOf(ts).t).Database(worldOf(ts).t, "empty", func(string) error { return nil }))
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const scriptKey = "script-key-0123456789abcdef0123456789"

var listening = regexp.MustCompile(`msg"?[=:]"?listening"?[ ,]"?url"?[=:]"?([^\s",]+)`)

func startServer(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	path := ts.Getenv("PATH")
	bin := ""
	for dir := range strings.SplitSeq(path, string(os.PathListSeparator)) {
		if _, err := os.Stat(dir + "/hark"); err == nil {
			bin = dir + "/hark"
			break
		}
	}
	args = append([]string{"serve", "--addr", "127.0.0.1:0", "--data", "data", "--allow-private-endpoints"}, args...)
	cmd := exec.Command(bin, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HARK_BOOTSTRAP_KEY="+scriptKey)
	out, err := cmd.StderrPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	w.server, w.log, w.read = cmd, &lockedLog{}, &sync.WaitGroup{}
	url := make(chan string, 1)
	w.read.Go(func() { collect(stdout, w.log, nil) })
	w.read.Go(func() { collect(out, w.log, url) })
	ts.Defer(func() {
		if w.server == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	select {
	case u, ok := <-url:
		if !ok {
			ts.Fatalf("the server ended:\n%s", w.log)
		}
		ts.Setenv("HARK_URL", u)
		ts.Setenv("HARK_API_KEY", scriptKey)
	case <-time.After(time.Minute):
		ts.Fatalf("the server does not listen:\n%s", w.log)
	}
}

// collect keeps a stream, and sends the URL that the server says it listens at.
func collect(r io.Reader, log *lockedLog, url chan<- string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		log.add(lines.Text() + "\n")
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && url != nil {
			url <- m[1]
		}
	}
	if url != nil {
		close(url)
	}
}

func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	cmd := w.server
	w.server = nil
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { w.read.Wait(); done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			ts.Fatalf("the server did not exit 0: %v\n%s", err, w.log)
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("the server did not stop:\n%s", w.log)
	}
	ts.Check(os.WriteFile(ts.MkAbs("server.log"), []byte(w.log.String()), 0o600))
}

func stopServerTwice(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	cmd := w.server
	w.server = nil
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-done:
		ts.Fatalf("the server did not wait for the attempt in flight:\n%s", w.log)
	case <-time.After(300 * time.Millisecond):
	}
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-done:
	case <-time.After(10 * time.Second): // the attempt could have another ten
		_ = cmd.Process.Kill()
		ts.Fatalf("the second signal did not end the server:\n%s", w.log)
	}
}

// sink is a receiver that counts.
type sink struct {
	mu    sync.Mutex
	count int
	woken chan struct{}
}

func startSink(ts *testscript.TestScript, neg bool, args []string) {
	code, hang := 0, args[1] == "hang"
	if !hang {
		var err error
		code, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	s := &sink{woken: make(chan struct{}, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
		s.mu.Lock()
		s.count++
		s.mu.Unlock()
		s.woken <- struct{}{}
		if hang {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "thank you")
	}))
	ts.Defer(server.Close)
	worldOf(ts).sinks[args[0]] = s
	ts.Setenv(args[0], server.URL+"/")
}

func received(ts *testscript.TestScript, neg bool, args []string) {
	s := worldOf(ts).sinks[args[0]]
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		count := s.count
		s.mu.Unlock()
		if count == want {
			return
		}
		select {
		case <-s.woken:
		case <-ctx.Done():
			ts.Fatalf("%s received %d webhooks, not %d", args[0], count, want)
		}
	}
}

func grab(ts *testscript.TestScript, neg bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("%s is not in stdout", args[1])
	}
	ts.Setenv(args[0], m[1])
}
