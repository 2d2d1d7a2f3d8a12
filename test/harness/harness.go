// Package harness runs the real hark binary from outside: it builds it, starts it on a folder and
// a free loopback port, speaks to it over HTTP, watches what it costs, stops it or kills it.
//
// It is the ground of every whole-binary test and of the benchmark. It imports nothing of Hark on
// purpose: what judges the product must not share its code. It sends traffic to loopback only.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Key is the live environment's admin key of every server that the harness starts.
const Key = "harness-key-0123456789abcdef0123456789abcdef"

// Root is the folder of the repository: the nearest one upwards with a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = filepath.Dir(dir)
	}
}

// Options say how to start a server. Binary and Dir are required.
type Options struct {
	Binary string
	Dir    string        // data folder
	Addr   string        // "": FreeAddr
	Args   []string      // further flags of hark serve
	Env    []string      // further environment
	Log    io.Writer     // the server's output goes here too; nil keeps only its end
	Public bool          // without --allow-private-endpoints, as on a network
	Ready  time.Duration // how long it may take until health answers; 0 means a minute
}

// Server is a running hark serve.
type Server struct {
	Addr    string
	URL     string        // http://ADDR
	Startup time.Duration // from exec until health answered

	*Child
	tail *tail
}

// Start runs the server and waits until its health answers. The process dies with this one.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Addr == "" {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		o.Addr = addr
	}
	s := &Server{Addr: o.Addr, URL: "http://" + o.Addr, tail: &tail{}}
	args := []string{"serve", "--data", o.Dir, "--addr", o.Addr}
	if !o.Public {
		args = append(args, "--allow-private-endpoints")
	}
	args = append(args, o.Args...)
	cmd := exec.Command(o.Binary, args...)
	cmd.Env = append(Environ(), "HARK_BOOTSTRAP_KEY="+Key)
	cmd.Env = append(cmd.Env, o.Env...)
	var out io.Writer = s.tail
	if o.Log != nil {
		out = io.MultiWriter(s.tail, o.Log)
	}
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	var err error
	if s.Child, err = StartChild(cmd); err != nil {
		return nil, err
	}
	if o.Ready == 0 {
		o.Ready = time.Minute
	}
	if err := s.waitHealthy(ctx, o.Ready); err != nil {
		s.Kill()
		return nil, fmt.Errorf("%w\n%s", err, s.Tail())
	}
	s.Startup = time.Since(began)
	return s, nil
}

func (s *Server) waitHealthy(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/health", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("health answered %d", res.StatusCode)
		}
		select {
		case <-s.done:
			return fmt.Errorf("hark serve ended before it was healthy: %v", s.err)
		case <-ctx.Done():
			return fmt.Errorf("hark serve was not healthy within %v: %v", limit, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Tail is the end of what the server printed.
func (s *Server) Tail() string { return s.tail.String() }

// Client speaks to the server with the live environment's admin key.
func (s *Server) Client() *Client { return NewClient(s.URL, Key) }

// FreeAddr is a loopback address that nobody listens on. It stays below the range of ephemeral
// ports, because a client's connection could otherwise take the port while a killed server is
// down, and because dialing a dead port in that range can connect to itself.
func FreeAddr() (string, error) {
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return addr, nil
		}
	}
	return "", errors.New("no free port between 10000 and 30000")
}

// tail keeps the end of a stream.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.buf[max(0, len(t.buf)-tailBytes):], []byte("?")))
}

// Machine says where a figure was measured.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	Memory string `json:"memory"`
	Go     string `json:"go"`
	OS     string `json:"os"`
}

// ThisMachine reads what the operating system says of itself.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: "unknown", Kernel: "unknown", Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	m.CPU = firstField("/proc/cpuinfo", "model name", m.CPU)
	m.Memory = firstField("/proc/meminfo", "MemTotal", "unknown")
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

// firstField is the value of the first "name : value" line of a file in /proc.
func firstField(file, name, fallback string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return fallback
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return fallback
}
