package outbound

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nopConn is a net.Conn that has no network below it.
type nopConn struct{ net.Conn }

func (nopConn) Close() error                     { return nil }
func (nopConn) SetDeadline(time.Time) error      { return nil }
func (nopConn) SetReadDeadline(time.Time) error  { return nil }
func (nopConn) SetWriteDeadline(time.Time) error { return nil }

// kindOf is the kind of err, or "" when it is not an *Error.
func kindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// sink is a real listener on loopback whose connections are handled by one function.
type sink struct {
	addr     string
	accepted atomic.Int32
}

func startSinkFunc(t testing.TB, handle func(nc net.Conn)) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wg.Go(func() {
				defer nc.Close()
				handle(nc)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

// readRequest reads one request and gives its body.
func readRequest(nc net.Conn) ([]byte, error) {
	req, err := http.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(req.Body)
}

// answerEach answers every request on a connection with the given bytes.
func answerEach(answer string) func(net.Conn) {
	return func(nc net.Conn) {
		for {
			if _, err := readRequest(nc); err != nil {
				return
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	}
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func reset(nc net.Conn) {
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

// resolverFunc is a Resolver.
type resolverFunc func(ctx context.Context, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return f(ctx, host)
}

func resolveTo(texts ...string) resolverFunc {
	return func(context.Context, string) ([]netip.Addr, error) {
		var addrs []netip.Addr
		for _, text := range texts {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs, nil
	}
}

func newClient(t testing.TB, opts Options) *Client {
	t.Helper()
	client := New(opts)
	t.Cleanup(client.Close)
	return client
}

// local are the options for sinks on loopback.
func local() Options { return Options{Policy: Policy{AllowPrivate: true}} }

// count is how many goroutines run and how many files are open.
func count(t *testing.T) (goroutines, files int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return runtime.NumGoroutine(), len(entries)
}
