// Package postgrestest runs a throwaway PostgreSQL for tests and benchmarks, from the binaries that the
// system has installed. It skips a test, in one line, where there are none. It talks to nobody but its own
// server, which listens on loopback and in a folder of its own, and ends with whoever started it. It knows
// nothing of Hark, so that what judges the product from outside may use it too.
package postgrestest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say how a server runs. The zero value is fast, and loses data when the machine does.
type Options struct {
	Fsync    bool     // commits wait for the disk
	Settings []string // more of them: "max_wal_size=4GB"
	Dir      string   // where its folder is made; "" is memory where nothing need survive, else the system's temporary folder
}

// Server is a PostgreSQL of its own.
type Server struct {
	dir      string
	binaries string
	port     int
	options  Options
	owner    *syscall.Credential // nil: the user who runs the tests

	mu        sync.Mutex
	process   *exec.Cmd
	done      chan struct{} // closed when the process has ended
	templates map[string]error
	databases int
}

// errMissing says that there is no PostgreSQL here.
var errMissing = errors.New("no PostgreSQL here (try: apt-get install postgresql)")

// Start makes a server and waits until it answers. Stop it.
func Start(options Options) (*Server, error) {
	binaries, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{binaries: binaries, options: options, templates: make(map[string]error)}
	dir := options.Dir
	if dir == "" && !options.Fsync {
		dir = memory()
	}
	if s.dir, err = os.MkdirTemp(dir, fmt.Sprintf("%s%d-", prefix, os.Getpid())); err != nil {
		return nil, err
	}
	if err := s.setUp(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *Server) setUp() (err error) {
	if err := s.lendToOwner(); err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	if err := s.lay(); err != nil {
		return err
	}
	return s.Start()
}

// prefix of a server's folder; the number of the process that made it comes next.
const prefix = "hark-postgres-"

// Where memory looks like a folder, and how much of it must be free: every database is hundreds of
// files, and a disk's file system takes ten times as long to make them.
const (
	memoryDir    = "/dev/shm"
	memoryNeeded = 3 << 30
)

// memory is a folder in memory; "" where there is none, or too little. What killed processes have left
// there goes first: memory is not swept as a temporary folder is.
func memory() string {
	left, _ := filepath.Glob(filepath.Join(memoryDir, prefix+"*")) // the pattern is good
	for _, dir := range left {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(dir), prefix+"%d-", &pid)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // it may be another user's
		}
	}
	var free syscall.Statfs_t
	if syscall.Statfs(memoryDir, &free) != nil || free.Bavail*uint64(free.Bsize) < memoryNeeded {
		return ""
	}
	return memoryDir
}

// IsInstalled says whether there is a PostgreSQL to start.
func IsInstalled() bool {
	_, err := find()
	return err == nil
}

// find looks for the newest installed binaries.
func find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errMissing
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // a folder of another name sorts first
	return n
}

// lendToOwner gives the folder to the user postgres where the tests run as root: the server
// refuses to.
func (s *Server) lendToOwner() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return errMissing
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

// freePort is below the range of ephemeral ports: in there, somebody's connection could take the port
// while the server is down.
func freePort() (int, error) {
	for range 200 {
		port := 10000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 10000 and 30000")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.binaries, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	// The server ends with the test binary, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Start starts a server that was stopped, and waits until it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=" + s.dir,
		"max_connections=300", "log_min_messages=error", "timezone=UTC",
	}, s.options.Settings...)
	if s.options.Fsync {
		settings = append([]string{"shared_buffers=128MB"}, settings...)
	} else { // the files are in memory, and each process pays for the pages of the buffers that it sees
		settings = append([]string{"shared_buffers=16MB", "fsync=off", "full_page_writes=off", "max_wal_size=256MB"}, settings...)
	}
	args := []string{"-D", s.data()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends the signal when the thread ends that started the process: so keep it.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(done)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.done = cmd, done
	return s.awaitAnswer()
}

