package manage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

func TestCreateApplication_ReportsAllThatIsWrongAtOnce(t *testing.T) {
	r := newRig(t)
	_, _, err := r.CreateApplication(t.Context(), r.admin, ApplicationIn{
		Name: "", UID: Some("app_1"), ThrottleRate: Some(0), Metadata: map[string]string{"k": string(make([]byte, 5000))},
	}, false)
	if diff := cmp.Diff([]string{"body.metadata", "body.name", "body.throttleRate", "body.uid"}, wrongAt(err)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateApplication_WithATakenUID(t *testing.T) {
	r := newRig(t)
	first := r.application(t, "acme")
	_, _, err := r.CreateApplication(t.Context(), r.admin, ApplicationIn{Name: "x", UID: Some("acme")}, false)
	wantCode(t, "again", err, hark.Conflict)
	got, created, err := r.CreateApplication(t.Context(), r.admin, ApplicationIn{Name: "x", UID: Some("acme")}, true)
	if err != nil || created || got.ID != first.ID || got.Name != "acme" {
		t.Errorf("get if exists: %+v, %v, %v", got, created, err)
	}
}

func TestUpsertApplication_ReplacesOrCreates(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	app, created, err := r.UpsertApplication(ctx, r.admin, "new-one", ApplicationIn{Name: "n", ThrottleRate: Some(5)})
	if err != nil || !created || app.UID != "" {
		t.Fatalf("%+v, %v, %v: the path must not become the uid", app, created, err)
	}
	same, created, err := r.UpsertApplication(ctx, r.admin, string(app.ID), ApplicationIn{Name: "m"})
	if err != nil || created || same.ID != app.ID || same.Name != "m" || same.ThrottleRate != 0 {
		t.Errorf("%+v, %v, %v", same, created, err)
	}
}

func TestPatchApplication_ChangesWhatIsSet(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	app, _, err := r.CreateApplication(ctx, r.admin, ApplicationIn{Name: "n", UID: Some("u"), ThrottleRate: Some(5), Metadata: map[string]string{"a": "b"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	got := must[hark.Application](t)(r.PatchApplication(ctx, r.admin, "u", ApplicationPatch{UID: Null[string](), Metadata: Null[map[string]string]()}))
	app.UID, app.Metadata, app.UpdatedAt, app.Version = "", map[string]string{}, got.UpdatedAt, app.Version+1
	app.CreatedAt = got.CreatedAt
	if diff := cmp.Diff(app, got); diff != "" {
		t.Error(diff)
	}
	_, err = r.Application(ctx, r.admin, "u")
	wantCode(t, "by its old uid", err, hark.NotFound)
}

func TestDeleteApplication_FreesItsUIDAndEndsItsEndpoints(t *testing.T) {
	r := newRig(t)
	app := r.application(t, "acme")
	ep := r.endpoint(t, "acme", nil)
	r.live.changed = nil
	if err := r.DeleteApplication(t.Context(), r.admin, "acme"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hark.Ref{ep.Ref}, r.live.changed); diff != "" {
		t.Error("the engine was not told:", diff)
	}
	for _, id := range []string{"acme", string(app.ID)} {
		_, err := r.Application(t.Context(), r.admin, id)
		wantCode(t, id, err, hark.NotFound)
	}
	r.application(t, "acme")
}

func TestListApplications_PagesBothWays(t *testing.T) {
	r := newRig(t)
	var ids []hark.ApplicationID
	for _, uid := range []string{"a", "b", "c", "d", "e"} {
		ids = append(ids, r.application(t, uid).ID)
	}
	list := func(in ListIn) Page[hark.Application] {
		return must[Page[hark.Application]](t)(r.ListApplications(t.Context(), r.admin, ApplicationListIn{ListIn: in}))
	}
	names := func(p Page[hark.Application]) (s string) {
		for _, a := range p.Items {
			s += a.UID
		}
		return s
	}
	// Ids of the same 4 ms have an order of their own, so names are taken from a whole list.
	whole := list(ListIn{})
	order := names(whole)
	if len(whole.Items) != len(ids) || !whole.Done {
		t.Fatalf("%q, done %v", order, whole.Done)
	}
	first := list(ListIn{Limit: 2})
	if got := names(first); got != order[:2] || first.Done {
		t.Errorf("first page %q, done %v", got, first.Done)
	}
	second := list(ListIn{Limit: 2, Iterator: first.Iterator})
	last := list(ListIn{Limit: 2, Iterator: second.Iterator})
	if names(second)+names(last) != order[2:] || second.Done || !last.Done {
		t.Errorf("then %q %v, %q %v", names(second), second.Done, names(last), last.Done)
	}
	back := list(ListIn{Limit: 2, Iterator: last.PrevIterator})
	if names(back) != order[2:4] || back.Done {
		t.Errorf("back %q, done %v", names(back), back.Done)
	}
	back = list(ListIn{Limit: 2, Iterator: back.PrevIterator})
	if names(back) != order[:2] || !back.Done {
		t.Errorf("further back %q, done %v", names(back), back.Done)
	}
	empty := list(ListIn{Iterator: last.Iterator})
	if len(empty.Items) != 0 || empty.Iterator != "" || empty.PrevIterator != "" || !empty.Done {
		t.Errorf("behind the end: %+v", empty)
	}
}

func TestLists_RefuseWrongPages(t *testing.T) {
	r := newRig(t)
	for in, want := range map[ListIn]string{
		{Limit: 251}: "query.limit",
		{Limit: -1}:  "query.limit",
		{Iterator: "ep_23rb8YdGqMT0qIzpgGwdXfHirMu"}: "query.iterator",
		{Iterator: "app_not-a-ksuid"}:                "query.iterator",
		{Iterator: "-app_x"}:                         "query.iterator",
	} {
		_, err := r.ListApplications(t.Context(), r.admin, ApplicationListIn{ListIn: in})
		if diff := cmp.Diff([]string{want}, wrongAt(err)); diff != "" {
			t.Errorf("%+v: %v", in, diff)
		}
	}
}

func TestListApplications_LeavesOutThoseWithoutEndpoints(t *testing.T) {
	r := newRig(t)
	for _, uid := range []string{"none", "disabled", "enabled"} {
		r.application(t, uid)
		if uid != "none" {
			r.endpoint(t, uid, func(in *EndpointIn) { in.Disabled = uid == "disabled" })
		}
	}
	count := func(in ApplicationListIn) int {
		return len(must[Page[hark.Application]](t)(r.ListApplications(t.Context(), r.admin, in)).Items)
	}
	if n := count(ApplicationListIn{ExcludeWithoutEndpoints: true}); n != 2 {
		t.Errorf("with endpoints: %d", n)
	}
	if n := count(ApplicationListIn{ExcludeWithoutEnabledEndpoints: true}); n != 1 {
		t.Errorf("with enabled endpoints: %d", n)
	}
}
