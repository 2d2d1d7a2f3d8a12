package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

func unavailable() error {
	return &hark.Error{Code: hark.Unavailable, Detail: "The database cannot be used right now", RetryAfter: row.RetryAfter}
}

// The codes of PostgreSQL's errors that are told apart.
const (
	codeUnique        = "23505"
	codeNoPartition   = "23514" // a row for which there is no partition violates a check
	codeDivision      = "22012"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03"
	codeNoTable       = "42P01"
	codeNoSchema      = "3F000"
)

func codeOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// errAgain is a collision that the store itself has noticed.
var errAgain = errors.New("again")

// isUnique says whether err is a unique index refusing a row.
func isUnique(err error) bool { return codeOf(err) == codeUnique }

// isCollision says whether the same transaction would work if it did not meet another.
func isCollision(err error) bool {
	if errors.Is(err, errAgain) {
		return true
	}
	switch codeOf(err) {
	case codeSerialization, codeDeadlock:
		return true
	}
	return false
}

// isAway says whether err is the database's or the network's being away: the same may work later.
func isAway(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "08", "53", "57", "58": // connections, resources, an operator's doing, the system's
			return e.Code != "57014" // a canceled statement
		}
		return e.Code == "25006" || e.Code == "25P03" || e.Code == codeLockTimeout // read only: a standby; idle for too long
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// inDoubt says whether a transaction whose COMMIT was sent may have been committed although err was
// all that came back. What the server refuses while it lives was not. The driver's own opinion
// (pgconn.SafeToRetry) is of no use here: for a connection that broke while the answer was awaited it
// may say that nothing was sent.
func inDoubt(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return !ok || e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

// translate turns the driver's errors into words that may leave the store.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*hark.Error](err); ok {
		return err
	}
	if isCollision(err) || isAway(err) {
		return unavailable()
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return err
	case e.Code == "22021" || e.Code == "22P05":
		return hark.Errorf(hark.Invalid, "Text must be valid UTF-8 without NUL characters")
	}
	return fmt.Errorf("postgres: %s (%s)", e.Message, e.Code)
}

// guarded runs f and turns a panic into an error, so that one bad change harms nobody else.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the store: %v", p)
		}
	}()
	return f()
}
