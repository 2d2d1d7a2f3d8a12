package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// Feed is a consumer of an application.
type Feed struct {
	Name string // in the log
	Line string // it is for messages of this line; "": for all
	path string
}

// LineOf names one of the lines of payloads.
func LineOf(n int) string { return fmt.Sprint("line ", n%Lines) }

// Way is how a feed is read.
type Way string

// The ways of reading. The first keeps its place itself, the others have a group's kept.
const (
	ByEvents Way = "events" // server-sent events, with Last-Event-ID
	BySocket Way = "socket" // a WebSocket
	ByPoll   Way = "poll"   // long polls, each acknowledged by a request of its own
)

// Readers read feeds from their beginning until they are stopped, through one node after the other:
// they hang up now and then, and come back when a server has. They write down what they get.
type Readers struct {
	Nodes   []*harness.Client
	Journal *Journal

	last    atomic.Int64 // nanoseconds of the last entry
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start adds a reader of a feed for each of the ways. Call Stop before the journal is closed.
func (rs *Readers) Start(ctx context.Context, f Feed, ways ...Way) {
	if rs.ctx == nil {
		rs.ctx, rs.cancel = context.WithCancel(ctx)
		rs.last.Store(time.Now().UnixNano())
	}
	for i, way := range ways {
		r := &reader{Readers: rs, feed: f, way: way, name: fmt.Sprint(way, " ", i), http: &http.Client{}}
		rs.running.Go(func() { r.run(rs.ctx) })
	}
}

// Silence waits until no reader has got anything for as long as d.
func (rs *Readers) Silence(d time.Duration) {
	for time.Since(time.Unix(0, rs.last.Load())) < d {
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends all reading.
func (rs *Readers) Stop() {
	rs.cancel()
	rs.running.Wait()
}

// reader is one of them.
type reader struct {
	*Readers
	feed Feed
	way  Way
	name string
	http *http.Client
	at   int64  // the number that it got last
	id   string // of the last event
}

// How long a reader stays, at most, and how long it is away when it could not read.
const (
	stay  = 1500 * time.Millisecond
	pause = 20 * time.Millisecond
)

func (r *reader) run(ctx context.Context) {
	read := map[Way]func(context.Context, *harness.Client) error{ByEvents: r.events, BySocket: r.socket, ByPoll: r.polls}[r.way]
	for i := rand.IntN(len(r.Nodes)); ctx.Err() == nil; i++ {
		within, cancel := context.WithTimeout(ctx, rand.N(stay))
		err := read(within, r.Nodes[i%len(r.Nodes)])
		cancel()
		if err != nil {
			time.Sleep(pause)
		}
	}
}

// write notes something about the reader.
func (r *reader) write(e Event) {
	e.Feed, e.Reader = r.feed.Name, r.name
	r.Journal.Write(e)
}

// message is an entry as all ways show it.
type message struct {
	ID      string
	Payload json.RawMessage
}

// got notes an entry.
func (r *reader) got(number int64, m message) {
	var p struct{ Seq int64 }
	if json.Unmarshal(m.Payload, &p) != nil {
		p.Seq = -1 // a phantom for the checker
	}
	body := []byte(m.Payload)
	if r.way == ByPoll { // a page is written without spaces between tokens
		var short bytes.Buffer
		if whole := payload(p.Seq); json.Compact(&short, whole) == nil && bytes.Equal(short.Bytes(), body) {
			body = whole
		}
	}
	r.last.Store(time.Now().UnixNano())
	r.write(Event{Kind: Fed, Number: number, Seq: p.Seq, ID: m.ID, Hash: Hash(body)})
	r.at = number
}

// gap is what is said of entries that are gone.
type gap struct{ From, To int64 }

func (r *reader) missed(g gap) {
	r.write(Event{Kind: Gap, From: g.From, Number: g.To})
	r.at = g.To
}

// denied notes an answer that no fault explains: what a server says that cannot serve now is no news.
func (r *reader) denied(status int, text string) error {
	if status/100 == 4 && status != http.StatusTooManyRequests {
		r.write(Event{Kind: Denied, Status: status, Note: text})
	}
	return fmt.Errorf("answered %d", status)
}

// numberOf reads the number in a cursor; what is none is 0, which no entry has.
func numberOf(cursor string) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(cursor, "at_"), 36, 64)
	return n
}
