package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// firstSeq is the number of the first message: twelve digits, so that all have the same length and
// none starts with a zero, which JSON does not allow.
const firstSeq = 100_000_000_000

// load says what a generator sends.
type load struct {
	Addrs    []string      // of the sender under test: connections are spread over them
	Paths    []string      // published to in turn
	Headers  []string      // "Name: value"; {{seq}} is replaced
	Item     string        // one message; {{now}}, {{seq}} and {{pad}} are replaced
	Envelope string        // around a batch: {{items}} is replaced; "" sends single items
	Batch    int           // items per request
	Size     int           // bytes of one item; {{pad}} fills it up
	Conns    int           // keep-alive connections
	Rate     float64       // messages per second, open loop; 0 is a closed loop
	Duration time.Duration // 0: until Count
	Count    int64         // messages; 0: until Duration
	First    int64         // number of the first message, from 0
	Secret   string        // signs the body into {{sig}} of the headers; "" signs nothing
	Stamped  bool          // {{sec}} of the headers and a dot are signed before it
}

// genResult is what a generator prints.
type genResult struct {
	Sent     int64           `json:"sent"`     // messages
	Accepted int64           `json:"accepted"` // messages in requests answered 2xx
	Refused  int64           `json:"refused"`  // messages in requests answered otherwise
	Errors   int64           `json:"errors"`   // messages in requests without an answer
	Requests int64           `json:"requests"`
	FirstNS  int64           `json:"first_ns"`
	LastNS   int64           `json:"last_ns"`
	Statuses map[string]int  `json:"statuses"`
	Ack      *histogram      `json:"ack"`
	CPU      time.Duration   `json:"cpu"`
	Sample   json.RawMessage `json:"sample,omitempty"` // the last answer that was not 2xx
}

func (r *genResult) merge(o *genResult) {
	r.Sent += o.Sent
	r.Accepted += o.Accepted
	r.Refused += o.Refused
	r.Errors += o.Errors
	r.Requests += o.Requests
	r.LastNS = max(r.LastNS, o.LastNS)
	for k, v := range o.Statuses {
		r.Statuses[k] += v
	}
	r.Ack.merge(o.Ack)
	if o.Sample != nil {
		r.Sample = o.Sample
	}
}

