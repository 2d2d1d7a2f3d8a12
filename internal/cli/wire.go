package cli

import (
	"bytes"
	"encoding/json"
	"time"
)

// What the commands read of the API's answers. With --json a person gets the whole answer; these
// are only the fields that the tables show.

type applicationOut struct {
	ID           string            `json:"id"`
	UID          string            `json:"uid"`
	Name         string            `json:"name"`
	ThrottleRate *int              `json:"throttleRate"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

type endpointOut struct {
	ID             string            `json:"id"`
	UID            *string           `json:"uid"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	Disabled       bool              `json:"disabled"`
	DisabledReason string            `json:"disabledReason"`
	Paused         bool              `json:"paused"`
	EventTypes     []string          `json:"eventTypes"`
	Channels       []string          `json:"channels"`
	ThrottleRate   *int              `json:"throttleRate"`
	RetrySchedule  []float64         `json:"retrySchedule"`
	TimeoutSeconds float64           `json:"timeoutSeconds"`
	Concurrency    int               `json:"concurrency"`
	Ordering       string            `json:"ordering"`
	VerifyTLS      *bool             `json:"verifyTls"`
	Filter         json.RawMessage   `json:"filter"`
	DelaySeconds   float64           `json:"delaySeconds"`
	RetryOn        []string          `json:"retryOn"`
	ThrottleUnit   string            `json:"throttleUnit"`
	Deduplicate    *dedupeOut        `json:"deduplicate"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
}

type dedupeOut struct {
	By          []string `json:"by"`
	WindowHours float64  `json:"windowHours"`
}

// text says it for people.
func (d *dedupeOut) text() string {
	if d == nil {
		return ""
	}
	return "by " + join(d.By, "body") + ", for " + seconds(d.WindowHours*3600)
}

// state is one word for whether the endpoint gets messages.
func (e endpointOut) state() string {
	switch {
	case e.Disabled:
		return "disabled"
	case e.Paused:
		return "paused"
	}
	return "enabled"
}

type messageOut struct {
	ID        string          `json:"id"`
	EventID   *string         `json:"eventId"`
	EventType string          `json:"eventType"`
	Channels  []string        `json:"channels"`
	Tags      []string        `json:"tags"`
	Payload   json.RawMessage `json:"payload"`
	Timestamp time.Time       `json:"timestamp"`
	DeliverAt *time.Time      `json:"deliverAt"`
	Body      *string         `json:"body"`
	Base64    *string         `json:"bodyBase64"`
	Request   *struct {
		ID       string `json:"id"`
		SourceID string `json:"sourceId"`
	} `json:"request"`
}

// content is what the message carries, on one line: its payload, or the body in its place.
func (m messageOut) content() (name, value string) {
	switch {
	case m.Body != nil:
		return "body", *m.Body
	case m.Base64 != nil:
		return "body", "(base64) " + *m.Base64
	}
	var line bytes.Buffer
	if json.Compact(&line, m.Payload) != nil {
		return "payload", string(m.Payload)
	}
	return "payload", line.String()
}

type attemptOut struct {
	ID                 string              `json:"id"`
	MessageID          string              `json:"msgId"`
	EndpointID         string              `json:"endpointId"`
	EventType          string              `json:"eventType"`
	URL                string              `json:"url"`
	Response           string              `json:"response"`
	ResponseStatusCode int                 `json:"responseStatusCode"`
	ResponseDurationMs int64               `json:"responseDurationMs"`
	ResponseHeaders    map[string][]string `json:"responseHeaders"`
	StatusText         string              `json:"statusText"`
	TriggerType        int                 `json:"triggerType"`
	Timestamp          time.Time           `json:"timestamp"`
	Number             int                 `json:"number"`
	Error              *string             `json:"error"`
	NextAttempt        *time.Time          `json:"nextAttempt"`
}

type eventTypeOut struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Archived    bool      `json:"archived"`
	Deprecated  bool      `json:"deprecated"`
	GroupName   *string   `json:"groupName"`
	CreatedAt   time.Time `json:"createdAt"`
}

type keyOut struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Scope         string     `json:"scope"`
	ApplicationID *string    `json:"applicationId"`
	Prefix        string     `json:"prefix"`
	Key           string     `json:"key"` // only in the answers to create and rotate
	CreatedAt     time.Time  `json:"createdAt"`
	ExpiresAt     *time.Time `json:"expiresAt"`
	RevokedAt     *time.Time `json:"revokedAt"`
}

// state is one word for whether the key opens anything.
func (k keyOut) state(now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case k.ExpiresAt != nil && now.After(*k.ExpiresAt):
		return "expired"
	}
	return "active"
}

type taskOut struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Task   string `json:"task"`
	Data   struct {
		MessagesSent int64 `json:"messagesSent"`
	} `json:"data"`
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func moment(p *time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	return *p
}
