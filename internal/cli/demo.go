package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark/examples/shop"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/webhook"
)

type demoCmd struct {
	Keep bool `help:"Leave it running afterwards, and print where."`
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark demo --help.
func (demoCmd) Help() string {
	return `Runs a payment service, Hark and a shop in this process, on free loopback ports and in a
temporary folder, and shows a payment become one fulfilled order although the first attempt fails,
the webhook comes twice and somebody sends a forged one. Exits 0 when the order was fulfilled
exactly once. The shop's code is examples/shop/shop.go.

Example:

  hark demo --keep`
}

// demoLimit is how long the demo may take.
const demoLimit = 15 * time.Second

// The demo's order.
const demoOrder = "ord_1042"

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, sh *shell) (err error) {
	d := &demo{sh: sh, quiet: c.JSON, start: time.Now()}
	defer func() { err = errors.Join(err, d.close()) }()
	story, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	if err := d.open(ctx, story); err != nil {
		return fmt.Errorf("set up the demo: %w", err)
	}
	if err := d.play(story); err != nil {
		return fmt.Errorf("the demo did not come to its end: %w", err)
	}
	if err := d.conclude(story); err != nil {
		return err
	}
	if c.Keep {
		d.invite()
		<-ctx.Done()
	}
	return nil
}

// demo is the worked example: three services in one process.
type demo struct {
	sh    *shell
	quiet bool
	start time.Time

	hark   *local
	api    *client
	shop   *shop.Shop
	secret string
	hooks  string // where the shop takes webhooks
	epID   string
	msgID  string

	mu      sync.Mutex
	events  []demoEvent
	changed chan struct{} // closed and renewed with every event
	cleared bool          // the payment service's own truth

	cleanup []func() error
}

// demoEvent is one line of the story.
type demoEvent struct {
	Ms    float64 `json:"ms"`
	Who   string  `json:"who"`
	Event string  `json:"event"`
	What  string  `json:"what"`
}

// tell adds a line to the story.
func (d *demo) tell(who, event, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := demoEvent{Ms: float64(time.Since(d.start).Microseconds()) / 1000, Who: who, Event: event, What: what}
	d.events = append(d.events, e)
	if d.changed != nil {
		close(d.changed)
	}
	d.changed = make(chan struct{})
	if !d.quiet {
		d.sh.say("%s  %-9s %s", d.sh.paint(dim, fmt.Sprintf("%7.1f ms", e.Ms)), who, what)
	}
}

// await waits until an event has happened a number of times.
func (d *demo) await(ctx context.Context, event string, times int) error {
	for {
		d.mu.Lock()
		seen := d.counted(event)
		changed := d.changed
		d.mu.Unlock()
		if seen >= times {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %q: %w", event, ctx.Err())
		}
	}
}

func (d *demo) counted(event string) (n int) {
	for _, e := range d.events {
		if e.Event == event {
			n++
		}
	}
	return n
}

// open starts the three services. They live as long as ctx; setting up must be done within limit.
func (d *demo) open(ctx, limit context.Context) error {
	dir, err := os.MkdirTemp("", "hark-demo-")
	if err != nil {
		return err
	}
	d.cleanup = append(d.cleanup, func() error { return os.RemoveAll(dir) })
	if err := d.openHark(ctx, dir); err != nil {
		return err
	}
	payments, err := d.serve(http.HandlerFunc(d.payments))
	if err != nil {
		return err
	}
	d.tell("Payments", "ready", "serves orders at "+payments)
	hooks, err := d.serve(http.HandlerFunc(d.receive))
	if err != nil {
		return err
	}
	d.hooks = hooks + "/webhooks"
	if err := d.subscribe(limit); err != nil {
		return err
	}
	if d.shop, err = shop.New(d.secret, payments, func(event, what string) { d.tell("Shop", event, what) }); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.shop.Run(work) })
	d.cleanup = append(d.cleanup, func() error { stop(); wg.Wait(); return nil })
	return nil
}

