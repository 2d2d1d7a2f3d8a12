package ingest

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/harkhq/hark"
)

// A body is read into memory that grows with what has come, not with what was announced: a thousand
// callers that promise 25 MiB and send nothing cost nothing.
const (
	firstRead = 64 << 10
	// slowest is the rate at which a body that takes longer must come, in bytes a second.
	slowest = 128 << 10
)

var (
	errTooLarge = errors.New("the body is too large")
	errSlow     = errors.New("the body came too slowly")
	errBroken   = errors.New("the body broke off")
	errCrowded  = &hark.Error{Code: hark.Overloaded, Detail: "Too many bodies are being received", RetryAfter: time.Second}
)

// readBody reads a body of at most limit bytes. release gives back what was reserved for it.
func (in *Ingest) readBody(w http.ResponseWriter, r *http.Request, limit int) (body []byte, release func(), err error) {
	reserved := int64(0)
	release = func() { in.reading.Add(-reserved) }
	if r.ContentLength > int64(limit) {
		return nil, release, errTooLarge
	}
	if r.ContentLength == 0 {
		return []byte{}, release, nil
	}
	reserve := func(n int) bool {
		reserved += int64(n)
		return in.reading.Add(int64(n)) <= in.MaxReading
	}
	began, c := time.Now(), http.NewResponseController(w)
	allow := func(received int) {
		deadline := began.Add(in.ReadTimeout + time.Duration(received)*time.Second/slowest)
		_ = c.SetReadDeadline(deadline) // where it cannot be set, the server's own holds
		_ = c.SetWriteDeadline(deadline.Add(2 * in.ReadTimeout))
	}
	allow(0)
	size := firstRead
	if n := r.ContentLength; n > 0 {
		size = min(size, int(n))
	}
	if !reserve(size) {
		return nil, release, errCrowded
	}
	body = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, release, errTooLarge
		case errors.Is(err, io.EOF):
			return body, release, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, release, errSlow
		case err != nil:
			return nil, release, errBroken
		case int64(len(body)) == r.ContentLength:
			return body, release, nil
		case len(body) == cap(body):
			more := min(cap(body), limit+1-len(body))
			if n := r.ContentLength; n > 0 {
				more = min(more, int(n)-len(body))
			}
			if !reserve(more) {
				return nil, release, errCrowded
			}
			body = append(make([]byte, 0, cap(body)+more), body...)
			allow(len(body))
		}
	}
}
