package outbound

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// readAnswer reads one whole answer as an exchange does.
func readAnswer(src io.Reader, keep int) (resp Response, clean bool, err error) {
	r := reader{in: make([]byte, 512), headerBytes: 8 << 10}
	r.begin(src)
	if err := r.first(); err != nil {
		return resp, false, err
	}
	m, err := r.readHead(&resp)
	if err != nil {
		return resp, false, err
	}
	clean = r.readBody(&resp, m, keep)
	return resp, clean, nil
}

func TestReader_ReadsAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, answer   string
		status         int
		body           string
		truncated      bool
		connectionGood bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, true},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", false, true},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok", false, true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true},
		{"no content with length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "", false, true},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", false, true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", 200, "hello", false, true},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nSet-Cookie: z\r\n\r\n", 200, "a", false, true},
		{"until close", "HTTP/1.1 500 Oops\r\n\r\nhello", 500, "hello", false, false},
		{"close", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
		{"informational", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 7\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, true},
		{"leftover", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 410 Gone\r\n\r\n", 200, "ok", false, false},
		{"leftover after chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", 200, "", false, false},
		{"body ends early", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, "ok", true, false},
		{"chunks end early", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", 200, "ok", true, false},
		{"chunk size is no number", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nok", 200, "", true, false},
		{"chunk size is enormous", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nok", 200, "", true, false},
		{"chunk with bare LF", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n", 200, "", true, false},
		{"chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n", 200, "ok", true, false},
		{"cut and drained", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + long(30), 200, long(20), true, true},
		{"chunks cut and drained", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n" + long(30) + "\r\n0\r\n\r\n", 200, long(20), true, true},
		{"until close cut", "HTTP/1.1 200 OK\r\n\r\n" + long(30), 200, long(20), true, false},
		{"until close exact", "HTTP/1.1 200 OK\r\n\r\n" + long(20), 200, long(20), false, false},
		{"cut and dropped", "HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n" + long(9000), 200, long(20), true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(tt.answer), iotest.OneByteReader(strings.NewReader(tt.answer))} {
				resp, clean, err := readAnswer(src, 20)
				if err != nil {
					t.Fatal(err)
				}
				if _, slow := src.(*strings.Reader); !slow && strings.HasPrefix(tt.name, "leftover") {
					continue // what follows is not there yet
				}
				if resp.Status != tt.status || string(resp.Body) != tt.body || resp.Truncated != tt.truncated || clean != tt.connectionGood {
					t.Errorf("got %d %q truncated %v clean %v, want %d %q %v %v",
						resp.Status, resp.Body, resp.Truncated, clean, tt.status, tt.body, tt.truncated, tt.connectionGood)
				}
			}
		})
	}
}

func TestReader_RefusesAnswers(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, answer string
		want         Kind
	}{
		{"HTTP/0.9", "<html>\nhello</html>\n", Protocol},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", Protocol},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", Protocol},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", Protocol},
		{"lower case", "http/1.1 200 OK\r\n\r\n", Protocol},
		{"short status", "HTTP/1.1 20 OK\r\n\r\n", Protocol},
		{"long status", "HTTP/1.1 2000 OK\r\n\r\n", Protocol},
		{"signed status", "HTTP/1.1 +20 OK\r\n\r\n", Protocol},
		{"status zero", "HTTP/1.1 000 OK\r\n\r\n", Protocol},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", Protocol},
		{"length twice", ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", Protocol},
		{"two lengths", ok + "Content-Length: 2, 2\r\n\r\nok", Protocol},
		{"negative length", ok + "Content-Length: -2\r\n\r\nok", Protocol},
		{"signed length", ok + "Content-Length: +2\r\n\r\nok", Protocol},
		{"hexadecimal length", ok + "Content-Length: 0x2\r\n\r\nok", Protocol},
		{"empty length", ok + "Content-Length:\r\n\r\nok", Protocol},
		{"huge length", ok + "Content-Length: 99999999999999999999\r\n\r\nok", Protocol},
		{"length and chunked", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Protocol},
		{"chunked and length", ok + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", Protocol},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Protocol},
		{"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", Protocol},
		{"identity", ok + "Transfer-Encoding: identity\r\n\r\n", Protocol},
		{"chunked by vertical tab", ok + "Transfer-Encoding: \x0bchunked\r\n\r\n", Protocol},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Protocol},
		{"space before colon", ok + "Content-Length : 2\r\n\r\nok", Protocol},
		{"no colon", ok + "hello\r\n\r\n", Protocol},
		{"no name", ok + ": hello\r\n\r\n", Protocol},
		{"folded", ok + "X: a\r\n b\r\n\r\n", Protocol},
		{"CR inside", ok + "X: a\rContent-Length: 2\r\n\r\n", Protocol},
		{"NUL inside", ok + "X: a\x00\r\n\r\n", Protocol},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Protocol},
		{"endless 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 7), Protocol},
		{"one long header", ok + "X: " + long(9000), HeaderTooLarge},
		{"many headers", ok + strings.Repeat("X: y\r\n", 2000), HeaderTooLarge},
		{"long status line", "HTTP/1.1 200 " + long(9000), HeaderTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(tt.answer), iotest.HalfReader(strings.NewReader(tt.answer))} {
				if resp, _, err := readAnswer(src, 20); kindOf(err) != tt.want {
					t.Errorf("got %d, %v, want kind %q", resp.Status, err, tt.want)
				}
			}
		})
	}
}

