package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// publisher sends messages and writes down what became of each. A request that got no answer is in
// doubt: it is sent again, the same in every byte and under the same key, until there is one. So a
// message may be stored twice only if idempotency fails across the crash.
type publisher struct {
	client  *harness.Client
	apps    []string // ids
	journal *journal
	seq     atomic.Int64

	mu     sync.Mutex
	doubts []*request
	pace   time.Duration
}

// request is one publish of one or several messages.
type request struct {
	app   int
	first int64
	count int
	key   string // idempotency-key; "" when eventIds make it safe to send again
	body  []byte
	batch bool
}

// payload is as the publisher sends it and as the receiver must get it, byte for byte: odd spacing
// and number forms included.
func payload(seq int64) []byte {
	return fmt.Appendf(nil, `{"seq": %d,"amount":1.50e2, "name":"Zo\u00eb <%d>","b":[ ],"a":null}`, seq, seq)
}

func hashOf(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:8])
}

// run publishes until ctx ends, doubts first.
func (p *publisher) run(ctx context.Context) {
	for ctx.Err() == nil {
		r := p.takeDoubt()
		if r == nil {
			r = p.fresh()
		}
		p.send(ctx, r)
		if p.pace > 0 {
			time.Sleep(rand.N(2 * p.pace))
		}
	}
}

// settle sends what is in doubt until nothing is.
func (p *publisher) settle(ctx context.Context) error {
	for ctx.Err() == nil {
		r := p.takeDoubt()
		if r == nil {
			return nil
		}
		p.send(ctx, r)
	}
	return fmt.Errorf("publishes without an answer: %w", ctx.Err())
}

func (p *publisher) takeDoubt() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.doubts) == 0 {
		return nil
	}
	r := p.doubts[0]
	p.doubts = p.doubts[1:]
	return r
}

func (p *publisher) doubt(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, r)
}

// fresh makes a new request: one message with an idempotency key, one with an eventId, or a batch.
func (p *publisher) fresh() *request {
	r := &request{app: rand.IntN(len(p.apps) - 1), count: 1}
	if rand.IntN(10) == 0 {
		r.app = len(p.apps) - 1 // the ordered one: each of its failures holds up all behind it
	}
	dice := rand.IntN(10)
	if r.batch = dice == 0; r.batch {
		r.count = 1 + rand.IntN(20)
	}
	r.first = p.seq.Add(int64(r.count)) - int64(r.count) + 1
	var body bytes.Buffer
	for i := range r.count {
		seq := r.first + int64(i)
		if i > 0 {
			body.WriteByte(',')
		}
		eventID := fmt.Sprintf(`"eventId":"crash-%d",`, seq)
		if !r.batch && dice < 6 {
			eventID = ""
			r.key = fmt.Sprintf("crash-key-%d", seq)
		}
		fmt.Fprintf(&body, `{"eventType":"crash.test",%s"payload":%s}`, eventID, payload(seq))
		p.journal.write(event{Kind: sent, Seq: seq, App: r.app, Hash: hashOf(payload(seq))})
	}
	r.body = body.Bytes()
	if r.batch {
		r.body = fmt.Appendf(nil, `{"messages":[%s]}`, body.Bytes())
	}
	return r
}

// answerLimit is long enough for any live server and short enough for a round.
const answerLimit = 10 * time.Second

func (p *publisher) send(ctx context.Context, r *request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	path := "/api/v1/app/" + p.apps[r.app] + "/msg"
	if r.batch {
		path += "/batch"
	}
	header := http.Header{}
	if r.key != "" {
		header.Set("Idempotency-Key", r.key)
	}
	status, _, answer, err := p.client.Raw(ctx, http.MethodPost, path, bytes.NewReader(r.body), header)
	if err != nil {
		p.doubt(r)
		time.Sleep(2 * time.Millisecond) // the server is down
		return
	}
	p.answered(ctx, r, status, answer)
}

func (p *publisher) answered(ctx context.Context, r *request, status int, answer []byte) {
	var one struct{ ID string }
	var many struct {
		Data []struct {
			Status  int
			Message struct{ ID string }
			Error   struct{ Existing string }
		}
	}
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusConflict && r.key != "":
		p.doubt(r) // "nothing was kept, try again", or the same key is being worked on
		time.Sleep(2 * time.Millisecond)
	case r.batch && status/100 == 2:
		if err := json.Unmarshal(answer, &many); err != nil || len(many.Data) != r.count {
			p.refuse(r, status, 0, r.count)
			return
		}
		for i, d := range many.Data {
			id := d.Message.ID
			if d.Status == http.StatusConflict {
				id = p.lookUp(ctx, r, r.first+int64(i))
			}
			if id == "" {
				p.refuse(r, d.Status, i, i+1)
				continue
			}
			p.journal.write(event{Kind: acked, Seq: r.first + int64(i), ID: id})
		}
	case status == http.StatusConflict:
		if id := p.lookUp(ctx, r, r.first); id != "" {
			p.journal.write(event{Kind: acked, Seq: r.first, ID: id})
		} else {
			p.doubt(r)
		}
	case status/100 == 2 && json.Unmarshal(answer, &one) == nil && one.ID != "":
		p.journal.write(event{Kind: acked, Seq: r.first, ID: one.ID})
	default:
		p.refuse(r, status, 0, r.count)
	}
}

// lookUp asks for the message that has the eventId already.
func (p *publisher) lookUp(ctx context.Context, r *request, seq int64) string {
	var out struct{ ID string }
	status, err := p.client.Do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/msg/crash-%d", p.apps[r.app], seq), nil, &out)
	if err != nil || status != http.StatusOK {
		return ""
	}
	return out.ID
}

func (p *publisher) refuse(r *request, status, from, to int) {
	for i := from; i < to; i++ {
		p.journal.write(event{Kind: refused, Seq: r.first + int64(i), Status: status})
	}
}
