package transform_test

import (
	"context"
	"testing"

	"github.com/harkhq/hark/internal/transform"
)

const typical = `function handler(webhook) {
	const p = webhook.payload;
	webhook.payload = {
		text: p.type + ": " + (p.data.amount / 100) + " " + p.data.currency.toUpperCase() + " from " + p.data.customer.email,
		lines: p.data.lines.map(l => ({ ...l, total: l.n * l.price })),
	};
	webhook.headers["x-kind"] = "invoice";
	return webhook;
}`

var typicalInput = transform.Input{Message: transform.Message{
	EventType: "invoice.paid", URL: "https://example.com/hook", Headers: map[string]string{"x-a": "1"},
	Payload: []byte(`{"id":"evt_123","type":"invoice.paid","data":{"amount":12900,"currency":"eur","customer":{"id":"cus_9",` +
		`"email":"a@example.com","tags":["a","b","c"]},"lines":[{"sku":"x-1","n":2,"price":4200},` +
		`{"sku":"x-2","n":1,"price":4500}]},"created":"2026-01-02T03:04:05Z"}`),
}}

func BenchmarkRun(b *testing.B) {
	s := compile(b, typical)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(context.Background(), typicalInput, transform.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun_Parallel(b *testing.B) {
	s := compile(b, typical)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Run(context.Background(), typicalInput, transform.Limits{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, typical)
	}
}

// BenchmarkRun_NewWorker is what a run costs when every run has a process of its own.
func BenchmarkRun_NewWorker(b *testing.B) {
	for b.Loop() {
		e := transform.New(transform.Options{})
		s, err := e.Compile(context.Background(), typical, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Run(context.Background(), typicalInput, transform.Limits{}); err != nil {
			b.Fatal(err)
		}
		if err := e.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
