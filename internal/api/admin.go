package api

import (
	"net/http"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// AppPortalAccessIn asks for a token with which a customer manages its own application.
type AppPortalAccessIn struct {
	Application  *ApplicationIn       `json:"application" doc:"Makes the application if it is not there yet; its uid must be the one in the path."`
	FeatureFlags manage.Opt[[]string] `json:"featureFlags" doc:"Event types with a feature flag are visible only with one of these."`
	Capabilities manage.Opt[[]string] `json:"capabilities" doc:"ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageTransformations, CreateAttempts, ManageEndpoint; all when it is left out."`
	ReadOnly     manage.Opt[bool]     `json:"readOnly" doc:"The old way to ask for ViewBase alone."`
	Expiry       manage.Opt[int]      `json:"expiry" doc:"Seconds, 3600 to 604800."`
	SessionID    manage.Opt[string]   `json:"sessionId"`
}

// AppPortalAccessOut is a customer's token. There is no portal page yet.
type AppPortalAccessOut struct {
	URL   string `json:"url" doc:"Where the portal will be; until then the API's documentation. The token is its fragment."`
	Token string `json:"token" doc:"Works as a bearer token in this API, for this one application."`
}

func appPortalAccess(c *call, in AppPortalAccessIn) (AppPortalAccessOut, error) {
	ask := manage.PortalIn{FeatureFlags: in.FeatureFlags, Capabilities: in.Capabilities, ReadOnly: in.ReadOnly,
		Expiry: in.Expiry, SessionID: in.SessionID}
	if in.Application != nil {
		app := in.Application.domain()
		ask.Application = &app
	}
	access, err := c.api.Manage.PortalAccess(c.r.Context(), c.caller, c.path("app_id"), ask)
	return AppPortalAccessOut(access), err
}

// ExpireAllIn takes back the tokens of an application's customers.
type ExpireAllIn struct {
	Expiry     manage.Opt[int]      `json:"expiry" doc:"How many seconds the tokens go on working: 0, the default, is the only possible answer."`
	SessionIDs manage.Opt[[]string] `json:"sessionIds" doc:"Must be empty: tokens cannot be told apart."`
}

func expireAll(c *call, in ExpireAllIn) (none, error) {
	return none{}, c.api.Manage.ExpirePortalTokens(c.r.Context(), c.caller, c.path("app_id"), manage.PortalExpireIn(in))
}

func dashboardAccess(c *call, _ none) (AppPortalAccessOut, error) {
	access, err := c.api.Manage.PortalAccess(c.r.Context(), c.caller, c.path("app_id"), manage.PortalIn{})
	return AppPortalAccessOut(access), err
}

func logout(*call, none) (none, error) {
	return none{}, hark.Errorf(hark.NotImplemented, "tokens end when they expire; there is nothing to log out of")
}

// redrive does nothing, well: deliveries that are due stay in the queue, there is no other place
// to bring them back from.
func redrive(*call, none) (none, error) { return none{}, nil }

// EnvironmentOut is the environment that the key belongs to.
type EnvironmentOut struct {
	ID            hark.EnvironmentID `json:"id"`
	Name          string             `json:"name"`
	RetentionDays float64            `json:"retentionDays" doc:"How long messages are kept."`
	CreatedAt     time.Time          `json:"createdAt"`
}

func environmentOut(env *hark.Environment) EnvironmentOut {
	retention := env.Retention
	if retention == 0 {
		retention = hark.DefaultRetention
	}
	return EnvironmentOut{ID: env.ID, Name: env.Name, RetentionDays: retention.Hours() / 24, CreatedAt: wireTime(env.CreatedAt)}
}

// EnvironmentPatch changes the fields that are given.
type EnvironmentPatch struct {
	RetentionDays manage.Opt[int] `json:"retentionDays" doc:"1 to 3650; null goes back to the default."`
}

func getEnvironment(c *call, _ none) (EnvironmentOut, error) {
	envs, err := c.api.Manage.ListEnvironments(c.r.Context(), c.caller)
	if err != nil {
		return EnvironmentOut{}, err
	}
	for i := range envs {
		if envs[i].ID == c.caller.EnvironmentID {
			return environmentOut(&envs[i]), nil
		}
	}
	return EnvironmentOut{}, hark.ErrNotFound
}

func patchEnvironment(c *call, in EnvironmentPatch) (EnvironmentOut, error) {
	env, err := c.api.Manage.PatchEnvironment(c.r.Context(), c.caller, manage.EnvironmentPatch(in))
	return environmentOut(&env), err
}

// WhoAmIOut is whose token it is, and what it opens.
type WhoAmIOut struct {
	Environment   WhoAmIEnvironment   `json:"environment"`
	Scope         hark.Scope          `json:"scope" enum:"admin,publish,read"`
	ApplicationID *hark.ApplicationID `json:"applicationId" doc:"The one application that it is for; null is the whole environment."`
	KeyID         *hark.KeyID         `json:"keyId" doc:"null for tokens, and for the key that the operator presets."`
	Name          string              `json:"name" doc:"The key's name, or the token's subject."`
}

// WhoAmIEnvironment names an environment.
type WhoAmIEnvironment struct {
	ID   hark.EnvironmentID `json:"id"`
	Name string             `json:"name"`
}

func whoAmI(c *call, _ none) (WhoAmIOut, error) {
	env, err := c.api.Manage.WhoAmI(c.r.Context(), c.caller)
	return WhoAmIOut{Environment: WhoAmIEnvironment{ID: env.ID, Name: env.Name}, Scope: c.caller.Scope,
		ApplicationID: orNull(c.caller.ApplicationID), KeyID: orNull(c.caller.KeyID), Name: c.caller.Actor}, err
}

// KeyIn describes an API key to create.
type KeyIn struct {
	Name          string                `json:"name" req:"1"`
	Scope         hark.Scope            `json:"scope" req:"1" enum:"admin,publish,read"`
	ApplicationID manage.Opt[string]    `json:"applicationId" doc:"The one application it is for, by id or uid."`
	ExpiresAt     manage.Opt[time.Time] `json:"expiresAt"`
}

// KeyRotateIn asks to replace a key.
type KeyRotateIn struct {
	OverlapSeconds manage.Opt[int] `json:"overlapSeconds" doc:"How long the old key goes on working; 86400 by default, 0 ends it at once."`
}

// KeyOut is an API key, without its text.
type KeyOut struct {
	ID            hark.KeyID          `json:"id"`
	Name          string              `json:"name"`
	Scope         hark.Scope          `json:"scope" enum:"admin,publish,read"`
	ApplicationID *hark.ApplicationID `json:"applicationId"`
	Prefix        string              `json:"prefix" doc:"Its first characters, to recognise it by."`
	CreatedAt     time.Time           `json:"createdAt"`
	ExpiresAt     *time.Time          `json:"expiresAt"`
	RevokedAt     *time.Time          `json:"revokedAt"`
}

// KeyCreatedOut is a new API key: the only answer that ever shows its text.
type KeyCreatedOut struct {
	KeyOut
	Key string `json:"key" doc:"Keep it: it is shown this once."`
}

func keyOut(k *hark.Key) KeyOut {
	return KeyOut{ID: k.ID, Name: k.Name, Scope: k.Scope, ApplicationID: orNull(k.ApplicationID), Prefix: k.Prefix,
		CreatedAt: wireTime(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), RevokedAt: timeOrNull(k.RevokedAt)}
}

func listKeys(c *call, _ none) (ListResponse[KeyOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[KeyOut]{}, q.err
	}
	page, err := c.api.Manage.ListKeys(c.r.Context(), c.caller, in)
	return listOf(page, keyOut), err
}

func createKey(c *call, in KeyIn) (KeyCreatedOut, error) {
	k, text, err := c.api.Manage.CreateKey(c.r.Context(), c.caller, manage.KeyIn(in))
	return KeyCreatedOut{keyOut(&k), text}, err
}

func rotateKey(c *call, in KeyRotateIn) (KeyCreatedOut, error) {
	k, text, err := c.api.Manage.RotateKey(c.r.Context(), c.caller, c.path("key_id"), in.OverlapSeconds)
	return KeyCreatedOut{keyOut(&k), text}, err
}

func revokeKey(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.RevokeKey(c.r.Context(), c.caller, c.path("key_id"))
}

// NodeOut is a server of the installation.
type NodeOut struct {
	ID        string     `json:"id"`
	Addr      string     `json:"addr" doc:"Where it listens."`
	Version   string     `json:"version"`
	StartedAt time.Time  `json:"startedAt"`
	SeenAt    time.Time  `json:"seenAt" doc:"When it renewed its leases last."`
	Alive     bool       `json:"alive"`
	Shards    []int      `json:"shards" doc:"Of 256: the parts of all endpoints that it delivers for."`
	Due       int64      `json:"due" doc:"Deliveries that are due in its shards; of very many, not all are counted."`
	OldestDue *time.Time `json:"oldestDue" doc:"When the oldest of them became due."`
	LagMs     int64      `json:"lagMs" doc:"How long ago that was."`
}

func listNodes(c *call, _ none) (ListResponse[NodeOut], error) {
	nodes, err := c.api.Manage.ListNodes(c.r.Context(), c.caller)
	out := ListResponse[NodeOut]{Data: make([]NodeOut, len(nodes)), ListFrame: ListFrame{Done: true}}
	for i, n := range nodes {
		out.Data[i] = NodeOut{ID: n.ID, Addr: n.Addr, Version: n.Version, StartedAt: wireTime(n.StartedAt), SeenAt: wireTime(n.SeenAt),
			Alive: n.Alive, Shards: append([]int{}, n.Shards...), Due: n.Queued, OldestDue: timeOrNull(n.Oldest)}
		if !n.Oldest.IsZero() {
			out.Data[i].LagMs = max(0, c.began.Sub(n.Oldest).Milliseconds())
		}
	}
	return out, err
}

// HealthOut says which parts work.
type HealthOut struct {
	Database HealthStatus `json:"database"`
	Queue    HealthStatus `json:"queue" doc:"In Hark the queue and the guards are in the database too."`
	Cache    HealthStatus `json:"cache"`
}

// HealthStatus is ok or error.
type HealthStatus struct {
	Status string `json:"status" enum:"ok,error"`
}

func getHealth(c *call, _ none) (HealthOut, error) {
	status := HealthStatus{"ok"}
	if err := c.api.Manage.Health(c.r.Context()).Store; err != nil {
		status.Status = "error"
		c.status = http.StatusInternalServerError
	}
	return HealthOut{Database: status, Queue: status, Cache: status}, nil
}

func ping(*call, none) (none, error) { return none{}, nil }
