package hark

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is a failure that somebody outside can act on. Its Code is stable and decides the HTTP
// status (one table, in package api); Detail is a sentence for the person.
type Error struct {
	Code   Code
	Detail string
	// Fields says which inputs were wrong, when Code is Invalid.
	Fields []FieldError
	// RetryAfter is when to try again, when Code is Overloaded, RateLimited or Unavailable.
	RetryAfter time.Duration
	// Existing is the id of what is already there, when Code is Conflict and it is known.
	Existing string
}

// FieldError is one wrong input. Loc leads to it from the outside in: body, eventTypes, 0.
type FieldError struct {
	Loc  []string
	Msg  string
	Type string // "value_error" unless something more precise is known
}

// Code names a kind of failure.
type Code string

// The kinds of failure.
const (
	NotFound        Code = "not_found"
	Conflict        Code = "conflict"
	EventTypeExists Code = "event_type_exists"
	Invalid         Code = "invalid"
	BadRequest      Code = "generic_error"
	Unauthenticated Code = "authentication_failed"
	BadToken        Code = "bad_token" // well signed, but about something that cannot be
	Forbidden       Code = "insufficient access"
	LimitReached    Code = "limit_reached"
	MissingPayload  Code = "missing_payload"
	InvalidRange    Code = "invalid_range"
	InvalidScheme   Code = "invalid_scheme"
	TooLarge        Code = "payload_too_large"
	NotImplemented  Code = "not_implemented"
	RateLimited     Code = "rate_limited"
	Overloaded      Code = "overloaded"  // full queues: nothing was kept, try again
	Unavailable     Code = "unavailable" // the store cannot write now: nothing was kept, try again
	InProgress      Code = "in_progress" // the same idempotency key is being worked on
)

func (e *Error) Error() string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = strings.Join(f.Loc, ".") + ": " + f.Msg
	}
	return strings.Join(parts, "; ")
}

// Is lets errors.Is compare by code: errors.Is(err, &hark.Error{Code: hark.NotFound}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error of the given kind.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidField makes an Invalid error about one input: InvalidField("must not be empty", "body", "name").
func InvalidField(msg string, loc ...string) *Error {
	return &Error{Code: Invalid, Detail: msg, Fields: []FieldError{{Loc: loc, Msg: msg, Type: "value_error"}}}
}

// CodeOf is the kind of err, or "" when err is nil or not an Error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// ErrNotFound is what stores and operations answer when there is no such thing, or when it
// belongs to somebody else: the two must not be told apart.
var ErrNotFound = &Error{Code: NotFound, Detail: "Entity not found"}
