package outbound

import (
	"bytes"
	"errors"
	"io"
)

// readBody reads the body into resp, at most keep bytes of it, and says whether the connection is
// clean afterwards: the body has ended where it should, and nothing follows.
func (r *reader) readBody(resp *Response, m message, keep int) (clean bool) {
	var err error
	switch {
	case m.chunked:
		err = r.readChunked(resp, keep)
	case m.length >= 0:
		err = r.readLength(resp, m.length, keep)
	default:
		err = r.readToEnd(resp, keep)
		m.close = true
	}
	if err != nil {
		resp.Truncated = true
	}
	return err == nil && !m.close && r.pos == r.end
}

// holds says whether the buffer has the whole body already.
func (r *reader) holds(m message) bool {
	have := r.in[r.pos:r.end]
	if m.chunked {
		return bytes.HasSuffix(have, []byte("0\r\n\r\n"))
	}
	return m.length >= 0 && m.length <= int64(len(have))
}

var errCut = errors.New("body cut")

// readLength reads a body of known length.
func (r *reader) readLength(resp *Response, length int64, keep int) error {
	if length > int64(keep)+maxDrain { // what is left on the connection costs the connection
		if err := r.copyBody(resp, int64(keep), keep); err != nil {
			return err
		}
		return errCut
	}
	return r.copyBody(resp, length, keep)
}

// copyBody moves n bytes of body into resp, dropping those beyond keep.
func (r *reader) copyBody(resp *Response, n int64, keep int) error {
	for n > 0 {
		if r.pos == r.end {
			if err := r.fill(); err != nil {
				return err
			}
		}
		part := int(min(n, int64(r.end-r.pos)))
		r.keepBody(resp, r.in[r.pos:r.pos+part], keep)
		r.pos += part
		n -= int64(part)
	}
	return nil
}

func (r *reader) keepBody(resp *Response, part []byte, keep int) {
	room := keep - len(resp.Body)
	if len(part) > room {
		resp.Truncated = true
		part = part[:room]
	}
	resp.Body = append(resp.Body, part...)
}

// readToEnd reads a body that ends with the connection.
func (r *reader) readToEnd(resp *Response, keep int) error {
	for !resp.Truncated {
		r.keepBody(resp, r.in[r.pos:r.end], keep)
		r.pos = r.end
		if resp.Truncated {
			return errCut
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	return errCut
}

// readChunked reads a chunked body. Chunks may be tiny, so their framing has a budget of its own.
// Trailers are read and ignored.
func (r *reader) readChunked(resp *Response, keep int) error {
	framing := 4*keep + maxDrain
	left := int64(keep + maxDrain)
	for {
		size, err := r.chunkSize(&framing)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if left -= size; left < 0 {
			_ = r.copyBody(resp, left+size, keep)
			return errCut
		}
		if err := r.copyBody(resp, size, keep); err != nil {
			return err
		}
		if line, err := r.crlfLine(&framing); err != nil || len(line) > 0 {
			return errCut
		}
	}
	for {
		line, err := r.crlfLine(&framing)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
	}
}

func (r *reader) chunkSize(framing *int) (int64, error) {
	line, err := r.crlfLine(framing)
	if err != nil {
		return 0, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, errCut
	}
	var size int64
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errCut
		}
		size = size<<4 | int64(c)
	}
	return size, nil
}

// crlfLine is the next line of chunk framing, where only CRLF ends a line.
func (r *reader) crlfLine(framing *int) ([]byte, error) {
	line, err := r.line(min(*framing, 1<<10))
	if err != nil {
		return nil, err
	}
	*framing -= len(line) + 1
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, errCut
	}
	return line[:len(line)-1], nil
}
