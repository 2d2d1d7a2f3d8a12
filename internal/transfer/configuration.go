package transfer

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

type environmentShape struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	CreatedAt int64  `json:"createdAt,omitempty"`
	Retention int64  `json:"retention,omitempty"`
}

func shapeEnvironment(e *hark.Environment) *environmentShape {
	return &environmentShape{string(e.ID), e.Name, millis(e.CreatedAt), int64(e.Retention)}
}

func (s *environmentShape) restore() *hark.Environment {
	return &hark.Environment{ID: hark.EnvironmentID(s.ID), Name: s.Name, CreatedAt: moment(s.CreatedAt), Retention: time.Duration(s.Retention)}
}

type eventTypeShape struct {
	Environment  string       `json:"environment"`
	Name         string       `json:"name"`
	Description  string       `json:"description,omitempty"`
	GroupName    string       `json:"groupName,omitempty"`
	Archived     bool         `json:"archived,omitempty"`
	Deprecated   bool         `json:"deprecated,omitempty"`
	Schemas      *string      `json:"schemas,omitempty"`
	FeatureFlags list[string] `json:"featureFlags,omitzero"`
	CreatedAt    int64        `json:"createdAt,omitempty"`
	UpdatedAt    int64        `json:"updatedAt,omitempty"`
}

func shapeEventType(t *hark.EventType) *eventTypeShape {
	return &eventTypeShape{
		Environment: string(t.EnvironmentID), Name: t.Name, Description: t.Description, GroupName: t.GroupName,
		Archived: t.Archived, Deprecated: t.Deprecated, Schemas: rawText(t.Schemas), FeatureFlags: t.FeatureFlags,
		CreatedAt: millis(t.CreatedAt), UpdatedAt: millis(t.UpdatedAt),
	}
}

func (s *eventTypeShape) restore() *hark.EventType {
	return &hark.EventType{
		EnvironmentID: hark.EnvironmentID(s.Environment), Name: s.Name, Description: s.Description, GroupName: s.GroupName,
		Archived: s.Archived, Deprecated: s.Deprecated, Schemas: textRaw(s.Schemas), FeatureFlags: s.FeatureFlags,
		CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
	}
}

type keyShape struct {
	Environment string `json:"environment"`
	ID          string `json:"id"`
	Name        string `json:"name,omitempty"`
	Scope       string `json:"scope"`
	Application string `json:"application,omitempty"` // its id
	Prefix      string `json:"prefix,omitempty"`
	Hash        string `json:"hash"`
	CreatedAt   int64  `json:"createdAt,omitempty"`
	ExpiresAt   int64  `json:"expiresAt,omitempty"`
	RevokedAt   int64  `json:"revokedAt,omitempty"`
}

func shapeKey(k *hark.Key) *keyShape {
	return &keyShape{
		string(k.EnvironmentID), string(k.ID), k.Name, string(k.Scope), string(k.ApplicationID), k.Prefix,
		hex.EncodeToString(k.Hash[:]), millis(k.CreatedAt), millis(k.ExpiresAt), millis(k.RevokedAt),
	}
}

func (s *keyShape) restore() (k *hark.Key, err error) {
	k = &hark.Key{
		EnvironmentID: hark.EnvironmentID(s.Environment), ID: hark.KeyID(s.ID), Name: s.Name, Scope: hark.Scope(s.Scope),
		ApplicationID: hark.ApplicationID(s.Application), Prefix: s.Prefix,
		CreatedAt: moment(s.CreatedAt), ExpiresAt: moment(s.ExpiresAt), RevokedAt: moment(s.RevokedAt),
	}
	k.Hash, err = parseHash(s.Hash)
	return k, err
}

type taskShape struct {
	Environment string  `json:"environment"`
	ID          string  `json:"id"`
	Kind        string  `json:"kind"`
	Status      string  `json:"status"`
	Data        *string `json:"data,omitempty"`
	CreatedAt   int64   `json:"createdAt,omitempty"`
	UpdatedAt   int64   `json:"updatedAt,omitempty"`
}

func isRunning(t *hark.Task) bool { return t.Status == "running" }

func shapeTask(t *hark.Task) *taskShape {
	data := t.Data
	if isRunning(t) {
		data = fromTheBeginning(data)
	}
	return &taskShape{string(t.EnvironmentID), string(t.ID), t.Kind, t.Status, rawText(data), millis(t.CreatedAt), millis(t.UpdatedAt)}
}

// fromTheBeginning takes the cursor out of a task's data: it is a ref of the store that it ran in.
func fromTheBeginning(data json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields["cursor"] == nil {
		return data
	}
	delete(fields, "cursor")
	rest, err := marshal(fields)
	if err != nil {
		return data
	}
	return rest
}

