// Package transfer moves a whole installation from one store to another, through a file.
//
// It promises that what was imported is what was exported: the file ends with counts and a checksum
// over every byte of it, and after an import everything is read back from the new store and compared,
// record by record, before the import counts as finished. It holds a few megabytes in memory, however
// much there is to move. It refuses files that were cut off, changed, or written with another master
// key, and stores that are not empty.
//
// The file is one JSON object a line, gzipped unless that was switched off:
//
//	{"hark":"export","format":1,…,"seal":…}    the header
//	{"environment":{…}}  …  {"message":{…}}    one line for each record, in store.Mover's order
//	{"end":{"counts":{…},"mac":…}}             the trailer
//
// No secret is readable in it. Each file has a key of its own for its checksum (HMAC-SHA256, so that
// nobody without the master key can change a file unnoticed), which stands in the header sealed with
// the master key; the secrets of endpoints and sources, and header values, are sealed with the master key as well. API keys
// are hashes wherever they are. Payloads and responses are in the open, as in a backup.
//
// A replay that is under way starts again from its beginning in the new store, because the place to
// which it had come means nothing there. Recover and replay-missing look for what is missing and so
// leave out what they have sent before; a bulk replay sends it a second time.
package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/harkhq/hark/internal/store"
)

// Steps of an import and an export, for showing progress.
const (
	StepExport = "exporting"
	StepCheck  = "checking"
	StepImport = "importing"
	StepVerify = "verifying"
)

// Progress is told how many messages a step has done, of about how many; total is 0 when nobody knows.
type Progress func(step string, done, total int64)

// ErrDiffers says that what was read back from the new store is not what was written.
var ErrDiffers = errors.New("what the new store holds is not what the file says")

// Source says where an export comes from.
type Source struct {
	Version string // of hark
	Store   string // sqlite or postgres, for people
	Plain   bool   // do not compress
}

// Export writes everything that a store keeps to a file.
func Export(ctx context.Context, from store.Mover, out io.Writer, sealer store.Sealer, source Source, now time.Time, tell Progress) (Counts, error) {
	total, err := from.CountMessages(ctx)
	if err != nil {
		return Counts{}, fmt.Errorf("count messages: %w", err)
	}
	w, err := newWriter(out, sealer, source, now)
	if err != nil {
		return Counts{}, err
	}
	if err := from.Export(ctx, func(r *store.Record) error {
		if err := w.write(r); err != nil {
			return err
		}
		tell(StepExport, w.counts.Messages, total)
		return nil
	}); err != nil {
		return Counts{}, fmt.Errorf("export: %w", err)
	}
	return w.counts, w.end()
}

// Check reads a file to its end and says what is in it, or what is wrong with it.
func Check(ctx context.Context, r *Reader, tell Progress) (Counts, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Counts{}, err
		}
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.counts, nil
		}
		if err != nil {
			return Counts{}, err
		}
		if record.Message != nil {
			tell(StepCheck, r.counts.Messages, 0)
		}
	}
}

// How much one transaction of an import takes.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// Import reads a file into an empty store, reads it back from there, and compares. messages is how
// many there will be, if that is known. When it fails, the store cannot be used (store.ErrUnfinished).
func Import(ctx context.Context, r *Reader, to store.Mover, messages int64, tell Progress) (Counts, error) {
	importer, err := to.BeginImport(ctx)
	if err != nil {
		return Counts{}, err
	}
	var written tally
	var batch []store.Record
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := importer.Add(ctx, batch); err != nil {
			return fmt.Errorf("import, before line %d of the file: %w", r.line+1, err)
		}
		tell(StepImport, written.counts.Messages, messages)
		batch, size = batch[:0], 0
		return nil
	}
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Counts{}, err
		}
		if err := written.add(&record); err != nil {
			return Counts{}, err
		}
		batch, size = append(batch, record), size+r.size
		if len(batch) < batchRecords && size < batchBytes {
			continue
		}
		if err := flush(); err != nil {
			return Counts{}, err
		}
	}
	if err := flush(); err != nil {
		return Counts{}, err
	}
	if err := verify(ctx, to, &written, tell); err != nil {
		return Counts{}, err
	}
	if err := importer.Finish(ctx); err != nil {
		return Counts{}, fmt.Errorf("finish the import: %w", err)
	}
	return written.counts, nil
}

// verify reads everything back.
func verify(ctx context.Context, to store.Mover, written *tally, tell Progress) error {
	var read tally
	err := to.Export(ctx, func(r *store.Record) error {
		tell(StepVerify, read.counts.Messages, written.counts.Messages)
		return read.add(r)
	})
	if err != nil {
		return fmt.Errorf("read the new store: %w", err)
	}
	if read.counts != written.counts {
		return fmt.Errorf("%w: %+v there, %+v in the file", ErrDiffers, read.counts, written.counts)
	}
	if read.sum.Cmp(&written.sum) != 0 {
		return ErrDiffers
	}
	return nil
}

// tally counts records and adds up their checksums: stores keep messages in orders of their own, and
// a sum does not mind.
type tally struct {
	counts Counts
	sum    big.Int
}

func (t *tally) add(r *store.Record) error {
	text, err := encode(r, open{})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	t.sum.Add(&t.sum, new(big.Int).SetBytes(digest[:]))
	t.counts.add(r)
	return nil
}

// open is a sealer that leaves everything readable: for checksums that nobody sees.
type open struct{}

func (open) Seal(plain, _ []byte) []byte           { return plain }
func (open) Open(sealed, _ []byte) ([]byte, error) { return sealed, nil }

// Counts says how many there are of everything.
type Counts struct {
	Environments int64 `json:"environments"`
	EventTypes   int64 `json:"eventTypes"`
	Keys         int64 `json:"keys"`
	Tasks        int64 `json:"tasks"`
	Guards       int64 `json:"guards"` // idempotency keys
	Applications int64 `json:"applications"`
	Endpoints    int64 `json:"endpoints"`
	Sources      int64 `json:"sources"`
	Pollers      int64 `json:"pollers"`
	Items        int64 `json:"items"` // that pollers know
	Messages     int64 `json:"messages"`
	Attempts     int64 `json:"attempts"`
	Queued       int64 `json:"queued"` // deliveries
	Requests     int64 `json:"requests"`
	// Restarted are tasks that begin anew in the new store.
	Restarted int64 `json:"restarted"`
}

func (c *Counts) add(r *store.Record) {
	switch {
	case r.Environment != nil:
		c.Environments++
	case r.EventType != nil:
		c.EventTypes++
	case r.Key != nil:
		c.Keys++
	case r.Task != nil:
		c.Tasks++
		if isRunning(r.Task) {
			c.Restarted++
		}
	case r.MessageKey != nil, r.Answer != nil:
		c.Guards++
	case r.Application != nil:
		c.Applications++
	case r.Endpoint != nil:
		c.Endpoints++
	case r.Source != nil:
		c.Sources++
	case r.Poller != nil:
		c.Pollers++
	case r.Items != nil:
		c.Items += int64(len(r.Items.Items))
	case r.Request != nil:
		c.Requests++
	case r.Message != nil:
		c.Messages++
		c.Attempts += int64(len(r.Message.Attempts))
		c.Queued += int64(len(r.Message.Queue))
	}
}
