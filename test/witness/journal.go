package witness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Kind says what an event in the log is.
type Kind string

// The kinds of events.
const (
	Sent     Kind = "sent"     // a publish is about to go out
	Acked    Kind = "acked"    // it was answered 2xx, with this id
	Refused  Kind = "refused"  // it was answered with an error: it must not exist
	Away     Kind = "away"     // it was answered 503: nothing was kept, and it is sent again
	Got      Kind = "got"      // a delivery arrived, and was answered with this status
	Began    Kind = "began"    // a fault is about to be made
	Ended    Kind = "ended"    // it is over
	Recorded Kind = "recorded" // the API lists a successful attempt
	Audited  Kind = "audited"  // the API has listed all there are

	Opened    Kind = "opened"    // a reader begins to read a feed, or comes back
	Fed       Kind = "fed"       // it got the entry of this number
	Gap       Kind = "gap"       // it was told that the entries from here to this number are gone
	Asked     Kind = "asked"     // it is about to acknowledge all up to this number
	Confirmed Kind = "confirmed" // that was answered
	Denied    Kind = "denied"    // it was answered that it does something wrong
)

// Event is one line of the log.
type Event struct {
	At       int64    `json:"at"` // nanoseconds
	Kind     Kind     `json:"kind"`
	Seq      int64    `json:"seq,omitempty"`
	To       []string `json:"to,omitempty"`   // the paths where the message must arrive, and nowhere else
	Line     string   `json:"line,omitempty"` // of messages that keep their order by key
	Hash     string   `json:"hash,omitempty"` // of the body
	ID       string   `json:"id,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"` // path at the receiver
	Status   int      `json:"status,omitempty"`
	// Note is why a signature did not verify, the Retry-After of a 503, what a fault was, and the id of an
	// attempt that is recorded.
	Note  string `json:"note,omitempty"`
	Fault int    `json:"fault,omitempty"` // its number
	// Alone says of a fault that everything was well before, and nothing else happens meanwhile.
	Alone bool `json:"alone,omitempty"`

	Feeds   []string `json:"feeds,omitempty"` // where the message must be, and in no other
	Feed    string   `json:"feed,omitempty"`
	Reader  string   `json:"reader,omitempty"`
	Number  int64    `json:"number,omitempty"` // in the feed; of a reader without a group, the place that it names
	From    int64    `json:"from,omitempty"`
	Grouped bool     `json:"grouped,omitempty"` // its place is the server's to keep
}

// Journal is the checker's own log. Its lines are on the disk after Sync.
type Journal struct {
	mu     sync.Mutex
	file   *os.File
	out    *bufio.Writer
	enc    *json.Encoder
	faults int
}

// NewJournal starts a log in a new file.
func NewJournal(path string) (*Journal, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(file, 1<<16)
	return &Journal{file: file, out: out, enc: json.NewEncoder(out)}, nil
}

// Write adds an event.
func (j *Journal) Write(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(e)
}

func (j *Journal) write(e Event) {
	e.At = time.Now().UnixNano()
	if err := j.enc.Encode(e); err != nil {
		panic(fmt.Sprintf("the checker's log: %v", err)) // without its log the test means nothing
	}
}

// Fault notes that a fault is about to be made, and answers what notes its end.
func (j *Journal) Fault(what string, alone bool) (ended func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults++
	n := j.faults
	j.write(Event{Kind: Began, Fault: n, Note: what, Alone: alone})
	return func() { j.Write(Event{Kind: Ended, Fault: n}) }
}

// Sync makes everything so far durable.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.out.Flush(); err != nil {
		return err
	}
	return j.file.Sync()
}

// Close makes everything durable and ends the log.
func (j *Journal) Close() error {
	if err := j.Sync(); err != nil {
		return err
	}
	return j.file.Close()
}

// Events reads back what was written so far.
func (j *Journal) Events() ([]Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock() // so that no line is half there
	if err := j.out.Flush(); err != nil {
		return nil, err
	}
	return ReadJournal(j.file.Name())
}

// Complete waits until nothing is missing any more of what was acknowledged, and no longer than limit: what is
// missing then is lost.
func (j *Journal) Complete(rules Rules, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		events, err := j.Events()
		if err != nil || Check(events, rules).Missing == 0 || time.Now().After(deadline) {
			return err
		}
	}
}

// ReadJournal reads a log back from the disk.
func ReadJournal(path string) ([]Event, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []Event
	for dec := json.NewDecoder(bufio.NewReaderSize(file, 1<<16)); dec.More(); {
		var e Event
		if err := dec.Decode(&e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
