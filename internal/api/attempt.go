package api

import (
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/store"
)

// MessageAttemptOut is one HTTP exchange of a delivery.
type MessageAttemptOut struct {
	ID                 hark.AttemptID      `json:"id"`
	MsgID              hark.MessageID      `json:"msgId"`
	EndpointID         hark.EndpointID     `json:"endpointId"`
	URL                string              `json:"url"`
	Response           string              `json:"response" doc:"The body, base64 when it is not text; why there was none; {} without content."`
	ResponseStatusCode int                 `json:"responseStatusCode" doc:"0 when there was no response."`
	ResponseDurationMs int64               `json:"responseDurationMs"`
	ResponseHeaders    map[string][]string `json:"responseHeaders" null:"1" doc:"At most 50 fields and 4096 bytes, cut with …; ••• stands for cookies and other credentials. null: not kept, as of an endpoint's successes."`
	Status             hark.AttemptStatus  `json:"status" doc:"0 success, 2 fail, 3 failed and will be tried again, 4 canceled by the endpoint's transformation."`
	StatusText         string              `json:"statusText" enum:"success,pending,fail,sending,canceled"`
	TriggerType        hark.Trigger        `json:"triggerType" doc:"0 scheduled, 1 manual."`
	Timestamp          time.Time           `json:"timestamp"`
	Msg                *MessageOut         `json:"msg,omitempty" doc:"With with_msg=true; never with its payload."`

	EventType   string     `json:"eventType"`
	Number      int        `json:"number" doc:"1 for the first attempt."`
	Error       *string    `json:"error" doc:"Why there was no response, or why it was not accepted."`
	NextAttempt *time.Time `json:"nextAttempt"`
	Phases      PhasesOut  `json:"phases"`
}

// PhasesOut says where an attempt's time went, in milliseconds. A reused connection has no dns,
// connect and tls.
type PhasesOut struct {
	DNS       float64 `json:"dns"`
	Connect   float64 `json:"connect"`
	TLS       float64 `json:"tls"`
	FirstByte float64 `json:"firstByte"`
}

