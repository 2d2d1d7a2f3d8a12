package outbound

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

// exchange is the working memory of one Post: what is written, and what is being read.
type exchange struct {
	ctx      context.Context // of this Post alone; the exchange never outlives it
	req      *Request
	resp     *Response
	start    time.Time
	deadline time.Time
	out      []byte
	answered bool // a byte of an answer was read
	reader
}

func (x *exchange) begin(ctx context.Context, req *Request, resp *Response) {
	x.ctx, x.req, x.resp = ctx, req, resp
	x.answered = false
	x.start = time.Now()
	timeout := req.Timeout
	if timeout <= 0 {
		timeout = hark.DefaultTimeout
	}
	x.deadline = x.start.Add(timeout)
}

// writeHead lays out the request line and all fields.
func (x *exchange) writeHead(tail string) *Error {
	t := x.req.Target
	out := x.out[:0]
	if method := x.req.Method; method != "" {
		if strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return &Error{Kind: Invalid, sentence: "the request's method is none"}
		}
		out = append(append(out, method...), t.head[len("POST"):]...)
	} else {
		out = append(out, t.head...)
	}
	basic := t.basic
	for i := range x.req.Header {
		f := &x.req.Header[i]
		if basic != "" && strings.EqualFold(f.Name, "Authorization") {
			basic = ""
		}
		out = append(out, f.Name...)
		out = append(out, ": "...)
		out = append(out, f.Value...)
		out = append(out, "\r\n"...)
	}
	lines := 2 + len(x.req.Header) + 3 + 1
	if basic != "" {
		out = append(out, basic...)
		lines++
	}
	out = append(out, tail...)
	out = strconv.AppendInt(out, int64(len(x.req.Body)), 10)
	out = append(out, "\r\n\r\n"...)
	x.out = out
	// The last wall against header injection: as many line breaks as we meant to write.
	if bytes.Count(out, []byte("\n")) != lines || bytes.Count(out, []byte("\r")) != lines || bytes.IndexByte(out, 0) >= 0 {
		return &Error{Kind: Invalid, sentence: "a header field contains a line break"}
	}
	return nil
}

// exchange sends the request over cn and reads the answer. It owns cn: afterwards the connection
// is idle or closed.
func (c *Client) exchange(x *exchange, cn *conn) *Error {
	if x.ctx.Err() != nil { // it ended before the connection joined its group: nobody will interrupt
		c.conns.drop(cn)
		return fail(x.ctx, "sending the request", Canceled, nil)
	}
	_ = cn.nc.SetDeadline(x.deadline) // fails only on a closed connection, and then so does the write
	if x.resp.Reused && x.start.Sub(cn.idleSince) > checkIdleAfter && !cn.alive() {
		c.conns.drop(cn)
		return &Error{Kind: Closed, sentence: "the connection was closed while idle"}
	}
	x.reader.begin(cn.nc)
	writeErr := x.write(cn)
	written := time.Now()
	if writeErr != nil && isTimeout(writeErr) {
		c.conns.drop(cn)
		return c.failed(x, "sending the request", writeErr)
	}
	// When writing failed there can be an answer all the same: 413, and the connection closed.
	err := x.first()
	if err != nil {
		c.conns.drop(cn)
		if writeErr != nil {
			return c.failed(x, "sending the request", writeErr)
		}
		return c.failed(x, "waiting for the answer", err)
	}
	x.answered = true
	x.resp.Phases.FirstByte = time.Since(written)
	m, err := x.readHead(x.resp)
	if err != nil {
		c.conns.drop(cn)
		return c.failed(x, "reading the answer's headers", err)
	}
	reusable := c.readBody(x, cn, m) && writeErr == nil
	end := time.Now()
	x.resp.Duration = end.Sub(x.start)
	if reusable && end.Sub(cn.born) < maxAge {
		c.conns.put(cn, end)
	} else {
		c.conns.drop(cn)
	}
	return nil
}

// write sends head and body: in one piece when they are small.
func (x *exchange) write(cn *conn) error {
	body := x.req.Body
	n := min(len(body), max(0, coalesce-len(x.out)))
	x.out = append(x.out[:len(x.out):cap(x.out)], body[:n]...)
	head := len(x.out) - n
	_, err := cn.nc.Write(x.out)
	if err == nil && n < len(body) {
		_, err = cn.nc.Write(body[n:])
	}
	x.out = x.out[:head] // ready for a second try
	return err
}

// readBody reads what of the body is not there yet, and says whether the connection can serve
// again. Whatever goes wrong here only cuts the body.
func (c *Client) readBody(x *exchange, cn *conn, m message) bool {
	if !x.holds(m) {
		deadline := time.Now().Add(c.opts.BodyTimeout)
		if deadline.Before(x.deadline) {
			_ = cn.nc.SetReadDeadline(deadline)
		}
	}
	return x.reader.readBody(x.resp, m, c.opts.BodyBytes)
}
