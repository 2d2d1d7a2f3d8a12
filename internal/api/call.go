package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// call is one request on its way through the API. Handlers write the answer into it; it goes out
// in one piece when they are done, so that it can be remembered, tagged, or replaced by an error.
type call struct {
	http.ResponseWriter
	r      *http.Request
	api    *server
	op     *operation // nil while no route has matched
	caller manage.Caller

	in     []byte // the body, when it was read; valid until the call ends
	read   bool
	out    bytes.Buffer // the body of the answer
	status int
	rid    string
	bearer string // the caller's token
	sent   bool   // the answer was a stream, and went out already
	began  time.Time
}

// newCall takes a call from the pool: its buffers are the largest allocations of a request.
func (s *server) newCall(w http.ResponseWriter, r *http.Request) *call {
	c, _ := s.calls.Get().(*call)
	if c == nil {
		c = new(call)
	}
	c.ResponseWriter, c.r, c.api, c.began = w, r, s, time.Now()
	return c
}

// keptBytes is the largest buffer that is kept for the next call; larger ones are rare and would pile up.
const keptBytes = 256 << 10

func (c *call) free() {
	s, in, out := c.api, c.in[:0], c.out
	if cap(in) > keptBytes {
		in = nil
	}
	if out.Cap() > keptBytes {
		out = bytes.Buffer{}
	}
	out.Reset()
	*c = call{in: in, out: out}
	s.calls.Put(c)
}

// Limits of a request's body.
const (
	maxBody      = 2 << 20
	maxBatchBody = 16 << 20
)

var errTooLarge = &hark.Error{Code: hark.TooLarge, Detail: "Request payload is too large."}

// body reads the whole body. The bytes are the call's own and gone after it: what outlives the
// request must be copied.
func (c *call) body() ([]byte, error) {
	if c.read {
		return c.in, nil
	}
	c.read = true
	limit := c.bodyLimit()
	length := c.r.ContentLength
	if length > limit {
		return nil, errTooLarge
	}
	if length >= 0 {
		if int64(cap(c.in)) < length {
			c.in = make([]byte, length)
		}
		c.in = c.in[:length]
		n, err := io.ReadFull(c.r.Body, c.in)
		c.in = c.in[:n]
		if err != nil && length > 0 {
			return nil, unreadable(err)
		}
		return c.in, nil
	}
	buffer := bytes.NewBuffer(c.in[:0])
	_, err := buffer.ReadFrom(http.MaxBytesReader(c.ResponseWriter, c.r.Body, limit))
	c.in = buffer.Bytes()
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return c.in, nil
}

func (c *call) bodyLimit() int64 {
	if c.op != nil && c.op.bodyLimit > 0 {
		return c.op.bodyLimit
	}
	return maxBody
}

// unreadable is a body that broke off: the caller's doing, or the server's deadline.
func unreadable(err error) error {
	return hark.Errorf(hark.BadRequest, "the request body could not be read: %v", err)
}

// encode makes v the body of the answer.
func (c *call) encode(v any) {
	enc := json.NewEncoder(&c.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Every type here is ours; one that cannot be written is a bug that recover reports.
		panic(err)
	}
}

// encodeData makes n items, which write themselves, the data of the answer, and the fields of frame the rest.
func (c *call) encodeData(frame any, n int, item func(b []byte, i int) []byte) {
	c.out.WriteString(`{"data":[`)
	for i := range n {
		b := c.out.AvailableBuffer()
		if i > 0 {
			b = append(b, ',')
		}
		c.out.Write(item(b, i))
	}
	c.out.WriteString(`],`)
	rest, err := json.Marshal(frame)
	if err != nil {
		panic(err) // as in encode
	}
	c.out.Write(append(rest[1:], '\n'))
}

// flush sends the answer.
func (c *call) flush() {
	h := c.Header()
	if c.status == http.StatusNoContent || c.status == http.StatusNotModified {
		c.ResponseWriter.WriteHeader(c.status)
		return
	}
	if _, set := h["Content-Type"]; !set {
		h["Content-Type"] = headerJSON
	}
	h["Content-Length"] = []string{strconv.Itoa(c.out.Len())}
	c.ResponseWriter.WriteHeader(c.status)
	if c.r.Method != http.MethodHead {
		_, _ = c.ResponseWriter.Write(c.out.Bytes()) // a caller that has gone is nobody's error
	}
}

// WriteHeader and Write are called by ServeMux alone, for answers of its own; end replaces them.
func (c *call) WriteHeader(int) {}

func (c *call) Write(b []byte) (int, error) { return len(b), nil }

// Values of headers that never change; net/http only reads them.
var (
	headerJSON    = []string{"application/json"}
	headerAny     = []string{"*"}
	headerClose   = []string{"close"}
	headerVary    = []string{"Origin"}
	headerPrivate = []string{"private, no-cache"}
)

// tag gives the answer to a read its ETag, and makes it a 304 when the caller has it already. It is a
// strong one, of the very bytes: nobody can make two answers that share it, as whoever publishes could
// with a shorter or weaker hash. Half a millisecond per MiB, less than it takes to send that.
func (c *call) tag() {
	sum := sha256.Sum256(c.out.Bytes())
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	c.Header()["Etag"] = []string{etag}
	for candidate := range strings.SplitSeq(strings.Join(c.r.Header["If-None-Match"], ","), ",") {
		// Compared weakly, as RFC 9110 has it: a proxy may have weakened ours.
		if candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/"); candidate == etag || candidate == "*" {
			c.status = http.StatusNotModified
			c.out.Reset()
			return
		}
	}
}

// path is the value of a wildcard in the route.
func (c *call) path(name string) string { return c.r.PathValue(name) }

func (c *call) operationID() string {
	if c.op == nil {
		return "unknown"
	}
	return c.op.id
}

// requestID names the request in the answer and in the log: the caller's own name for it if it is a
// sane one, else a random one.
func (c *call) requestID() string {
	if c.rid == "" {
		for _, name := range [...]string{"X-Request-Id", "Svix-Req-Id"} {
			if v := c.r.Header[name]; len(v) == 1 && saneID(v[0]) {
				c.rid = v[0]
				return c.rid
			}
		}
		c.rid = strconv.FormatUint(rand.Uint64(), 36)
	}
	return c.rid
}

// saneID keeps what could break a log line or a header out of both.
func saneID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=':
		default:
			return false
		}
	}
	return true
}
