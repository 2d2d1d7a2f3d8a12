package deliver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
)

// instant is a receiver that answers at once, without a network.
type instant struct{}

func (instant) Post(_ context.Context, r *outbound.Request) (*outbound.Response, error) {
	*r.Into = outbound.Response{Status: 200}
	return r.Into, nil
}

// single is a directory's source with one endpoint.
type single struct{ endpoint hark.Endpoint }

func (single) Application(context.Context, hark.EnvironmentID, string) (hark.Application, error) {
	return hark.Application{Ref: 1}, nil
}
func (single) ApplicationByRef(context.Context, hark.Ref) (hark.Application, error) {
	return hark.Application{Ref: 1}, nil
}
func (s single) AllEndpoints(context.Context, hark.Ref) ([]hark.Endpoint, error) {
	return []hark.Endpoint{s.endpoint}, nil
}

// BenchmarkAttempt is a worker's part of a delivery, without network and store: transform, build, sign, judge.
func BenchmarkAttempt(b *testing.B) {
	for name, code := range map[string]string{
		"plain":     "",
		"untouched": `function handler(webhook) { return webhook }`,
		"changed":   `function handler(webhook) { webhook.payload.seen = true; webhook.headers["X-Seen"] = "1"; return webhook }`,
	} {
		b.Run(name, func(b *testing.B) {
			now := time.Now()
			ep := hark.Endpoint{Ref: 1, ID: hark.NewEndpointID(now), URL: "http://example.com/hook", Headers: map[string]string{"X-Team": "blue"},
				Secrets: []hark.Secret{{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", CreatedAt: now}}}
			ep.Transformation = hark.Transformation{Code: code, Enabled: code != ""}
			app, err := directory.New(single{ep}, directory.Options{}).ByRef(b.Context(), 1)
			if err != nil {
				b.Fatal(err)
			}
			runner := alter.New(alter.Options{})
			defer func() { _ = runner.Close(context.WithoutCancel(b.Context())) }()
			e := New(Options{Client: instant{}, Alterer: runner})
			m := &hark.Message{ID: hark.NewMessageID(now), EventType: "order.paid", Payload: []byte(`{"n":1,"text":"` + strings.Repeat("x", 1000) + `"}`)}
			d := &hark.Delivery{MessageRef: 1, EndpointRef: 1, ApplicationRef: 1, Message: m}
			var s sender
			b.ReportAllocs()
			for b.Loop() {
				j := &job{endpoint: app.Endpoints[0], delivery: d}
				s.attempt(e, b.Context(), j)
				if j.unsent || j.verdict.Status != hark.Succeeded {
					b.Fatalf("%+v", j.settlement.Attempt)
				}
			}
		})
	}
}
