package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"github.com/harkhq/hark/test/harness"
)

// goClient is what the steps of TestGo share: one server, one application with an endpoint that
// answers and one that fails.
type goClient struct {
	*svix.Svix
	server    *harness.Server
	sink      *harness.Sink
	eventType string
	app       *models.ApplicationOut
	endpoint  *models.EndpointOut
	failing   *models.EndpointOut
	message   *models.MessageOut
}

// TestGo drives every operation of the Go client v1.99.1 that Hark serves, in the order of a
// life: what one step makes, the next ones use.
func TestGo(t *testing.T) {
	t.Parallel()
	c := &goClient{server: harness.Run(t, "--log-level", "warn"), eventType: "invoice.paid"}
	c.Svix = c.client(t, harness.Key)
	c.sink = harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if strings.HasPrefix(a.Path, "/fail") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "thank you")
	})
	steps := []struct {
		name string
		run  func(*testing.T, *goClient)
	}{
		{"event types", goEventTypes}, {"applications", goApplications}, {"endpoints", goEndpoints},
		{"headers and secrets", goHeadersAndSecrets}, {"messages", goMessages}, {"attempts", goAttempts},
		{"replays", goReplays}, {"portal", goPortal}, {"ingest", goIngest}, {"expunge and delete", goExpunge}, {"health and errors", goErrors},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) {
			return // the next ones use what this one should have made
		}
	}
}

func (c *goClient) client(t *testing.T, key string) *svix.Svix {
	t.Helper()
	base, err := url.Parse(c.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := svix.New(key, &svix.SvixOptions{ServerUrl: base})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// must is the result of a call that has to go well: must(client.Get(ctx, id))(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		fine(t, err)
		return v
	}
}

func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(describe(err))
	}
}

func describe(err error) string {
	if e, is := errors.AsType[*svix.Error](err); is {
		return fmt.Sprintf("%v: %d %s", err, e.Status(), e.Body())
	}
	return err.Error()
}

// fails ends the test unless a call was refused with the status and a JSON body.
func fails(t *testing.T, want int, err error) {
	t.Helper()
	e, is := errors.AsType[*svix.Error](err)
	if !is {
		t.Fatalf("got %v, want an API error", err)
	}
	if e.Status() != want || !json.Valid(e.Body()) {
		t.Fatalf("got %d %s, want %d in JSON", e.Status(), e.Body(), want)
	}
}

func ptr[T any](v T) *T { return &v }

func goEventTypes(t *testing.T, c *goClient) {
	ctx := t.Context()
	schemas := map[string]any{"1": map[string]any{"type": "object", "examples": []any{map[string]any{"id": "in_1"}}}}
	made := must(c.EventType.Create(ctx, models.EventTypeIn{Name: c.eventType, Description: "Paid", Schemas: &schemas}, nil))(t)
	if made.Name != c.eventType || made.CreatedAt.IsZero() {
		t.Fatalf("created %+v", made)
	}
	_, err := c.EventType.Create(ctx, models.EventTypeIn{Name: c.eventType, Description: "Paid"}, nil)
	fails(t, http.StatusConflict, err)
	must(c.EventType.Get(ctx, c.eventType))(t)
	must(c.EventType.Patch(ctx, c.eventType, models.EventTypePatch{Description: ptr("An invoice was paid")}))(t)
	must(c.EventType.Update(ctx, "user.created", models.EventTypeUpdate{Description: "A user came"}))(t)
	page := must(c.EventType.List(ctx, &svix.EventTypeListOptions{WithContent: ptr(true)}))(t)
	if len(page.Data) != 2 || page.Data[0].Description != "An invoice was paid" || page.Data[0].Schemas == nil {
		t.Fatalf("listed %+v", page.Data)
	}
	fine(t, c.EventType.Delete(ctx, "user.created", nil))
	if archived := must(c.EventType.Get(ctx, "user.created"))(t); archived.Archived == nil || !*archived.Archived {
		t.Fatalf("deleted is archived, got %+v", archived)
	}
	fine(t, c.EventType.Delete(ctx, "user.created", &svix.EventTypeDeleteOptions{Expunge: ptr(true)}))
	_, err = c.EventType.Get(ctx, "user.created")
	fails(t, http.StatusNotFound, err)
}

