package transfer_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/transfer"
	"github.com/harkhq/hark/internal/vault"
)

// fill makes n messages of 1 KiB that were delivered at the first attempt.
func fill(b *testing.B, s movable, n int) {
	at := now
	env := hark.Environment{ID: hark.NewEnvironmentID(at), Name: "live", CreatedAt: at}
	if err := s.InsertEnvironment(b.Context(), env); err != nil {
		b.Fatal(err)
	}
	app, err := s.InsertApplication(b.Context(), hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: env.ID})
	if err != nil {
		b.Fatal(err)
	}
	ep, err := s.InsertEndpoint(b.Context(), hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: app.Ref, URL: "https://example.com/"})
	if err != nil {
		b.Fatal(err)
	}
	payload := append([]byte(`{"text":"`), bytes.Repeat([]byte("0123456789abcdef"), 63)...)
	payload = append(payload, `"}`...)
	for n > 0 {
		var accept []*store.Acceptance
		for range min(n, 500) {
			at = at.Add(10 * time.Millisecond)
			accept = append(accept, &store.Acceptance{EnvironmentID: env.ID,
				Message:    hark.Message{ID: hark.NewMessageID(at), ApplicationRef: app.Ref, EventType: "invoice.paid", Payload: payload, CreatedAt: at, Matched: []hark.Ref{ep.Ref}},
				Deliveries: []hark.Delivery{{EndpointRef: ep.Ref, Due: at.UnixMilli()}}})
		}
		if err := s.Accept(b.Context(), accept); err != nil {
			b.Fatal(err)
		}
		var settle []store.Settlement
		for _, a := range accept {
			settle = append(settle, store.Settlement{Delivery: a.Deliveries[0], Succeeded: true, Attempt: &hark.Attempt{ID: hark.NewAttemptID(at),
				URL: "https://example.com/", Number: 1, StatusCode: 200, Response: []byte("ok"), StartedAt: at, Duration: time.Millisecond}})
		}
		if err := s.Settle(b.Context(), settle); err != nil {
			b.Fatal(err)
		}
		n -= len(accept)
	}
}

// BenchmarkMove says what one message costs; -benchtime 200000x moves so many.
func BenchmarkMove(b *testing.B) {
	keys := newVault(b)
	for name, open := range map[string]func(testing.TB, *vault.Vault) movable{"SQLite": newSQLite, "PostgreSQL": newPostgres} {
		b.Run("Export"+name, func(b *testing.B) {
			s := open(b, keys)
			fill(b, s, b.N)
			b.ResetTimer()
			if _, err := transfer.Export(b.Context(), s, io.Discard, keys, transfer.Source{}, now, quiet); err != nil {
				b.Fatal(err)
			}
		})
		b.Run("Import"+name, func(b *testing.B) {
			from := newSQLite(b, keys)
			fill(b, from, b.N)
			file, _ := export(b, from, keys, false)
			to := open(b, keys)
			b.ResetTimer()
			if _, err := importInto(b, to, file, keys); err != nil {
				b.Fatal(err)
			}
		})
	}
}
