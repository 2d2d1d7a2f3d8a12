package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/test/harness"
)

// The history that is written past Hark is one that Hark itself can read, and what churns in the queue
// is gone when the statement ends.
func TestDatabase_LoadedHistoryReadsAsHarksOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a server and starts a database")
	}
	d := &database{Server: postgrestest.New(t, postgrestest.Options{Settings: databaseSettings}), key: masterKey()}
	r := &report{}
	if err := d.prepare(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir()}
	var err error
	if b.hark, err = harness.Build(t.Context(), b.dir); err != nil {
		t.Fatal(err)
	}
	h, err := b.startNodes(t.Context(), d, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { h.end() }()
	if err := h.setup(t.Context(), 4, 1, nil, func(int, int) string { return "http://127.0.0.1:1/" }); err != nil {
		t.Fatal(err)
	}
	apps := h.apps
	h.Kill()
	if err := d.load(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	if h, err = b.startNodes(t.Context(), d, 1); err != nil {
		t.Fatal(err)
	}
	if err := d.churn(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		var list struct {
			Data []struct {
				ID      string
				Payload json.RawMessage
			}
		}
		h.client.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+a.id+"/msg?with_content=true&limit=250", nil, &list)
		if len(list.Data) != 250 || len(list.Data[0].Payload) != harkPayloadSize {
			t.Fatalf("%d messages, the first with %d bytes; want 250 with %d", len(list.Data), len(list.Data[0].Payload), harkPayloadSize)
		}
		attempts := h.client.Attempts(t, a.id, a.endpoints[0], "")
		if len(attempts) != 250 || attempts[0].MsgID != list.Data[0].ID {
			t.Errorf("%d attempts, the newest at %s; want 250, and %s", len(attempts), attempts[0].MsgID, list.Data[0].ID)
		}
	}
	if n, err := d.numbers(t.Context(), "SELECT count(*) FROM hark.queue"); err != nil || n[0] != 0 {
		t.Errorf("the queue has %v rows, %v", n, err)
	}
}