// openHark starts a server as hark serve does, on a free port.
func (d *demo) openHark(ctx context.Context, dir string) error {
	hark, err := startLocal(ctx, config.Config{Data: dir, Addr: "127.0.0.1:0", AllowPrivateEndpoints: true, Drain: time.Second})
	if err != nil {
		return err
	}
	d.cleanup = append(d.cleanup, hark.close)
	d.hark, d.api = hark, hark.api
	d.tell("Hark", "ready", "listens at "+hark.server.URL())
	return nil
}

// serve starts one of the demo's own servers.
func (d *demo) serve(h http.Handler) (base string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	d.cleanup = append(d.cleanup, func() error {
		err := s.Close()
		<-ended // http.ErrServerClosed
		return err
	})
	return "http://" + listener.Addr().String(), nil
}

// payments is the payment service's API: the authority on orders.
func (d *demo) payments(w http.ResponseWriter, r *http.Request) {
	order := shop.Order{ID: demoOrder, Status: "open", Amount: 4200, Item: "one sourdough starter"}
	if r.URL.Path != "/orders/"+demoOrder {
		http.NotFound(w, r)
		return
	}
	d.mu.Lock()
	if d.cleared {
		order.Status = "paid"
	}
	d.mu.Unlock()
	_ = json.NewEncoder(w).Encode(order) // the client has gone: its own trouble
}

// receive is the shop's door: closed the first time, as if the shop were just starting.
func (d *demo) receive(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	first := d.counted("unavailable") == 0
	d.mu.Unlock()
	if first {
		d.tell("Shop", "unavailable", "is restarting and answers 503; Hark will try again in about 1 s")
		http.Error(w, "restarting", http.StatusServiceUnavailable)
		return
	}
	d.shop.ServeHTTP(w, r)
}

// close takes everything down, the last first.
func (d *demo) close() error {
	var errs []error
	for _, f := range slices.Backward(d.cleanup) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// subscribe does what a person does in a new account: an application, and the shop's endpoint.
func (d *demo) subscribe(ctx context.Context) error {
	in := map[string]any{"name": "The shop", "uid": "shop"}
	if err := d.api.do(ctx, http.MethodPost, "/api/v1/app", nil, in, nil); err != nil {
		return err
	}
	var ep endpointOut
	in = map[string]any{"url": d.hooks, "retrySchedule": []float64{1}}
	if err := d.api.do(ctx, http.MethodPost, "/api/v1/app/shop/endpoint", nil, in, &ep); err != nil {
		return err
	}
	var secret struct{ Key string }
	if err := d.api.do(ctx, http.MethodGet, "/api/v1/app/shop/endpoint/"+ep.ID+"/secret", nil, nil, &secret); err != nil {
		return err
	}
	d.epID, d.secret = ep.ID, secret.Key
	d.tell("Shop", "subscribed", fmt.Sprintf("takes webhooks at %s (%s)", d.hooks, ep.ID))
	return nil
}

// play is the story.
func (d *demo) play(ctx context.Context) error {
	d.mu.Lock()
	d.cleared = true
	d.mu.Unlock()
	d.tell("Payments", "cleared", "order "+demoOrder+" has been paid; tells Hark")
	var m messageOut
	in := map[string]any{
		"eventType": "payment.cleared", "eventId": "clearing-" + demoOrder,
		"payload": map[string]any{"type": "payment.cleared", "orderId": demoOrder, "timestamp": time.Now().UTC()},
	}
	if err := d.api.do(ctx, http.MethodPost, "/api/v1/app/shop/msg", url.Values{"with_content": {"false"}}, in, &m); err != nil {
		return err
	}
	d.msgID = m.ID
	d.tell("Hark", "accepted", m.ID+" is on disk (202); pushes it, signed")
	if err := d.await(ctx, "fulfilled", 1); err != nil {
		return err
	}
	d.tell("You", "resent", "press resend, so the shop gets the same webhook twice")
	resend := "/api/v1/app/shop/msg/" + d.msgID + "/endpoint/" + d.epID + "/resend"
	if err := d.api.do(ctx, http.MethodPost, resend, nil, map[string]any{}, nil); err != nil {
		return err
	}
	if err := d.await(ctx, "duplicate", 1); err != nil {
		return err
	}
	return d.forge(ctx)
}

// forge sends what a stranger could: a real webhook, changed afterwards.
func (d *demo) forge(ctx context.Context) error {
	d.tell("Stranger", "forged", "sends a signed webhook whose body was changed")
	body := []byte(`{"type":"payment.cleared","orderId":"ord_1043"}`)
	key, err := webhook.ParseKey(d.secret)
	if err != nil {
		return err
	}
	header := webhook.Sign([]webhook.Key{key}, "msg_forged", time.Now(), []byte(`{"something":"else"}`))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.hooks, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("the shop answered %s to a forged webhook", resp.Status)
	}
	return nil
}