func (s *taskShape) restore() *hark.Task {
	return &hark.Task{
		EnvironmentID: hark.EnvironmentID(s.Environment), ID: hark.TaskID(s.ID), Kind: s.Kind, Status: s.Status,
		Data: textRaw(s.Data), CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
	}
}

// guardShape is an idempotency key.
type guardShape struct {
	Hash        string `json:"hash"`
	Fingerprint string `json:"fingerprint"`
	ExpiresAt   int64  `json:"expiresAt"`
}

func keyOf(k *store.IdempotencyKey) guardShape {
	return guardShape{hex.EncodeToString(k.Hash[:]), hex.EncodeToString(k.Fingerprint[:]), millis(k.ExpiresAt)}
}

func (s *guardShape) restore() (k store.IdempotencyKey, err error) {
	k.ExpiresAt = moment(s.ExpiresAt)
	if k.Hash, err = parseHash(s.Hash); err == nil {
		k.Fingerprint, err = parseHash(s.Fingerprint)
	}
	return k, err
}

type messageKeyShape struct {
	guardShape
	Message string `json:"message"` // its id
}

type answerShape struct {
	guardShape
	Status int      `json:"status"`
	Header *content `json:"header,omitempty"`
	Body   *content `json:"body,omitempty"`
}

func shapeAnswer(a *store.Answer) *answerShape {
	return &answerShape{keyOf(&a.Key), a.Status, contentOf(a.Header), contentOf(a.Body)}
}

func (s *answerShape) restore() (a *store.Answer, err error) {
	a = &store.Answer{Status: s.Status, Header: s.Header.bytes(), Body: s.Body.bytes()}
	a.Key, err = s.guardShape.restore()
	return a, err
}

type applicationShape struct {
	Number          int64  `json:"number"`
	Environment     string `json:"environment"`
	ID              string `json:"id"`
	UID             string `json:"uid,omitempty"`
	Name            string `json:"name,omitempty"`
	ThrottleRate    int    `json:"throttleRate,omitempty"`
	Metadata        pairs  `json:"metadata,omitzero"`
	Version         int64  `json:"version"`
	TokensNotBefore int64  `json:"tokensNotBefore,omitempty"`
	CreatedAt       int64  `json:"createdAt,omitempty"`
	UpdatedAt       int64  `json:"updatedAt,omitempty"`
	DeletedAt       int64  `json:"deletedAt,omitempty"`
}

func shapeApplication(a *store.MovedApplication) *applicationShape {
	return &applicationShape{
		a.Ref, string(a.EnvironmentID), string(a.ID), a.UID, a.Name, a.ThrottleRate, a.Metadata, a.Version,
		millis(a.TokensNotBefore), millis(a.CreatedAt), millis(a.UpdatedAt), millis(a.DeletedAt),
	}
}

func (s *applicationShape) restore() *store.MovedApplication {
	return &store.MovedApplication{
		Application: hark.Application{
			Ref: s.Number, EnvironmentID: hark.EnvironmentID(s.Environment), ID: hark.ApplicationID(s.ID), UID: s.UID, Name: s.Name,
			ThrottleRate: s.ThrottleRate, Metadata: s.Metadata, Version: s.Version,
			TokensNotBefore: moment(s.TokensNotBefore), CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
		},
		DeletedAt: moment(s.DeletedAt),
	}
}

type endpointShape struct {
	Number         int64               `json:"number"`
	Application    int64               `json:"application"`
	ID             string              `json:"id"`
	UID            string              `json:"uid,omitempty"`
	URL            string              `json:"url"`
	Description    string              `json:"description,omitempty"`
	Version        int                 `json:"version,omitempty"`
	Metadata       pairs               `json:"metadata,omitzero"`
	Sealed         []byte              `json:"sealed"` // secretsShape
	EventTypes     list[string]        `json:"eventTypes,omitzero"`
	Channels       list[string]        `json:"channels,omitzero"`
	Filter         *string             `json:"filter,omitempty"`
	Disabled       bool                `json:"disabled,omitempty"`
	DisabledReason string              `json:"disabledReason,omitempty"`
	DisabledAt     int64               `json:"disabledAt,omitempty"`
	Paused         bool                `json:"paused,omitempty"`
	ThrottleRate   int                 `json:"throttleRate,omitempty"`
	Concurrency    int                 `json:"concurrency,omitempty"`
	Timeout        int64               `json:"timeout,omitempty"`
	RetrySchedule  list[int64]         `json:"retrySchedule,omitzero"`
	Ordering       string              `json:"ordering,omitempty"`
	SkipTLSVerify  bool                `json:"skipTlsVerify,omitempty"`
	Rules          hark.Rules          `json:"rules,omitzero"`
	Transformation transformationShape `json:"transformation,omitzero"`
	CreatedAt      int64               `json:"createdAt,omitempty"`
	UpdatedAt      int64               `json:"updatedAt,omitempty"`
	DeletedAt      int64               `json:"deletedAt,omitempty"`
}

