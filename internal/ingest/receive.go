package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/webhook"
)

// DefaultMethods are those of a source that names none. GET and HEAD are what browsers, previews and
// scanners do with every URL that they see.
var DefaultMethods = [...]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// visit is one request to a source.
type visit struct {
	in    *Ingest
	w     http.ResponseWriter
	r     *http.Request
	src   *source
	path  string // behind the token
	began time.Time

	remote netip.Addr
	body   []byte
	head   []byte
	now    time.Time // when it was all there
}

// refusal is why a request does not become a message.
type refusal struct {
	cause      hark.RejectionCause
	detail     string
	status     int
	retryAfter time.Duration
	verdict    webhook.Verdict
}

func (v *visit) serve() result {
	v.remote = v.in.Caller(v.r)
	if no := v.atTheDoor(); no != nil {
		return v.reject(no)
	}
	limit := v.src.MaxBytes
	if limit <= 0 {
		limit = hark.DefaultMaxBytes
	}
	body, release, err := v.in.readBody(v.w, v.r, limit)
	defer release()
	if v.body = body; err != nil {
		return v.unread(err, limit)
	}
	v.now = time.Now().UTC().Truncate(time.Millisecond)
	if v.src.Disabled {
		return v.reject(&refusal{cause: hark.SourceDisabled, detail: "The source is disabled", status: http.StatusNotFound})
	}
	if v.src.broken != nil {
		return v.reject(&refusal{cause: hark.Unverifiable, detail: "The source cannot verify: " + v.src.broken.Error(), status: http.StatusServiceUnavailable, retryAfter: time.Minute})
	}
	request := v.request()
	if answer, ok := v.challenge(&request); ok {
		return v.handshake(answer)
	}
	methods := v.src.Methods
	if methods == nil {
		methods = DefaultMethods[:]
	}
	if !slices.Contains(methods, v.r.Method) {
		v.w.Header()["Allow"] = []string{strings.Join(methods, ", ")}
		return v.reject(&refusal{cause: hark.MethodNotAllowed, detail: "The source takes " + strings.Join(methods, ", "), status: http.StatusMethodNotAllowed})
	}
	verdict, no := v.verify(&request)
	if no != nil {
		return v.reject(no)
	}
	return v.accept(&verdict)
}

// Caller is who has called: the peer or, where that is a proxy of ours, whom the proxy names. Of a
// list of names only what our own proxies have appended can be believed.
func (in *Ingest) Caller(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for len(hops) > 0 && slices.ContainsFunc(in.Proxies, func(n netip.Prefix) bool { return n.Contains(addr) }) {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
		if err != nil {
			break
		}
		addr, hops = hop.Unmap(), hops[:len(hops)-1]
	}
	return addr
}

// atTheDoor refuses a request of which nothing need be read.
func (v *visit) atTheDoor() *refusal {
	v.now = v.began.UTC().Truncate(time.Millisecond)
	if !v.src.allows(v.remote) {
		return &refusal{cause: hark.AddressNotAllowed, detail: "The address is not on the source's list", status: http.StatusForbidden}
	}
	if !v.src.limiter.AllowN(v.began, 1) {
		return &refusal{cause: hark.RequestLimited, detail: "More requests per second than the source allows", status: http.StatusTooManyRequests, retryAfter: time.Second}
	}
	if v.src.DailyQuota > 0 && !v.withinQuota() {
		midnight := v.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
		return &refusal{cause: hark.QuotaExceeded, detail: "More requests today than the source allows", status: http.StatusTooManyRequests, retryAfter: midnight.Sub(v.now)}
	}
	return nil
}

// withinQuota counts the request. After a start, and on the first request of a day, it asks the store.
func (v *visit) withinQuota() bool {
	midnight := v.now.Truncate(24 * time.Hour)
	st := v.src.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if day := midnight.Unix(); st.day != day {
		used, err := v.in.Store.CountRequests(v.r.Context(), v.src.Ref, midnight, v.src.DailyQuota)
		if err != nil {
			return true // the store will say so itself
		}
		st.day, st.used = day, used
	}
	if st.used >= v.src.DailyQuota {
		return false
	}
	st.used++
	return true
}

