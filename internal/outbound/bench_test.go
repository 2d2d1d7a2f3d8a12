package outbound

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// startSink answers every POST with 200 and "ok", as cheaply as it can.
func startSink(b *testing.B, secure bool) (url string, client *Client) {
	b.Helper()
	opts := Options{Policy: Policy{AllowPrivate: true}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	url = "http://" + l.Addr().String() + "/hook"
	if secure {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.StartTLS()
		opts.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		l = tls.NewListener(l, &tls.Config{Certificates: server.TLS.Certificates})
		server.Close()
		url = "https" + url[4:]
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(nc)
		}
	}()
	client = New(opts)
	b.Cleanup(client.Close)
	return url, client
}

func answerAll(nc net.Conn) {
	defer nc.Close()
	answer := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 13:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	r := bufio.NewReaderSize(nc, 8<<10)
	for {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(1024); err != nil {
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

func benchFields() []Field {
	return []Field{
		{"Content-Type", "application/json"},
		{"webhook-id", "msg_2zQ5xJ1sYb0v5o3kS1W0mTg7d9F"},
		{"webhook-timestamp", "1795440000"},
		{"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
}

func BenchmarkPost(b *testing.B) {
	for _, secure := range []bool{false, true} {
		name := "plain"
		if secure {
			name = "tls"
		}
		b.Run(name, func(b *testing.B) {
			url, client := startSink(b, secure)
			target, err := ParseTarget(url)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			body := bytes.Repeat([]byte("x"), 1024)
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				req := &Request{Target: target, Header: benchFields(), Body: body, Into: new(Response)}
				for pb.Next() {
					if resp, err := client.Post(ctx, req); err != nil || resp.Status != 200 {
						b.Errorf("got %v, %v", resp, err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkPostWithoutNetwork is the client's own share: everything but the kernel.
func BenchmarkPostWithoutNetwork(b *testing.B) {
	client := New(Options{
		Policy: Policy{AllowPrivate: true},
		Dial:   func(context.Context, string, string) (net.Conn, error) { return &cannedConn{}, nil },
	})
	defer client.Close()
	target, err := ParseTarget("http://127.0.0.1:8080/hook")
	if err != nil {
		b.Fatal(err)
	}
	req := &Request{Target: target, Header: benchFields(), Body: make([]byte, 1024), Into: new(Response)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Post(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPostNetHTTP is the standard library doing the same.
func BenchmarkPostNetHTTP(b *testing.B) {
	url, _ := startSink(b, false)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 1024)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			for _, f := range benchFields() {
				req.Header.Set(f.Name, f.Value)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}

// cannedConn answers every write with the same response.
type cannedConn struct {
	nopConn
	pending bool
}

func (c *cannedConn) Write(p []byte) (int, error) { c.pending = true; return len(p), nil }
func (c *cannedConn) Read(p []byte) (int, error) {
	if !c.pending {
		return 0, io.EOF
	}
	c.pending = false
	return copy(p, "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 13:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"), nil
}
