package api

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// ApplicationIn describes an application to create or replace.
type ApplicationIn struct {
	Name         string             `json:"name" req:"1" doc:"What people call it."`
	UID          manage.Opt[string] `json:"uid" doc:"Your own id for it, unique in the environment; it works wherever the id does."`
	ThrottleRate manage.Opt[int]    `json:"throttleRate" doc:"Most messages per second to all its endpoints together."`
	RateLimit    manage.Opt[int]    `json:"rateLimit" doc:"The old name of throttleRate."`
	Metadata     map[string]string  `json:"metadata" doc:"Yours to keep; at most 4096 bytes."`
}

func (in *ApplicationIn) domain() manage.ApplicationIn {
	return manage.ApplicationIn{Name: in.Name, UID: in.UID, ThrottleRate: either(in.ThrottleRate, in.RateLimit), Metadata: in.Metadata}
}

// either is a field that has an old name as well.
func either[T any](name, oldName manage.Opt[T]) manage.Opt[T] {
	if name.Set {
		return name
	}
	return oldName
}

// ApplicationPatch changes the fields that are given.
type ApplicationPatch struct {
	Name         manage.Opt[string]            `json:"name"`
	UID          manage.Opt[string]            `json:"uid"`
	ThrottleRate manage.Opt[int]               `json:"throttleRate"`
	RateLimit    manage.Opt[int]               `json:"rateLimit" doc:"The old name of throttleRate."`
	Metadata     manage.Opt[map[string]string] `json:"metadata" doc:"Replaces all of it."`
}

// ApplicationOut is an application.
type ApplicationOut struct {
	ID           hark.ApplicationID `json:"id"`
	UID          *string            `json:"uid,omitempty"`
	Name         string             `json:"name"`
	ThrottleRate *int               `json:"throttleRate"`
	RateLimit    *int               `json:"rateLimit,omitempty" doc:"The old name of throttleRate."`
	Metadata     map[string]string  `json:"metadata"`
	CreatedAt    time.Time          `json:"createdAt"`
	UpdatedAt    time.Time          `json:"updatedAt"`
}

func applicationOut(app *hark.Application) ApplicationOut {
	return ApplicationOut{
		ID: app.ID, UID: orNull(app.UID), Name: app.Name,
		ThrottleRate: orNull(app.ThrottleRate), RateLimit: orNull(app.ThrottleRate),
		Metadata: orEmpty(app.Metadata), CreatedAt: wireTime(app.CreatedAt), UpdatedAt: wireTime(app.UpdatedAt),
	}
}

// orNull is null for the zero value.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// wireTime is a moment as stores keep it, so that what is just made reads as it will later.
func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = wireTime(t)
	return &t
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func listApplications(c *call, _ none) (ListResponse[ApplicationOut], error) {
	q := c.query()
	in := manage.ApplicationListIn{
		ListIn:                         q.page(),
		ExcludeWithoutEndpoints:        q.flag("exclude_apps_with_no_endpoints", false),
		ExcludeWithoutEnabledEndpoints: q.flag("exclude_apps_with_disabled_endpoints", false),
	}
	if q.err != nil {
		return ListResponse[ApplicationOut]{}, q.err
	}
	page, err := c.api.Manage.ListApplications(c.r.Context(), c.caller, in)
	return listOf(page, applicationOut), err
}

func createApplication(c *call, in ApplicationIn) (ApplicationOut, error) {
	q := c.query()
	getIfExists := q.flag("get_if_exists", false)
	if q.err != nil {
		return ApplicationOut{}, q.err
	}
	app, created, err := c.api.Manage.CreateApplication(c.r.Context(), c.caller, in.domain(), getIfExists)
	c.created(created)
	return applicationOut(&app), err
}

func getApplication(c *call, _ none) (ApplicationOut, error) {
	app, err := c.api.Manage.Application(c.r.Context(), c.caller, c.path("app_id"))
	return applicationOut(&app), err
}

func putApplication(c *call, in ApplicationIn) (ApplicationOut, error) {
	app, created, err := c.api.Manage.UpsertApplication(c.r.Context(), c.caller, c.path("app_id"), in.domain())
	c.created(created)
	return applicationOut(&app), err
}

func patchApplication(c *call, in ApplicationPatch) (ApplicationOut, error) {
	app, err := c.api.Manage.PatchApplication(c.r.Context(), c.caller, c.path("app_id"), manage.ApplicationPatch{
		Name: in.Name, UID: in.UID, ThrottleRate: either(in.ThrottleRate, in.RateLimit), Metadata: in.Metadata,
	})
	return applicationOut(&app), err
}

func deleteApplication(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.DeleteApplication(c.r.Context(), c.caller, c.path("app_id"))
}
