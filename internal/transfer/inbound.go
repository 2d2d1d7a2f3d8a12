package transfer

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

type sourceShape struct {
	Number       int64               `json:"number"`
	Environment  string              `json:"environment"`
	Application  int64               `json:"application"`
	ID           string              `json:"id"`
	UID          string              `json:"uid,omitempty"`
	Settings     hark.SourceSettings `json:"settings"`
	Sealed       []byte              `json:"sealed"` // sourceSecretsShape
	Disabled     bool                `json:"disabled,omitempty"`
	FailingSince int64               `json:"failingSince,omitempty"`
	FailingCause string              `json:"failingCause,omitempty"`
	CreatedAt    int64               `json:"createdAt,omitempty"`
	UpdatedAt    int64               `json:"updatedAt,omitempty"`
	DeletedAt    int64               `json:"deletedAt,omitempty"`
}

// sourceSecretsShape is what stands sealed in a source.
type sourceSecretsShape struct {
	Tokens  list[secretShape] `json:"tokens,omitzero"`
	Secrets list[secretShape] `json:"secrets,omitzero"`
	Params  pairs             `json:"params,omitzero"`
}

func shapeSource(s *store.MovedSource, sealer store.Sealer) (*sourceShape, error) {
	sealed, err := sealSecrets(sealer, "source", s.ApplicationRef, string(s.ID), &sourceSecretsShape{shapeSecrets(s.Tokens), shapeSecrets(s.Secrets), s.Params})
	if err != nil {
		return nil, err
	}
	return &sourceShape{
		Number: s.Ref, Environment: string(s.EnvironmentID), Application: s.ApplicationRef, ID: string(s.ID), UID: s.UID,
		Settings: s.SourceSettings, Sealed: sealed,
		Disabled: s.Disabled, FailingSince: millis(s.FailingSince), FailingCause: readable(s.FailingCause),
		CreatedAt: millis(s.CreatedAt), UpdatedAt: millis(s.UpdatedAt), DeletedAt: millis(s.DeletedAt),
	}, nil
}

func (s *sourceShape) restore(sealer store.Sealer) (*store.MovedSource, error) {
	var hidden sourceSecretsShape
	if err := openSecrets(sealer, s.Sealed, "source", s.Application, s.ID, &hidden); err != nil {
		return nil, err
	}
	return &store.MovedSource{
		Source: hark.Source{
			Ref: s.Number, EnvironmentID: hark.EnvironmentID(s.Environment), ApplicationRef: s.Application, ID: hark.SourceID(s.ID), UID: s.UID,
			SourceSettings: s.Settings, Tokens: restoreSecrets(hidden.Tokens), Secrets: restoreSecrets(hidden.Secrets), Params: hidden.Params,
			Disabled: s.Disabled, FailingSince: moment(s.FailingSince), FailingCause: s.FailingCause,
			CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
		},
		DeletedAt: moment(s.DeletedAt),
	}, nil
}

type requestShape struct {
	Source     int64    `json:"source"`
	ID         string   `json:"id"`
	ReceivedAt int64    `json:"receivedAt"`
	Outcome    int8     `json:"outcome"` // 0 accepted, 1 rejected, 2 duplicate
	Cause      string   `json:"cause,omitempty"`
	Detail     string   `json:"detail,omitempty"`
	Secret     int      `json:"secret,omitempty"`
	EventID    string   `json:"eventId,omitempty"`
	EventType  string   `json:"eventType,omitempty"`
	Message    string   `json:"message,omitempty"` // its id
	Status     int      `json:"status,omitempty"`
	Took       int64    `json:"took,omitempty"`
	Size       int      `json:"size,omitempty"`
	Method     string   `json:"method,omitempty"`
	Remote     string   `json:"remote,omitempty"`
	Head       *content `json:"head,omitempty"`
	Body       *content `json:"body,omitempty"`
	Expunged   bool     `json:"expunged,omitempty"`
}

func shapeRequest(q *hark.Request) *requestShape {
	return &requestShape{
		Source: q.SourceRef, ID: string(q.ID), ReceivedAt: millis(q.ReceivedAt), Outcome: int8(q.Outcome), Cause: string(q.Cause),
		Detail: readable(q.Detail), Secret: q.Secret, EventID: readable(q.EventID), EventType: readable(q.EventType), Message: string(q.MessageID),
		Status: q.Status, Took: int64(q.Took), Size: q.Size, Method: readable(q.Method), Remote: readable(q.Remote),
		Head: contentOf(q.Head), Body: contentOf(q.Body), Expunged: q.Expunged,
	}
}

func (s *requestShape) restore() *hark.Request {
	return &hark.Request{
		SourceRef: s.Source, ID: hark.RequestID(s.ID), ReceivedAt: moment(s.ReceivedAt), Outcome: hark.RequestOutcome(s.Outcome),
		Cause: hark.RejectionCause(s.Cause), Detail: s.Detail, Secret: s.Secret, EventID: s.EventID, EventType: s.EventType,
		MessageID: hark.MessageID(s.Message), Status: s.Status, Took: time.Duration(s.Took), Size: s.Size, Method: s.Method, Remote: s.Remote,
		Head: s.Head.bytes(), Body: s.Body.bytes(), Expunged: s.Expunged,
	}
}
