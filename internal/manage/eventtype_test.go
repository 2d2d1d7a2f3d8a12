package manage

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

func TestCreateEventType_BringsAnArchivedOneBack(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.eventTypes(t, "a.b")
	_, err := r.CreateEventType(ctx, r.admin, EventTypeIn{Name: "a.b"})
	wantCode(t, "again", err, hark.EventTypeExists)
	if err := r.DeleteEventType(ctx, r.admin, "a.b", false); err != nil {
		t.Fatal(err)
	}
	if et := must[hark.EventType](t)(r.EventType(ctx, r.admin, "a.b")); !et.Archived {
		t.Error("DELETE did not archive it")
	}
	et := must[hark.EventType](t)(r.CreateEventType(ctx, r.admin, EventTypeIn{Name: "a.b", Description: "new"}))
	if et.Archived || et.Description != "new" {
		t.Errorf("%+v", et)
	}
	if err := r.DeleteEventType(ctx, r.admin, "a.b", true); err != nil {
		t.Fatal(err)
	}
	_, err = r.EventType(ctx, r.admin, "a.b")
	wantCode(t, "expunged", err, hark.NotFound)
	wantCode(t, "expunged twice", r.DeleteEventType(ctx, r.admin, "a.b", true), hark.NotFound)
}

func TestEventTypes_ValidateSchemas(t *testing.T) {
	r := newRig(t)
	for text, ok := range map[string]bool{
		`{"1": {"type": "object", "properties": {"n": {"type": "integer"}}, "examples": [{"n": 1}]}}`: true,
		`{"1": {"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}}}`:                true,
		`{"1": true}`:                 true,
		`{}`:                          true,
		`{"1": {"type": "nonsense"}}`: false,
		`{"1": 5}`:                    false,
		`[]`:                          false,
		`{"1": {"$ref": "https://example.com/x.json"}}`:     false,
		`{"1": {"$ref": "file:///etc/passwd"}}`:             false,
		`{"1": {"$schema": "https://example.com/dialect"}}`: false,
		`{"1": {"pattern": "("}}`:                           false,
	} {
		_, _, err := r.UpsertEventType(t.Context(), r.admin, "a.b", EventTypeIn{Schemas: Some(json.RawMessage(text))})
		if ok != (err == nil) {
			t.Errorf("%s: %v", text, err)
		}
		if at := wrongAt(err); !ok && (len(at) != 1 || !strings.HasPrefix(at[0], "body.schemas")) {
			t.Errorf("%s: wrong at %v", text, at)
		}
	}
}

func TestEventTypes_BehindFlagsAreHiddenFromCustomers(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	ctx := t.Context()
	r.eventTypes(t, "open.one")
	must[hark.EventType](t)(r.CreateEventType(ctx, r.admin, EventTypeIn{Name: "beta.one", FeatureFlags: Some([]string{"beta", "alpha"})}))
	for _, c := range []struct {
		caller Caller
		want   []string
	}{
		{r.admin, []string{"beta.one", "open.one"}},
		{r.customer(app), []string{"open.one"}},
		{r.customer(app, "other"), []string{"open.one"}},
		{r.customer(app, "alpha"), []string{"beta.one", "open.one"}},
	} {
		page := must[Page[hark.EventType]](t)(r.ListEventTypes(ctx, c.caller, EventTypeListIn{}))
		var got []string
		for _, et := range page.Items {
			got = append(got, et.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.caller.Flags, diff)
		}
		_, err := r.EventType(ctx, c.caller, "beta.one")
		if (err == nil) != (len(c.want) == 2) {
			t.Errorf("%v: %v", c.caller.Flags, err)
		}
	}
}

func TestPatchEventType_ChangesWhatIsSet(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	must[hark.EventType](t)(r.CreateEventType(ctx, r.admin, EventTypeIn{Name: "a.b", Description: "d", GroupName: Some("g"),
		FeatureFlag: Some("f"), Schemas: Some(json.RawMessage(`{"1": {}}`))}))
	et := must[hark.EventType](t)(r.PatchEventType(ctx, r.admin, "a.b", EventTypePatch{Deprecated: Some(true), FeatureFlag: Null[string](), Schemas: Null[json.RawMessage]()}))
	if et.Description != "d" || et.GroupName != "g" || !et.Deprecated || et.FeatureFlags != nil || et.Schemas != nil {
		t.Errorf("%+v", et)
	}
}

func FuzzCompileSchema(f *testing.F) {
	f.Add([]byte(`{"type": "object"}`))
	f.Add([]byte(`{"$ref": "#"}`))
	f.Add([]byte(`{"$id": "http://x/", "$ref": "y"}`))
	f.Add([]byte(`{"allOf": [{"$ref": "#/allOf/0"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = compileSchema(text)
		_, _ = example(text, 0)
	})
}