func goApplications(t *testing.T, c *goClient) {
	ctx := t.Context()
	c.app = must(c.Application.Create(ctx, models.ApplicationIn{Name: "Shop", Uid: ptr("shop"), Metadata: &map[string]string{"plan": "pro"}}, nil))(t)
	if same := must(c.Application.GetOrCreate(ctx, models.ApplicationIn{Name: "x", Uid: ptr("shop")}, nil))(t); same.Id != c.app.Id {
		t.Fatalf("GetOrCreate made %s beside %s", same.Id, c.app.Id)
	}
	if got := must(c.Application.Get(ctx, "shop"))(t); got.Id != c.app.Id || got.Metadata["plan"] != "pro" {
		t.Fatalf("got %+v", got)
	}
	if got := must(c.Application.Update(ctx, c.app.Id, models.ApplicationIn{Name: "Store", Uid: ptr("shop")}))(t); got.Name != "Store" {
		t.Fatalf("updated %+v", got)
	}
	if got := must(c.Application.Patch(ctx, "shop", models.ApplicationPatch{Metadata: &map[string]string{"a": "b"}}))(t); got.Name != "Store" || got.Metadata["a"] != "b" {
		t.Fatalf("patched %+v", got)
	}
	doomed := must(c.Application.Create(ctx, models.ApplicationIn{Name: "doomed"}, nil))(t)
	var seen []string
	options := &svix.ApplicationListOptions{Limit: ptr(uint64(1)), Order: ptr(models.ORDERING_ASCENDING)}
	for {
		page := must(c.Application.List(ctx, options))(t)
		for _, a := range page.Data {
			seen = append(seen, a.Id)
		}
		if page.Done {
			break
		}
		options.Iterator = page.Iterator
	}
	// Ids sort by time with a grain of 4 ms.
	if want := []string{c.app.Id, doomed.Id}; !slices.Equal(seen, slices.Sorted(slices.Values(want))) {
		t.Fatalf("pages show %v, want %v", seen, want)
	}
	fine(t, c.Application.Delete(ctx, doomed.Id))
	_, err := c.Application.Get(ctx, doomed.Id)
	fails(t, http.StatusNotFound, err)
}

func goEndpoints(t *testing.T, c *goClient) {
	ctx := t.Context()
	c.endpoint = must(c.Endpoint.Create(ctx, "shop", models.EndpointIn{
		Url: c.sink.URL + "/one", Uid: ptr("one"), FilterTypes: []string{c.eventType}, Headers: &map[string]string{"X-At-Create": "yes"},
	}, nil))(t)
	if !slices.Equal(c.endpoint.FilterTypes, []string{c.eventType}) {
		t.Fatalf("created %+v", c.endpoint)
	}
	_, err := c.Endpoint.Create(ctx, "shop", models.EndpointIn{Url: "not a url"}, nil)
	fails(t, http.StatusUnprocessableEntity, err)
	c.failing = must(c.Endpoint.Create(ctx, "shop", models.EndpointIn{Url: c.sink.URL + "/fail"}, nil))(t)
	page := must(c.Endpoint.List(ctx, "shop", &svix.EndpointListOptions{Order: ptr(models.ORDERING_ASCENDING)}))(t)
	if len(page.Data) != 2 || page.Data[0].Id > page.Data[1].Id {
		t.Fatalf("listed %+v", page.Data)
	}
	if got := must(c.Endpoint.Get(ctx, "shop", "one"))(t); got.Id != c.endpoint.Id {
		t.Fatalf("got %+v", got)
	}
	up := models.EndpointUpdate{Url: c.sink.URL + "/one", Uid: ptr("one"), Description: ptr("updated")}
	if got := must(c.Endpoint.Update(ctx, "shop", "one", up))(t); got.Description != "updated" || got.FilterTypes != nil {
		t.Fatalf("updated %+v", got)
	}
	patch := models.EndpointPatch{Description: ptr("patched"), Channels: utils.NewNullable([]string{"news"})}
	if got := must(c.Endpoint.Patch(ctx, "shop", "one", patch))(t); got.Description != "patched" || !slices.Equal(got.Channels, []string{"news"}) {
		t.Fatalf("patched %+v", got)
	}
}

