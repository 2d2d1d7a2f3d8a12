package ingest

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// Values of headers that never change; net/http only reads them.
var (
	headerClose = []string{"close"}
	headerJSON  = []string{"application/json"}
	headerSniff = []string{"nosniff"}
)

// errorAnswer is an answer of Hark's own that is no 2xx.
type errorAnswer struct {
	status     int
	code       string
	detail     string
	retryAfter time.Duration
}

var notFound = errorAnswer{status: http.StatusNotFound, code: string(hark.NotFound), detail: "There is no such source"}

// answerError writes an error in the form of the API's. Neither code nor detail holds what the caller sent.
func answerError(w http.ResponseWriter, a errorAnswer) {
	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"] = headerJSON, headerSniff
	if a.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int((a.retryAfter + time.Second - 1) / time.Second))}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(`{"code":"` + a.code + `","detail":"` + a.detail + "\"}\n")) // who has gone is nobody's error
}

// write sends a provider's answer.
func write(w http.ResponseWriter, a webhook.Answer) {
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	if len(a.Body) > 0 && h["Content-Type"] == nil {
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
	h["X-Content-Type-Options"] = headerSniff
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// retryAfter is when to try again after err.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*hark.Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return time.Second
}

// ownAnswer is the source's own answer to what it accepts; nil when it has none.
func ownAnswer(src *hark.Source) *webhook.Answer {
	if src.Answer == nil {
		return nil
	}
	a := webhook.Answer{Status: src.Answer.Status, Header: http.Header{}, Body: []byte(src.Answer.Body)}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	for name, value := range src.Answer.Headers {
		a.Header.Set(name, value)
	}
	return &a
}
