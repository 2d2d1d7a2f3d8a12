package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The sink answers every request at once and counts it. The first segment of the path says how it
// behaves and which class the request is counted in:
//
//	/ok/…        200
//	/fail/…      500
//	/hang/10s/…  200, after 10 s
//
// Payloads carry "sentAt":<unix nanoseconds> and "seq":<number>; from them come publish→arrival
// times and the count of distinct messages for each path. GET /_stats and GET /_reset on a second,
// always plain port are for whoever runs the benchmark.
type sink struct {
	mu      sync.Mutex
	paths   map[string]*sinkPath
	classes map[string]*sinkClass
	conns   int64
	admin   net.Listener
}

// sinkClass is what /_stats says of one class.
type sinkClass struct {
	Requests int64      `json:"requests"`
	Unique   int64      `json:"unique"` // distinct (path, seq)
	FirstNS  int64      `json:"first_ns"`
	LastNS   int64      `json:"last_ns"`
	Arrival  *histogram `json:"arrival"` // first arrivals only
}

type sinkPath struct {
	class  *sinkClass
	status int
	hang   time.Duration
	seen   []uint64 // bit set of seq-firstSeq
}

// sinkStats is the answer to /_stats.
type sinkStats struct {
	Classes     map[string]*sinkClass `json:"classes"`
	Connections int64                 `json:"connections"` // accepted since the reset
	CPU         time.Duration         `json:"cpu"`         // of the sink's process
}

func sinkMain(args []string) error {
	fs := flag.NewFlagSet("sink", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:0", "address to listen on; it is printed, followed by the address for /_stats")
	certFile := fs.String("tls", "", "speak TLS with a fresh certificate, and write it to this file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	var config *tls.Config
	if *certFile != "" {
		if config, err = selfSigned(*certFile); err != nil {
			return err
		}
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), admin.Addr())
	go func() { // the parent holds our standard input: when it goes, so do we
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	s := &sink{paths: map[string]*sinkPath{}, classes: map[string]*sinkClass{}, admin: admin}
	go func() {
		_ = s.listen(admin, nil) // it ends with the process
	}()
	return s.listen(l, config)
}

func (s *sink) listen(l net.Listener, config *tls.Config) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if l != s.admin {
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
		}
		go s.serve(c, config)
	}
}

func (s *sink) serve(c net.Conn, config *tls.Config) {
	defer c.Close()
	if config != nil {
		c = tls.Server(c, config)
	}
	r := bufio.NewReaderSize(c, 16<<10)
	var line, body []byte
	for {
		start, length, keep, err := readHead(r, line)
		if err != nil {
			return
		}
		line = start
		if body, err = readBody(r, length, body); err != nil {
			return
		}
		_, path, _ := bytes.Cut(start, []byte(" "))
		path, _, _ = bytes.Cut(path, []byte(" "))
		var answer []byte
		if bytes.HasPrefix(path, []byte("/_")) {
			answer = s.control(string(path))
		} else {
			answer = s.take(path, body)
		}
		if _, err := c.Write(answer); err != nil || !keep {
			return
		}
	}
}

// take counts one request and makes its answer.
func (s *sink) take(path, body []byte) []byte {
	now := time.Now()
	s.mu.Lock()
	p := s.paths[string(path)]
	if p == nil {
		p = s.newPath(string(path))
	}
	p.class.count(p, now, body)
	s.mu.Unlock()
	if p.hang > 0 {
		time.Sleep(p.hang)
	}
	if p.status == 200 {
		return answerOK
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", p.status)
}

var answerOK = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

// newPath reads a path's behaviour from its segments. s.mu is held.
func (s *sink) newPath(path string) *sinkPath {
	segments := strings.Split(path, "/")
	name := segments[1]
	class := s.classes[name]
	if class == nil {
		class = &sinkClass{Arrival: newHistogram()}
		s.classes[name] = class
	}
	p := &sinkPath{class: class, status: 200}
	switch name {
	case "fail":
		p.status = 500
	case "hang":
		p.hang = 10 * time.Second
		if len(segments) > 2 {
			if d, err := time.ParseDuration(segments[2]); err == nil {
				p.hang = d
			}
		}
	}
	s.paths[path] = p
	return p
}

func (c *sinkClass) count(p *sinkPath, now time.Time, body []byte) {
	c.Requests++
	if c.FirstNS == 0 {
		c.FirstNS = now.UnixNano()
	}
	c.LastNS = now.UnixNano()
	if seq := field(body, `"seq":`); seq >= firstSeq {
		word, bit := int((seq-firstSeq)/64), uint64(1)<<((seq-firstSeq)%64)
		if word >= len(p.seen) {
			p.seen = append(p.seen, make([]uint64, word+1-len(p.seen)+len(p.seen)/4)...)
		}
		if p.seen[word]&bit != 0 {
			return // a repeat
		}
		p.seen[word] |= bit
	}
	c.Unique++
	if sent := field(body, `"sentAt":`); sent > 0 {
		c.Arrival.add(time.Duration(now.UnixNano() - sent))
	}
}

// field reads the number after a JSON key that stands in body once; 0 when it does not.
func field(body []byte, key string) int64 {
	i := bytes.Index(body, []byte(key))
	if i < 0 {
		return 0
	}
	var n int64
	for _, d := range bytes.TrimLeft(body[i+len(key):], " ") {
		if d < '0' || d > '9' {
			break
		}
		n = n*10 + int64(d-'0')
	}
	return n
}

func (s *sink) control(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "/_reset" {
		clear(s.paths)
		clear(s.classes)
		s.conns = 0
	}
	body, err := json.Marshal(sinkStats{s.classes, s.conns, ownCPU()})
	if err != nil {
		return []byte("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
	}
	return append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
}

// selfSigned makes a certificate for loopback and writes it where a server can be told to trust it.
func selfSigned(file string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "hark bench sink"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
