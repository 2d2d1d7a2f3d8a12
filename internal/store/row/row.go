// Package row is what the stores do alike with their rows: how Hark's words are written into columns
// and read from them, what is sealed and how, which part of a list a page is, what the rows of a
// delivery say of its state, where retention goes on, what waits to be written, how everything is
// exported and imported, and whether a schema is one that this version may touch. The kinds of rows with
// which both do the same, configuration above all, are kept by Kinds, whose methods are the stores' own.
//
// It promises that what it reads is what it wrote, whichever database was in between. It refuses to
// know a driver, a dialect or a statement: those stay in each store. It is given them as Statements, or
// they stand above the method of the store that runs them; their columns are in the order in which the
// functions here read them.
package row

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/harkhq/hark"
)

// Row is one row of a result. Columns that are NULL read as zero.
type Row []any

// Int reads a whole number, of whatever width its column has.
func (r Row) Int(i int) int64 {
	switch v := r[i].(type) {
	case int64:
		return v
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	}
	return 0
}

// Bool reads a truth value; where a database has none it is a number that is not 0.
func (r Row) Bool(i int) bool {
	if b, ok := r[i].(bool); ok {
		return b
	}
	return r.Int(i) != 0
}

// Time reads what Millis wrote.
func (r Row) Time(i int) time.Time { return Moment(r.Int(i)) }

// Null says whether a column is NULL.
func (r Row) Null(i int) bool { return r[i] == nil }

// Text reads a text.
func (r Row) Text(i int) string { s, _ := r[i].(string); return s }

// Blob reads bytes, and keeps the difference between NULL (nil) and empty.
func (r Row) Blob(i int) []byte {
	switch v := r[i].(type) {
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// ID reads an id that is kept without its prefix.
func (r Row) ID(i int, prefix string) string {
	var k hark.KSUID
	copy(k[:], r.Blob(i))
	return k.Format(prefix)
}

// Decode reads what Encode and EncodeMap wrote into v; NULL leaves v alone.
func (r Row) Decode(i int, v any) error {
	if r.Null(i) {
		return nil
	}
	if err := json.Unmarshal(r.Blob(i), v); err != nil {
		return fmt.Errorf("column %d holds no JSON: %w", i, err)
	}
	return nil
}

// Raw reads what EncodeRaw wrote.
func (r Row) Raw(i int) json.RawMessage { return r.Blob(i) }
