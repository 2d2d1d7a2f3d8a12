package api

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// TransformationOut is what an endpoint's messages go through on their way.
type TransformationOut struct {
	Code      *string           `json:"code" doc:"JavaScript; null when there is none."`
	Enabled   bool              `json:"enabled"`
	Variables map[string]string `json:"variables" null:"1" doc:"What the script finds in its environment."`
	UpdatedAt *time.Time        `json:"updatedAt"`

	Version *int `json:"version" doc:"Other code is another version; null when there never was any."`
}

// TransformationPatch changes the fields that are given.
type TransformationPatch struct {
	Code      manage.Opt[string]            `json:"code" doc:"function handler(webhook) { … return webhook }, or addHandler(\"transform\", (request, context) => …); at most 51200 characters. null takes it away."`
	Enabled   manage.Opt[bool]              `json:"enabled"`
	Variables manage.Opt[map[string]string] `json:"variables" doc:"Replaces all of them. They are encrypted at rest."`
}

func transformationOut(t *hark.Transformation) TransformationOut {
	return TransformationOut{Code: orNull(t.Code), Enabled: t.Enabled, Variables: t.Variables, UpdatedAt: timeOrNull(t.UpdatedAt), Version: orNull(t.Version)}
}

func getTransformation(c *call, _ none) (TransformationOut, error) {
	t, err := c.api.Manage.Transformation(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	return transformationOut(&t), err
}

func patchTransformation(c *call, in TransformationPatch) (none, error) {
	_, err := c.api.Manage.PatchTransformation(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.TransformationPatch(in))
	return none{}, err
}

// IngestTransformationOut is the transformation of a source's endpoint.
type IngestTransformationOut struct {
	Code      *string           `json:"code"`
	Enabled   bool              `json:"enabled"`
	Variables map[string]string `json:"variables" null:"1"`
}

func getIngestTransformation(c *call, app string, _ none) (IngestTransformationOut, error) {
	t, err := c.api.Manage.Transformation(c.r.Context(), c.caller, app, c.path("endpoint_id"))
	return IngestTransformationOut{Code: orNull(t.Code), Enabled: t.Enabled, Variables: t.Variables}, err
}

func patchIngestTransformation(c *call, app string, in TransformationPatch) (none, error) {
	_, err := c.api.Manage.PatchTransformation(c.r.Context(), c.caller, app, c.path("endpoint_id"), manage.TransformationPatch(in))
	return none{}, err
}