func attemptOut(a *hark.Attempt, withContent, expanded bool) MessageAttemptOut {
	delivery := deliveryOut(a.Status, a.NextAttempt, expanded)
	var headers map[string][]string
	if withContent && a.ResponseHeader != nil {
		headers = (&hark.Head{Header: a.ResponseHeader}).HTTPHeader()
	}
	return MessageAttemptOut{
		ID: a.ID, MsgID: a.MessageID, EndpointID: a.EndpointID, URL: a.URL, Response: responseText(a, withContent),
		ResponseStatusCode: a.StatusCode, ResponseDurationMs: a.Duration.Milliseconds(), ResponseHeaders: headers,
		Status: delivery.Status, StatusText: delivery.StatusText, TriggerType: a.Trigger, Timestamp: wireTime(a.StartedAt),
		EventType: a.EventType, Number: a.Number, Error: orNull(a.Error), NextAttempt: delivery.NextAttempt,
		Phases: PhasesOut{
			DNS: milliseconds(a.Phases.DNS), Connect: milliseconds(a.Phases.Connect),
			TLS: milliseconds(a.Phases.TLS), FirstByte: milliseconds(a.Phases.FirstByte),
		},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// responseText is what clients show people as the response. Where there was none they expect the
// reason in its place.
func responseText(a *hark.Attempt, withContent bool) string {
	switch {
	case !withContent:
		return "{}"
	case len(a.Response) == 0 && a.StatusCode == 0:
		return a.Error
	case utf8.Valid(a.Response):
		return string(a.Response)
	}
	// The cap may have cut a character in two; that alone does not make text binary.
	for cut := 1; cut < utf8.UTFMax && cut < len(a.Response); cut++ {
		if head := a.Response[:len(a.Response)-cut]; utf8.RuneStart(a.Response[len(head)]) && utf8.Valid(head) {
			return string(head)
		}
	}
	return base64.StdEncoding.EncodeToString(a.Response)
}

// attemptQuery reads what the lists of attempts have in common.
func (q *query) attemptQuery() (in manage.AttemptListIn, expanded bool) {
	return manage.AttemptListIn{
		ListIn: q.page(), Status: q.number("status"), StatusCodeClass: q.number("status_code_class"),
		EventTypes: q.list("event_types"), Channel: q.text("channel"), Tag: q.text("tag"),
		EndpointID: q.text("endpoint_id"), Before: q.moment("before"), After: q.moment("after"),
		WithContent: q.flag("with_content", true), WithMessage: q.flag("with_msg", false),
	}, q.flag("expanded_statuses", false)
}

func attemptsOf(page manage.Page[manage.AttemptOut], withContent, expanded bool) ListResponse[MessageAttemptOut] {
	return listOf(page, func(a *manage.AttemptOut) MessageAttemptOut {
		out := attemptOut(&a.Attempt, withContent, expanded)
		if a.Message != nil {
			m := messageOut(a.Message, false)
			out.Msg = &m
		}
		return out
	})
}

func listAttemptsByEndpoint(c *call, _ none) (ListResponse[MessageAttemptOut], error) {
	q := c.query()
	in, expanded := q.attemptQuery()
	if q.err != nil {
		return ListResponse[MessageAttemptOut]{}, q.err
	}
	page, err := c.api.Manage.AttemptsByEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in)
	return attemptsOf(page, in.WithContent, expanded), err
}

func listAttemptsByMessage(c *call, _ none) (ListResponse[MessageAttemptOut], error) {
	q := c.query()
	in, expanded := q.attemptQuery()
	if q.err != nil {
		return ListResponse[MessageAttemptOut]{}, q.err
	}
	if endpoint := c.path("endpoint_id"); endpoint != "" {
		in.EndpointID = endpoint
	}
	page, err := c.api.Manage.AttemptsByMessage(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), in)
	return attemptsOf(page, in.WithContent, expanded), err
}

func listAttemptedMessages(c *call, _ none) (ListResponse[EndpointMessageOut], error) {
	q := c.query()
	in, expanded := q.attemptQuery()
	if q.err != nil {
		return ListResponse[EndpointMessageOut]{}, q.err
	}
	page, err := c.api.Manage.AttemptedMessages(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in)
	return listOf(page, func(m *store.EndpointMessage) EndpointMessageOut {
		return EndpointMessageOut{messageOut(&m.Message, in.WithContent), deliveryOut(m.Status, m.NextAttempt, expanded)}
	}), err
}

// MessageEndpointOut is an endpoint as one message saw it.
type MessageEndpointOut struct {
	EndpointOut
	DeliveryOut
}

func listAttemptedEndpoints(c *call, _ none) (ListResponse[MessageEndpointOut], error) {
	q := c.query()
	in, expanded := q.page(), q.flag("expanded_statuses", false)
	if q.err != nil {
		return ListResponse[MessageEndpointOut]{}, q.err
	}
	page, err := c.api.Manage.AttemptedEndpoints(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), in)
	return listOf(page, func(e *store.MessageEndpoint) MessageEndpointOut {
		return MessageEndpointOut{endpointOut(&e.Endpoint), deliveryOut(e.Status, e.NextAttempt, expanded)}
	}), err
}

func getAttempt(c *call, _ none) (MessageAttemptOut, error) {
	q := c.query()
	expanded := q.flag("expanded_statuses", false)
	if q.err != nil {
		return MessageAttemptOut{}, q.err
	}
	a, err := c.api.Manage.Attempt(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), c.path("attempt_id"))
	return attemptOut(&a, true, expanded), err
}

func expungeAttempt(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.ExpungeAttempt(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), c.path("attempt_id"))
}

// EmptyResponse is an object with nothing in it.
type EmptyResponse struct{}

func resend(c *call, _ none) (EmptyResponse, error) {
	return EmptyResponse{}, c.api.Manage.Resend(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), c.path("endpoint_id"))
}
