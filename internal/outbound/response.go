package outbound

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"

	"github.com/harkhq/hark"
)

// reader reads one answer from src into a buffer of its own.
type reader struct {
	src         io.Reader
	in          []byte // in[pos:end] is read and not used
	pos, end    int
	headerBytes int
}

// message is what the head of an answer says about the rest of it.
type message struct {
	length  int64 // of the body; -1 when it is chunked or ends with the connection
	chunked bool
	close   bool // the connection ends after this answer
}

func (r *reader) begin(src io.Reader) { r.src, r.pos, r.end = src, 0, 0 }

// first waits for the first byte of the answer.
func (r *reader) first() error { return r.fill() }

// fill reads once. It keeps what is unread, and grows the buffer when that fills it.
func (r *reader) fill() error {
	if r.pos == r.end {
		r.pos, r.end = 0, 0
	}
	if r.end == len(r.in) {
		if r.pos > 0 {
			r.end = copy(r.in, r.in[r.pos:r.end])
			r.pos = 0
		} else {
			r.in = append(r.in, make([]byte, len(r.in))...)
		}
	}
	// A reader may return nothing without an error; one that keeps doing so is broken.
	for range 10 {
		n, err := r.src.Read(r.in[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line is the next line without its end, valid until the next call. It reads at most limit bytes.
func (r *reader) line(limit int) ([]byte, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(r.in[r.pos+from:r.end], '\n'); i >= 0 {
			n := from + i
			if n >= limit {
				return nil, errTooLong
			}
			line := r.in[r.pos : r.pos+n]
			r.pos += n + 1
			return line, nil
		}
		from = r.end - r.pos
		if from >= limit {
			return nil, errTooLong
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

var errTooLong = errors.New("line too long")

// readHead reads status line and fields, past any 1xx answers. The fields are kept in resp.
func (r *reader) readHead(resp *Response) (message, error) {
	budget := r.headerBytes
	for range maxInformational + 1 {
		m, err := r.readOneHead(resp, &budget)
		if err != nil || resp.Status >= 200 {
			return m, err
		}
		if resp.Status == 101 {
			return m, protocolError("the endpoint switched to another protocol")
		}
	}
	return message{}, protocolError("the endpoint sent too many 1xx answers")
}

func (r *reader) readOneHead(resp *Response, budget *int) (message, error) {
	line, err := r.headLine(budget)
	if err != nil {
		return message{}, err
	}
	m := message{length: -1}
	if resp.Status, m.close, err = parseStatus(line); err != nil {
		return m, err
	}
	http10 := m.close
	resp.head = resp.head[:0]
	for {
		line, err := r.headLine(budget)
		if err != nil {
			return m, err
		}
		if len(line) == 0 {
			break
		}
		if err := m.field(line); err != nil {
			return m, err
		}
		resp.head = append(append(resp.head, line...), '\n')
	}
	if m.chunked && (m.length >= 0 || http10) {
		return m, protocolError("the answer gives its length in two ways")
	}
	if resp.Status < 200 || resp.Status == 204 || resp.Status == 304 {
		m.length, m.chunked = 0, false
	}
	return m, nil
}

// headLine is the next line of the head without CR. A bare LF ends a line too, as everywhere;
// control characters inside one mean different things to different readers.
func (r *reader) headLine(budget *int) ([]byte, error) {
	line, err := r.line(*budget)
	if err == errTooLong {
		return nil, &Error{Kind: HeaderTooLarge, sentence: "the answer's headers are too large"}
	}
	if err != nil {
		return nil, err
	}
	*budget -= len(line) + 1
	line = bytes.TrimSuffix(line, []byte("\r"))
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, protocolError("the answer's headers contain control characters")
		}
	}
	return line, nil
}

// parseStatus reads "HTTP/1.1 200 OK". Connections of HTTP/1.0 serve once.
func parseStatus(line []byte) (status int, http10 bool, err error) {
	const version = "HTTP/1."
	if len(line) < 12 || string(line[:7]) != version || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' {
		return 0, false, notHTTP()
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, false, notHTTP()
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return 0, false, notHTTP()
	}
	return status, line[7] == '0', nil
}

// field takes in one header field, as far as it says how the answer is framed.
func (m *message) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return protocolError("the answer has a malformed header")
	}
	for _, c := range line[:colon] {
		if !tokenBytes[c] { // refuses folded lines too, and "Content-Length : 5"
			return protocolError("the answer has a malformed header")
		}
	}
	name := line[:colon]
	switch {
	case len(name) == 14 && isName(name, "content-length"):
		length, ok := parseLength(bytes.Trim(line[colon+1:], " \t"))
		if !ok || m.length >= 0 {
			return protocolError("the answer has a malformed or repeated Content-Length")
		}
		m.length = length
	case len(name) == 17 && isName(name, "transfer-encoding"):
		if m.chunked || !isName(bytes.Trim(line[colon+1:], " \t"), "chunked") {
			return protocolError("the answer has an unknown Transfer-Encoding")
		}
		m.chunked = true
	case len(name) == 10 && isName(name, "connection"):
		for token := range bytes.SplitSeq(line[colon+1:], []byte(",")) {
			m.close = m.close || isName(bytes.Trim(token, " \t"), "close")
		}
	}
	return nil
}

func parseLength(digits []byte) (int64, bool) {
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n < math.MaxInt64
}

// findField looks for a field in head, the lines of which are well-formed and end in LF.
func findField(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return string(bytes.Trim(line[len(name)+1:], " \t\n"))
		}
	}
	return ""
}

// fieldsOf are all fields in head.
func fieldsOf(head []byte) (fields []hark.HeadField) {
	for line := range bytes.Lines(head) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			fields = append(fields, hark.HeadField{Name: string(name), Value: string(bytes.Trim(value, " \t\n"))})
		}
	}
	return fields
}

// isName compares with a lower-case ASCII name in any case.
func isName(text []byte, lower string) bool {
	if len(text) != len(lower) {
		return false
	}
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// tokenBytes are the characters of a header's name; nothing writes to it.
var tokenBytes = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func notHTTP() error { return protocolError("the answer is not HTTP/1.1") }

func protocolError(sentence string) error { return &Error{Kind: Protocol, sentence: sentence} }