// unread refuses a request whose body could not be read.
func (v *visit) unread(err error, limit int) result {
	switch {
	case errors.Is(err, errTooLarge):
		v.w.Header()["Connection"] = headerClose // what follows is still the body
		return v.reject(&refusal{cause: hark.RequestTooLarge, detail: "The body is larger than the source allows", status: http.StatusRequestEntityTooLarge})
	case errors.Is(err, errSlow):
		return v.reject(&refusal{cause: hark.RequestMalformed, detail: "The body came too slowly", status: http.StatusRequestTimeout})
	case errors.Is(err, errBroken):
		return v.reject(&refusal{cause: hark.RequestMalformed, detail: "The body broke off or is malformed", status: http.StatusBadRequest})
	}
	v.in.away(v.r.Context(), v.w, err)
	return unavailable
}

// request is what the verifier sees.
func (v *visit) request() webhook.Request {
	return webhook.Request{
		Method: v.r.Method, URL: v.in.URL + v.r.URL.RequestURI(), Header: v.r.Header, Body: v.body, Remote: v.remote,
	}
}

// challenge answers a handshake. A secret that comes with one is kept if the source wants that and has
// none; else nothing is answered: without the secret, nothing that follows could be verified.
func (v *visit) challenge(request *webhook.Request) (webhook.Answer, bool) {
	if v.src.verifier == nil {
		return webhook.Answer{}, false
	}
	answer, ok := v.src.verifier.Challenge(v.r.Context(), *request, v.began)
	if !ok || answer.Secret == "" {
		return answer, ok
	}
	if !v.src.Confirm || len(v.src.Secrets) > 0 {
		return webhook.Answer{}, false
	}
	_, err := v.in.Store.UpdateSource(v.r.Context(), v.src.EnvironmentID, string(v.src.ID), func(s *hark.Source) error {
		if len(s.Secrets) > 0 {
			return hark.Errorf(hark.Conflict, "The source has a secret already")
		}
		s.Secrets, s.UpdatedAt = []hark.Secret{{Key: hark.SecretKey(answer.Secret), CreatedAt: v.now}}, v.now
		return nil
	})
	v.in.changed(v.src.ApplicationRef)
	return answer, err == nil
}

// handshake sends the answer to a handshake. A probe that wants to see a bad signature refused is kept
// like any other request that is.
func (v *visit) handshake(answer webhook.Answer) result {
	if answer.Status < 400 {
		write(v.w, answer)
		return handshake
	}
	return v.reject(&refusal{cause: hark.VerificationFailed, detail: "The signature does not match (the provider tries that)", status: answer.Status})
}

// verify decides whether the provider has sent the request.
func (v *visit) verify(request *webhook.Request) (webhook.Verdict, *refusal) {
	if v.src.verifier == nil {
		return webhook.Verdict{Secret: -1}, nil
	}
	verdict := v.src.verifier.Verify(v.r.Context(), *request, v.began)
	no := &refusal{cause: hark.VerificationFailed, detail: verdict.Detail, verdict: verdict}
	switch verdict.Outcome {
	case webhook.Verified, webhook.Authenticated:
		v.in.wasVerified(v.r.Context(), v.src, v.now)
		return verdict, nil
	case webhook.Unverifiable:
		if verdict.Cause == webhook.ErrUnsigned {
			return verdict, nil
		}
		no.cause, no.status, no.retryAfter = hark.Unverifiable, http.StatusServiceUnavailable, 10*time.Second
		return verdict, no
	case webhook.NotConfigured:
		if v.src.Unverified {
			return verdict, nil
		}
		no.status = http.StatusUnauthorized
		return verdict, no
	}
	no.status = v.src.verifier.Reply(verdict).Status
	v.in.wasRefused(v.r.Context(), v.src, v.now, verdict.Detail)
	return verdict, no
}

// record is the request as it is kept.
func (v *visit) record(outcome hark.RequestOutcome, verdict *webhook.Verdict, status int) hark.Request {
	q := hark.Request{
		SourceRef: v.src.Ref, ID: hark.NewRequestID(v.now), ReceivedAt: v.now, Outcome: outcome, Secret: verdict.Secret + 1, EventID: verdict.ID,
		Status: status, Took: time.Since(v.began), Size: len(v.body), Method: v.r.Method,
	}
	if v.remote.IsValid() {
		q.Remote = v.remote.String()
	}
	if v.body != nil { // else nobody knows what it was about
		q.EventType = v.src.eventType(verdict, v.r.Header, v.r.URL.RawQuery, v.body)
	}
	head := hark.Head{
		SourceID: v.src.ID, RequestID: q.ID, Method: q.Method, Path: v.path, Query: v.r.URL.RawQuery, Remote: q.Remote,
		Credentials: v.src.Credentials,
	}
	head.SetHeader(v.r.Header)
	v.head = head.Encode()
	return q
}

