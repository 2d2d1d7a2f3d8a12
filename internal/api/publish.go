package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// This file is the hot path. A publish costs one read into a buffer that is used again, one pass
// over its bytes, one copy of the payload (which outlives the request), and an answer written by
// hand. What is unusual falls back to encoding/json.

// MessageIn is a message as its publisher writes it.
type MessageIn struct {
	EventType              string                `json:"eventType" req:"1" doc:"The event type's name. It need not be registered."`
	Payload                json.RawMessage       `json:"payload" req:"1" schema:"object" doc:"The JSON object that is sent as the request body, byte for byte as given here."`
	Data                   json.RawMessage       `json:"data" schema:"-"`
	EventID                manage.Opt[string]    `json:"eventId" doc:"Your own id, unique in the application: a second message with the same one is refused with 409."`
	Channels               []string              `json:"channels" null:"1" doc:"Endpoints with channels get the message if they share one with it."`
	Tags                   []string              `json:"tags" null:"1" doc:"Free words to find the message by."`
	PayloadRetentionPeriod manage.Opt[int]       `json:"payloadRetentionPeriod" doc:"Days to keep the payload, 1 to 90."`
	PayloadRetentionHours  manage.Opt[int]       `json:"payloadRetentionHours" doc:"Hours to keep the payload, 1 to 2160; instead of payloadRetentionPeriod."`
	DeliverAt              manage.Opt[time.Time] `json:"deliverAt" doc:"Deliver then and not at once: one minute to 24 hours ahead."`
	Application            *ApplicationIn        `json:"application" doc:"Makes the application if it is not there yet; its uid must be the one in the path."`
	TransformationsParams  *TransformationsIn    `json:"transformationsParams"`
}

// TransformationsIn carries the one parameter that Hark knows.
type TransformationsIn struct {
	RawPayload *string `json:"rawPayload" doc:"Sent as the body instead of the payload."`
}

// domain copies what outlives the request.
func (in *MessageIn) domain() manage.PublishIn {
	out := manage.PublishIn{
		EventType: in.EventType, Payload: bytes.Clone(in.Payload), EventID: in.EventID, Channels: in.Channels, Tags: in.Tags,
		PayloadRetentionPeriod: in.PayloadRetentionPeriod, PayloadRetentionHours: in.PayloadRetentionHours, DeliverAt: in.DeliverAt,
	}
	if in.TransformationsParams != nil && in.TransformationsParams.RawPayload != nil {
		out.RawBody = []byte(*in.TransformationsParams.RawPayload)
	}
	if in.Application != nil {
		app := in.Application.domain()
		out.Application = &app
	}
	return out
}

// publishQuery reads what a publish may be asked; the clients' own query is read without parsing.
func (c *call) publishQuery() (withContent, withEndpoints bool, err error) {
	switch c.r.URL.RawQuery {
	case "":
		return true, false, nil
	case "with_content=false":
		return false, false, nil
	}
	q := c.query()
	return q.flag("with_content", true), q.flag("with_endpoints", false), q.err
}

func publish(c *call) error {
	withContent, withEndpoints, err := c.publishQuery()
	if err != nil {
		return err
	}
	text, err := c.body()
	if err != nil {
		return err
	}
	var wire MessageIn
	if err := decodeMessage(text, &wire); err != nil {
		return err
	}
	key, err := c.idempotencyKey(text)
	if err != nil {
		return err
	}
	in := wire.domain()
	in.WithEndpoints = withEndpoints
	done, err := c.api.hot.Publish(c.r.Context(), c.caller, c.path("app_id"), &in, key)
	if err != nil {
		return err
	}
	c.writePublished(&done, &in, withContent)
	c.out.WriteByte('\n')
	return nil
}