func (s *Server) awaitAnswer() error {
	var err error
	for range 2400 { // a minute, and more: it may have to recover, on a busy machine
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var c *pgx.Conn
		if c, err = pgx.Connect(ctx, s.URL("postgres")); err == nil {
			err = c.Close(ctx)
			cancel()
			return err
		}
		cancel()
		select {
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // better than nothing
			return fmt.Errorf("the server ended: %s", log)
		case <-time.After(25 * time.Millisecond):
		}
	}
	return fmt.Errorf("the server does not answer: %w", err)
}

// Crash ends the server at once, as "pg_ctl stop -m immediate" does: it recovers when it is started.
func (s *Server) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGQUIT) // it may have ended by itself
	<-s.done
	s.process = nil
}

// Remove stops the server and deletes its data.
func (s *Server) Remove() error {
	s.Crash()
	return os.RemoveAll(s.dir)
}

// URL names one of the server's databases, over its socket.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=postgres", database, url.QueryEscape(s.dir), s.port)
}

// Port is where the server listens on loopback.
func (s *Server) Port() int { return s.port }

// PID is the running server's first process: all others are its children.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.Process.Pid
}

// Query answers a statement's rows as text, NULL as "".
func (s *Server) Query(ctx context.Context, database, statement string) (rows [][]string, err error) {
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return nil, err
	}
	results, err := c.PgConn().Exec(ctx, statement).ReadAll()
	for _, result := range results {
		for _, values := range result.Rows {
			row := make([]string, len(values))
			for i, v := range values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		}
	}
	return rows, errors.Join(err, c.Close(ctx))
}

// Hold opens a transaction that sees the database as it is now, and keeps it open until release is
// called: nothing that is dead from now on can be cleaned up meanwhile.
func (s *Server) Hold(ctx context.Context, database string) (release func() error, err error) {
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return nil, err
	}
	if _, err := c.PgConn().Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").ReadAll(); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return func() error { return c.Close(context.WithoutCancel(ctx)) }, nil
}

// Exec runs a statement in one of the server's databases.
func (s *Server) Exec(ctx context.Context, database, statement string, args ...any) error {
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement, args...)
	return errors.Join(err, c.Close(ctx))
}

// Database makes a database for one test and drops it when that ends. Its content is a copy of a
// template, which prepare fills the first time.
func (s *Server) Database(t testing.TB, template string, prepare func(url string) error) (url string) {
	t.Helper()
	ctx := context.Background() // the test's own has ended when the database is dropped
	s.mu.Lock()
	err, ok := s.templates[template]
	if !ok {
		if err = s.Exec(ctx, "postgres", "CREATE DATABASE "+template); err == nil {
			err = prepare(s.URL(template))
		}
		s.templates[template] = err
	}
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	s.mu.Unlock()
	if err == nil {
		err = s.Exec(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template+s.strategy())
	}
	if err != nil {
		t.Fatalf("make a database from %s: %v", template, err)
	}
	t.Cleanup(func() {
		if err := s.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil && s.isRunning() {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return s.URL(name)
}

// strategy is how a database is copied. Since version 15 every page goes through the log, unless one asks
// for files: which is cheaper where nothing waits for a disk.
func (s *Server) strategy() string {
	if s.options.Fsync || version(filepath.Join(s.binaries, "postgres")) < 15 {
		return ""
	}
	return " STRATEGY FILE_COPY"
}

func (s *Server) isRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// Name is the database in a URL.
func Name(databaseURL string) string {
	name, _, _ := strings.Cut(databaseURL[strings.LastIndex(databaseURL, "/"+"test_")+1:], "?")
	return name
}

// shared is the server that all tests of a test binary share, started by the first that needs it.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared is the test binary's server. The package's TestMain calls Main.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = Start(Options{}) })
	if errors.Is(shared.err, errMissing) {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New is a server for one test.
func New(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := Start(options)
	if errors.Is(err, errMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Main runs the tests and takes the shared server away.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do. Unless -parallel says otherwise, one more parallel test runs
// than there are processors: most of their time they wait for a server.
func Run(m interface{ Run() int }) (code int) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set(strconv.Itoa(1 + runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code = m.Run()
	if shared.server != nil {
		if err := shared.server.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}
