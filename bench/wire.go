package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// This is as much of HTTP/1.1 as the two ends of a benchmark need: a few microseconds per message
// instead of the fifteen to thirty of net/http, because generator, server and sink share the cores.

var (
	errLine   = errors.New("malformed HTTP line")
	errLength = errors.New("malformed HTTP body length")
)

// readHead reads a start line and headers. line is valid until the next read. length is the
// body's, or chunkedBody, or 0 when the headers do not say.
func readHead(r *bufio.Reader, line []byte) (start []byte, length int, keep bool, err error) {
	text, err := r.ReadSlice('\n')
	if err != nil {
		return nil, 0, false, err
	}
	start = append(line[:0], bytes.TrimRight(text, "\r\n")...)
	keep = true
	for {
		text, err = r.ReadSlice('\n')
		if err != nil {
			return nil, 0, false, noEOF(err)
		}
		text = bytes.TrimRight(text, "\r\n")
		if len(text) == 0 {
			return start, length, keep, nil
		}
		switch {
		case hasName(text, "content-length"):
			length, err = strconv.Atoi(string(bytes.TrimSpace(text[len("content-length:"):])))
			if err != nil || length < 0 || length > maxBody {
				return nil, 0, false, errLength
			}
		case hasName(text, "transfer-encoding"):
			length = chunkedBody
		case hasName(text, "connection"):
			keep = !bytes.EqualFold(bytes.TrimSpace(text[len("connection:"):]), []byte("close"))
		}
	}
}

const (
	chunkedBody = -1
	maxBody     = 64 << 20 // nobody benchmarks with more, and a wrong length must not fill the memory
)

// hasName says whether a header line has the given lower-case name.
func hasName(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && line[0]|0x20 == name[0] &&
		bytes.EqualFold(line[:len(name)], []byte(name))
}

// readBody reads a body into buf, which grows as needed.
func readBody(r *bufio.Reader, length int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	if length != chunkedBody {
		return readInto(r, length, buf)
	}
	for {
		text, err := r.ReadSlice('\n')
		if err != nil {
			return nil, noEOF(err)
		}
		text, _, _ = bytes.Cut(bytes.TrimRight(text, "\r\n"), []byte(";"))
		n, err := strconv.ParseUint(string(text), 16, 31)
		if err != nil || len(buf)+int(n) > maxBody {
			return nil, errLength
		}
		if buf, err = readInto(r, int(n), buf); err != nil {
			return nil, err
		}
		if text, err = r.ReadSlice('\n'); err != nil || len(bytes.TrimRight(text, "\r\n")) > 0 {
			return nil, errors.Join(errLine, noEOF(err)) // trailers are not for a benchmark
		}
		if n == 0 {
			return buf, nil
		}
	}
}

func readInto(r *bufio.Reader, n int, buf []byte) ([]byte, error) {
	at := len(buf)
	if cap(buf) < at+n {
		buf = append(make([]byte, 0, at+n+at/2), buf...)
	}
	buf = buf[:at+n]
	_, err := io.ReadFull(r, buf[at:])
	return buf, noEOF(err)
}

// noEOF turns an end in the middle of something into the error that it is.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
