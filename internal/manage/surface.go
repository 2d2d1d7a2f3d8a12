package manage

import (
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

var errSoon = errors.New("being written")

func (m *Manager) CreateApplication(ctx context.Context, c Caller, in ApplicationIn, getIfExists bool) (app hark.Application, created bool, err error) {
	return app, false, errSoon
}
func (m *Manager) ListApplications(ctx context.Context, c Caller, in ApplicationListIn) (p Page[hark.Application], err error) {
	return p, errSoon
}
func (m *Manager) Application(ctx context.Context, c Caller, app string) (a hark.Application, err error) {
	return a, errSoon
}
func (m *Manager) UpsertApplication(ctx context.Context, c Caller, app string, in ApplicationIn) (a hark.Application, created bool, err error) {
	return a, false, errSoon
}
func (m *Manager) PatchApplication(ctx context.Context, c Caller, app string, in ApplicationPatch) (a hark.Application, err error) {
	return a, errSoon
}
func (m *Manager) DeleteApplication(ctx context.Context, c Caller, app string) error { return errSoon }

func (m *Manager) CreateEndpoint(ctx context.Context, c Caller, app string, in EndpointIn) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) ListEndpoints(ctx context.Context, c Caller, app string, in ListIn) (p Page[hark.Endpoint], err error) {
	return p, errSoon
}
func (m *Manager) Endpoint(ctx context.Context, c Caller, app, endpoint string) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) UpsertEndpoint(ctx context.Context, c Caller, app, endpoint string, in EndpointIn) (e hark.Endpoint, created bool, err error) {
	return e, false, errSoon
}
func (m *Manager) PatchEndpoint(ctx context.Context, c Caller, app, endpoint string, in EndpointPatch) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) DeleteEndpoint(ctx context.Context, c Caller, app, endpoint string) error {
	return errSoon
}
func (m *Manager) PauseEndpoint(ctx context.Context, c Caller, app, endpoint string) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) ResumeEndpoint(ctx context.Context, c Caller, app, endpoint string) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) EnableEndpoint(ctx context.Context, c Caller, app, endpoint string) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) DisableEndpoint(ctx context.Context, c Caller, app, endpoint string) (e hark.Endpoint, err error) {
	return e, errSoon
}
func (m *Manager) EndpointHeaders(ctx context.Context, c Caller, app, endpoint string) (h Headers, err error) {
	return h, errSoon
}
func (m *Manager) SetEndpointHeaders(ctx context.Context, c Caller, app, endpoint string, headers map[string]string) error {
	return errSoon
}
func (m *Manager) PatchEndpointHeaders(ctx context.Context, c Caller, app, endpoint string, in HeadersPatch) error {
	return errSoon
}
func (m *Manager) EndpointSecret(ctx context.Context, c Caller, app, endpoint string) (key string, err error) {
	return "", errSoon
}
func (m *Manager) RotateEndpointSecret(ctx context.Context, c Caller, app, endpoint string, in RotateIn) error {
	return errSoon
}

// since, until zero: 28 days back, now.
func (m *Manager) EndpointStats(ctx context.Context, c Caller, app, endpoint string, since, until time.Time) (s store.AttemptStats, err error) {
	return s, errSoon
}
func (m *Manager) SendExample(ctx context.Context, c Caller, app, endpoint string, in ExampleIn) (msg hark.Message, err error) {
	return msg, errSoon
}
func (m *Manager) Recover(ctx context.Context, c Caller, app, endpoint string, in ReplayIn) (t hark.Task, err error) {
	return t, errSoon
}
func (m *Manager) ReplayMissing(ctx context.Context, c Caller, app, endpoint string, in ReplayIn) (t hark.Task, err error) {
	return t, errSoon
}
func (m *Manager) BulkReplay(ctx context.Context, c Caller, app, endpoint string, in BulkReplayIn) (t hark.Task, err error) {
	return t, errSoon
}

func (m *Manager) CreateEventType(ctx context.Context, c Caller, in EventTypeIn) (et hark.EventType, err error) {
	return et, errSoon
}
func (m *Manager) ListEventTypes(ctx context.Context, c Caller, in EventTypeListIn) (p Page[hark.EventType], err error) {
	return p, errSoon
}
func (m *Manager) EventType(ctx context.Context, c Caller, name string) (et hark.EventType, err error) {
	return et, errSoon
}
func (m *Manager) UpsertEventType(ctx context.Context, c Caller, name string, in EventTypeIn) (et hark.EventType, created bool, err error) {
	return et, false, errSoon
}
func (m *Manager) PatchEventType(ctx context.Context, c Caller, name string, in EventTypePatch) (et hark.EventType, err error) {
	return et, errSoon
}
func (m *Manager) DeleteEventType(ctx context.Context, c Caller, name string, expunge bool) error {
	return errSoon
}

