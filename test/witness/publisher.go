package witness

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// App is an application that is published to.
type App struct {
	ID     string
	To     []string // the paths of its endpoints
	Feeds  []Feed   // its consumers
	Share  int      // of the load
	Source *Source  // not nil: its messages come in as GitHub's webhooks
}

// Endpoint makes an endpoint of the application that is a path of the receiver, and answers its id.
func (a *App) Endpoint(t testing.TB, client *harness.Client, r *Receiver, path string, in map[string]any) string {
	t.Helper()
	id := client.Endpoint(t, a.ID, r.URL+path, in)
	if err := r.Trust(path, client.Secret(t, a.ID, id)); err != nil {
		t.Fatal(err)
	}
	a.To = append(a.To, path)
	return id
}

// Feed makes a consumer of the application for messages of a line, or for all, and readers of it.
func (a *App) Feed(t testing.TB, client *harness.Client, rs *Readers, name, line string, ways ...Way) {
	t.Helper()
	in := map[string]any{"uid": name}
	if line != "" {
		in["filter"] = map[string]any{"line": line}
	}
	of := "/api/v1/app/" + a.ID + "/consumer"
	client.Call(t, http.StatusCreated, http.MethodPost, of, in, nil)
	f := Feed{Name: name, Line: line, path: of + "/" + name}
	rs.Start(t.Context(), f, ways...)
	a.Feeds = append(a.Feeds, f)
}

// sent is what the log says of a message before it goes out.
func (a *App) sent(seq int64) Event {
	e := Event{Kind: Sent, Seq: seq, To: a.To, Line: lineOf(seq), Hash: Hash(payload(seq))}
	for _, f := range a.Feeds {
		if f.Line == "" || f.Line == e.Line {
			e.Feeds = append(e.Feeds, f.Name)
		}
	}
	return e
}

// Source is where webhooks come in.
type Source struct {
	Path   string // of its URL
	Secret string // that GitHub would sign with
}

// NewSource makes a source of an application.
func NewSource(t testing.TB, client *harness.Client, app string) *Source {
	t.Helper()
	s := &Source{Secret: "It's a Secret to Everybody"}
	var out struct{ URL string }
	client.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/source",
		map[string]any{"name": "witness", "provider": "github", "secret": s.Secret, "applicationId": app}, &out)
	at, err := url.Parse(out.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.Path = at.Path
	return s
}

// Publisher sends messages and writes down what became of each. A request that got no answer is in
// doubt: it is sent again, the same in every byte and under the same key, through another node if
// there is one, until there is an answer. So a message may be stored twice only if idempotency fails
// across the fault. Some requests go out again although they were answered.
type Publisher struct {
	Nodes    []*harness.Client
	Journal  *Journal
	Apps     []App
	Pace     time.Duration // between two of a goroutine's requests, on average; 0: none
	Patience time.Duration // how long an answer is awaited; 0: 10 s

	seq atomic.Int64

	mu     sync.Mutex
	doubts []*request
	busy   map[int]int // requests under way, by node
}

// request is one publish of one or several messages.
type request struct {
	app      string // id
	first    int64
	count    int
	key      string // idempotency-key; "" when eventIds make it safe to send again
	body     []byte
	batch    bool
	source   *Source // not nil: one inbound webhook
	last     int     // one more than the node that got it last
	repeated bool    // it has gone out again after its answer
}

// Lines is how many lines the payloads' member "line" names.
const Lines = 6

func lineOf(seq int64) string { return fmt.Sprint("line ", seq/3%Lines) }

// payload is as the publisher sends it and as the receiver must get it, byte for byte: odd spacing
// and number forms included.
func payload(seq int64) []byte {
	return fmt.Appendf(nil, `{"seq": %d,"line":%q,"amount":1.50e2, "name":"Zo\u00eb <%d>","b":[ ],"a":null}`, seq, lineOf(seq), seq)
}

// Hash is what the log says of a body.
func Hash(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:8])
}

