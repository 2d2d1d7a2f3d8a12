package directory_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/match"
)

// source is a store with some applications, which counts how often it is read.
type source struct {
	apps      []hark.Application
	endpoints map[hark.Ref][]hark.Endpoint
	reads     int
	during    func() // runs once, in the middle of a read
}

func (s *source) Application(_ context.Context, env hark.EnvironmentID, idOrUID string) (hark.Application, error) {
	s.reads++
	for _, a := range s.apps {
		if a.EnvironmentID == env && (string(a.ID) == idOrUID || a.UID == idOrUID) {
			return a, nil
		}
	}
	return hark.Application{}, hark.ErrNotFound
}

func (s *source) ApplicationByRef(_ context.Context, ref hark.Ref) (hark.Application, error) {
	s.reads++
	for _, a := range s.apps {
		if a.Ref == ref {
			return a, nil
		}
	}
	return hark.Application{}, hark.ErrNotFound
}

func (s *source) AllEndpoints(_ context.Context, app hark.Ref) ([]hark.Endpoint, error) {
	eps := slices.Clone(s.endpoints[app])
	if s.during != nil {
		s.during()
		s.during = nil
	}
	return eps, nil
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newSource() *source {
	return &source{
		apps: []hark.Application{
			{Ref: 1, ID: "app_1", UID: "shop", EnvironmentID: "org_live"},
			{Ref: 2, ID: "app_2", UID: "shop", EnvironmentID: "org_test"},
		},
		endpoints: map[hark.Ref][]hark.Endpoint{1: {
			{Ref: 10, URL: "https://a.example.com/", Secrets: []hark.Secret{{Key: secret}}},
			{Ref: 11, URL: "https://b.example.com/", EventTypes: []string{"order.paid"}},
			{Ref: 12, URL: "https://c.example.com/", EventTypes: []string{"order.refunded"}},
			{Ref: 13, URL: "https://d.example.com/", Disabled: true},
			{Ref: 14, URL: "https://e.example.com/", Channels: []string{"eu"}},
		}},
	}
}

func refs(endpoints []*directory.Endpoint) (out []hark.Ref) {
	for _, ep := range endpoints {
		out = append(out, ep.Ref)
	}
	slices.Sort(out)
	return out
}

func TestDirectory_FindsByIdUidAndRefOfTheRightEnvironmentAndReadsOnce(t *testing.T) {
	src := newSource()
	d := directory.New(src, directory.Options{})
	for range 3 {
		byID, err1 := d.Application(t.Context(), "org_live", "app_1")
		byUID, err2 := d.Application(t.Context(), "org_live", "shop")
		byRef, err3 := d.ByRef(t.Context(), 1)
		if err1 != nil || err2 != nil || err3 != nil || byID != byUID || byUID != byRef {
			t.Fatalf("id %v %v, uid %v %v, ref %v %v", byID, err1, byUID, err2, byRef, err3)
		}
	}
	if src.reads != 1 {
		t.Errorf("the store was read %d times, want once", src.reads)
	}
	if other, err := d.Application(t.Context(), "org_test", "shop"); err != nil || other.Ref != 2 {
		t.Errorf("the other environment's shop: %v, %v", other, err)
	}
	if _, err := d.Application(t.Context(), "org_test", "app_1"); hark.CodeOf(err) != hark.NotFound {
		t.Errorf("an id of another environment: %v, want not found", err)
	}
}

func TestApplication_MatchesByTypeChannelAndState(t *testing.T) {
	d := directory.New(newSource(), directory.Options{})
	app, err := d.ByRef(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		eventType string
		channels  []string
		want      []hark.Ref
	}{
		{"order.paid", nil, []hark.Ref{10, 11}},
		{"order.refunded", nil, []hark.Ref{10, 12}},
		{"other", nil, []hark.Ref{10}},
		{"other", []string{"eu"}, []hark.Ref{10, 14}},
	}
	for _, test := range tests {
		got := refs(app.Match(match.NewSubject(test.eventType, test.channels, []byte(`{}`))))
		if !slices.Equal(got, test.want) {
			t.Errorf("Match(%s, %v) = %v, want %v", test.eventType, test.channels, got, test.want)
		}
	}
}

func TestDirectory_AChangeIsSeenAfterForget(t *testing.T) {
	src := newSource()
	d := directory.New(src, directory.Options{})
	if _, err := d.ByRef(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	src.endpoints[1] = nil
	d.Forget(1)
	if app, _ := d.Application(t.Context(), "org_live", "shop"); len(app.Endpoints) != 0 {
		t.Errorf("%d endpoints after they were removed", len(app.Endpoints))
	}
}

func TestDirectory_DoesNotKeepWhatWasReadBeforeAChange(t *testing.T) {
	src := newSource()
	d := directory.New(src, directory.Options{})
	src.during = func() { // the change commits while the old rows are on their way
		src.endpoints[1] = nil
		d.Forget(1)
	}
	if _, err := d.ByRef(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if app, _ := d.ByRef(t.Context(), 1); len(app.Endpoints) != 0 {
		t.Errorf("%d endpoints: the old rows were kept", len(app.Endpoints))
	}
}

func TestDirectory_KeepsNoMoreThanItsLimit(t *testing.T) {
	src := newSource()
	for ref := hark.Ref(3); ref < 50; ref++ {
		src.apps = append(src.apps, hark.Application{Ref: ref, ID: hark.NewApplicationID(time.Now()), EnvironmentID: "org_live"})
	}
	d := directory.New(src, directory.Options{Limit: 10})
	kept := 0
	for ref := hark.Ref(1); ref < 50; ref++ {
		if _, err := d.ByRef(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for ref := hark.Ref(1); ref < 50; ref++ {
		if d.Cached(ref) != nil {
			kept++
		}
	}
	if kept != 10 {
		t.Errorf("%d applications in memory, want 10", kept)
	}
}

func TestEndpoint_SignsWithEverySecretThatIsLive(t *testing.T) {
	now := time.Unix(1614265330, 0)
	src := newSource()
	src.endpoints[1][0].Secrets = []hark.Secret{
		{Key: secret},
		{Key: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", ExpiresAt: now.Add(time.Hour)},
		{Key: "whsec_AAAAsBQIhrscChlQIMV+b5sSYspob7oD", ExpiresAt: now.Add(-time.Hour)},
	}
	d := directory.New(src, directory.Options{})
	app, err := d.ByRef(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(app.Endpoint(10).AppendSignatures(nil, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, []byte(`{"test": 2432232314}`))))
	// The vector of Standard Webhooks, then the older secret's; the expired one is silent.
	if len(got) != 2 || got[0] != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || got[1] == got[0] {
		t.Errorf("signatures = %q", got)
	}
}

func TestEndpoint_ThatCannotBeSentToSaysWhyAndHarmsNoOther(t *testing.T) {
	src := newSource()
	src.endpoints[1][1].URL = "gopher://x"
	src.endpoints[1][2].Secrets = []hark.Secret{{Key: "nonsense"}}
	d := directory.New(src, directory.Options{})
	app, err := d.ByRef(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if app.Endpoint(10).Broken != nil || app.Endpoint(11).Broken == nil || app.Endpoint(12).Broken == nil {
		t.Errorf("broken: %v, %v, %v", app.Endpoint(10).Broken, app.Endpoint(11).Broken, app.Endpoint(12).Broken)
	}
}