// secretsShape is what stands sealed in an endpoint.
type secretsShape struct {
	Headers   pairs             `json:"headers,omitzero"`
	Secrets   list[secretShape] `json:"secrets,omitzero"`
	Variables pairs             `json:"variables,omitzero"` // of the transformation
}

type secretShape struct {
	Key       string `json:"key"`
	CreatedAt int64  `json:"createdAt,omitempty"`
	ExpiresAt int64  `json:"expiresAt,omitempty"`
}

func shapeSecrets(secrets []hark.Secret) list[secretShape] {
	if secrets == nil {
		return nil
	}
	shapes := make(list[secretShape], len(secrets))
	for i, k := range secrets {
		shapes[i] = secretShape{k.Key.Reveal(), millis(k.CreatedAt), millis(k.ExpiresAt)}
	}
	return shapes
}

func restoreSecrets(shapes list[secretShape]) []hark.Secret {
	if shapes == nil {
		return nil
	}
	secrets := make([]hark.Secret, len(shapes))
	for i, k := range shapes {
		secrets[i] = hark.Secret{Key: hark.SecretKey(k.Key), CreatedAt: moment(k.CreatedAt), ExpiresAt: moment(k.ExpiresAt)}
	}
	return secrets
}

func shapeEndpoint(e *hark.Endpoint, sealer store.Sealer) (*endpointShape, error) {
	sealed, err := sealSecrets(sealer, "endpoint", e.ApplicationRef, string(e.ID), &secretsShape{e.Headers, shapeSecrets(e.Secrets), e.Transformation.Variables})
	if err != nil {
		return nil, err
	}
	s := &endpointShape{
		Number: e.Ref, Application: e.ApplicationRef, ID: string(e.ID), UID: e.UID, URL: e.URL, Description: e.Description, Version: e.Version,
		Metadata: e.Metadata, Sealed: sealed,
		EventTypes: e.EventTypes, Channels: e.Channels, Filter: rawText(e.Filter),
		Disabled: e.Disabled, DisabledReason: e.DisabledReason, DisabledAt: millis(e.DisabledAt), Paused: e.Paused,
		ThrottleRate: e.ThrottleRate, Concurrency: e.Concurrency, Timeout: int64(e.Timeout), Ordering: string(e.Ordering), SkipTLSVerify: e.SkipTLSVerify, Rules: e.Rules,
		Transformation: shapeTransformation(&e.Transformation),
		CreatedAt:      millis(e.CreatedAt), UpdatedAt: millis(e.UpdatedAt), DeletedAt: millis(e.DeletedAt),
	}
	if e.RetrySchedule != nil {
		s.RetrySchedule = make(list[int64], len(e.RetrySchedule))
		for i, d := range e.RetrySchedule {
			s.RetrySchedule[i] = int64(d)
		}
	}
	return s, nil
}

func (s *endpointShape) restore(sealer store.Sealer) (*hark.Endpoint, error) {
	var hidden secretsShape
	if err := openSecrets(sealer, s.Sealed, "endpoint", s.Application, s.ID, &hidden); err != nil {
		return nil, err
	}
	e := &hark.Endpoint{
		Ref: s.Number, ApplicationRef: s.Application, ID: hark.EndpointID(s.ID), UID: s.UID, URL: s.URL, Description: s.Description, Version: s.Version,
		Metadata: s.Metadata, Headers: hidden.Headers, Secrets: restoreSecrets(hidden.Secrets), EventTypes: s.EventTypes, Channels: s.Channels, Filter: textRaw(s.Filter),
		Disabled: s.Disabled, DisabledReason: s.DisabledReason, DisabledAt: moment(s.DisabledAt), Paused: s.Paused,
		ThrottleRate: s.ThrottleRate, Concurrency: s.Concurrency, Timeout: time.Duration(s.Timeout), Ordering: hark.Ordering(s.Ordering), SkipTLSVerify: s.SkipTLSVerify, Rules: s.Rules,
		Transformation: s.Transformation.restore(hidden.Variables),
		CreatedAt:      moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt), DeletedAt: moment(s.DeletedAt),
	}
	if s.RetrySchedule != nil {
		e.RetrySchedule = make(hark.Schedule, len(s.RetrySchedule))
	}
	for i, d := range s.RetrySchedule {
		e.RetrySchedule[i] = time.Duration(d)
	}
	return e, nil
}