// writePublished writes the answer to one message. A repeated request is answered with the
// payload that it brought, which is what it brought the first time.
func (c *call) writePublished(done *manage.Published, in *manage.PublishIn, withContent bool) {
	m := &done.Message
	payload := []byte(noPayload)
	if withContent {
		payload = in.Payload
		if m.Expunged {
			payload = expiredPayload
		}
	}
	b := appendMessage(c.out.AvailableBuffer(), m, payload)
	if in.WithEndpoints {
		b = append(b[:len(b)-1], `,"endpoints":[`...)
		for i, id := range done.Endpoints {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"id":"`...)
			b = append(b, id...)
			b = append(b, `"}`...)
		}
		b = append(b, "]}"...)
	}
	c.out.Write(b)
}

// MessageBatchIn is several messages that are accepted in one commit.
type MessageBatchIn struct {
	Messages []MessageIn `json:"messages" req:"1" doc:"At most 1000."`
}

// MessageBatchOut says for each message, in their order, what became of it.
type MessageBatchOut struct {
	Data []MessageBatchResult `json:"data"`
	Done bool                 `json:"done" doc:"Every message was accepted (status 202); else 200."`
}

// MessageBatchResult is what became of one message: the message, or the error.
type MessageBatchResult struct {
	Status  int         `json:"status" doc:"The status that the message alone would have been answered with."`
	Message *MessageOut `json:"message,omitempty"`
	Error   *BatchError `json:"error,omitempty"`
}

// BatchError is why a message of a batch was not accepted.
type BatchError struct {
	Code     string            `json:"code"`
	Detail   string            `json:"detail"`
	Existing string            `json:"existing,omitempty" doc:"The id of what is already there."`
	Fields   []ValidationError `json:"fields,omitempty" doc:"With status 422: what is wrong where."`
}

func publishBatch(c *call) error {
	q := c.query()
	withContent, withEndpoints := q.flag("with_content", false), q.flag("with_endpoints", false)
	if q.err != nil {
		return q.err
	}
	text, err := c.body()
	if err != nil {
		return err
	}
	wires, wrong, err := decodeMessages(text, manage.MaxBatch)
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(text)
	if err != nil {
		return err
	}
	ins := make([]manage.PublishIn, 0, len(wires))
	for i := range wires {
		if wrong[i] == nil {
			in := wires[i].domain()
			in.WithEndpoints = withEndpoints
			ins = append(ins, in)
		}
	}
	var results []manage.BatchResult
	if len(ins) > 0 || len(wires) == 0 {
		results, err = c.api.hot.PublishBatch(c.r.Context(), c.caller, c.path("app_id"), ins, key)
		if err != nil {
			return err
		}
	}
	c.writeBatch(ins, results, wrong, withContent)
	return nil
}

// writeBatch writes one result per message that was asked for: ins and results stand beside each
// other and leave out those whose entry in wrong says why.
func (c *call) writeBatch(ins []manage.PublishIn, results []manage.BatchResult, wrong []error, withContent bool) {
	c.out.WriteString(`{"data":[`)
	done, next := true, 0
	for i, err := range wrong {
		if i > 0 {
			c.out.WriteByte(',')
		}
		var result *manage.BatchResult
		if err == nil {
			result = &results[next]
			next++
			err = result.Err
		}
		if err != nil {
			done = false
			c.writeBatchError(err)
			continue
		}
		c.out.WriteString(`{"status":202,"message":`)
		c.writePublished(&result.Published, &ins[next-1], withContent)
		c.out.WriteByte('}')
	}
	if done {
		c.out.WriteString("],\"done\":true}\n")
		return
	}
	c.status = http.StatusOK
	c.out.WriteString("],\"done\":false}\n")
}

func (c *call) writeBatchError(err error) {
	status, e := c.classify(err)
	result := MessageBatchResult{Status: status, Error: &BatchError{}}
	if e != nil {
		result.Error.Code, result.Error.Detail, result.Error.Existing = string(e.Code), e.Detail, e.Existing
		if e.Code == hark.Invalid {
			result.Error.Fields = validationError(e).Detail
		}
	}
	c.encode(result)
	c.out.Truncate(c.out.Len() - 1) // the encoder's new line
}
