package sdk

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"github.com/harkhq/hark/test/harness"
)

// goIngest makes a source as Svix's documentation does, sends a webhook as Stripe does, and sees it
// delivered.
func goIngest(t *testing.T, c *goClient) {
	ctx := t.Context()
	arrived := make(chan harness.Arrival, 8)
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		arrived <- a
		w.WriteHeader(http.StatusNoContent)
	})
	uid, secret := "payments", "whsec_of_stripe"
	source := must(c.Ingest.Source.Create(ctx, models.IngestSourceIn{
		Name: "Payments", Uid: &uid, Type: models.IngestSourceInTypeStripe, Config: models.StripeConfig{Secret: secret},
	}, nil))(t)
	if source.Type != models.IngestSourceOutTypeStripe || source.IngestUrl == nil {
		t.Fatalf("source: %+v", source)
	}
	endpoint := must(c.Ingest.Endpoint.Create(ctx, uid, models.IngestEndpointIn{Url: sink.URL + "/payments"}, nil))(t)
	if got := must(c.Ingest.Endpoint.List(ctx, source.Id, nil))(t); len(got.Data) != 1 || got.Data[0].Id != endpoint.Id {
		t.Errorf("endpoints: %+v", got.Data)
	}
	if key := must(c.Ingest.Endpoint.GetSecret(ctx, uid, endpoint.Id))(t); !strings.HasPrefix(key.Key, "whsec_") {
		t.Errorf("secret: %.6s…", key.Key)
	}

	body, at := `{"id":"evt_1","type":"charge.succeeded"}`, time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at, body)
	send := func(url string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		fine(t, err)
		r.Header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%x", at, mac.Sum(nil)))
		res, err := http.DefaultClient.Do(r)
		fine(t, err)
		fine(t, res.Body.Close())
		return res.StatusCode
	}
	if status := send(*source.IngestUrl); status != http.StatusOK {
		t.Fatalf("a signed webhook: %d", status)
	}
	select {
	case a := <-arrived:
		if string(a.Body) != body || a.Header.Get("Stripe-Signature") == "" || a.Header.Get("Webhook-Signature") == "" {
			t.Errorf("delivered: %s %v", a.Body, a.Header)
		}
	case <-time.After(time.Minute):
		t.Fatal("not delivered")
	}

	code, enabled := `addHandler("transform", (request) => ({ ...request, body: { kind: request.body.type } }))`, true
	fine(t, c.Ingest.Endpoint.SetTransformation(ctx, uid, endpoint.Id, models.IngestEndpointTransformationPatch{
		Code: utils.NewNullable(code), Enabled: &enabled,
	}))
	if got := must(c.Ingest.Endpoint.GetTransformation(ctx, uid, endpoint.Id))(t); got.Code == nil || *got.Code != code || got.Enabled == nil || !*got.Enabled {
		t.Errorf("transformation: %+v", got)
	}

	rotated := must(c.Ingest.Source.RotateToken(ctx, uid, nil))(t)
	if rotated.IngestUrl == *source.IngestUrl {
		t.Error("the URL is the same")
	}
	for _, url := range []string{*source.IngestUrl, rotated.IngestUrl} { // the old one works for a while
		if status := send(url); status != http.StatusOK {
			t.Errorf("%d", status)
		}
	}
	if got := must(c.Ingest.Source.List(ctx, nil))(t); len(got.Data) != 1 {
		t.Errorf("sources: %+v", got.Data)
	}
	fine(t, c.Ingest.Endpoint.Delete(ctx, uid, endpoint.Id))
	fine(t, c.Ingest.Source.Delete(ctx, uid))

	// One that nobody calls shows all of its config.
	nightly := models.CronConfig{Schedule: "0 3 * * *", Payload: `{"report":true}`}
	cron := must(c.Ingest.Source.Create(ctx, models.IngestSourceIn{Name: "Nightly", Type: models.IngestSourceInTypeCron, Config: nightly}, nil))(t)
	config, ok := must(c.Ingest.Source.Get(ctx, cron.Id))(t).Config.(models.CronConfig)
	if !ok || config.Schedule != nightly.Schedule || config.Payload != nightly.Payload || cron.IngestUrl != nil {
		t.Errorf("cron: %+v, %+v", cron, config)
	}
	fine(t, c.Ingest.Source.Delete(ctx, cron.Id))
}
