package manage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/directory"
)

// Transformations runs what endpoints' messages go through; *alter.Runner does.
type Transformations interface {
	// Check says whether code compiles and starts; an *alter.Failure is the code's own.
	Check(ctx context.Context, app hark.Ref, t *hark.Transformation) error
	// Try runs a transformation on a message that will not be sent.
	Try(ctx context.Context, job alter.Job) (alter.Trial, error)
}

// Bounds of a transformation.
const (
	maxCode          = 51200 // characters
	maxVariables     = 100
	maxVariableName  = 256
	maxVariableValue = 4096
)

// TransformationPatch changes the fields that are set.
type TransformationPatch struct {
	Code      Opt[string] // null takes it away
	Enabled   Opt[bool]
	Variables Opt[map[string]string] // replaces all of them
}

func (in *TransformationPatch) apply(t *hark.Transformation, now time.Time) {
	if in.Code.Set {
		t.Code = in.Code.Value
	}
	if in.Enabled.Given() {
		t.Enabled = in.Enabled.Value
	}
	if in.Variables.Set {
		t.Variables = maps.Clone(in.Variables.Value)
	}
	t.UpdatedAt = now
}

// Transformation answers an endpoint's transformation, its variables too.
func (m *Manager) Transformation(ctx context.Context, c Caller, app, endpoint string) (hark.Transformation, error) {
	a, ep, err := m.transformed(ctx, &c, opTransformationGet, app, endpoint)
	if err != nil {
		return hark.Transformation{}, err
	}
	row, err := m.store.Endpoint(ctx, a.Ref, string(ep.ID))
	return row.Transformation, err
}

// PatchTransformation changes an endpoint's transformation, if its code compiles and starts.
func (m *Manager) PatchTransformation(ctx context.Context, c Caller, app, endpoint string, in TransformationPatch) (hark.Transformation, error) {
	a, ep, err := m.transformed(ctx, &c, opTransformationSet, app, endpoint)
	if err != nil {
		return hark.Transformation{}, err
	}
	return m.saveTransformation(ctx, &c, opTransformationSet, a, ep, in)
}

func (m *Manager) saveTransformation(ctx context.Context, c *Caller, op operation, a *directory.Application, ep *directory.Endpoint, in TransformationPatch) (hark.Transformation, error) {
	var v check
	v.transformation(&in)
	if err := v.err(); err != nil {
		return hark.Transformation{}, err
	}
	row, err := m.store.Endpoint(ctx, a.Ref, string(ep.ID))
	if err != nil {
		return hark.Transformation{}, err
	}
	now := moment()
	next := row.Transformation
	in.apply(&next, now)
	if next.Code != "" && next.Key() != row.Transformation.Key() {
		if err := m.checkCode(ctx, a.Ref, &next); err != nil {
			return hark.Transformation{}, err
		}
	}
	row, err = m.updateEndpoint(ctx, c, op, a, ep.ID, func(_ *check, e *hark.Endpoint) { in.apply(&e.Transformation, now) })
	return row.Transformation, err
}

// checkCode refuses code that does not compile or start.
func (m *Manager) checkCode(ctx context.Context, app hark.Ref, t *hark.Transformation) error {
	err := m.transformations.Check(ctx, app, t)
	if failure, ok := errors.AsType[*alter.Failure](err); ok {
		return hark.InvalidField(failure.Error(), "body", "code")
	}
	return busy(err)
}

// busy turns what says nothing about a script into what its caller can do.
func busy(err error) error {
	if errors.Is(err, alter.ErrBusy) {
		return &hark.Error{Code: hark.Overloaded, Detail: "Too many transformations run right now.", RetryAfter: time.Second}
	}
	return err
}

func (v *check) transformation(in *TransformationPatch) {
	if code := in.Code.Value; utf8.RuneCountInString(code) > maxCode {
		v.wrong(fmt.Sprintf("must not be longer than %d characters", maxCode), "body", "code")
	} else if strings.ContainsRune(code, 0) {
		v.wrong("must not contain a NUL", "body", "code")
	} else if in.Code.Given() && code == "" {
		v.wrong("must not be empty; null takes it away", "body", "code")
	}
	if len(in.Variables.Value) > maxVariables {
		v.wrong(fmt.Sprintf("must not be more than %d", maxVariables), "body", "variables")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(in.Variables.Value)) {
		if name == "" || len(name) > maxVariableName || len(in.Variables.Value[name]) > maxVariableValue {
			v.wrong(fmt.Sprintf("a name has 1 to %d bytes, a value at most %d", maxVariableName, maxVariableValue), "body", "variables", name)
		}
	}
}

// transformed finds an application and one of its endpoints. Of a consumer it says that there is nothing to
// transform.
func (m *Manager) transformed(ctx context.Context, c *Caller, op operation, app, endpoint string) (*directory.Application, *directory.Endpoint, error) {
	a, ep, err := m.appEndpoint(ctx, c, op, app, endpoint)
	if a != nil && errors.Is(err, hark.ErrNotFound) {
		if _, err := findEndpoint(a, endpoint, true); err == nil {
			return nil, nil, hark.Errorf(hark.BadRequest, "A consumer reads messages as they are: only endpoints have transformations.")
		}
	}
	return a, ep, err
}
