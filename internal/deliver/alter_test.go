package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/transform"
)

func TestMain(m *testing.M) {
	transform.Work()
	os.Exit(m.Run())
}

// altering is a world whose scripts run in real processes.
func altering(t *testing.T, options alter.Options) *world {
	t.Helper()
	if options.Time == 0 {
		options.Time = 20 * time.Second // for scripts that end by themselves, on a busy machine
	}
	runner := alter.New(options)
	w := newRealWorld(t, deliver.Options{Alterer: runner})
	t.Cleanup(func() {
		w.stop()
		if err := runner.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return w
}

// scripted gives an endpoint a transformation.
func scripted(code string) func(*hark.Endpoint) {
	return func(ep *hark.Endpoint) { ep.Transformation = hark.Transformation{Code: code, Enabled: true} }
}

// inbox is a receiver that keeps what it gets, verified.
type inbox struct {
	t   *testing.T
	mu  sync.Mutex
	got []received
}

type received struct {
	method, url string
	header      http.Header
	body        []byte
	at          time.Time
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	verifier, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		b.t.Error(err)
	} else if err := verifier.Verify(body, r.Header); err != nil {
		b.t.Errorf("what was sent does not verify: %v\n%s", err, body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, received{r.Method, "http://" + r.Host + r.URL.String(), r.Header.Clone(), body, time.Now()})
}

func (b *inbox) all() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

// one waits for the only thing that comes.
func (b *inbox) one() received {
	b.t.Helper()
	until(b.t, "the message to come", func() bool { return len(b.all()) > 0 })
	return b.all()[0]
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settled waits until a message has so many attempts.
func (w *world) settled(m hark.Message, n int) []hark.Attempt {
	w.t.Helper()
	until(w.t, "an attempt", func() bool { return len(w.attempts(m)) >= n })
	return w.attempts(m)
}

func (w *world) executions(ep hark.Endpoint) []hark.Execution {
	w.t.Helper()
	all, err := w.store.ListExecutions(w.t.Context(), ep.Ref, store.Page{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func TestAlter_ChangesWhatIsSentAndSignsIt(t *testing.T) {
	w := altering(t, alter.Options{})
	box, elsewhere := &inbox{t: t}, &inbox{t: t}
	w.net.add("elsewhere.example.com", elsewhere.ServeHTTP)
	ep := w.endpoint("a", box.ServeHTTP, func(ep *hark.Endpoint) {
		ep.Headers = map[string]string{"X-Own": "own", "X-Kept": "kept"}
		ep.Transformation = hark.Transformation{Enabled: true, Variables: map[string]string{"WORD": "hello"}, Code: `
			function handler(webhook) {
				console.log("was", webhook.eventType);
				webhook.payload.text = webhook.variables.WORD;
				webhook.headers["x-own"] = "script";
				webhook.headers["content-type"] = "application/vnd.greeting+json";
				webhook.url = "http://elsewhere.example.com/orders/" + webhook.payload.n;
				webhook.method = "PUT";
				return webhook;
			}`}
	})
	m := w.publish(`{"n": 12345678901234567890, "z": 1}`)
	got := elsewhere.one()
	if got.method != "PUT" || got.url != "http://elsewhere.example.com/orders/12345678901234567000" || string(got.body) != `{"n":12345678901234567890,"z":1,"text":"hello"}` {
		t.Errorf("got %s %s %s", got.method, got.url, got.body)
	}
	if h := got.header; fmt.Sprint(h.Values("X-Own"), h.Values("X-Kept"), h.Values("Content-Type")) != "[script] [kept] [application/vnd.greeting+json]" {
		t.Errorf("headers %v", h)
	}
	if len(box.all()) > 0 {
		t.Error("it went to the endpoint's own address, too")
	}
	attempt := w.settled(m, 1)[0]
	if attempt.Status != hark.Succeeded || attempt.URL != got.url {
		t.Errorf("attempt %+v", attempt)
	}
	until(t, "the console", func() bool { return len(w.executions(ep)) == 1 })
	if x := w.executions(ep)[0]; x.AttemptID != attempt.ID || x.MessageID != m.ID || x.Version != 1 || x.Outcome != hark.ExecutionDone ||
		len(x.Log) != 1 || x.Log[0].Text != "was order.paid" || x.Duration <= 0 {
		t.Errorf("execution %+v", x)
	}
}

func TestAlter_AnUntouchedMessageKeepsItsBytes(t *testing.T) {
	w := altering(t, alter.Options{})
	box := &inbox{t: t}
	ep := w.endpoint("a", box.ServeHTTP, scripted(`addHandler("transform", (request) => request)`))
	payload := "{ \"n\" : 1.0e3,\n\"u\": \"\\u00fc\", \"big\":12345678901234567890 }"
	m := w.publish(payload)
	got := box.one()
	if string(got.body) != payload || got.method != "POST" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s %q", got.method, got.header, got.body)
	}
	w.settled(m, 1)
	if x := w.executions(ep); len(x) > 0 {
		t.Errorf("a plain success was logged: %+v", x)
	}
}

func TestAlter_OfAnInboundMessageShowsTheRequest(t *testing.T) {
	w := altering(t, alter.Options{})
	box := &inbox{t: t}
	w.endpoint("a", box.ServeHTTP, scripted(`addHandler("transform", (request, context) => {
		if (request.headers.authorization || request.parsed_query.a[1] !== "2" || request.path !== "/eu") throw new Error("not what came");
		delete request.headers["x-gone"];
		delete request.headers["svix-id"];
		request.headers["x-new"] = request.headers["x-many"];
		request.path = "/us";
		request.body = "<xml>" + request.body + "</xml>";
		return request;
	})`))
	head := hark.Head{SourceID: "src_1", Method: "PUT", Path: "/eu", Query: "a=1&a=2"}
	head.SetHeader(http.Header{"Content-Type": {"text/plain"}, "X-Many": {"1", "2"}, "X-Gone": {"1"}, "Authorization": {"secret"}, "Svix-Id": {"theirs"}, "User-Agent": {"shop"}})
	now := time.Now()
	cached, err := w.dir.ByRef(t.Context(), w.app.Ref)
	if err != nil {
		t.Fatal(err)
	}
	a := &store.Acceptance{EnvironmentID: w.app.EnvironmentID, Message: hark.Message{
		ID: hark.NewMessageID(now), ApplicationRef: w.app.Ref, EventType: "t", Payload: []byte(`"plain"`), RawBody: []byte("plain text"), Head: head.Encode(), CreatedAt: now}}
	a.Deliveries = []hark.Delivery{{EndpointRef: cached.Endpoints[0].Ref, ApplicationRef: w.app.Ref, Due: now.UnixMilli(), Message: &a.Message}}
	if err := w.store.Accept(t.Context(), []*store.Acceptance{a}); err != nil {
		t.Fatal(err)
	}
	if failed := w.settled(a.Message, 1)[0]; failed.Error != "" {
		t.Fatal(failed.Error)
	}
	got := box.one()
	h := got.header
	if string(got.body) != "<xml>plain text</xml>" || h.Get("X-Gone") != "" || h.Get("X-New") != "1, 2" || fmt.Sprint(h.Values("X-Many")) != "[1 2]" ||
		h.Get("Hark-Request-Path") != "/us?a=1&a=2" || h.Get("Hark-Request-Method") != "PUT" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("got %q with %v", got.body, h)
	}
}

func TestAlter_CancelsADelivery(t *testing.T) {
	w := altering(t, alter.Options{})
	box := &inbox{t: t}
	ep := w.endpoint("a", box.ServeHTTP, scripted(`function handler(w) { w.cancel = true; return w }`))
	m := w.publish(`{}`)
	attempt := w.settled(m, 1)[0]
	if attempt.Status != hark.Canceled || attempt.Error != "canceled by the transformation" || !attempt.NextAttempt.IsZero() || w.queued() != 0 || len(box.all()) > 0 {
		t.Errorf("attempt %+v, %d queued", attempt, w.queued())
	}
	states, err := w.store.DeliveryStates(t.Context(), m.Ref, []hark.Ref{ep.Ref})
	if err != nil || states[ep.Ref].Status != hark.Canceled {
		t.Errorf("states %+v, %v", states, err)
	}
	until(t, "the execution", func() bool { return len(w.executions(ep)) == 1 })
	if x := w.executions(ep)[0]; x.Outcome != hark.ExecutionCanceled {
		t.Errorf("execution %+v", x)
	}
}

func TestAlter_AFailureIsToldAndTriedAgain(t *testing.T) {
	for name, test := range map[string]struct{ code, want string }{
		"throws":   {"function handler(w) {\n  return w.payload.a.b;\n}", "the transformation failed: The script threw TypeError: cannot read property 'b' of undefined (line 2, column"},
		"loops":    {`function handler(w) { for (;;) {} }`, "the transformation failed: The script was stopped because it took longer than 1s."},
		"hoards":   {`function handler(w) { const all = []; for (;;) all.push(new ArrayBuffer(1 << 24)) }`, "the transformation failed: The script wanted more than 64 MiB of memory."},
		"nothing":  {`function handler(w) { }`, "the transformation failed: The handler must return the webhook, it returned undefined."},
		"reserved": {`function handler(w) { w.headers["Webhook-Signature"] = "x"; return w }`, "the transformation failed: The script set the header Webhook-Signature: this header cannot be set."},
		"own":      {`function handler(w) { w.headers["hark-source-id"] = "x"; return w }`, "the transformation failed: The script set the header hark-source-id: this header cannot be set."},
		"address":  {`function handler(w) { w.url = "http://[::1/"; return w }`, "the transformation failed: url must be an address that begins with"},
		"inside":   {`function handler(w) { w.url = "http://169.254.169.254/latest/meta-data"; return w }`, "requests to this IP range are blocked"},
		"loopback": {`function handler(w) { w.url = "http://0x7f.1:80/"; return w }`, "requests to this IP range are blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			var options alter.Options
			if name == "loops" {
				options.Time = time.Second
			}
			w, box := altering(t, options), &inbox{t: t}
			ep := w.endpoint("h-"+name, box.ServeHTTP, func(e *hark.Endpoint) {
				scripted(test.code)(e)
				e.RetrySchedule = hark.Schedule{50 * time.Millisecond}
			})
			m := w.publish(`{}`)
			attempts := w.settled(m, 2)
			for i, a := range attempts {
				if a.Status != hark.Failed || !strings.HasPrefix(a.Error, test.want) || a.NextAttempt.IsZero() != (i == 1) || a.StatusCode != 0 {
					t.Errorf("attempt %d: %+v", i+1, a)
				}
			}
			if len(box.all()) > 0 {
				t.Error("it was sent")
			}
			if strings.HasPrefix(test.want, "requests") {
				return
			}
			until(t, "the executions", func() bool { return len(w.executions(ep)) == 2 })
			if x := w.executions(ep)[0]; x.Outcome != hark.ExecutionFailed || "the transformation failed: "+x.Error != attempts[1].Error {
				t.Errorf("execution %+v", x)
			}
		})
	}
}

// TestAlter_OneEndpointsLoopsDelayNoOther: scripts that loop and hoard, at endpoints of the same application and
// of others, while another's deliveries go on.
func TestAlter_OneEndpointsLoopsDelayNoOther(t *testing.T) {
	limit, rounds, messages := 400*time.Millisecond, 4, 40
	if os.Getenv("HARK_TESTS") == "all" {
		limit, rounds, messages = time.Second, 10, 100
	}
	w := altering(t, alter.Options{Time: limit})
	good := w.app
	loop := `function handler(w) { for (;;) {} }`
	hoard := `function handler(w) { const all = []; for (;;) all.push(new Array(1 << 20).fill(1)) }` // 10 GB, if it could
	var bad []hark.Application
	for i := range 3 {
		app := w.application(w.app.EnvironmentID, fmt.Sprint("bad ", i))
		bad = append(bad, app)
		for j, code := range []string{loop, hoard} {
			w.app = app
			w.endpoint(fmt.Sprintf("bad-%d-%d", i, j), func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }, scripted(code))
		}
	}
	w.app = good
	box := &inbox{t: t}
	w.endpoint("good", box.ServeHTTP, scripted(`function handler(w) { w.payload.seen = true; return w }`))
	looping := w.endpoint("same", func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }, func(e *hark.Endpoint) {
		scripted(loop)(e)
		e.EventTypes = []string{"never"}
	})
	w.publish(`{"n":0}`) // its script is known to be quick from here
	box.one()
	w.mustChange(looping.Ref, func(e *hark.Endpoint) { e.EventTypes = nil })

	var hostile []hark.Message
	for range rounds {
		for _, app := range bad {
			a, err := w.tryPublish(app, `{}`)
			if err != nil {
				t.Fatal(err)
			}
			hostile = append(hostile, a.Message)
		}
	}
	time.Sleep(300 * time.Millisecond) // by now they run
	var slowest, total time.Duration
	for i := range messages {
		before := time.Now()
		w.publish(`{"n":` + strconv.Itoa(i+1) + `}`)
		until(t, "a message", func() bool { return len(box.all()) > i+1 })
		took := time.Since(before)
		slowest, total = max(slowest, took), total+took
		time.Sleep(5 * time.Millisecond)
	}
	average := total / time.Duration(messages)
	t.Logf("beside loops: %v on average, %v at most", average, slowest)
	if average > limit/2 {
		t.Errorf("a message took %v on average and %v at most", average, slowest)
	}
	for _, a := range w.settled(hostile[0], 2)[:2] {
		if !strings.Contains(a.Error, "took longer than "+limit.String()) && !strings.Contains(a.Error, "wanted more than 64 MiB") && !strings.Contains(a.Error, "had no memory left") {
			t.Errorf("the attempt says %q", a.Error)
		}
	}
}

// TestAlter_AKilledWorkerHarmsNobody: the system may end the processes that scripts run in at any time.
func TestAlter_AKilledWorkerHarmsNobody(t *testing.T) {
	w := altering(t, alter.Options{Parallel: 2})
	box := &inbox{t: t}
	w.endpoint("a", box.ServeHTTP, func(e *hark.Endpoint) {
		scripted(`function handler(w) { let n = 0; while (n < 1e5) n++; w.payload.n = n; return w }`)(e)
		e.RetrySchedule = hark.Schedule{0, 10 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}
	})
	w.publish(`{}`)
	box.one()
	const messages = 60
	for i := range messages {
		w.publish(`{}`)
		if i%10 == 5 {
			killWorkers(t)
		}
	}
	until(t, "all messages", func() bool { return len(box.all()) >= messages+1 && w.queued() == 0 })
	for _, got := range box.all() {
		if !bytes.Equal(got.body, []byte(`{"n":100000}`)) {
			t.Fatalf("got %s", got.body)
		}
	}
}

// killWorkers kills the workers of this process.
func killWorkers(t *testing.T) {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(os.Getpid())).Output()
	if err != nil {
		t.Skipf("no way to find the workers: %v", err)
	}
	for pid := range strings.FieldsSeq(string(out)) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := os.FindProcess(n); err == nil {
			_ = p.Kill() // pgrep itself is among them, and gone
		}
	}
}

