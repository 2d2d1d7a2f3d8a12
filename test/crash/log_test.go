package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// kind says what an event in the log is.
type kind string

const (
	sent    kind = "sent"    // a publish is about to go out
	acked   kind = "acked"   // it was answered 2xx, with this id
	refused kind = "refused" // it was answered with anything else: it must not exist
	got     kind = "got"     // a delivery arrived, and was answered with this status
	killed  kind = "killed"  // the server was killed
	started kind = "started" // the server answers again
)

// event is one line of the log.
type event struct {
	At       int64  `json:"at"` // nanoseconds
	Kind     kind   `json:"kind"`
	Seq      int64  `json:"seq,omitempty"`
	App      int    `json:"app,omitempty"`
	Hash     string `json:"hash,omitempty"` // of the body
	ID       string `json:"id,omitempty"`
	Endpoint string `json:"endpoint,omitempty"` // path at the receiver
	Status   int    `json:"status,omitempty"`
	Forged   string `json:"forged,omitempty"` // why the signature did not verify
}

// journal is the checker's own log. Its lines are on the disk within a few milliseconds, and all
// of them after sync.
type journal struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	enc  *json.Encoder
}

func newJournal(path string) (*journal, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(file, 1<<16)
	return &journal{file: file, out: out, enc: json.NewEncoder(out)}, nil
}

func (j *journal) write(e event) {
	e.At = time.Now().UnixNano()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enc.Encode(e); err != nil {
		panic(fmt.Sprintf("the checker's log: %v", err)) // without its log the test means nothing
	}
}

// sync makes everything so far durable.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.out.Flush(); err != nil {
		return err
	}
	return j.file.Sync()
}

func (j *journal) close() error {
	if err := j.sync(); err != nil {
		return err
	}
	return j.file.Close()
}

// readJournal reads a log back from the disk.
func readJournal(path string) ([]event, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []event
	for dec := json.NewDecoder(bufio.NewReaderSize(file, 1<<16)); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
