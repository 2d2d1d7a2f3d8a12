package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/harkhq/hark"
)

// Tracing sends a span for every API request, and for every attempt at a delivery, to a collector. A nil *Tracing is tracing turned off:
// its methods do nothing and cost nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// NewTracing starts tracing to an OTLP/HTTP collector (http://host:4318). With no address it
// answers nil: tracing is off. The OTEL_TRACES_SAMPLER variables say what share of requests is kept.
func NewTracing(ctx context.Context, endpoint string, build Build) (*Tracing, error) {
	if endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("otlp endpoint %q is not a URL", endpoint)
	}
	// The specification gives the base address; the path of the signal is added by the sender.
	u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/traces"
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("otlp exporter: %w", err)
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", "hark"),
		attribute.String("service.version", build.Version),
	)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/harkhq/hark")}, nil
}

// Close sends the spans that are still here.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx))
}

// Wrap makes every request to next a span, the child of the caller's if it sent a traceparent.
// Spans name the route, never the path: paths carry ids.
func (t *Tracing) Wrap(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	var propagator propagation.TraceContext
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(ctx)
		next.ServeHTTP(status, r)
		if r.Pattern != "" { // the mux has written the matched route into the request
			span.SetName(r.Pattern)
			span.SetAttributes(attribute.String("http.route", r.Pattern))
		}
		span.SetAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.Int("http.response.status_code", status.status),
		)
		if status.status >= 500 {
			span.SetStatus(codes.Error, http.StatusText(status.status))
		}
	})
}

// Attempts makes the function that turns every attempt at a delivery into a span; nil when tracing
// is off. A span names the message and the endpoint, never the URL: URLs carry secrets.
func (t *Tracing) Attempts() func(hark.Attempt) {
	if t == nil {
		return nil
	}
	return func(a hark.Attempt) {
		_, span := t.tracer.Start(context.Background(), "attempt",
			trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(a.StartedAt),
			trace.WithAttributes(
				attribute.String("hark.attempt", string(a.ID)),
				attribute.String("hark.message", string(a.MessageID)),
				attribute.String("hark.endpoint", string(a.EndpointID)),
				attribute.Int("hark.attempt.number", a.Number),
				attribute.Int("http.response.status_code", a.StatusCode),
			))
		if a.Status == hark.Failed {
			span.SetStatus(codes.Error, a.Status.String())
		}
		span.End(trace.WithTimestamp(a.StartedAt.Add(a.Duration)))
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