// crowd is an alterer in which nobody gets a turn, until it is empty.
type crowd struct {
	mu       sync.Mutex
	waiting  int
	mostLate int // that waited at once, after the first minute
	began    time.Time
	empty    bool
}

func (c *crowd) Apply(ctx context.Context, _ alter.Job) (alter.Altered, error) {
	c.mu.Lock()
	empty := c.empty
	c.waiting++
	if time.Since(c.began) > time.Minute {
		c.mostLate = max(c.mostLate, c.waiting)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
	}()
	if empty {
		return alter.Altered{Canceled: true}, nil
	}
	select {
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
	}
	return alter.Altered{}, alter.ErrBusy
}

func TestAlter_WhoGetsNoTurnHoldsFewPlacesAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{}
		w := newWorld(t, deliver.Options{Alterer: c})
		defer w.stop()
		c.began = time.Now()
		var all journal
		w.endpoint("a", all.ok, scripted("function handler(webhook) { return webhook }"))
		var messages []hark.Message
		for range 100 {
			messages = append(messages, w.publish(`{}`))
		}
		time.Sleep(10 * time.Minute)
		c.mu.Lock()
		if c.mostLate > 1 {
			t.Errorf("%d waited at once", c.mostLate)
		}
		c.empty = true
		c.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, m := range messages {
			if attempts := w.attempts(m); len(attempts) != 1 || attempts[0].Number != 1 {
				t.Fatalf("attempts of a message: %v", attempts)
			}
		}
	})
}