// key may be nil.
func (m *Manager) Publish(ctx context.Context, c Caller, app string, in *PublishIn, key *store.IdempotencyKey) (p Published, err error) {
	return p, errSoon
}

// key may be nil; results stand beside ins. err is only for what concerns the whole batch.
func (m *Manager) PublishBatch(ctx context.Context, c Caller, app string, ins []PublishIn, key *store.IdempotencyKey) (results []BatchResult, err error) {
	return nil, errSoon
}
func (m *Manager) ListMessages(ctx context.Context, c Caller, app string, in MessageListIn) (p Page[hark.Message], err error) {
	return p, errSoon
}
func (m *Manager) Message(ctx context.Context, c Caller, app, message string, withContent bool) (msg hark.Message, err error) {
	return msg, errSoon
}
func (m *Manager) ExpungeMessage(ctx context.Context, c Caller, app, message string) error {
	return errSoon
}
func (m *Manager) PrecheckMessage(ctx context.Context, c Caller, app string, in PrecheckIn) (active bool, err error) {
	return false, errSoon
}

// results: id → "expunged" | "not-found".
func (m *Manager) BulkExpunge(ctx context.Context, c Caller, app string, ids []string) (results map[string]string, err error) {
	return nil, errSoon
}
func (m *Manager) ExpungeAllContents(ctx context.Context, c Caller, app string) (t hark.Task, err error) {
	return t, errSoon
}
func (m *Manager) TraceMessage(ctx context.Context, c Caller, app, message string) (t Trace, err error) {
	return t, errSoon
}

func (m *Manager) AttemptsByEndpoint(ctx context.Context, c Caller, app, endpoint string, in AttemptListIn) (p Page[AttemptOut], err error) {
	return p, errSoon
}
func (m *Manager) AttemptsByMessage(ctx context.Context, c Caller, app, message string, in AttemptListIn) (p Page[AttemptOut], err error) {
	return p, errSoon
}
func (m *Manager) AttemptedMessages(ctx context.Context, c Caller, app, endpoint string, in AttemptListIn) (p Page[store.EndpointMessage], err error) {
	return p, errSoon
}
func (m *Manager) AttemptedEndpoints(ctx context.Context, c Caller, app, message string, in ListIn) (p Page[store.MessageEndpoint], err error) {
	return p, errSoon
}
func (m *Manager) Attempt(ctx context.Context, c Caller, app, message, attempt string) (a hark.Attempt, err error) {
	return a, errSoon
}
func (m *Manager) ExpungeAttempt(ctx context.Context, c Caller, app, message, attempt string) error {
	return errSoon
}
func (m *Manager) Resend(ctx context.Context, c Caller, app, message, endpoint string) error {
	return errSoon
}

func (m *Manager) Task(ctx context.Context, c Caller, id string) (t hark.Task, err error) {
	return t, errSoon
}
func (m *Manager) ListTasks(ctx context.Context, c Caller, in TaskListIn) (p Page[hark.Task], err error) {
	return p, errSoon
}

// The environments that the caller may see: its own.
func (m *Manager) ListEnvironments(ctx context.Context, c Caller) (envs []hark.Environment, err error) {
	return nil, errSoon
}
func (m *Manager) PatchEnvironment(ctx context.Context, c Caller, in EnvironmentPatch) (env hark.Environment, err error) {
	return env, errSoon
}

// text is shown this once.
func (m *Manager) CreateKey(ctx context.Context, c Caller, in KeyIn) (key hark.Key, text string, err error) {
	return key, "", errSoon
}
func (m *Manager) ListKeys(ctx context.Context, c Caller, in ListIn) (p Page[hark.Key], err error) {
	return p, errSoon
}

// The old key works for overlap more (default 24 h, at most 7 days); 0 ends it at once.
func (m *Manager) RotateKey(ctx context.Context, c Caller, id string, overlapSeconds Opt[int]) (key hark.Key, text string, err error) {
	return key, "", errSoon
}
func (m *Manager) RevokeKey(ctx context.Context, c Caller, id string) error { return errSoon }

func (m *Manager) PortalAccess(ctx context.Context, c Caller, app string, in PortalIn) (p PortalAccess, err error) {
	return p, errSoon
}
func (m *Manager) Health(ctx context.Context) Health { return Health{} }