// Run publishes until ctx ends, doubts first.
func (p *Publisher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		r := p.takeDoubt()
		if r == nil {
			r = p.fresh()
		}
		if !p.send(ctx, r, p.pick(r.last)) {
			p.doubt(r)
		}
		if p.Pace > 0 {
			time.Sleep(rand.N(2 * p.Pace))
		}
	}
}

// Settle sends what is in doubt until nothing is.
func (p *Publisher) Settle(ctx context.Context) error {
	for ctx.Err() == nil {
		r := p.takeDoubt()
		if r == nil {
			return nil
		}
		if !p.send(ctx, r, p.pick(r.last)) {
			p.doubt(r)
		}
	}
	return fmt.Errorf("publishes without an answer: %w", ctx.Err())
}

// Publish sends one message until there is an answer, first through the given node, and answers whether
// there was one before ctx ended.
func (p *Publisher) Publish(ctx context.Context, app App, node int) bool {
	r := &request{app: app.ID, count: 1, first: p.seq.Add(1)}
	r.key = fmt.Sprintf("witness-key-%d", r.first)
	p.write(r, &app)
	for !p.send(ctx, r, node) {
		if ctx.Err() != nil {
			p.doubt(r)
			return false
		}
		node = p.pick(r.last)
	}
	return true
}

func (p *Publisher) takeDoubt() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.doubts) == 0 {
		return nil
	}
	r := p.doubts[0]
	p.doubts = p.doubts[1:]
	return r
}

func (p *Publisher) doubt(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, r)
}

// pick chooses the node with the least under way, so that one which does not answer holds up few, and
// not the one that got the request last.
func (p *Publisher) pick(last int) (node int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	least := -1
	for _, i := range rand.Perm(len(p.Nodes)) {
		if i+1 == last && len(p.Nodes) > 1 {
			continue
		}
		if least < 0 || p.busy[i] < least {
			node, least = i, p.busy[i]
		}
	}
	return node
}

func (p *Publisher) use(node, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == nil {
		p.busy = map[int]int{}
	}
	p.busy[node] += n
}

// fresh makes a new request: one message with an idempotency key, one with an eventId, or a batch.
func (p *Publisher) fresh() *request {
	app := p.anyApp()
	r := &request{app: app.ID, count: 1, source: app.Source}
	if app.Source != nil {
		r.first = p.seq.Add(1)
		r.body = payload(r.first)
		p.Journal.Write(app.sent(r.first))
		return r
	}
	dice := rand.IntN(10)
	if r.batch = dice == 0; r.batch {
		r.count = 1 + rand.IntN(20)
	}
	r.first = p.seq.Add(int64(r.count)) - int64(r.count) + 1
	if !r.batch && dice < 6 {
		r.key = fmt.Sprintf("witness-key-%d", r.first)
	}
	p.write(r, &app)
	return r
}

func (p *Publisher) anyApp() App {
	all := 0
	for _, a := range p.Apps {
		all += a.Share
	}
	dice := rand.IntN(all)
	for _, a := range p.Apps {
		if dice -= a.Share; dice < 0 {
			return a
		}
	}
	return p.Apps[0]
}

// write composes the request's body, and the log's lines.
func (p *Publisher) write(r *request, app *App) {
	var body bytes.Buffer
	for i := range r.count {
		seq := r.first + int64(i)
		if i > 0 {
			body.WriteByte(',')
		}
		eventID := ""
		if r.key == "" {
			eventID = fmt.Sprintf(`"eventId":"witness-%d",`, seq)
		}
		fmt.Fprintf(&body, `{"eventType":"witness.test",%s"payload":%s}`, eventID, payload(seq))
		p.Journal.Write(app.sent(seq))
	}
	r.body = body.Bytes()
	if r.batch {
		r.body = fmt.Appendf(nil, `{"messages":[%s]}`, body.Bytes())
	}
}

// answerLimit is long enough for any live server and short enough for a round.
const answerLimit = 10 * time.Second

