package manage

import (
	"strings"
	"testing"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
)

func TestPatchTransformation_ChecksAndSays(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	ep := r.endpoint(t, "acme", nil)
	patch := func(c Caller, in TransformationPatch) error {
		_, err := r.PatchTransformation(t.Context(), c, "acme", string(ep.ID), in)
		return err
	}
	many := map[string]string{}
	for i := range maxVariables + 1 {
		many[strings.Repeat("a", i+1)] = ""
	}
	for what, tt := range map[string]struct {
		in   TransformationPatch
		want string
	}{
		"too long":           {TransformationPatch{Code: Some(strings.Repeat("ü", maxCode+1))}, "body.code"},
		"empty":              {TransformationPatch{Code: Some("")}, "body.code"},
		"broken":             {TransformationPatch{Code: Some("broken")}, "body.code"},
		"too many variables": {TransformationPatch{Variables: Some(many)}, "body.variables"},
		"a long value":       {TransformationPatch{Variables: Some(map[string]string{"A": strings.Repeat("x", maxVariableValue+1)})}, "body.variables.A"},
	} {
		if got := wrongAt(patch(r.admin, tt.in)); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: wrong at %v, want %s", what, got, tt.want)
		}
	}
	if err := patch(r.admin, TransformationPatch{Code: Some(strings.Repeat("ü", maxCode)), Enabled: Some(true)}); err != nil {
		t.Error(err)
	}
	customer := r.customer(app)
	for capability, code := range map[auth.Capabilities]hark.Code{
		auth.ViewBase: hark.Forbidden, auth.ManageTransformations: "", auth.ManageEndpoint: "", auth.ManageEndpointSecret: hark.Forbidden,
	} {
		customer.Capabilities = auth.ViewBase | capability
		wantCode(t, strings.Join(capability.Names(), ","), patch(customer, TransformationPatch{Enabled: Some(false)}), code)
	}
	reader := r.admin
	reader.Scope = hark.ScopeRead
	_, err := r.Transformation(t.Context(), reader, "acme", string(ep.ID))
	wantCode(t, "a reader sees no variables", err, hark.Forbidden)
	_, err = r.ListExecutions(t.Context(), reader, "acme", string(ep.ID), ListIn{})
	wantCode(t, "a reader sees the log", err, "")
	wantCode(t, "a stranger", patch(r.stranger(t), TransformationPatch{}), hark.NotFound)
}

func TestTraceMessage_SaysWhatATransformationCanceled(t *testing.T) {
	r := newRig(t)
	r.application(t, "acme")
	r.endpoint(t, "acme", nil)
	m := r.publish(t, "acme", PublishIn{})
	r.settle(t, hark.Canceled, 0)
	trace := must[Trace](t)(r.TraceMessage(t.Context(), r.admin, "acme", string(m.Message.ID)))
	if e := trace.Endpoints[0]; e.Status != hark.Canceled || e.Clause != clauseTransformation || e.Detail != "canceled by the transformation" {
		t.Errorf("traced %+v", e)
	}
}
