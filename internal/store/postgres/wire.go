package postgres

import (
	"encoding/binary"
)

// The hot path's parameters are arrays, one per column and one element per row. They are written in
// PostgreSQL's binary form straight from the rows: the driver's own way there costs more than the
// rest of a write.

// The element types' object ids.
const (
	oidBool = 16
	oidByte = 17
	oidInt8 = 20
	oidInt2 = 21
	oidInt4 = 23
	oidText = 25
)

// column is an array that grows: 20 bytes of header, then each element's length and bytes.
type column struct {
	oid  uint32
	n    int
	null bool
	buf  []byte
}

const columnHeader = 20

func (c *column) grow() {
	if len(c.buf) == 0 {
		c.buf = append(c.buf, make([]byte, columnHeader)...)
	}
	c.n++
}

func (c *column) int8(v int64) {
	c.grow()
	c.buf = binary.BigEndian.AppendUint32(c.buf, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v))
}

func (c *column) int4(v int64) {
	c.grow()
	c.buf = binary.BigEndian.AppendUint32(c.buf, 4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(int32(min(max(v, -1<<31), 1<<31-1))))
}

func (c *column) int2(v int64) {
	c.grow()
	c.buf = binary.BigEndian.AppendUint32(c.buf, 2)
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(int16(min(max(v, -1<<15), 1<<15-1))))
}

func (c *column) bool(v bool) {
	c.grow()
	c.buf = binary.BigEndian.AppendUint32(c.buf, 1)
	if v {
		c.buf = append(c.buf, 1)
	} else {
		c.buf = append(c.buf, 0)
	}
}

// bytes writes nil as NULL.
func (c *column) bytes(v []byte) {
	c.grow()
	if v == nil {
		c.nil()
		return
	}
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(v)))
	c.buf = append(c.buf, v...)
}

func (c *column) text(v string) {
	c.grow()
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(v)))
	c.buf = append(c.buf, v...)
}

// word writes "" as NULL.
func (c *column) word(v string) {
	if v != "" {
		c.text(v)
		return
	}
	c.grow()
	c.nil()
}

func (c *column) nil() {
	c.null = true
	c.buf = binary.BigEndian.AppendUint32(c.buf, 0xffff_ffff)
}

// param is the array as the server takes it.
func (c *column) param() []byte {
	if c.n == 0 { // no dimension at all
		return binary.BigEndian.AppendUint32(make([]byte, 8, 12), c.oid)
	}
	h := c.buf[:columnHeader]
	binary.BigEndian.PutUint32(h[0:], 1) // dimensions
	binary.BigEndian.PutUint32(h[4:], 0)
	if c.null {
		binary.BigEndian.PutUint32(h[4:], 1)
	}
	binary.BigEndian.PutUint32(h[8:], c.oid)
	binary.BigEndian.PutUint32(h[12:], uint32(c.n))
	binary.BigEndian.PutUint32(h[16:], 1) // the first index
	return c.buf
}

// Buffers larger than this are let go after a group.
const keepColumn = 1 << 20

func (c *column) reset() {
	c.n, c.null, c.buf = 0, false, c.buf[:0]
	if cap(c.buf) > keepColumn {
		c.buf = nil
	}
}

// table is the rows of one statement, column by column.
type table struct {
	statement string // its name
	columns   []column
}

func newTable(statement string, oids ...uint32) *table {
	t := &table{statement: statement, columns: make([]column, len(oids))}
	for i, oid := range oids {
		t.columns[i].oid = oid
	}
	return t
}

func (t *table) len() int { return t.columns[0].n }

func (t *table) reset() {
	for i := range t.columns {
		t.columns[i].reset()
	}
}

func (t *table) params() [][]byte {
	params := make([][]byte, len(t.columns))
	for i := range t.columns {
		params[i] = t.columns[i].param()
	}
	return params
}

// Results of the hot path come back in the binary form, too.

func wireInt(v []byte) int64 {
	switch len(v) {
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	}
	return 0
}

func wireParam(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
