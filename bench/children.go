package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Generator and sink are processes of their own, so that neither shares a heap, a garbage collector
// or a scheduler with the other, and so that the server's cost can be told from theirs. One
// processor each is enough for them and keeps them from spreading over the server's.

// sinkProcess is a running sink.
type sinkProcess struct {
	Addr  string
	admin string // where /_stats and /_reset are
	cmd   *exec.Cmd
	in    io.Closer
}

// startSink starts a sink; certFile makes it speak TLS.
func startSink(ctx context.Context, addr, certFile string) (*sinkProcess, error) {
	cmd := exec.CommandContext(ctx, self(), "sink", "-addr", addr, "-tls", certFile)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	addr, admin, _ := strings.Cut(strings.TrimSpace(line), " ")
	return &sinkProcess{Addr: addr, admin: admin, cmd: cmd, in: in}, nil
}

func (s *sinkProcess) stop() {
	_ = s.in.Close() // it ends when its input does
	_ = s.cmd.Wait() // its exit status says nothing
}

// control asks the sink for its counts.
func (s *sinkProcess) control(ctx context.Context, path string) (*sinkStats, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.admin)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: sink\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	_, length, _, err := readHead(r, nil)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", path, err)
	}
	body, err := readBody(r, length, nil)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", path, err)
	}
	var st sinkStats
	if err := json.Unmarshal(body, &st); err != nil {
		return nil, fmt.Errorf("sink %s: %w", path, err)
	}
	return &st, nil
}

// runGen runs a generator to its end.
func runGen(ctx context.Context, dir string, l load) (*genResult, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "load.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	// A server that hangs must not hang the benchmark; the slowest worth measuring does 500 messages a second.
	limit := l.Duration + time.Duration(l.Count/500)*time.Second + time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self(), "gen", "-load", file)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	var res genResult
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&res); err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	return &res, nil
}

// self is this program, to be run again as another process.
func self() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
