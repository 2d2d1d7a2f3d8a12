package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
)

// Bounds of an endpoint's settings.
const (
	maxConcurrency      = 1000
	minTimeout          = 100 * time.Millisecond
	maxEndpointChannels = 10
)

// apply writes the settings that are set over an endpoint.
func (s *EndpointSettings) apply(v *check, ep *hark.Endpoint) {
	if s.RetrySchedule.Set {
		ep.RetrySchedule = v.schedule(s.RetrySchedule)
	}
	if s.TimeoutSeconds.Set {
		ep.Timeout = seconds(s.TimeoutSeconds.Value)
		if s.TimeoutSeconds.Given() && (ep.Timeout < minTimeout || ep.Timeout > hark.MaxTimeout) {
			v.wrong(fmt.Sprintf("must be between %v and %v seconds", minTimeout.Seconds(), hark.MaxTimeout.Seconds()), "body", "timeoutSeconds")
		}
	}
	if s.Concurrency.Set {
		v.between(s.Concurrency, 1, maxConcurrency, "body", "concurrency")
		ep.Concurrency = s.Concurrency.Value
	}
	if s.Ordering.Set {
		ep.Ordering = v.ordering(s.Ordering.Value)
	}
	if s.VerifyTLS.Set {
		ep.SkipTLSVerify = s.VerifyTLS.Given() && !s.VerifyTLS.Value
	}
	if s.Filter.Set {
		ep.Filter = v.filter(s.Filter)
	}
	if s.Paused.Set {
		ep.Paused = s.Paused.Value
	}
	s.applyRules(v, &ep.Rules)
}

func (s *EndpointSettings) applyRules(v *check, rules *hark.Rules) {
	if s.DelaySeconds.Set {
		rules.Delay = seconds(s.DelaySeconds.Value)
		if rules.Delay < 0 || rules.Delay > hark.MaxDelay {
			v.wrong(fmt.Sprintf("must be between 0 and %v seconds", hark.MaxDelay.Seconds()), "body", "delaySeconds")
		}
	}
	if s.RetryOn.Set {
		rules.RetryOn = v.retryOn(s.RetryOn)
	}
	if s.ThrottleUnit.Set {
		rules.ThrottleUnit = v.throttleUnit(s.ThrottleUnit)
	}
	v.dedupe(s.Deduplicate, rules)
}

// dedupe writes an endpoint's deduplication over its rules; null takes it away.
func (v *check) dedupe(in Opt[DedupeIn], rules *hark.Rules) {
	if !in.Set {
		return
	}
	rules.DedupeBy, rules.DedupeFor = nil, 0
	if in.Null {
		return
	}
	rules.DedupeBy = []string{"body"}
	if in.Value.By != nil {
		rules.DedupeBy = slices.Clone(in.Value.By)
	}
	if len(rules.DedupeBy) == 0 {
		v.wrong("must name a part; null is the whole body", "body", "deduplicate", "by")
	}
	rules.DedupeFor = v.window(rules.DedupeBy, in.Value.WindowHours)
}

func (v *check) retryOn(in Opt[[]string]) []string {
	if in.Null {
		return nil
	}
	if len(in.Value) == 0 {
		v.wrong("must name an answer; null retries all that fail, and an empty retrySchedule none", "body", "retryOn")
	}
	if _, err := hark.ParseStatuses(in.Value); err != nil {
		v.wrong(err.Error(), "body", "retryOn")
	}
	return slices.Clone(in.Value)
}

func (v *check) throttleUnit(in Opt[string]) hark.ThrottleUnit {
	switch unit := hark.ThrottleUnit(in.Value); {
	case in.Null || in.Value == "second":
		return hark.PerSecond
	case unit == hark.PerMinute || unit == hark.PerHour:
		return unit
	}
	v.wrong("must be second, minute or hour", "body", "throttleUnit")
	return hark.PerSecond
}

func (v *check) schedule(in Opt[[]float64]) hark.Schedule {
	if in.Null {
		return nil
	}
	schedule := make(hark.Schedule, len(in.Value))
	for i, s := range in.Value {
		schedule[i] = seconds(s)
	}
	if err := schedule.Validate(); err != nil {
		v.wrong(err.Error(), "body", "retrySchedule")
	}
	return schedule
}

// seconds makes a duration of seconds; what no duration can hold becomes one that no bound allows.
func seconds(s float64) time.Duration {
	if math.Abs(s) > 1e9 || math.IsNaN(s) {
		return -1
	}
	return time.Duration(math.Round(s*1000)) * time.Millisecond
}

func (v *check) ordering(in string) hark.Ordering {
	switch {
	case in == "" || in == "none":
		return hark.Unordered
	case in == string(hark.OrderByEndpoint):
		return hark.OrderByEndpoint
	case match.ValidPointer(in) != nil:
		v.wrong(`must be "none", "endpoint", or a JSON pointer such as /customer/id`, "body", "ordering")
	}
	return hark.Ordering(in)
}

func (v *check) filter(in Opt[json.RawMessage]) json.RawMessage {
	if in.Null || len(in.Value) == 0 {
		return nil
	}
	if _, err := match.Compile(match.Rule{Filter: in.Value}); err != nil {
		v.wrong(err.Error(), "body", "filter")
		return nil
	}
	return bytes.Clone(in.Value)
}

// channels checks an endpoint's channels; nil means every message.
func (v *check) channels(list []string) []string {
	if list == nil {
		return nil
	}
	list = unique(list)
	v.names(list, channelChars, maxChannel, 1, maxEndpointChannels, "body", "channels")
	return list
}

// knownTypes says which of the event types exist, un-archived and not hidden from the caller.
func (m *Manager) knownTypes(ctx context.Context, c *Caller, names []string) (map[string]bool, error) {
	known := make(map[string]bool, len(names))
	for _, name := range names {
		if _, seen := known[name]; seen || !plainName(name, nameChars, maxName) {
			continue
		}
		et, err := m.store.EventType(ctx, c.EnvironmentID, name)
		if err != nil && !errors.Is(err, hark.ErrNotFound) {
			return nil, err
		}
		known[name] = err == nil && !et.Archived && c.sees(&et)
	}
	return known, nil
}

// eventTypes checks an endpoint's event types; nil means all.
func (v *check) eventTypes(names []string, known map[string]bool) []string {
	if names == nil {
		return nil
	}
	names = unique(names)
	v.names(names, nameChars, maxName, 1, many, "body", "eventTypes")
	var unknown []string
	for _, name := range names {
		if !known[name] && plainName(name, nameChars, maxName) {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		v.wrongType("value_error", fmt.Sprintf("no such event types: %s", unknown), "body", "eventTypes")
	}
	return names
}
