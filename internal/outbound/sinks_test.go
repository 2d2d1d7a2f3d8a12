package outbound

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// afterRequest reads the request and then does something bad.
func afterRequest(then func(nc net.Conn)) func(net.Conn) {
	return func(nc net.Conn) {
		if _, err := readRequest(nc); err == nil {
			then(nc)
		}
	}
}

// endlessly writes text until the client has had enough.
func endlessly(first, text string, pause time.Duration) func(net.Conn) {
	return afterRequest(func(nc net.Conn) {
		_, err := io.WriteString(nc, first)
		for err == nil {
			time.Sleep(pause)
			_, err = io.WriteString(nc, text)
		}
	})
}

func answer(text string) func(net.Conn) {
	return afterRequest(func(nc net.Conn) { _, _ = io.WriteString(nc, text) })
}

func TestPost_SurvivesPoisonSinks(t *testing.T) {
	// Those that end by themselves have time, on a busy machine; for the others time is what ends them.
	const timeout, unhurried = 150 * time.Millisecond, 20 * time.Second
	silent := func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }
	bomb := "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10000000000\r\n\r\n"
	for _, tt := range []struct {
		name      string
		handle    func(nc net.Conn)
		body      int
		kind      Kind // "" when there is an answer
		status    int
		truncated bool
	}{
		{name: "accepts and never reads", handle: func(nc net.Conn) { time.Sleep(20 * timeout) }, body: 16 << 20, kind: Timeout},
		{name: "reads and never answers", handle: silent, kind: Timeout},
		{name: "closes at once", handle: func(net.Conn) {}, kind: Closed},
		{name: "resets in the request", handle: func(nc net.Conn) { _, _ = nc.Read(make([]byte, 1)); reset(nc) }, kind: Closed},
		{name: "resets after the request", handle: afterRequest(reset), kind: Closed},
		{name: "closes in the headers", handle: answer("HTTP/1.1 200 OK\r\nContent-"), kind: Closed},
		{name: "closes in the body", handle: answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), status: 200, truncated: true},
		{name: "resets in the body", handle: afterRequest(func(nc net.Conn) {
			_, _ = io.WriteString(nc, "HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhello")
			time.Sleep(timeout / 10)
			reset(nc)
		}), status: 500, truncated: true},
		{name: "answers and closes before reading the body", handle: func(nc net.Conn) {
			_, _ = io.ReadFull(nc, make([]byte, 100))
			_, _ = io.WriteString(nc, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = nc.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, nc)
		}, body: 1 << 20, status: 413},
		{name: "trickles headers", handle: endlessly("HTTP/1.1 200 OK\r\nX: ", "x", timeout/15), kind: Timeout},
		{name: "trickles the body", handle: endlessly("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", "x", timeout/15), status: 200, truncated: true},
		{name: "sends endless headers", handle: endlessly("HTTP/1.1 200 OK\r\n", strings.Repeat("X-Header: value\r\n", 100), 0), kind: HeaderTooLarge},
		{name: "sends one endless header", handle: endlessly("HTTP/1.1 200 OK\r\nX: ", long(4096), 0), kind: HeaderTooLarge},
		{name: "sends an endless body", handle: endlessly("HTTP/1.1 200 OK\r\n\r\n", long(4096), 0), status: 200, truncated: true},
		{name: "sends endless chunks", handle: endlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+long(500)+"\r\nx\r\n", 0), status: 200, truncated: true},
		{name: "sends endless trailers", handle: endlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n", 0), status: 200, truncated: true},
		{name: "sends endless 100", handle: endlessly("", "HTTP/1.1 100 Continue\r\n\r\n", 0), kind: Protocol},
		{name: "trickles 103", handle: endlessly("", "HTTP/1.1 103 Early Hints\r\n\r\n", timeout/3), kind: Timeout},
		{name: "sends a gzip bomb", handle: endlessly(bomb, "\x1f\x8b\x08\x00"+long(4092), 0), status: 200, truncated: true},
		{name: "redirects to the metadata service", handle: answerEach("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"), status: 302},
		{name: "redirects keeping the method", handle: answerEach("HTTP/1.1 307 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), status: 307},
		{name: "speaks HTTP/0.9", handle: answer("<html>hello</html>\n"), kind: Protocol},
		{name: "speaks SMTP", handle: func(nc net.Conn) { _, _ = io.WriteString(nc, "220 mail ESMTP\r\n"); silent(nc) }, kind: Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startSinkFunc(t, tt.handle)
			client := newClient(t, local())
			target := mustTarget(t, "http://"+s.addr)
			limit := unhurried
			if tt.kind == Timeout {
				limit = timeout
			} else if tt.name == "trickles the body" {
				limit = time.Second // by then there is some of it
			}
			start := time.Now()
			resp, err := client.Post(t.Context(), &Request{Target: target, Body: make([]byte, tt.body), Timeout: limit})
			if took := time.Since(start); took > unhurried/2 {
				t.Errorf("took %v", took)
			}
			if kindOf(err) != tt.kind {
				t.Fatalf("got %+v, %v, want kind %q", resp, err, tt.kind)
			}
			if err == nil && (resp.Status != tt.status || resp.Truncated != tt.truncated || len(resp.Body) > 20_000) {
				t.Errorf("got %d with %d bytes, truncated %v, want %d, %v", resp.Status, len(resp.Body), resp.Truncated, tt.status, tt.truncated)
			}
			if n := s.accepted.Load(); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
			if bad := tt.kind != "" || tt.truncated; bad && client.Idle() != 0 {
				t.Error("kept the connection")
			}
		})
	}
}