func goHeadersAndSecrets(t *testing.T, c *goClient) {
	ctx := t.Context()
	fine(t, c.Endpoint.UpdateHeaders(ctx, "shop", "one", models.EndpointHeadersIn{Headers: map[string]string{"X-Team": "blue", "X-Gone": "soon", "Authorization": "Bearer s3cret"}}))
	fine(t, c.Endpoint.PatchHeaders(ctx, "shop", "one", models.EndpointHeadersPatchIn{Headers: map[string]string{"X-More": "1"}, DeleteHeaders: []string{"X-Gone"}}))
	out := must(c.Endpoint.GetHeaders(ctx, "shop", "one"))(t)
	if out.Headers["X-Team"] != "blue" || out.Headers["X-More"] != "1" || out.Headers["X-Gone"] != "" || !slices.Equal(out.Sensitive, []string{"Authorization"}) {
		t.Fatalf("headers %+v", out)
	}
	first := must(c.Endpoint.GetSecret(ctx, "shop", "one"))(t).Key
	fine(t, c.Endpoint.RotateSecret(ctx, "shop", "one", models.EndpointSecretRotateIn{}, nil))
	second := must(c.Endpoint.GetSecret(ctx, "shop", "one"))(t).Key
	if first == second || !strings.HasPrefix(second, "whsec_") {
		t.Fatalf("rotated %q to %q", first, second)
	}
	// While both are valid, a receiver with either of them accepts what comes.
	sent := must(c.Message.Create(ctx, "shop", models.MessageIn{EventType: c.eventType, Channels: []string{"news"}, Payload: map[string]any{"a": 1}}, nil))(t)
	arrival := c.arrival(t, "/one", sent.Id)
	for _, secret := range []string{first, second} {
		verify(t, secret, arrival)
	}
	if arrival.Header.Get("X-Team") != "blue" || arrival.Header.Get("Authorization") != "Bearer s3cret" {
		t.Fatalf("arrived with %v", arrival.Header)
	}
}

// verify checks an arrival with the official library and with the client's own.
func verify(t *testing.T, secret string, a harness.Arrival) {
	t.Helper()
	standard := must(standardwebhooks.NewWebhook(secret))(t)
	fine(t, standard.Verify(a.Body, a.Header))
	own := must(svix.NewWebhook(secret))(t)
	fine(t, own.Verify(a.Body, a.Header))
	forged := append(slices.Clone(a.Body), ' ')
	if own.Verify(forged, a.Header) == nil {
		t.Fatal("a changed body verifies")
	}
}

func (c *goClient) arrival(t *testing.T, path, id string) (found harness.Arrival) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		for _, a := range c.sink.Arrivals(path) {
			if a.ID == id {
				found = a
				return nil
			}
		}
		return fmt.Errorf("%s did not arrive at %s", id, path)
	})
	return found
}

