package api

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// EventTypeUpdate describes an event type to replace.
type EventTypeUpdate struct {
	Description  manage.Opt[string]          `json:"description" req:"1"`
	Archived     bool                        `json:"archived"`
	Deprecated   bool                        `json:"deprecated"`
	Schemas      manage.Opt[json.RawMessage] `json:"schemas" schema:"object" doc:"JSON Schema (draft 7) by version: {\"1\": {…}}."`
	FeatureFlag  manage.Opt[string]          `json:"featureFlag" doc:"The old form of featureFlags."`
	FeatureFlags manage.Opt[[]string]        `json:"featureFlags" doc:"Only application tokens with one of these flags see it."`
	GroupName    manage.Opt[string]          `json:"groupName"`
}

// EventTypeIn describes an event type to create.
type EventTypeIn struct {
	Name string `json:"name" req:"1" doc:"Such as invoice.paid."`
	EventTypeUpdate
}

// domain is an error when there is no description: it may be empty, but it must be there.
func (in *EventTypeUpdate) domain(name string) (manage.EventTypeIn, error) {
	if !in.Description.Given() {
		return manage.EventTypeIn{}, wrongJSON("field required", "description")
	}
	return manage.EventTypeIn{Name: name, Description: in.Description.Value, Archived: in.Archived, Deprecated: in.Deprecated,
		Schemas: in.Schemas, FeatureFlag: in.FeatureFlag, FeatureFlags: in.FeatureFlags, GroupName: in.GroupName}, nil
}

// EventTypePatch changes the fields that are given.
type EventTypePatch struct {
	Description  manage.Opt[string]          `json:"description"`
	Archived     manage.Opt[bool]            `json:"archived"`
	Deprecated   manage.Opt[bool]            `json:"deprecated"`
	Schemas      manage.Opt[json.RawMessage] `json:"schemas" schema:"object"`
	FeatureFlag  manage.Opt[string]          `json:"featureFlag" doc:"The old form of featureFlags."`
	FeatureFlags manage.Opt[[]string]        `json:"featureFlags"`
	GroupName    manage.Opt[string]          `json:"groupName"`
}

// EventTypeOut is an event type.
type EventTypeOut struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	GroupName    *string         `json:"groupName"`
	Archived     bool            `json:"archived"`
	Deprecated   bool            `json:"deprecated"`
	Schemas      json.RawMessage `json:"schemas" schema:"object" null:"1"`
	FeatureFlag  *string         `json:"featureFlag" doc:"The first of featureFlags."`
	FeatureFlags []string        `json:"featureFlags" null:"1"`
	CreatedAt    time.Time       `json:"createdAt"`
	UpdatedAt    time.Time       `json:"updatedAt"`
}

func eventTypeOut(et *hark.EventType) EventTypeOut {
	out := EventTypeOut{
		Name: et.Name, Description: et.Description, GroupName: orNull(et.GroupName), Archived: et.Archived,
		Deprecated: et.Deprecated, Schemas: et.Schemas, CreatedAt: wireTime(et.CreatedAt), UpdatedAt: wireTime(et.UpdatedAt),
	}
	if len(out.Schemas) == 0 {
		out.Schemas = nil
	}
	if len(et.FeatureFlags) > 0 {
		out.FeatureFlags, out.FeatureFlag = et.FeatureFlags, &et.FeatureFlags[0]
	}
	return out
}

func listEventTypes(c *call, _ none) (ListResponse[EventTypeOut], error) {
	q := c.query()
	in := manage.EventTypeListIn{
		ListIn:          q.page(),
		IncludeArchived: q.flag("include_archived", false),
		WithContent:     q.flag("with_content", false),
	}
	if q.err != nil {
		return ListResponse[EventTypeOut]{}, q.err
	}
	page, err := c.api.Manage.ListEventTypes(c.r.Context(), c.caller, in)
	return listOf(page, eventTypeOut), err
}

func createEventType(c *call, in EventTypeIn) (EventTypeOut, error) {
	ask, err := in.domain(in.Name)
	if err != nil {
		return EventTypeOut{}, err
	}
	et, err := c.api.Manage.CreateEventType(c.r.Context(), c.caller, ask)
	return eventTypeOut(&et), err
}

func getEventType(c *call, _ none) (EventTypeOut, error) {
	et, err := c.api.Manage.EventType(c.r.Context(), c.caller, c.path("event_type_name"))
	return eventTypeOut(&et), err
}

func putEventType(c *call, in EventTypeUpdate) (EventTypeOut, error) {
	name := c.path("event_type_name")
	ask, err := in.domain(name)
	if err != nil {
		return EventTypeOut{}, err
	}
	et, created, err := c.api.Manage.UpsertEventType(c.r.Context(), c.caller, name, ask)
	c.created(created)
	return eventTypeOut(&et), err
}

func patchEventType(c *call, in EventTypePatch) (EventTypeOut, error) {
	et, err := c.api.Manage.PatchEventType(c.r.Context(), c.caller, c.path("event_type_name"), manage.EventTypePatch(in))
	return eventTypeOut(&et), err
}

func deleteEventType(c *call, _ none) (none, error) {
	q := c.query()
	expunge := q.flag("expunge", false)
	if q.err != nil {
		return none{}, q.err
	}
	return none{}, c.api.Manage.DeleteEventType(c.r.Context(), c.caller, c.path("event_type_name"), expunge)
}