// accept makes a message of the request and answers when it is durable.
func (v *visit) accept(verdict *webhook.Verdict) result {
	answer := v.answer(verdict)
	q := v.record(hark.RequestAccepted, verdict, answer.Status)
	p := &directory.Parcel{Acceptance: store.Acceptance{Request: &q, Message: newMessage(&q, v.head, v.body)}}
	if hash, ok := v.eventKey(verdict); ok {
		window := v.src.Deduplicate.Window
		if window <= 0 {
			window = hark.DefaultWindow
		}
		p.Key = &store.IdempotencyKey{Hash: hash, ExpiresAt: v.now.Add(window)}
	}
	ctx := v.r.Context()
	app, err := v.in.Directory.ByRef(ctx, v.src.ApplicationRef)
	if err == nil {
		_, err = v.in.Directory.Accept(ctx, v.in.Store, app, p)
	}
	switch {
	case hark.CodeOf(err) == hark.NotFound: // the application was deleted a moment ago
		answerError(v.w, notFound)
		return unknown
	case err != nil:
		v.in.away(ctx, v.w, err)
		return unavailable
	case p.Outcome == store.Accepted:
		write(v.w, answer)
		return accepted
	}
	q.Outcome, q.MessageID, q.Head, q.Body = hark.RequestDuplicate, p.Existing, v.head, v.body
	if err := v.in.Store.InsertRequests(ctx, []hark.Request{q}); err != nil {
		v.in.away(ctx, v.w, err)
		return unavailable
	}
	write(v.w, answer)
	return duplicate
}

// answer is what the provider is told when all is well.
func (v *visit) answer(verdict *webhook.Verdict) webhook.Answer {
	if own := ownAnswer(&v.src.Source); own != nil {
		return *own
	}
	if v.src.verifier == nil {
		return webhook.Answer{Status: http.StatusOK}
	}
	return v.src.verifier.Reply(*verdict)
}

// newMessage is the message that a request becomes. Its application is the parcel's business.
func newMessage(q *hark.Request, head, body []byte) hark.Message {
	m := hark.Message{ID: hark.NewMessageID(q.ReceivedAt), EventType: q.EventType, Head: head, CreatedAt: q.ReceivedAt}
	if isObject(body) {
		m.Payload = body
		return m
	}
	if m.RawBody = body; body == nil {
		m.RawBody = []byte{}
	}
	return m
}

// isObject says whether a body is a JSON object, from its first byte on.
func isObject(body []byte) bool { return len(body) > 1 && body[0] == '{' && json.Valid(body) }

// reject keeps the request with the reason, and then answers.
func (v *visit) reject(no *refusal) result {
	if no.verdict.Outcome == "" {
		no.verdict.Secret = -1
	}
	if no.verdict.ID == "" && no.verdict.Type == "" && v.body != nil {
		no.verdict.ID, no.verdict.Type = v.src.event(v.r.Context(), v.request(), v.began)
	}
	q := v.record(hark.RequestRejected, &no.verdict, no.status)
	q.Cause, q.Detail, q.Head, q.Body = no.cause, no.detail, v.head, v.body
	if n := v.r.ContentLength; v.body == nil && n > 0 {
		q.Size = int(min(n, 1<<31-1))
	}
	ctx := v.r.Context()
	if err := v.in.Store.InsertRequests(context.WithoutCancel(ctx), []hark.Request{q}); err != nil {
		v.in.away(ctx, v.w, err)
		return unavailable
	}
	answerError(v.w, errorAnswer{no.status, string(no.cause), sentences[no.cause], no.retryAfter})
	return rejected
}

// sentences are what callers are told: less than people who look into Hark.
var sentences = map[hark.RejectionCause]string{
	hark.SourceDisabled:     "There is no such source",
	hark.VerificationFailed: "The request could not be verified",
	hark.Unverifiable:       "The request cannot be verified now: try again",
	hark.AddressNotAllowed:  "Not from this address",
	hark.MethodNotAllowed:   "Not by this method",
	hark.RequestTooLarge:    "The body is too large",
	hark.RequestMalformed:   "The body could not be read",
	hark.RequestLimited:     "Too many requests",
	hark.QuotaExceeded:      "Too many requests today",
}