func goMessages(t *testing.T, c *goClient) {
	ctx := t.Context()
	in := models.MessageIn{EventType: c.eventType, EventId: ptr("evt-1"), Channels: []string{"news"}, Tags: []string{"t1"}, Payload: map[string]any{"id": "in_1", "note": "Zoë 😀"}}
	c.message = must(c.Message.Create(ctx, "shop", in, &svix.MessageCreateOptions{IdempotencyKey: ptr("once")}))(t)
	if again := must(c.Message.Create(ctx, "shop", in, &svix.MessageCreateOptions{IdempotencyKey: ptr("once")}))(t); again.Id != c.message.Id {
		t.Fatalf("the same key made %s and %s", c.message.Id, again.Id)
	}
	if got := must(c.Message.Get(ctx, "shop", "evt-1", nil))(t); got.Id != c.message.Id || got.Payload["note"] != "Zoë 😀" {
		t.Fatalf("got %+v", got)
	}
	page := must(c.Message.List(ctx, "shop", &svix.MessageListOptions{EventTypes: &[]string{c.eventType}, Tag: ptr("t1"), WithContent: ptr(false), Limit: ptr(uint64(5))}))(t)
	if len(page.Data) != 1 || page.Data[0].Id != c.message.Id {
		t.Fatalf("listed %+v", page.Data)
	}
	if check := must(c.Message.Precheck(ctx, "shop", models.MessagePrecheckIn{EventType: c.eventType}, nil))(t); !check.Active {
		t.Fatal("an endpoint would get it, precheck says no")
	}
	example := must(c.Endpoint.SendExample(ctx, "shop", "one", models.EventExampleIn{EventType: c.eventType}, nil))(t)
	if a := c.arrival(t, "/one", example.Id); string(a.Body) != `{"id":"in_1"}` {
		t.Fatalf("the example arrived as %s", a.Body)
	}
	_, err := c.Message.Create(ctx, "shop", models.MessageIn{EventType: "no spaces", Payload: map[string]any{}}, nil)
	fails(t, http.StatusUnprocessableEntity, err)
}

func goAttempts(t *testing.T, c *goClient) {
	ctx := t.Context()
	id := c.message.Id
	c.arrival(t, "/one", id)
	var bad *models.MessageAttemptOut
	harness.Eventually(t, time.Minute, func() error {
		page := must(c.MessageAttempt.ListByMsg(ctx, "shop", id, nil))(t)
		if len(page.Data) != 2 {
			return fmt.Errorf("%d attempts, want 2", len(page.Data))
		}
		for _, a := range page.Data {
			if a.EndpointId == c.failing.Id {
				bad = &a
			}
		}
		return nil
	})
	if bad == nil || bad.ResponseStatusCode != 500 || bad.Response != "thank you" || bad.StatusText != models.MESSAGESTATUSTEXT_FAIL {
		t.Fatalf("the failed attempt is %+v", bad)
	}
	if page := must(c.MessageAttempt.ListByEndpoint(ctx, "shop", "one", &svix.MessageAttemptListByEndpointOptions{Status: ptr(models.MESSAGESTATUS_SUCCESS)}))(t); len(page.Data) < 2 {
		t.Fatalf("%d attempts succeeded", len(page.Data))
	}
	if page := must(c.MessageAttempt.ListAttemptedMessages(ctx, "shop", c.failing.Id, nil))(t); len(page.Data) == 0 || page.Data[0].NextAttempt == nil {
		t.Fatalf("attempted messages %+v", page.Data)
	}
	if page := must(c.MessageAttempt.ListAttemptedDestinations(ctx, "shop", id, nil))(t); len(page.Data) != 2 {
		t.Fatalf("attempted destinations %+v", page.Data)
	}
	if got := must(c.MessageAttempt.Get(ctx, "shop", id, bad.Id, nil))(t); got.Id != bad.Id {
		t.Fatalf("got %+v", got)
	}
	fine(t, c.MessageAttempt.ExpungeContent(ctx, "shop", id, bad.Id))
	if got := must(c.MessageAttempt.Get(ctx, "shop", id, bad.Id, nil))(t); got.Response != "EXPUNGED" {
		t.Fatalf("expunged %+v", got)
	}
	before := len(c.sink.Arrivals("/one"))
	must(c.MessageAttempt.Resend(ctx, "shop", id, "one", nil))(t)
	c.sink.Wait(t, "/one", before+1, time.Minute)
	harness.Eventually(t, time.Minute, func() error {
		stats := must(c.Endpoint.GetStats(ctx, "shop", "one", &svix.EndpointGetStatsOptions{Since: ptr(time.Now().Add(-time.Hour))}))(t)
		if stats.Success < 4 || stats.Fail != 0 {
			return fmt.Errorf("stats %+v", stats)
		}
		return nil
	})
}

