package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// The environments that every server has from its first start.
const (
	LiveName = "live"
	TestName = "test"
)

// Bootstrapped is what a server starts with.
type Bootstrapped struct {
	Live, Test hark.Environment
	// Keys are the admin keys that were made just now, to be shown once; on later starts none.
	Keys []IssuedKey
}

// BootstrapStore is the part of the store that Bootstrap reads and writes.
type BootstrapStore interface {
	store.Environments
	InsertKey(ctx context.Context, key hark.Key) error
	ListKeys(ctx context.Context, env hark.EnvironmentID, page store.Page) ([]hark.Key, error)
}

// Bootstrap makes what a first start needs: the environments live and test, and one admin key for
// each that never had a key; live's is left out when the operator presets it. It may be
// interrupted and run again, and several nodes may do it at once: each thing is made by one of them.
func Bootstrap(ctx context.Context, s BootstrapStore, livePreset bool, now time.Time) (Bootstrapped, error) {
	var b Bootstrapped
	for _, want := range []struct {
		name   string
		env    *hark.Environment
		preset bool
	}{{LiveName, &b.Live, livePreset}, {TestName, &b.Test, false}} {
		var err error
		if *want.env, err = environment(ctx, s, want.name, now); err != nil {
			return b, err
		}
		if want.preset {
			continue
		}
		keys, err := s.ListKeys(ctx, want.env.ID, store.Page{Limit: 1})
		if err != nil {
			return b, fmt.Errorf("list the keys of %s: %w", want.name, err)
		}
		if len(keys) > 0 {
			continue
		}
		key := NewKey(*want.env, hark.ScopeAdmin, "first admin key", now)
		// Its id is the environment's, so that only one of several nodes makes it.
		key.Key.ID = hark.KeyID(hark.KeyPrefix + strings.TrimPrefix(string(want.env.ID), hark.EnvironmentPrefix))
		err = s.InsertKey(ctx, key.Key)
		if hark.CodeOf(err) == hark.Conflict {
			continue
		} else if err != nil {
			return b, fmt.Errorf("make the first key of %s: %w", want.name, err)
		}
		b.Keys = append(b.Keys, key)
	}
	return b, nil
}

// environment finds the environment of a name, or makes it.
func environment(ctx context.Context, s BootstrapStore, name string, now time.Time) (hark.Environment, error) {
	for {
		envs, err := s.ListEnvironments(ctx)
		if err != nil {
			return hark.Environment{}, fmt.Errorf("list environments: %w", err)
		}
		if i := slices.IndexFunc(envs, func(e hark.Environment) bool { return e.Name == name }); i >= 0 {
			return envs[i], nil
		}
		env := hark.Environment{ID: hark.NewEnvironmentID(now), Name: name, CreatedAt: now}
		err = s.InsertEnvironment(ctx, env)
		if err == nil {
			return env, nil
		} else if hark.CodeOf(err) != hark.Conflict { // else another node was first
			return hark.Environment{}, fmt.Errorf("make the environment %s: %w", name, err)
		}
	}
}