// send makes a request and writes down its answer. It answers false when there was none, or one that
// says that nothing was decided.
func (p *Publisher) send(ctx context.Context, r *request, node int) (answered bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(p.Patience, answerLimit))
	defer cancel()
	p.use(node, 1)
	defer p.use(node, -1)
	r.last = node + 1
	path := "/api/v1/app/" + r.app + "/msg"
	if r.batch {
		path += "/batch"
	}
	header := http.Header{}
	if r.key != "" {
		header.Set("Idempotency-Key", r.key)
	}
	if r.source != nil {
		path, header = r.source.Path, r.source.sign(r)
	}
	status, got, answer, err := p.Nodes[node].Raw(ctx, http.MethodPost, path, bytes.NewReader(r.body), header)
	if err == nil && status == http.StatusServiceUnavailable { // nothing was kept
		p.Journal.Write(Event{Kind: Away, Seq: r.first, Status: status, Note: got.Get("Retry-After")})
	}
	// A conflict of keys is one with the same request, which is still being worked on.
	if err != nil || status == http.StatusServiceUnavailable || status == http.StatusConflict && r.key != "" {
		time.Sleep(2 * time.Millisecond)
		return false
	}
	if !p.answered(ctx, r, node, status, answer) {
		return false
	}
	if !r.repeated && rand.IntN(20) == 0 {
		again := *r
		again.repeated = true
		p.doubt(&again)
	}
	return true
}

// sign makes the headers of a webhook as GitHub documents them. The delivery's id is the same each time.
func (s *Source) sign(r *request) http.Header {
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write(r.body)
	return http.Header{
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
		"X-Github-Event":      {"push"},
		"X-Github-Delivery":   {fmt.Sprintf("witness-%d", r.first)},
	}
}

func (p *Publisher) answered(ctx context.Context, r *request, node, status int, answer []byte) bool {
	var one struct{ ID string }
	switch {
	case r.source != nil && status/100 == 2:
		p.acked(r.first, unknownID)
	case r.batch && status/100 == 2:
		return p.batchAnswered(ctx, r, node, answer)
	case status == http.StatusConflict:
		id := p.lookUp(ctx, r, node, r.first)
		if id == "" {
			return false
		}
		p.acked(r.first, id)
	case status/100 == 2 && json.Unmarshal(answer, &one) == nil && one.ID != "":
		p.acked(r.first, one.ID)
	default:
		p.refuse(r, status, 0, r.count)
	}
	return true
}

func (p *Publisher) batchAnswered(ctx context.Context, r *request, node int, answer []byte) bool {
	var many struct {
		Data []struct {
			Status  int
			Message struct{ ID string }
		}
	}
	if err := json.Unmarshal(answer, &many); err != nil || len(many.Data) != r.count {
		p.refuse(r, http.StatusMultiStatus, 0, r.count)
		return true
	}
	for i, d := range many.Data {
		id := d.Message.ID
		if d.Status == http.StatusConflict {
			if id = p.lookUp(ctx, r, node, r.first+int64(i)); id == "" {
				return false
			}
		}
		if id == "" {
			p.refuse(r, d.Status, i, i+1)
			continue
		}
		p.acked(r.first+int64(i), id)
	}
	return true
}

// lookUp asks for the message that has the eventId already; "" if there is no answer.
func (p *Publisher) lookUp(ctx context.Context, r *request, node int, seq int64) string {
	var out struct{ ID string }
	status, err := p.Nodes[node].Do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/msg/witness-%d", r.app, seq), nil, &out)
	if err != nil || status != http.StatusOK {
		return ""
	}
	return out.ID
}

func (p *Publisher) acked(seq int64, id string) {
	p.Journal.Write(Event{Kind: Acked, Seq: seq, ID: id})
}

func (p *Publisher) refuse(r *request, status, from, to int) {
	for i := from; i < to; i++ {
		p.Journal.Write(Event{Kind: Refused, Seq: r.first + int64(i), Status: status})
	}
}