func genMain(args []string) error {
	var l load
	fs := flag.NewFlagSet("gen", flag.ExitOnError)
	l.flags(fs)
	file := fs.String("load", "", "read all of this from a JSON file instead")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *file != "" {
		b, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
	}
	res, err := generate(l)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func (l *load) flags(fs *flag.FlagSet) {
	fs.Var((*list)(&l.Addrs), "publish", "address of the sender under test; may be repeated, connections are spread over them")
	fs.Var((*list)(&l.Paths), "path", "path to publish to; may be repeated, used in turn")
	fs.Var((*list)(&l.Headers), "header", `header of every request, "Name: value"; may be repeated; {{seq}} is replaced`)
	fs.StringVar(&l.Item, "item", harkItem, "one message; {{now}}, {{seq}} and {{pad}} are replaced")
	fs.StringVar(&l.Envelope, "envelope", "", "body around a batch; {{items}} is replaced")
	fs.IntVar(&l.Batch, "batch", 1, "messages per request")
	fs.IntVar(&l.Size, "size", harkItemSize, "bytes of one message; {{pad}} fills it up")
	fs.IntVar(&l.Conns, "conns", 64, "keep-alive connections")
	fs.Float64Var(&l.Rate, "rate", 0, "messages per second in an open loop; 0 sends as fast as it is answered")
	fs.DurationVar(&l.Duration, "duration", 10*time.Second, "how long to send")
	fs.Int64Var(&l.Count, "count", 0, "messages to send; 0 is as many as go in the duration")
}

// list is a flag that may be repeated.
type list []string

func (s *list) String() string     { return strings.Join(*s, " ") }
func (s *list) Set(v string) error { *s = append(*s, v); return nil }

// generate sends the load and reports how it was answered.
func generate(l load) (*genResult, error) {
	if len(l.Addrs) == 0 || len(l.Paths) == 0 || l.Conns < 1 || l.Batch < 1 || (l.Duration == 0 && l.Count == 0) {
		return nil, errors.New("a load needs an address, a path, a connection, a batch of one and an end")
	}
	shape, err := newShape(l)
	if err != nil {
		return nil, err
	}
	g := &generator{load: l, shape: shape, began: time.Now()}
	total := &genResult{Statuses: map[string]int{}, Ack: newHistogram(), FirstNS: g.began.UnixNano()}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range l.Conns {
		wg.Go(func() {
			part := g.worker(l.Addrs[i%len(l.Addrs)])
			mu.Lock()
			defer mu.Unlock()
			total.merge(part)
		})
	}
	wg.Wait()
	total.CPU = ownCPU()
	return total, nil
}

type generator struct {
	load  load
	shape *shape
	began time.Time
	next  atomic.Int64 // number of the next request
}

// worker is one connection: it takes the next request, sends it and waits for the answer.
func (g *generator) worker(addr string) *genResult {
	res := &genResult{Statuses: map[string]int{}, Ack: newHistogram()}
	var c conn
	defer c.close()
	request := g.shape.copy()
	for {
		n := g.next.Add(1) - 1
		first := n * int64(g.load.Batch)
		if g.load.Count > 0 && first >= g.load.Count {
			return res
		}
		due, ok := g.pace(n)
		if !ok {
			return res
		}
		began := time.Now()
		sentAt := began
		if !due.IsZero() {
			sentAt = due // every connection was busy: the wait is the server's
		}
		out := request.render(n, g.load.First+first, sentAt)
		res.Requests++
		res.Sent += int64(g.load.Batch)
		status, body, err := c.exchange(addr, out)
		now := time.Now()
		res.LastNS = now.UnixNano()
		switch {
		case err != nil:
			res.Errors += int64(g.load.Batch)
			res.Statuses["error"]++
			c.close()
			time.Sleep(5 * time.Millisecond) // no busy loop against a server that is down
		case status/100 == 2:
			res.Accepted += int64(g.load.Batch)
			res.Ack.add(now.Sub(sentAt))
		default:
			res.Refused += int64(g.load.Batch)
			res.Statuses[strconv.Itoa(status)]++
			if json.Valid(body) {
				res.Sample = append(res.Sample[:0], body...)
			}
			time.Sleep(10 * time.Millisecond) // the server asked for air
		}
	}
}

// pace waits for the n-th request's moment. due is set when that had passed already.
func (g *generator) pace(n int64) (due time.Time, ok bool) {
	if g.load.Rate == 0 {
		return time.Time{}, g.load.Duration == 0 || time.Since(g.began) < g.load.Duration
	}
	offset := time.Duration(float64(n*int64(g.load.Batch)) / g.load.Rate * float64(time.Second))
	if g.load.Duration > 0 && offset >= g.load.Duration {
		return time.Time{}, false
	}
	at := g.began.Add(offset)
	wait := time.Until(at)
	if wait <= 0 {
		return at, true
	}
	time.Sleep(wait)
	return time.Time{}, true
}

// conn is one connection, made when it is first needed and again after an error.
type conn struct {
	c    net.Conn
	r    *bufio.Reader
	line []byte
	body []byte
}

// exchange sends one request and reads its answer. It has no time limit of its own: whoever started
// the generator ends it when it takes too long.
func (c *conn) exchange(addr string, request []byte) (status int, body []byte, err error) {
	if c.c == nil {
		if c.c, err = net.DialTimeout("tcp", addr, 5*time.Second); err != nil {
			c.c = nil
			return 0, nil, err
		}
		if c.r == nil {
			c.r = bufio.NewReaderSize(nil, 16<<10)
		}
		c.r.Reset(c.c)
	}
	if _, err := c.c.Write(request); err != nil {
		return 0, nil, err
	}
	start, length, keep, err := readHead(c.r, c.line)
	if err != nil {
		return 0, nil, err
	}
	c.line = start
	if len(start) < 12 {
		return 0, nil, errLine
	}
	if status, err = strconv.Atoi(string(start[9:12])); err != nil {
		return 0, nil, errLine
	}
	if c.body, err = readBody(c.r, length, c.body); err != nil {
		return 0, nil, err
	}
	if !keep {
		c.close()
	}
	return status, c.body, nil
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close() // nothing is lost: every answer was read
		c.c = nil
	}
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
