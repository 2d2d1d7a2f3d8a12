package transfer

import (
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

type messageShape struct {
	Application      int64          `json:"application"`
	ID               string         `json:"id"`
	EventType        string         `json:"eventType"`
	EventID          string         `json:"eventId,omitempty"`
	Channels         list[string]   `json:"channels,omitzero"`
	Tags             list[string]   `json:"tags,omitzero"`
	Payload          *content       `json:"payload,omitempty"`
	RawBody          *content       `json:"rawBody,omitempty"`
	Head             *content       `json:"head,omitempty"`
	Expunged         bool           `json:"expunged,omitempty"`
	CreatedAt        int64          `json:"createdAt,omitempty"`
	DeliverAt        int64          `json:"deliverAt,omitempty"`
	PayloadExpiresAt int64          `json:"payloadExpiresAt,omitempty"`
	Matched          []int64        `json:"matched,omitempty"`
	Duplicates       []dupeShape    `json:"duplicates,omitempty"`
	Attempts         []attemptShape `json:"attempts,omitempty"`
	Queue            []queueShape   `json:"queue,omitempty"`
	Fed              []fedShape     `json:"fed,omitempty"`
}

type attemptShape struct {
	ID          string   `json:"id"`
	Endpoint    int64    `json:"endpoint"`
	URL         string   `json:"url"`
	Number      int      `json:"number"`
	Trigger     int8     `json:"trigger,omitempty"`
	Status      int8     `json:"status"` // 0 succeeded, 2 failed, 3 failed and to be tried again
	StatusCode  int      `json:"statusCode,omitempty"`
	Response    *content `json:"response,omitempty"`
	Header      *content `json:"responseHeader,omitempty"`
	Error       string   `json:"error,omitempty"`
	StartedAt   int64    `json:"startedAt,omitempty"`
	Duration    int64    `json:"duration,omitempty"`
	DNS         int64    `json:"dns,omitempty"`
	Connect     int64    `json:"connect,omitempty"`
	TLS         int64    `json:"tls,omitempty"`
	FirstByte   int64    `json:"firstByte,omitempty"`
	NextAttempt int64    `json:"nextAttempt,omitempty"`
}

type dupeShape struct {
	Endpoint int64  `json:"endpoint"`
	Of       string `json:"of"`
}

type queueShape struct {
	Endpoint int64  `json:"endpoint"`
	Due      int64  `json:"due"`
	RetryAt  int64  `json:"retryAt,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	Line     uint64 `json:"line,omitempty"`
	Trigger  int8   `json:"trigger,omitempty"`
}

func shapeMessage(m *store.MovedMessage) *messageShape {
	s := &messageShape{
		Application: m.ApplicationRef, ID: string(m.ID), EventType: m.EventType, EventID: m.EventID, Channels: m.Channels, Tags: m.Tags,
		Payload: contentOf(m.Payload), RawBody: contentOf(m.RawBody), Head: contentOf(m.Head), Expunged: m.Expunged,
		CreatedAt: millis(m.CreatedAt), DeliverAt: millis(m.DeliverAt), PayloadExpiresAt: millis(m.PayloadExpiresAt), Matched: m.Matched,
	}
	for _, d := range m.Duplicates {
		s.Duplicates = append(s.Duplicates, dupeShape{d.EndpointRef, string(d.Of)})
	}
	for i := range m.Attempts {
		a := &m.Attempts[i]
		s.Attempts = append(s.Attempts, attemptShape{
			ID: string(a.ID), Endpoint: a.EndpointRef, URL: a.URL, Number: a.Number, Trigger: int8(a.Trigger), Status: int8(a.Status),
			StatusCode: a.StatusCode, Response: contentOf(a.Response), Header: contentOf(hark.EncodeHeader(a.ResponseHeader)), Error: readable(a.Error), StartedAt: millis(a.StartedAt), Duration: int64(a.Duration),
			DNS: int64(a.Phases.DNS), Connect: int64(a.Phases.Connect), TLS: int64(a.Phases.TLS), FirstByte: int64(a.Phases.FirstByte),
			NextAttempt: millis(a.NextAttempt),
		})
	}
	for _, d := range m.Queue {
		s.Queue = append(s.Queue, queueShape{d.EndpointRef, d.Due, d.RetryAt, d.Attempts, d.Line, int8(d.Trigger)})
	}
	for _, f := range m.Fed {
		s.Fed = append(s.Fed, fedShape{f.EndpointRef, f.Seq, millis(f.At)})
	}
	return s
}

func (s *messageShape) restore() (m *store.MovedMessage, err error) {
	m = &store.MovedMessage{Message: hark.Message{
		ApplicationRef: s.Application, ID: hark.MessageID(s.ID), EventType: s.EventType, EventID: s.EventID, Channels: s.Channels, Tags: s.Tags,
		Payload: s.Payload.bytes(), RawBody: s.RawBody.bytes(), Head: s.Head.bytes(), Expunged: s.Expunged,
		CreatedAt: moment(s.CreatedAt), DeliverAt: moment(s.DeliverAt), PayloadExpiresAt: moment(s.PayloadExpiresAt), Matched: s.Matched,
	}}
	for _, d := range s.Duplicates {
		m.Duplicates = append(m.Duplicates, hark.Duplicate{EndpointRef: d.Endpoint, Of: hark.MessageID(d.Of)})
	}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		header, err := hark.DecodeHeader(a.Header.bytes())
		if err != nil {
			return nil, fmt.Errorf("response of attempt %s: %w", a.ID, err)
		}
		m.Attempts = append(m.Attempts, hark.Attempt{
			ID: hark.AttemptID(a.ID), EndpointRef: a.Endpoint, URL: a.URL, Number: a.Number, Trigger: hark.Trigger(a.Trigger),
			Status: hark.AttemptStatus(a.Status), StatusCode: a.StatusCode, Response: a.Response.bytes(), ResponseHeader: header, Error: a.Error,
			StartedAt: moment(a.StartedAt), Duration: time.Duration(a.Duration),
			Phases:      hark.Phases{DNS: time.Duration(a.DNS), Connect: time.Duration(a.Connect), TLS: time.Duration(a.TLS), FirstByte: time.Duration(a.FirstByte)},
			NextAttempt: moment(a.NextAttempt),
		})
	}
	for _, d := range s.Queue {
		m.Queue = append(m.Queue, hark.Delivery{EndpointRef: d.Endpoint, Due: d.Due, RetryAt: d.RetryAt, Attempts: d.Attempts, Line: d.Line, Trigger: hark.Trigger(d.Trigger)})
	}
	for _, f := range s.Fed {
		m.Fed = append(m.Fed, store.Fed{EndpointRef: f.Endpoint, Seq: f.Seq, At: moment(f.At)})
	}
	return m, nil
}
