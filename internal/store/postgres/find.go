package postgres

import (
	"time"

	"github.com/harkhq/hark"
)

// find reads the one row of a query, or hark.ErrNotFound.
func find[T any](c *conn, scan func(row) T, query string, args ...any) (v T, err error) {
	found, err := c.one(func(r row) error { v = scan(r); return nil }, query, args...)
	if err == nil && !found {
		err = hark.ErrNotFound
	}
	return v, err
}

// tryFind is find for rows that may hold text which cannot be read.
func tryFind[T any](c *conn, scan func(row) (T, error), query string, args ...any) (v T, err error) {
	found, err := c.one(func(r row) (err error) { v, err = scan(r); return err }, query, args...)
	if err == nil && !found {
		err = hark.ErrNotFound
	}
	return v, err
}

// collect reads all rows of a query.
func collect[T any](c *conn, scan func(row) (T, error), query string, args ...any) (all []T, err error) {
	err = c.query(func(r row) error {
		v, err := scan(r)
		all = append(all, v)
		return err
	}, query, args...)
	return all, err
}

// inOrder puts rows into the order in which they were asked for; a row asked for twice comes twice.
func inOrder[T any](rows []T, refs []hark.Ref, ref func(*T) hark.Ref) []T {
	byRef := make(map[hark.Ref]*T, len(rows))
	for i := range rows {
		byRef[ref(&rows[i])] = &rows[i]
	}
	ordered := make([]T, 0, len(refs))
	for _, r := range refs {
		if v, ok := byRef[r]; ok {
			ordered = append(ordered, *v)
		}
	}
	return ordered
}

func conflict(detail, existing string) error {
	return &hark.Error{Code: hark.Conflict, Detail: detail, Existing: existing}
}

func duration(n int64) time.Duration { return time.Duration(n) }
