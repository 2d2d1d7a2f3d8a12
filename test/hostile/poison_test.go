package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// poison is a receiver that means harm. serve has the connection for itself; it is closed afterwards.
type poison struct {
	name   string
	scheme string // "" is http
	serve  func(c net.Conn, stop <-chan struct{})
	// judge looks at the attempts' status codes, newest first, and the endpoint's disabled flag.
	judge func(codes []int, disabled bool) error
}

// start listens for a poison and returns its URL.
func (p *poison) start(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				done := make(chan struct{})
				go func() { // a connection that is stuck in a read or write ends with the test
					select {
					case <-stop:
						c.Close()
					case <-done:
					}
				}()
				defer close(done)
				p.serve(c, stop)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(stop)
		open.Wait()
	})
	scheme := p.scheme
	if scheme == "" {
		scheme = "http"
	}
	return scheme + "://" + l.Addr().String() + "/"
}

// request reads one whole request and says whether there was one.
func request(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// answers serves every request on a connection with the same bytes.
func answers(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) {
		for r := bufio.NewReader(c); request(r); {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// floods answers one request with head, and then with piece again and again, every pause.
func floods(head, piece string, pause time.Duration) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, stop <-chan struct{}) {
		if !request(bufio.NewReader(c)) {
			return
		}
		if _, err := io.WriteString(c, head); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			if pause == 0 {
				continue
			}
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the close that follows sends RST
	}
}

// Judgements of the attempts' status codes.
func never2xx(codes []int, _ bool) error {
	for _, code := range codes {
		if code/100 == 2 {
			return fmt.Errorf("an attempt counts as answered with %d", code)
		}
	}
	return some(codes)
}

func always(want int) func([]int, bool) error {
	return func(codes []int, _ bool) error {
		for _, code := range codes {
			if code != want {
				return fmt.Errorf("an attempt has status %d, want %d", code, want)
			}
		}
		return some(codes)
	}
}

func anything(codes []int, _ bool) error { return some(codes) }

func some(codes []int) error {
	if len(codes) == 0 {
		return fmt.Errorf("no attempt was recorded")
	}
	return nil
}

// bomb is a small answer that unpacks to a gigabyte.
func bomb() string {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := z.Write(zeros); err != nil {
			panic(err) // a buffer does not fail
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.Bytes())
}

// poisons are all of them. trap is a URL that nobody may ever call.
func poisons(trap string) []poison {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	big := strings.Repeat("x", 32<<10)
	redirect := func(status int, to string) func(net.Conn, <-chan struct{}) {
		return answers(fmt.Sprintf("HTTP/1.1 %d Away\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, to))
	}
	busy := func(after string) func(net.Conn, <-chan struct{}) {
		return answers("HTTP/1.1 429 Slow Down\r\nRetry-After: " + after + "\r\nContent-Length: 0\r\n\r\n")
	}
	return []poison{
		{"never answers", "", func(c net.Conn, stop <-chan struct{}) { request(bufio.NewReader(c)); <-stop }, always(0)},
		{"never reads", "", func(_ net.Conn, stop <-chan struct{}) { <-stop }, always(0)},
		{"resets at once", "", func(c net.Conn, _ <-chan struct{}) { reset(c) }, always(0)},
		{"resets after the request", "", func(c net.Conn, _ <-chan struct{}) { request(bufio.NewReader(c)); reset(c) }, always(0)},
		{"closes in the middle of the headers", "", func(c net.Conn, _ <-chan struct{}) {
			request(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
		}, always(0)},
		{"sends headers byte by byte", "", floods("HTTP/1.1 200 OK\r\nX-Slow: ", "y", 100*time.Millisecond), always(0)},
		{"sends endless headers", "", floods("HTTP/1.1 200 OK\r\n", "X-More: "+big[:1000]+"\r\n", 0), always(0)},
		{"sends one endless header", "", floods("HTTP/1.1 200 OK\r\nX-Long: ", big, 0), always(0)},
		{"sends endless 100 Continue", "", floods("", "HTTP/1.1 100 Continue\r\n\r\n", 0), always(0)},
		{"sends an endless body", "", floods("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", big, 0), anything},
		{"sends an endless chunk", "", floods("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", big, 0), anything},
		{"sends its body byte by byte", "", floods("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "z", 100*time.Millisecond), anything},
		{"sends a gzip bomb", "", answers(bomb()), anything},
		{"speaks HTTP/0.9", "", answers("<html>welcome</html>"), always(0)},
		{"speaks another protocol", "", func(c net.Conn, _ <-chan struct{}) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n") }, always(0)},
		{"claims status 99999", "", answers("HTTP/1.1 99999 No\r\nContent-Length: 0\r\n\r\n"), never2xx},
		{"smuggles a second answer", "", answers(ok + "HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n"), always(200)},
		{"gives two lengths", "", answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"), anything},
		{"stalls in TLS", "https", func(_ net.Conn, stop <-chan struct{}) { <-stop }, always(0)},
		{"speaks plain HTTP on a TLS port", "https", answers(ok), always(0)},
		{"redirects to the metadata service", "", redirect(302, "http://169.254.169.254/latest/meta-data/"), always(302)},
		{"redirects with the body", "", redirect(307, trap), always(307)},
		{"redirects for good", "", redirect(308, trap), always(308)},
		{"redirects to a file", "", redirect(301, "file:///etc/passwd"), always(301)},
		{"asks to wait for 30,000 years", "", busy("1000000000000"), always(429)},
		{"asks to wait for less than nothing", "", busy("-5"), always(429)},
		{"asks to wait until the year 9999", "", busy("Fri, 31 Dec 9999 23:59:59 GMT"), always(429)},
		{"asks to wait for garbage", "", busy("soon 😀"), always(429)},
		{"is gone, then well again", "", goneOnce(), func(codes []int, disabled bool) error {
			if !disabled {
				return fmt.Errorf("not disabled after 410")
			}
			return some(codes)
		}},
	}
}

// goneOnce answers 410 to the first request ever and 200 to all others.
func goneOnce() func(net.Conn, <-chan struct{}) {
	var once sync.Once
	return func(c net.Conn, stop <-chan struct{}) {
		text := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		once.Do(func() { text = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" })
		answers(text)(c, stop)
	}
}