func TestResponse_HeaderFindsFields(t *testing.T) {
	resp, _, err := readAnswer(strings.NewReader("HTTP/1.1 503 Busy\r\nretry-after:\t120 \r\nRetry-After: 5\r\nX: y\r\nContent-Length: 0\r\n\r\n"), 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Retry-After": "120", "x": "y", "Retry": "", "Date": "", "content-length": "0"} {
		if got := resp.Header(name); got != want {
			t.Errorf("Header(%q): got %q, want %q", name, got, want)
		}
	}
}

// FuzzReader: whatever we accept, the standard library reads in the same way.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nT: u\r\n\r\n",
		"HTTP/1.0 500 x\r\nConnection: keep-alive\r\n\r\nhello",
		"HTTP/1.1 204\nA: b\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + long(30),
	} {
		f.Add([]byte(seed), byte(7))
	}
	f.Fuzz(func(t *testing.T, wire []byte, step byte) {
		const keep = 64
		resp, clean, err := readAnswer(&stepReader{wire, int(step)%16 + 1}, keep)
		if err != nil {
			return
		}
		if len(resp.Body) > keep {
			t.Fatalf("kept %d bytes", len(resp.Body))
		}
		buffered := bufio.NewReader(bytes.NewReader(wire))
		var oracle *http.Response
		for oracle == nil || oracle.StatusCode < 200 {
			if oracle, err = http.ReadResponse(buffered, &http.Request{Method: http.MethodPost}); err != nil {
				t.Fatalf("we accept %q, net/http says %v", wire, err)
			}
		}
		body, bodyErr := io.ReadAll(oracle.Body)
		if oracle.StatusCode != resp.Status || !bytes.HasPrefix(body, resp.Body) && bodyErr == nil {
			t.Fatalf("%q: got %d %q, net/http got %d %q", wire, resp.Status, resp.Body, oracle.StatusCode, body)
		}
		if !resp.Truncated && (bodyErr != nil || !bytes.Equal(body, resp.Body)) {
			t.Fatalf("%q: got %q, net/http got %q, %v", wire, resp.Body, body, bodyErr)
		}
		if clean && oracle.Close {
			t.Fatalf("%q: we keep the connection, net/http does not", wire)
		}
		if got, want := resp.Header("Retry-After"), oracle.Header.Get("Retry-After"); got != strings.Trim(want, " \t") {
			t.Fatalf("%q: got Retry-After %q, want %q", wire, got, want)
		}
	})
}

// stepReader gives at most step bytes at a time.
type stepReader struct {
	rest []byte
	step int
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.step, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}