func TestPost_DropsConnectionsWithASmuggledAnswer(t *testing.T) {
	s := startSinkFunc(t, answerEach(okAnswer+"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"))
	client := newClient(t, local())
	for range 3 {
		resp, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://"+s.addr)})
		if err != nil || resp.Status != 200 || resp.Reused {
			t.Fatalf("got %+v, %v", resp, err)
		}
	}
}

func TestPost_SaysWhyItCouldNotConnect(t *testing.T) {
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, local()).Post(t.Context(), &Request{Target: mustTarget(t, "http://"+addr)})
	if kindOf(err) != Connect || err.Error() != "could not connect: connection refused" {
		t.Errorf("got %v", err)
	}
}

func TestPost_BlocksWithoutDialling(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		resolve   resolverFunc
	}{
		{"literal", "http://127.0.0.1/", nil},
		{"mapped literal", "http://[::ffff:10.0.0.1]/", nil},
		{"name", "http://evil.example/", resolveTo("127.0.0.1")},
		{"good and bad", "http://evil.example/", resolveTo("1.1.1.1", "10.0.0.1")},
		{"A good, AAAA bad", "http://evil.example/", resolveTo("1.1.1.1", "::1")},
		{"A bad, AAAA good", "http://evil.example/", resolveTo("2606:4700::1111", "169.254.169.254")},
		{"mapped by the DNS", "http://evil.example/", resolveTo("::ffff:192.168.1.1")},
		{"zone", "http://evil.example/", resolveTo("2606:4700::1111%eth0")},
		{"localhost", "http://localhost/", resolveTo("1.1.1.1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := newClient(t, Options{Resolver: tt.resolve, Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
				t.Errorf("dialled %s", addr)
				return nil, net.ErrClosed
			}})
			_, err := client.Post(t.Context(), &Request{Target: mustTarget(t, tt.url)})
			if kindOf(err) != Blocked || !strings.Contains(err.Error(), "are blocked") {
				t.Fatalf("got %v, want Blocked", err)
			}
			if e := err.(*Error); e.Duration != 0 || e.Phases.DNS != 0 || e.Err != nil {
				t.Errorf("a blocked request tells its times: %+v", e)
			}
		})
	}
}

func TestPost_SeesRebinding(t *testing.T) {
	s := startSinkFunc(t, answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	answers := []resolverFunc{resolveTo("1.1.1.1"), resolveTo("127.0.0.1")}
	var dialled []string
	client := newClient(t, Options{
		Resolver: resolverFunc(func(ctx context.Context, host string) ([]netip.Addr, error) {
			next := answers[0]
			answers = answers[1:]
			return next(ctx, host)
		}),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return new(net.Dialer).DialContext(ctx, network, s.addr) // the sink plays 1.1.1.1
		},
	})
	target := mustTarget(t, "http://rebind.example:8080/")
	if _, err := client.Post(t.Context(), &Request{Target: target}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Post(t.Context(), &Request{Target: target}); kindOf(err) != Blocked {
		t.Errorf("got %v, want Blocked", err)
	}
	if len(dialled) != 1 || dialled[0] != "1.1.1.1:8080" {
		t.Errorf("dialled %v", dialled)
	}
}

func TestGuardedDialer_ChecksTheSocketsAddress(t *testing.T) {
	s := startSinkFunc(t, func(net.Conn) {})
	_, port, _ := net.SplitHostPort(s.addr)
	for _, addr := range []string{s.addr, "localhost:" + port, "[::ffff:127.0.0.1]:" + port, "0.0.0.0:" + port} {
		nc, err := guardedDialer(Policy{})(t.Context(), "tcp", addr)
		if err == nil {
			_ = nc.Close()
		}
		if kindOf(err) != Blocked {
			t.Errorf("%s: got %v, want Blocked", addr, err)
		}
	}
	time.Sleep(5 * time.Millisecond)
	if n := s.accepted.Load(); n != 0 {
		t.Errorf("%d connections got through", n)
	}
}

func TestPost_WaitsForTheDNSOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			err  error
			wait time.Duration
			kind Kind
			want string
		}{
			"slow":     {nil, 10 * time.Second, Timeout, "timed out while resolving the host name"},
			"NXDOMAIN": {&net.DNSError{Err: "no such host", IsNotFound: true}, 0, DNS, "the host name does not exist"},
			"SERVFAIL": {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, 0, DNS, "the host name could not be resolved"},
			"empty":    {nil, 0, DNS, "the host name does not exist"},
		} {
			client := New(Options{Resolver: resolverFunc(func(ctx context.Context, _ string) ([]netip.Addr, error) {
				select {
				case <-time.After(tt.wait):
					return nil, tt.err
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})})
			start := time.Now()
			_, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://example.com")})
			if kindOf(err) != tt.kind || err.Error() != tt.want || time.Since(start) != min(tt.wait, 5*time.Second) {
				t.Errorf("%s: got %v after %v", name, err, time.Since(start))
			}
			client.Close()
		}
	})
}

