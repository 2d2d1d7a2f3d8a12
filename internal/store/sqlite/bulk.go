package sqlite

import (
	"database/sql/driver"
	"strings"
)

// bulkSizes are the numbers of rows for which statements are prepared. A flush uses the largest
// first, so that 100 rows are 1 × 64, 4 × 8 and 4 × 1.
const (
	bulkLarge  = 64
	bulkMiddle = 8
)

// bulk runs one statement for many rows with few calls into the driver. Rows are added one by one;
// they reach the database when bulkLarge of them are there, or with flush.
type bulk struct {
	large, middle, single string
	columns               int
	args                  []driver.NamedValue
}

// newBulk makes a bulk from the text before the rows, and behind them.
func newBulk(head string, columns int, tail string) *bulk {
	one := "(" + strings.Repeat("?,", columns-1) + "?)"
	text := func(rows int) string { return head + strings.Repeat(one+",", rows-1) + one + tail }
	return &bulk{large: text(bulkLarge), middle: text(bulkMiddle), single: text(1), columns: columns}
}

// add takes one row's values: int64, string, []byte or nil.
func (b *bulk) add(c *conn, values ...any) error {
	for _, v := range values {
		b.args = append(b.args, driver.NamedValue{Ordinal: len(b.args) + 1, Value: v})
	}
	if len(b.args) == bulkLarge*b.columns {
		return b.flush(c)
	}
	return nil
}

// flush runs what was added.
func (b *bulk) flush(c *conn) error {
	defer b.reset()
	for rest := b.args; len(rest) > 0; {
		query, rows := b.single, 1
		switch n := len(rest) / b.columns; {
		case n >= bulkLarge:
			query, rows = b.large, bulkLarge
		case n >= bulkMiddle:
			query, rows = b.middle, bulkMiddle
		}
		args := rest[:rows*b.columns]
		for i := range args {
			args[i].Ordinal = i + 1
		}
		s, err := c.prepare(query)
		if err != nil {
			return err
		}
		if _, err := c.run(s, args); err != nil {
			return err
		}
		rest = rest[len(args):]
	}
	return nil
}

// reset forgets what was added and lets the values go.
func (b *bulk) reset() {
	clear(b.args)
	b.args = b.args[:0]
}
