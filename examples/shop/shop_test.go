package shop_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/examples/shop"
	"github.com/harkhq/hark/webhook"
)

// receiver is a shop with a payment API that knows order o1.
type receiver struct {
	*shop.Shop
	key webhook.Key
	did chan string
}

func open(t *testing.T, status string) *receiver {
	t.Helper()
	payments := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"o1","status":%q,"amount":100,"item":"a thing"}`, status)
	}))
	t.Cleanup(payments.Close)
	r := &receiver{key: webhook.GenerateKey(), did: make(chan string, 1000)}
	var err error
	r.Shop, err = shop.New(r.key.Text(), payments.URL, func(event, _ string) { r.did <- event })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return r
}

// receive hands the shop a webhook and answers with the status.
func (r *receiver) receive(id, body, signed string, at time.Time) int {
	req := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(body))
	req.Header = webhook.Sign([]webhook.Key{r.key}, id, at, []byte(signed))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Code
}

func (r *receiver) wait(t *testing.T, event string) {
	t.Helper()
	for {
		select {
		case got := <-r.did:
			if got == event {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("the shop never came to %q", event)
		}
	}
}

const paid = `{"type":"payment.cleared","orderId":"o1"}`

func TestShop_FulfilsOnceHoweverOftenTheWebhookComes(t *testing.T) {
	r := open(t, "paid")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if code := r.receive("msg_1", paid, paid, time.Now()); code != http.StatusNoContent {
				t.Errorf("answer = %d, want 204, for a duplicate too", code)
			}
		})
	}
	wg.Wait()
	r.wait(t, "fulfilled")
	r.receive("msg_2", paid, paid, time.Now()) // another webhook, about the same order
	r.wait(t, "nothing")
	if n := r.Fulfilled("o1"); n != 1 {
		t.Errorf("fulfilled %d times, want once", n)
	}
}

func TestShop_BelievesTheAPIAndNotTheWebhook(t *testing.T) {
	r := open(t, "refunded")
	r.receive("msg_1", paid, paid, time.Now())
	r.wait(t, "asked")
	if n := r.Fulfilled("o1"); n != 0 {
		t.Errorf("fulfilled %d times although the money went back", n)
	}
}

func TestShop_RefusesWhatIsNotSigned(t *testing.T) {
	r := open(t, "paid")
	for name, code := range map[string]int{
		"changed body": r.receive("msg_1", `{"orderId":"o1","x":1}`, paid, time.Now()),
		"old":          r.receive("msg_1", paid, paid, time.Now().Add(-time.Hour)),
	} {
		if code != http.StatusUnauthorized {
			t.Errorf("%s: answer = %d, want 401", name, code)
		}
	}
}

func TestShop_SaysNoWhenItHasTooMuchToDo(t *testing.T) {
	key := webhook.GenerateKey()
	s, err := shop.New(key.Text(), "http://nobody.invalid", func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{Shop: s, key: key} // not running: nothing is worked off
	last := 0
	for i := range 200 {
		last = r.receive(fmt.Sprintf("msg_%d", i), paid, paid, time.Now())
	}
	if last != http.StatusServiceUnavailable {
		t.Errorf("answer to one too many = %d, want 503, so that it comes again", last)
	}
}