func TestPost_DialsTheOtherFamilyBesideASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve := pipeServer(t, func(http.ResponseWriter, *http.Request) {})
		var mu sync.Mutex
		var dialled []string
		client := New(Options{
			Resolver: resolveTo("2606:4700::1", "2606:4700::2", "1.1.1.1", "1.0.0.1"),
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				mu.Lock()
				dialled = append(dialled, addr)
				mu.Unlock()
				if strings.HasPrefix(addr, "[") {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return serve(ctx, network, addr)
			},
		})
		defer client.Close()
		resp, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "http://example.com")})
		if err != nil || resp.Phases.Connect != dialStagger {
			t.Errorf("got %+v, %v", resp, err)
		}
		if got := strings.Join(dialled, " "); got != "[2606:4700::1]:80 1.1.1.1:80" {
			t.Errorf("dialled %s", got)
		}
	})
}

// certificate makes a self-signed certificate for a host, and the pool that trusts it.
func certificate(t *testing.T, host string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{host}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestPost_SpeaksTLS(t *testing.T) {
	tomorrow := time.Now().Add(24 * time.Hour)
	good, trusted := certificate(t, "shop.example", tomorrow)
	expired, trustedExpired := certificate(t, "shop.example", time.Now().Add(-time.Hour))
	other, trustedOther := certificate(t, "other.example", tomorrow)
	for _, tt := range []struct {
		name   string
		cert   tls.Certificate
		pool   *x509.CertPool
		server *tls.Config
		skip   bool
		want   string
	}{
		{name: "good", cert: good, pool: trusted},
		{name: "good with TLS 1.2", cert: good, pool: trusted, server: &tls.Config{MaxVersion: tls.VersionTLS12}},
		{name: "offers HTTP/2", cert: good, pool: trusted, server: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}},
		{name: "old TLS", cert: good, pool: trusted, server: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, want: "TLS failed: "},
		{name: "expired", cert: expired, pool: trustedExpired, want: "TLS failed: the certificate has expired or is not yet valid"},
		{name: "wrong host", cert: other, pool: trustedOther, want: "TLS failed: the certificate is not valid for shop.example"},
		{name: "self-signed", cert: good, pool: x509.NewCertPool(), want: "TLS failed: the certificate is signed by an unknown authority"},
		{name: "self-signed, not verified", cert: good, pool: x509.NewCertPool(), skip: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := &tls.Config{}
			if tt.server != nil {
				config = tt.server
			}
			config.Certificates = []tls.Certificate{tt.cert}
			s := startSinkFunc(t, func(nc net.Conn) {
				tc := tls.Server(nc, config)
				answerEach(okAnswer)(tc)
			})
			client := newClient(t, Options{RootCAs: tt.pool, Resolver: resolveTo("1.1.1.1"), Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, s.addr)
			}})
			for i := range 3 {
				resp, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "https://shop.example"), SkipTLSVerify: tt.skip})
				if tt.want != "" {
					if kindOf(err) != TLS || !strings.HasPrefix(err.Error(), tt.want) {
						t.Fatalf("got %v, want %s", err, tt.want)
					}
					continue
				}
				if err != nil || resp.Reused != (i > 0) || (resp.Phases.TLS > 0) != (i == 0) {
					t.Fatalf("request %d: got %+v, %v", i, resp, err)
				}
			}
			if tt.skip { // what was not verified must not serve those who verify
				_, err := client.Post(t.Context(), &Request{Target: mustTarget(t, "https://shop.example")})
				if kindOf(err) != TLS {
					t.Errorf("got %v, want a TLS failure", err)
				}
			}
		})
	}
}

func TestPost_SurvivesBadTLSServers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(nc net.Conn)
		kind   Kind
		want   string
	}{
		{"stalls", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, Timeout, "timed out while making the TLS handshake"},
		{"closes", func(nc net.Conn) { _, _ = nc.Read(make([]byte, 4096)) }, TLS, "TLS failed: the handshake was broken off"},
		{"speaks plain HTTP", func(nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n") }, TLS,
			"TLS failed: the server does not speak TLS on this port"},
		{"sends garbage", func(nc net.Conn) { _, _ = nc.Write(bytes.Repeat([]byte{0x16, 3, 3}, 1000)) }, TLS, "TLS failed: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSinkFunc(t, tt.handle)
			opts := local()
			opts.TLSTimeout = 100 * time.Millisecond
			_, err := newClient(t, opts).Post(t.Context(), &Request{Target: mustTarget(t, "https://"+s.addr)})
			if kindOf(err) != tt.kind || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
