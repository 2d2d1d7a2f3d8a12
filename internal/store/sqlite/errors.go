package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// translate turns the driver's errors into words that may leave the store: trouble that passes
// (a full disk, a failing one, a busy file) is Unavailable, the rest keeps only its text.
func translate(err error) error {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return err
	}
	if passing(e) {
		return &hark.Error{Code: hark.Unavailable, Detail: "The store cannot be used right now", RetryAfter: row.RetryAfter}
	}
	return fmt.Errorf("sqlite: %s", e.Error())
}

// passing says whether the same statement may work later.
func passing(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_BUSY, codes.SQLITE_LOCKED,
		codes.SQLITE_NOMEM, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY:
		return true
	}
	return false
}

// isUnique says whether err is a unique index refusing a row.
func isUnique(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code()&0xff == codes.SQLITE_CONSTRAINT
}