// conclude checks the outcome and says it.
func (d *demo) conclude(ctx context.Context) error {
	attempts, err := d.attempts(ctx)
	if err != nil {
		return err
	}
	took, fulfilled := time.Since(d.start), d.shop.Fulfilled(demoOrder)
	d.mu.Lock()
	events := slices.Clone(d.events)
	duplicates := d.counted("duplicate")
	d.mu.Unlock()
	ok := fulfilled == 1 && duplicates == 1 && len(attempts) == 3
	if d.quiet {
		err := d.sh.json(map[string]any{
			"ok": ok, "fulfilled": fulfilled, "duplicates": duplicates, "attempts": attempts,
			"tookMs": took.Milliseconds(), "events": events,
		})
		if err != nil {
			return err
		}
	} else {
		d.sh.say("")
		for i, a := range attempts {
			answer := httpCode(a.ResponseStatusCode) + " in " + fmt.Sprint(a.ResponseDurationMs) + " ms"
			note := map[int]string{0: "", 1: " (your resend)"}[a.TriggerType]
			d.sh.say("  attempt %d: %s, %s%s", i+1, d.sh.paintStatus("STATUS", a.StatusText), answer, note)
		}
		d.sh.say("")
		d.sh.say("Order %s: fulfilled %s, %d duplicate dropped, in %.1f s.", demoOrder, times(fulfilled), duplicates, took.Seconds())
	}
	if !ok {
		return fmt.Errorf("expected 1 fulfilment, 1 duplicate and 3 attempts, got %d, %d and %d", fulfilled, duplicates, len(attempts))
	}
	return nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// attempts asks Hark how it went, oldest first. The last attempt is recorded just after it was
// answered, so it is waited for.
func (d *demo) attempts(ctx context.Context) ([]attemptOut, error) {
	for {
		page, err := list[attemptOut](ctx, d.api, question{path: "/app/shop/attempt/msg/" + d.msgID}, Listing{Limit: 50}, d.sh.newProgress(""))
		if err != nil {
			return nil, err
		}
		if len(page.Data) >= 3 {
			slices.Reverse(page.Data)
			return page.Data, nil
		}
		select {
		case <-ctx.Done():
			return page.Data, nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// invite says how to go on with what is running.
func (d *demo) invite() {
	out := d.sh.say
	if d.quiet {
		out = d.sh.note // stdout is JSON
	}
	out("")
	out("It is still running (^C ends it). In another terminal:")
	out("")
	out("  export HARK_URL=%s HARK_APP=shop", d.hark.server.URL())
	out("  export HARK_API_KEY=%s", d.hark.key)
	out("  hark messages trace %s", d.msgID)
	out("  hark attempts --message %s", d.msgID)
	out(`  hark send payment.cleared '{"type":"payment.cleared","orderId":"%s"}' --wait`, demoOrder)
	out("")
	out("The API's documentation: %s/docs", d.hark.server.URL())
}
