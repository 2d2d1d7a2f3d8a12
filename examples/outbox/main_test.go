package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// startHark runs a server on the database, with an application and an endpoint.
func startHark(t *testing.T, database, endpoint string) {
	t.Helper()
	const key = "example-key-0123456789abcdef0123456789"
	hark, err := app.New(t.Context(), app.Options{Config: config.Config{
		Database: config.Secret(database), Migrate: true, Data: t.TempDir(), Addr: "127.0.0.1:0",
		AllowPrivateEndpoints: true, BootstrapKey: key, Drain: time.Second,
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- hark.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for _, request := range [][2]string{
		{"/app", `{"name":"Bakery","uid":"bakery"}`},
		{"/app/bakery/endpoint", `{"url":"` + endpoint + `"}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", hark.URL()+"/api/v1"+request[0], strings.NewReader(request[1]))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s: %s", request[0], resp.Status)
		}
	}
}

func TestExample_SendsWhatWasCommittedAndNothingElse(t *testing.T) {
	arrived := make(chan order, 100)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var o order
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &o); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		arrived <- o
	}))
	defer sink.Close()
	url := postgrestest.Shared(t).Database(t, "empty", func(string) error { return nil })
	startHark(t, url, sink.URL)
	for round := range 3 {
		var out strings.Builder
		if err := run(t.Context(), url, &out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.Contains(text, "Ada: order") || !strings.Contains(text, "Grace: the card was declined") {
			t.Errorf("it says %q", text)
		}
		select {
		case o := <-arrived:
			// Grace's orders have used up their ids, and left nothing else.
			if o != (order{ID: int64(1 + 2*round), Customer: "Ada", Cakes: 3}) {
				t.Errorf("arrived: %+v", o)
			}
		case <-time.After(time.Minute):
			t.Fatal("Ada's webhook does not arrive")
		}
	}
	select {
	case o := <-arrived:
		t.Errorf("arrived as well: %+v", o)
	case <-time.After(200 * time.Millisecond):
	}
}
