package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hand hands a request to the client of a token, and its answer back.
func (r *Relay) hand(w http.ResponseWriter, req *http.Request, token string) {
	if len(req.TransferEncoding) > 0 { // nothing follows a chunked request on its connection (RFC 9112 §6.1)
		w.Header().Set("Connection", "close")
	}
	r.mu.Lock()
	s := r.sockets[token]
	r.mu.Unlock()
	if s == nil {
		refuse(w, http.StatusServiceUnavailable, "unavailable", "Nobody listens here now: try again", 10*time.Second)
		return
	}
	if !s.limiter.Allow() {
		refuse(w, http.StatusTooManyRequests, "overloaded", "Too many requests", time.Second)
		return
	}
	release, ok := r.hold(req)
	defer release()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "overloaded", "Too many bodies are under way: try again", time.Second)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBodyBytes))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			refuse(w, http.StatusRequestEntityTooLarge, "too_large", "The body is too large for the relay", 0)
			return
		}
		refuse(w, http.StatusBadRequest, "bad_request", "The body could not be read", 0)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeIn + r.Wait + writeIn)) // however long the body took
	id := rand.Text()
	waits, ok := s.expect(id)
	if !ok {
		refuse(w, http.StatusTooManyRequests, "overloaded", "Too many requests wait for their answers", time.Second)
		return
	}
	defer s.forget(id)
	event := data{ID: id, Method: req.Method, Headers: forwarded(req.Header), Body: &body}
	// Not the request's context: a sender that gives up in the middle of a message would cost the client its connection.
	if s.write(context.WithoutCancel(req.Context()), frame{Type: "event", Version: version, Data: event}) != nil {
		refuse(w, http.StatusServiceUnavailable, "unavailable", "The listener has gone: try again", 10*time.Second)
		return
	}
	timer := time.NewTimer(r.Wait)
	defer timer.Stop()
	select {
	case a := <-waits:
		answer(w, a)
	case <-s.gone:
		refuse(w, http.StatusServiceUnavailable, "unavailable", "The listener left without an answer: try again", 10*time.Second)
	case <-timer.C:
		refuse(w, http.StatusGatewayTimeout, "timeout", "The listener did not answer in time: try again", 10*time.Second)
	case <-req.Context().Done():
	}
}

// hold reserves memory for a request's body and its base64, until release.
func (r *Relay) hold(req *http.Request) (release func(), ok bool) {
	n := req.ContentLength
	if n < 0 || n > maxBodyBytes {
		n = maxBodyBytes
	}
	n *= 3
	return func() { r.held.Add(-n) }, r.held.Add(n) <= maxHeld
}

// hopByHop are the headers of a connection, not of a request; Host and the length are the client's own.
var hopByHop = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// forwarded is what the client gets of the headers: one value each, for the protocol has no room for more.
func forwarded(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		if !slices.Contains(hopByHop, name) && len(values) > 0 {
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

// passed says whether a header of an answer goes back to the sender: what senders read, and nothing that
// would make a browser or a proxy do something in this server's name.
func passed(name string) bool {
	switch name {
	case "Content-Type", "Content-Encoding", "Content-Language", "Retry-After", "Etag", "Last-Modified", "Allow", "Validation-Token":
		return true
	}
	for _, prefix := range []string{"Webhook-", "X-Hook-", "X-Webhook-", "X-Request-", "X-Correlation-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// answer gives the client's answer to the sender. It is shown as nothing that could act: a stranger has
// made it.
func answer(w http.ResponseWriter, a data) {
	if a.Status < 200 || a.Status > 599 {
		refuse(w, http.StatusBadGateway, "bad_gateway", "The listener's answer has no status that can be passed on", 10*time.Second)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	for name, value := range a.Headers {
		if name = http.CanonicalHeaderKey(name); passed(name) {
			h.Set(name, value)
		}
	}
	harmless(h)
	w.WriteHeader(a.Status)
	if a.Body != nil {
		_, _ = w.Write(*a.Body) // who has gone is nobody's error
	}
}

func harmless(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// refuse answers for the relay itself, in the form of the API's errors.
func refuse(w http.ResponseWriter, status int, code, detail string, retryAfter time.Duration) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	harmless(h)
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"code":"`+code+`","detail":"`+detail+"\"}\n") // who has gone is nobody's error
}
