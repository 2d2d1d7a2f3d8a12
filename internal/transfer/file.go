package transfer

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/harkhq/hark/internal/store"
)

// What can be wrong with a file.
var (
	// ErrNotExport says that it is something else.
	ErrNotExport = errors.New("this is not a file that hark export has written")
	// ErrNewer says that a newer version has written it.
	ErrNewer = errors.New("a newer version of hark has written this file")
	// ErrKey says that it was written with another master key.
	ErrKey = errors.New("the file was written with another master key")
	// ErrDamaged says that it was cut off or changed.
	ErrDamaged = errors.New("the file is damaged")
)

const (
	magic  = "export"
	format = 1
	// maxLine bounds what a hostile file can make a reader hold. A line is a message with all its
	// attempts: two megabytes and some kilobytes each.
	maxLine = 256 << 20
)

// headerShape is the first line.
type headerShape struct {
	Hark      string `json:"hark"`
	Format    int    `json:"format"`
	Version   string `json:"version"`
	Source    string `json:"source"`
	CreatedAt int64  `json:"createdAt"`
	Seal      []byte `json:"seal"` // the checksum's key, sealed with the master key
}

// endShape is the last line.
type endShape struct {
	Counts Counts `json:"counts"`
	MAC    []byte `json:"mac"` // over all lines before this one, and the counts
}

// sealPlace binds the sealed key to what it is.
var sealPlace = []byte("export\x00checksum")

// writer writes a file.
type writer struct {
	out    *bufio.Writer
	zip    *gzip.Writer // nil: plain
	mac    hash.Hash
	sealer store.Sealer
	counts Counts
}

func newWriter(out io.Writer, sealer store.Sealer, source Source, now time.Time) (*writer, error) {
	w := &writer{sealer: sealer}
	if !source.Plain {
		w.zip, _ = gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is one that there is
		out = w.zip
	}
	w.out = bufio.NewWriterSize(out, 1<<16)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	w.mac = hmac.New(sha256.New, key)
	text, err := marshal(&headerShape{magic, format, source.Version, source.Store, millis(now), sealer.Seal(key, sealPlace)})
	if err != nil {
		return nil, err
	}
	return w, w.line(text)
}

func (w *writer) line(text []byte) error {
	text = append(text, '\n')
	_, _ = w.mac.Write(text) // a hash takes everything
	if _, err := w.out.Write(text); err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	return nil
}

func (w *writer) write(r *store.Record) error {
	text, err := encode(r, w.sealer)
	if err != nil {
		return err
	}
	if len(text) >= maxLine {
		return fmt.Errorf("a record of %d bytes is more than a line of the file can take", len(text))
	}
	w.counts.add(r)
	return w.line(text)
}

// end writes the trailer and what waits to be written.
func (w *writer) end() error {
	mac, err := seal(w.mac, &w.counts)
	if err != nil {
		return err
	}
	text, err := marshal(&line{End: &endShape{w.counts, mac}})
	if err != nil {
		return err
	}
	err = errors.Join(w.line(text), w.out.Flush())
	if w.zip != nil {
		err = errors.Join(err, w.zip.Close())
	}
	if err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	return nil
}

// seal ends a checksum with the counts.
func seal(mac hash.Hash, counts *Counts) ([]byte, error) {
	text, err := marshal(counts)
	if err != nil {
		return nil, err
	}
	_, _ = mac.Write(text)
	return mac.Sum(nil), nil
}

// Reader reads a file. It is for one goroutine.
type Reader struct {
	lines  *bufio.Scanner
	sealer store.Sealer
	mac    hash.Hash
	header headerShape
	counts Counts
	line   int // of the file, from 1
	size   int // of the last record's line
	ended  bool
}

// NewReader reads a file's header, and answers ErrNotExport, ErrNewer or ErrKey when that is all.
func NewReader(in io.Reader, sealer store.Sealer) (*Reader, error) {
	buffered := bufio.NewReaderSize(in, 1<<16)
	if start, err := buffered.Peek(2); err == nil && start[0] == 0x1f && start[1] == 0x8b {
		zip, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		in = zip
	} else {
		in = buffered
	}
	r := &Reader{lines: bufio.NewScanner(in), sealer: sealer}
	r.lines.Buffer(make([]byte, 1<<16), maxLine)
	text, err := r.next()
	if errors.Is(err, io.EOF) || err == nil && json.Unmarshal(text, &r.header) != nil {
		return nil, ErrNotExport
	}
	switch {
	case err != nil:
		return nil, err
	case r.header.Hark != magic:
		return nil, ErrNotExport
	case r.header.Format > format:
		return nil, fmt.Errorf("%w (%s, format %d)", ErrNewer, r.header.Version, r.header.Format)
	}
	key, err := sealer.Open(r.header.Seal, sealPlace)
	if err != nil {
		return nil, ErrKey
	}
	r.mac = hmac.New(sha256.New, key)
	r.sum(text)
	return r, nil
}

// next reads a line; it is good until the next.
func (r *Reader) next() ([]byte, error) {
	r.line++
	if r.lines.Scan() {
		return r.lines.Bytes(), nil
	}
	err := r.lines.Err()
	switch {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.damaged("it is cut off")
	case errors.Is(err, bufio.ErrTooLong):
		return nil, r.damaged("the line does not end")
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), isCorrupt(err):
		return nil, r.damaged(err.Error())
	}
	return nil, fmt.Errorf("read the file: %w", err)
}

func (r *Reader) damaged(what string) error {
	return fmt.Errorf("%w: line %d: %s", ErrDamaged, r.line, what)
}

func (r *Reader) sum(text []byte) {
	_, _ = r.mac.Write(text)
	_, _ = r.mac.Write([]byte{'\n'})
}

// Next reads a record; io.EOF says that there are no more, and that the file is whole.
func (r *Reader) Next() (store.Record, error) {
	if r.ended {
		return store.Record{}, io.EOF
	}
	text, err := r.next()
	if errors.Is(err, io.EOF) {
		return store.Record{}, r.damaged("it is cut off")
	}
	if err != nil {
		return store.Record{}, err
	}
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // what is not known would be lost
	if err := d.Decode(&l); err != nil {
		what := jsonError(err)
		if !r.lines.Scan() { // the last line of a file that has no end
			what = "it is cut off"
		}
		return store.Record{}, r.damaged(what)
	}
	if l.End != nil {
		return store.Record{}, r.end(l.End)
	}
	r.sum(text)
	record, err := l.record(r.sealer)
	if err != nil {
		return store.Record{}, r.damaged(err.Error())
	}
	r.counts.add(&record)
	r.size = len(text)
	return record, nil
}

// jsonError leaves out what the text said: it may be anything.
func jsonError(err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("no JSON at byte %d", e.Offset)
	}
	return "not a line of this format"
}

// end checks the trailer, and that nothing follows it.
func (r *Reader) end(e *endShape) error {
	mac, err := seal(r.mac, &r.counts)
	if err != nil {
		return err
	}
	if e.Counts != r.counts {
		return r.damaged("there are not as many records as it says")
	}
	if !hmac.Equal(mac, e.MAC) {
		return r.damaged("the checksum does not match: something was changed")
	}
	if _, err := r.next(); err == nil {
		return r.damaged("something follows the end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	r.ended = true
	return io.EOF
}

// isCorrupt says whether the compressed bytes cannot be decompressed.
func isCorrupt(err error) bool {
	_, ok := errors.AsType[flate.CorruptInputError](err)
	return ok
}