func goReplays(t *testing.T, c *goClient) {
	ctx := t.Context()
	since := time.Now().Add(-time.Hour)
	finished := func(id string) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() error {
			if task := must(c.BackgroundTask.Get(ctx, id))(t); task.Status != models.BACKGROUNDTASKSTATUS_FINISHED {
				return fmt.Errorf("task %s is %s", task.Task, task.Status)
			}
			return nil
		})
	}
	before := len(c.sink.Arrivals("/fail"))
	finished(must(c.Endpoint.Recover(ctx, "shop", c.failing.Id, models.RecoverIn{Since: since}, nil))(t).Id)
	c.sink.Wait(t, "/fail", before+1, time.Minute)
	late := must(c.Endpoint.Create(ctx, "shop", models.EndpointIn{Url: c.sink.URL + "/late"}, nil))(t)
	secret := must(c.Endpoint.GetSecret(ctx, "shop", late.Id))(t).Key
	finished(must(c.Endpoint.ReplayMissing(ctx, "shop", late.Id, models.ReplayIn{Since: since}, nil))(t).Id)
	verify(t, secret, c.arrival(t, "/late", c.message.Id))
	before = len(c.sink.Arrivals("/late"))
	finished(must(c.Endpoint.BulkReplay(ctx, "shop", late.Id, models.BulkReplayIn{Since: since}, nil))(t).Id)
	c.sink.Wait(t, "/late", before+1, time.Minute)
	page := must(c.BackgroundTask.List(ctx, &svix.BackgroundTaskListOptions{Status: ptr(models.BACKGROUNDTASKSTATUS_FINISHED)}))(t)
	if len(page.Data) != 3 {
		t.Fatalf("%d tasks, want 3: %+v", len(page.Data), page.Data)
	}
}

func goPortal(t *testing.T, c *goClient) {
	ctx := t.Context()
	access := must(c.Authentication.AppPortalAccess(ctx, "shop", models.AppPortalAccessIn{}, nil))(t)
	//lint:ignore SA1019 applications in the field still call it
	must(c.Authentication.DashboardAccess(ctx, "shop", nil))(t)
	customer := c.client(t, access.Token)
	if got := must(customer.Endpoint.Get(ctx, c.app.Id, c.endpoint.Id))(t); got.Id != c.endpoint.Id {
		t.Fatalf("the customer got %+v", got)
	}
	_, err := customer.Application.List(ctx, nil)
	fails(t, http.StatusForbidden, err)
	stranger := must(c.Application.Create(ctx, models.ApplicationIn{Name: "stranger"}, nil))(t)
	_, err = customer.Endpoint.List(ctx, stranger.Id, nil)
	fails(t, http.StatusNotFound, err)
}

func goExpunge(t *testing.T, c *goClient) {
	ctx := t.Context()
	fine(t, c.Message.ExpungeContent(ctx, "shop", c.message.Id))
	if got := must(c.Message.Get(ctx, "shop", c.message.Id, nil))(t); got.Payload["expired"] != true {
		t.Fatalf("expunged payload is %v", got.Payload)
	}
	_, err := c.MessageAttempt.Resend(ctx, "shop", c.message.Id, "one", nil)
	fails(t, http.StatusBadRequest, err)
	if task := must(c.Message.ExpungeAllContents(ctx, "shop", nil))(t); task.Task != models.BACKGROUNDTASKTYPE_APPLICATION_PURGE_CONTENT {
		t.Fatalf("expunge all is %+v", task)
	}
	fine(t, c.Endpoint.Delete(ctx, "shop", "one"))
	_, err = c.Endpoint.Get(ctx, "shop", "one")
	fails(t, http.StatusNotFound, err)
}

func goErrors(t *testing.T, c *goClient) {
	ctx := t.Context()
	fine(t, c.Health.Get(ctx))
	_, err := c.client(t, "hark_live_wrong").Application.List(ctx, nil)
	fails(t, http.StatusUnauthorized, err)
	_, err = c.Integration.List(ctx, "shop", nil)
	fails(t, http.StatusNotFound, err)
}
