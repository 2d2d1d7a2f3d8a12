package api

import (
	"encoding/json"
	"strconv"
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

// TransformationSimulateIn asks what a transformation would make of a message.
type TransformationSimulateIn struct {
	Code      manage.Opt[string]            `json:"code" doc:"The endpoint's own when it is left out."`
	Variables manage.Opt[map[string]string] `json:"variables" doc:"The endpoint's own when they are left out."`
	EventType string                        `json:"eventType"`
	Channels  []string                      `json:"channels" null:"1" doc:"Taken for Svix's clients; scripts do not see them."`
	Payload   manage.Opt[json.RawMessage]   `json:"payload" schema:"object" doc:"A payload, or"`
	MessageID manage.Opt[string]            `json:"messageId" doc:"a message of the application, with the request that brought it."`
}

// TransformationSimulateOut is what became of it.
type TransformationSimulateOut struct {
	URL     string `json:"url"`
	Method  string `json:"method"`
	Payload string `json:"payload"`
	Cancel  bool   `json:"cancel" doc:"It would not be sent."`

	Headers    map[string]string  `json:"headers" doc:"Without the signature and the endpoint's own."`
	EventType  string             `json:"eventType"`
	Changed    []string           `json:"changed" doc:"Of method, url, headers and payload."`
	Before     SimulatedOut       `json:"before" doc:"What it was before."`
	Console    []ConsoleLineOut   `json:"console"`
	ConsoleCut bool               `json:"consoleCut" doc:"The script wrote more than that."`
	DurationMs float64            `json:"durationMs"`
	Error      *TransformErrorOut `json:"error" doc:"Why it failed; null when it did not."`
}

// SimulatedOut is a request.
type SimulatedOut struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Payload string            `json:"payload"`
	Headers map[string]string `json:"headers"`
}

// ConsoleLineOut is a line that a script wrote to its console.
type ConsoleLineOut struct {
	Level string `json:"level" enum:"debug,info,warn,error"`
	Text  string `json:"text"`
}

// TransformErrorOut says why a script failed.
type TransformErrorOut struct {
	Kind    string   `json:"kind" enum:"invalid,timeout,out_of_memory,threw,bad_result,crashed"`
	Message string   `json:"message"`
	Line    *int     `json:"line"`
	Column  *int     `json:"column"`
	Stack   []string `json:"stack"`
}

func consoleOut(lines []hark.LogLine) []ConsoleLineOut {
	out := make([]ConsoleLineOut, len(lines))
	for i, l := range lines {
		out[i] = ConsoleLineOut(l)
	}
	return out
}

func simulateTransformation(c *call, in TransformationSimulateIn) (out TransformationSimulateOut, err error) {
	s, err := c.api.Manage.SimulateTransformation(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.SimulateIn{
		Code: in.Code, Variables: in.Variables, EventType: in.EventType, Payload: in.Payload, MessageID: in.MessageID,
	})
	if err != nil {
		return out, err
	}
	out = TransformationSimulateOut{
		URL: s.After.URL, Method: s.After.Method, Payload: string(s.After.Payload), Headers: s.After.Headers, Cancel: s.Canceled, EventType: s.EventType,
		Before:  SimulatedOut{s.Before.URL, s.Before.Method, string(s.Before.Payload), s.Before.Headers},
		Changed: append([]string{}, s.Changed...), Console: consoleOut(s.Log), ConsoleCut: s.LogCut, DurationMs: milliseconds(s.Took),
	}
	if f := s.Failure; f != nil {
		out.Error = &TransformErrorOut{Kind: string(f.Kind), Message: f.Error(), Line: orNull(f.Line), Column: orNull(f.Column), Stack: append([]string{}, f.Stack...)}
	}
	return out, nil
}

// TransformationVersionOut is code that was saved once.
type TransformationVersionOut struct {
	Version   int       `json:"version"`
	Hash      string    `json:"hash" doc:"SHA-256 of the code."`
	CreatedAt time.Time `json:"createdAt"`
	Code      *string   `json:"code,omitempty" doc:"Not in lists."`
}

func versionOut(v *hark.TransformationVersion) TransformationVersionOut {
	return TransformationVersionOut{Version: v.Number, Hash: v.Hash, CreatedAt: wireTime(v.CreatedAt), Code: orNull(v.Code)}
}

// TransformationVersionsOut are all of them.
type TransformationVersionsOut struct {
	Data []TransformationVersionOut `json:"data"`
}

func listTransformationVersions(c *call, _ none) (out TransformationVersionsOut, err error) {
	all, err := c.api.Manage.TransformationVersions(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	out.Data = make([]TransformationVersionOut, len(all))
	for i := range all {
		out.Data[i] = versionOut(&all[i])
	}
	return out, err
}

// version is the one in the path; what is no number is a version that is not there.
func (c *call) version() int {
	n, _ := strconv.Atoi(c.path("version"))
	return n
}

func getTransformationVersion(c *call, _ none) (TransformationVersionOut, error) {
	v, err := c.api.Manage.TransformationVersion(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), c.version())
	return versionOut(&v), err
}

func rollBackTransformation(c *call, _ none) (TransformationOut, error) {
	t, err := c.api.Manage.RollBackTransformation(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), c.version())
	return transformationOut(&t), err
}

// ExecutionOut is a run of a transformation.
type ExecutionOut struct {
	AttemptID  hark.AttemptID   `json:"attemptId"`
	MsgID      hark.MessageID   `json:"msgId"`
	Version    int              `json:"version"`
	Outcome    string           `json:"outcome" enum:"done,failed,canceled"`
	Error      *string          `json:"error"`
	Console    []ConsoleLineOut `json:"console"`
	ConsoleCut bool             `json:"consoleCut"`
	DurationMs float64          `json:"durationMs"`
	Timestamp  time.Time        `json:"timestamp"`
}

func executionOut(x *hark.Execution) ExecutionOut {
	return ExecutionOut{
		AttemptID: x.AttemptID, MsgID: x.MessageID, Version: x.Version, Outcome: x.Outcome.String(), Error: orNull(x.Error),
		Console: consoleOut(x.Log), ConsoleCut: x.LogCut, DurationMs: milliseconds(x.Duration), Timestamp: wireTime(x.StartedAt),
	}
}

func listExecutions(c *call, _ none) (ListResponse[ExecutionOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[ExecutionOut]{}, q.err
	}
	page, err := c.api.Manage.ListExecutions(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in)
	return listOf(page, executionOut), err
}
