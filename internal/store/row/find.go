package row

import (
	"context"
	"errors"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Query runs a statement and calls scan for each row; the row is valid until scan returns.
type Query func(scan func(Row) error, query string, args ...any) error

// Find reads the one row of a query, or hark.ErrNotFound.
func Find[T any](q Query, scan func(Row) (T, error), query string, args ...any) (v T, err error) {
	found := false
	err = q(func(r Row) (err error) { found = true; v, err = scan(r); return err }, query, args...)
	if err == nil && !found {
		err = hark.ErrNotFound
	}
	return v, err
}

// Collect reads all rows of a query.
func Collect[T any](q Query, scan func(Row) (T, error), query string, args ...any) (all []T, err error) {
	err = q(func(r Row) error {
		v, err := scan(r)
		all = append(all, v)
		return err
	}, query, args...)
	return all, err
}

// Lend lends the queries of one connection to f, for reading. f may run more than once.
type Lend func(ctx context.Context, f func(Query) error) error

// Get is Find on a connection that is lent for it.
func Get[T any](ctx context.Context, lend Lend, scan func(Row) (T, error), query string, args ...any) (T, error) {
	return answer(ctx, lend, func(q Query) (T, error) { return Find(q, scan, query, args...) })
}

// List is Collect on a connection that is lent for it.
func List[T any](ctx context.Context, lend Lend, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	return answer(ctx, lend, func(q Query) ([]T, error) { return Collect(q, scan, query, args...) })
}

// answer answers what f does, for which run lends it a connection or makes a transaction.
func answer[C, T any](ctx context.Context, run func(context.Context, func(C) error) error, f func(C) (T, error)) (v T, err error) {
	err = run(ctx, func(c C) (err error) {
		v, err = f(c)
		return err
	})
	return v, err
}

// InOrder puts rows into the order in which they were asked for; a row asked for twice comes twice.
func InOrder[T any](rows []T, refs []hark.Ref, ref func(*T) hark.Ref) []T {
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

// Conflict says that what would be written exists already.
func Conflict(detail, existing string) error {
	return &hark.Error{Code: hark.Conflict, Detail: detail, Existing: existing}
}

// findEither is Find with a second query for what the first does not find, with the same arguments.
func findEither[T any](q Query, scan func(Row) (T, error), first, second string, args ...any) (T, error) {
	v, err := Find(q, scan, first, args...)
	if errors.Is(err, hark.ErrNotFound) {
		return Find(q, scan, second, args...)
	}
	return v, err
}

// freeUID says Conflict when another row than self has a uid. The query finds the one that has it, by
// its owner and the uid; its first column is its ref, its third its id.
func freeUID(q Query, what, query string, owner any, uid string, self hark.Ref) error {
	if uid == "" {
		return nil
	}
	return q(func(r Row) error {
		if r.Int(0) == self {
			return nil
		}
		return Conflict(what+" with this uid already exists", r.Text(2))
	}, query, owner, uid)
}

// taken says Conflict where a row could not go in because another has its id.
func taken(err error, what, id string) error {
	if errors.Is(err, store.ErrTwice) {
		return Conflict(what+" with this id already exists", id)
	}
	return err
}
