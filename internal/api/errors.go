package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/harkhq/hark"
)

// Kinds of failure that only HTTP knows.
const (
	methodNotAllowed hark.Code = "method_not_allowed"
	upgradeRequired  hark.Code = "upgrade_required"
)

// statusOf is the one table from the kind of a failure to its HTTP status.
var statusOf = map[hark.Code]int{
	hark.BadRequest:      http.StatusBadRequest,
	hark.LimitReached:    http.StatusBadRequest,
	hark.MissingPayload:  http.StatusBadRequest,
	hark.InvalidRange:    http.StatusBadRequest,
	hark.InvalidScheme:   http.StatusBadRequest,
	hark.BadToken:        http.StatusBadRequest,
	hark.Unauthenticated: http.StatusUnauthorized,
	hark.Forbidden:       http.StatusForbidden,
	hark.NotFound:        http.StatusNotFound,
	methodNotAllowed:     http.StatusMethodNotAllowed,
	upgradeRequired:      http.StatusUpgradeRequired,
	hark.Conflict:        http.StatusConflict,
	hark.EventTypeExists: http.StatusConflict,
	hark.InProgress:      http.StatusConflict,
	hark.TooLarge:        http.StatusRequestEntityTooLarge,
	hark.Invalid:         http.StatusUnprocessableEntity,
	hark.RateLimited:     http.StatusTooManyRequests,
	hark.NotImplemented:  http.StatusNotImplemented,
	hark.Overloaded:      http.StatusServiceUnavailable,
	hark.Unavailable:     http.StatusServiceUnavailable,
}

// HTTPError is the body of every failure but 422.
type HTTPError struct {
	Code   string `json:"code" req:"1" doc:"Stable: a program may branch on it."`
	Detail string `json:"detail" req:"1" doc:"A sentence for the person."`
	// Existing names what is in the way of a 409, where that is known.
	Existing string `json:"existing,omitempty" doc:"The id of what is already there."`
}

// HTTPValidationError is the body of 422.
type HTTPValidationError struct {
	Detail []ValidationError `json:"detail" req:"1"`
}

// ValidationError is one wrong input.
type ValidationError struct {
	Loc  []string `json:"loc" req:"1" doc:"Leads to the input, from body, query, path or header inwards."`
	Msg  string   `json:"msg" req:"1"`
	Type string   `json:"type" req:"1"`
}

// fail turns err into the answer.
func (c *call) fail(err error) {
	c.out.Reset()
	status, e := c.classify(err)
	c.status = status
	switch {
	case e == nil:
		c.out.WriteString("{}\n")
		return
	case e.Code == hark.Invalid:
		c.encode(validationError(e))
	default:
		c.encode(HTTPError{Code: string(e.Code), Detail: e.Detail, Existing: e.Existing})
	}
	c.retryAfter(e.RetryAfter)
}

// classify finds the status for err. What nobody outside can act on is a 500 without an error to
// show, because its words may name other people's data, and one line in the log.
func (c *call) classify(err error) (status int, shown *hark.Error) {
	if e, ok := errors.AsType[*hark.Error](err); ok {
		if status, known := statusOf[e.Code]; known {
			return status, e
		}
	}
	if c.r.Context().Err() != nil {
		return statusClientGone, nil // nobody reads the answer, and nothing is wrong here
	}
	c.api.log.LogAttrs(c.r.Context(), slog.LevelError, "request failed",
		slog.String("operation", c.operationID()), slog.String("request", c.requestID()), slog.Any("err", err))
	return http.StatusInternalServerError, nil
}

// statusClientGone is what access logs call a request whose caller did not wait.
const statusClientGone = 499

func validationError(e *hark.Error) HTTPValidationError {
	if len(e.Fields) == 0 {
		return HTTPValidationError{[]ValidationError{{Loc: []string{"body"}, Msg: e.Detail, Type: "value_error"}}}
	}
	out := HTTPValidationError{make([]ValidationError, len(e.Fields))}
	for i, f := range e.Fields {
		out.Detail[i] = ValidationError(f)
		if f.Type == "" {
			out.Detail[i].Type = "value_error"
		}
	}
	return out
}

// retryAfter tells how long to wait, in whole seconds, where waiting helps.
func (c *call) retryAfter(wait time.Duration) {
	if c.status != http.StatusTooManyRequests && c.status != http.StatusServiceUnavailable {
		return
	}
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	c.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
}
