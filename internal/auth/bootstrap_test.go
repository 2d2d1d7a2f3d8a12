package auth_test

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/store/sqlite"
)

func TestBootstrap_MakesEnvironmentsAndKeysOnce(t *testing.T) {
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	now := time.Now()
	first, err := auth.Bootstrap(t.Context(), s, false, now)
	if err != nil || len(first.Keys) != 2 {
		t.Fatalf("first start: %d keys, %v", len(first.Keys), err)
	}
	a, err := auth.New(auth.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	for i, env := range []hark.Environment{first.Live, first.Test} {
		p, err := a.Authenticate(t.Context(), first.Keys[i].Text)
		if err != nil || p.EnvironmentID != env.ID || p.Scope != hark.ScopeAdmin {
			t.Errorf("%s: %+v, %v", env.Name, p, err)
		}
	}
	second, err := auth.Bootstrap(t.Context(), s, false, now)
	if err != nil || len(second.Keys) != 0 || second.Live.ID != first.Live.ID || second.Test.ID != first.Test.ID {
		t.Errorf("second start: %+v, %v", second, err)
	}
}

func TestBootstrap_GoesOnAfterAnInterruption(t *testing.T) {
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	now := time.Now()
	live := hark.Environment{ID: hark.NewEnvironmentID(now), Name: auth.LiveName, CreatedAt: now}
	if err := s.InsertEnvironment(t.Context(), live); err != nil { // and then the power went
		t.Fatal(err)
	}
	b, err := auth.Bootstrap(t.Context(), s, true, now)
	if err != nil || b.Live.ID != live.ID || len(b.Keys) != 1 || b.Keys[0].Key.EnvironmentID != b.Test.ID {
		t.Errorf("%+v, %v", b, err)
	}
}
