package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
)

// A source whose requests begin to fail has most likely got another secret at the provider. A few in a
// row are enough to say so; single ones are what some providers try on purpose.
const failuresInARow = 3

// wasRefused counts a request that failed its verification.
func (in *Ingest) wasRefused(ctx context.Context, src *source, now time.Time, why string) {
	src.mu.Lock()
	if src.failures == 0 {
		src.first = now
	}
	src.failures++
	begins, since := src.failures == failuresInARow && src.FailingSince.IsZero(), src.first
	src.mu.Unlock()
	if !begins {
		return
	}
	in.metrics.failing.Inc()
	in.Log.LogAttrs(ctx, slog.LevelWarn, "source fails its verification", slog.String("source", string(src.ID)), slog.String("cause", why))
	in.setFailing(ctx, src, since, why)
}

// wasVerified ends that.
func (in *Ingest) wasVerified(ctx context.Context, src *source, now time.Time) {
	src.mu.Lock()
	src.failures = 0
	ends := !src.FailingSince.IsZero() && now.Sub(src.told) > time.Second // many may come before it is known
	if ends {
		src.told = now
	}
	src.mu.Unlock()
	if !ends {
		return
	}
	in.Log.LogAttrs(ctx, slog.LevelInfo, "source is verified again", slog.String("source", string(src.ID)))
	in.setFailing(ctx, src, time.Time{}, "")
}

func (in *Ingest) setFailing(ctx context.Context, src *source, since time.Time, why string) {
	_, err := in.Store.UpdateSource(context.WithoutCancel(ctx), src.EnvironmentID, string(src.ID), func(s *hark.Source) error {
		s.FailingSince, s.FailingCause = since, why
		return nil
	})
	if err != nil && hark.CodeOf(err) != hark.NotFound {
		in.Log.LogAttrs(ctx, slog.LevelWarn, "source's state not kept", slog.String("source", string(src.ID)), slog.Any("err", err))
	}
	in.changed(src.ApplicationRef)
}

// changed makes this node read a source again, and the application that its change has counted up.
func (in *Ingest) changed(app hark.Ref) {
	in.Directory.Forget(app)
	in.Forget(app)
}
