package deliver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/health"
)

func TestJudge_FollowsStandardWebhooks(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	serverErrors, err := hark.ParseStatuses([]string{"500-599"})
	if err != nil {
		t.Fatal(err)
	}
	schedule := hark.Schedule{10 * time.Second, 4 * time.Hour}
	tests := []struct {
		name string
		give exchange
		want verdict
	}{
		{"what a transformation cancels is over", exchange{Canceled: true}, verdict{Status: hark.Canceled, Class: health.Unasked}},
		{"what it fails at is retried, and says nothing of the endpoint", exchange{Altering: true, RetryOn: serverErrors}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Unasked}},
		{"one that wants too much is throttled", exchange{Altering: true, Exhausted: true}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Overload}},
		{"200 succeeds", exchange{Status: 200}, verdict{Status: hark.Succeeded, Class: health.Good}},
		{"299 succeeds", exchange{Status: 299}, verdict{Status: hark.Succeeded, Class: health.Good}},
		{"a redirect is a failure and is not followed", exchange{Status: 302}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Refused}},
		{"404 is retried", exchange{Status: 404}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Refused}},
		{"500 is retried", exchange{Status: 500}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
		{"no answer is retried", exchange{}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
		{"a timeout throttles", exchange{TimedOut: true}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Overload}},
		{"429 throttles", exchange{Status: 429}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Overload}},
		{"503 throttles", exchange{Status: 503}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Overload}},
		{"410 disables and is not retried", exchange{Status: 410}, verdict{Status: hark.Failed, Class: health.Refused, Disable: "gone"}},
		{"an answer that the rules name is retried", exchange{Status: 500, RetryOn: serverErrors}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
		{"any other is not", exchange{Status: 404, RetryOn: serverErrors}, verdict{Status: hark.Failed, Class: health.Refused}},
		{"but may still ask for a pause", exchange{Status: 429, RetryAfter: "9", RetryOn: serverErrors}, verdict{Status: hark.Failed, Pause: 9 * time.Second, Class: health.Overload}},
		{"no answer is retried whatever the rules name", exchange{TimedOut: true, RetryOn: serverErrors}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Overload}},
		{"the schedule ends", exchange{Status: 500, Attempts: 3}, verdict{Status: hark.Failed, Class: health.Bad}},
		{"a resend is not retried", exchange{Status: 500, Trigger: hark.Manual}, verdict{Status: hark.Failed, Class: health.Bad}},
		{"Retry-After in seconds", exchange{Status: 503, RetryAfter: "120"}, verdict{Status: hark.Failed, Retry: true, Wait: 2 * time.Minute, Pause: 2 * time.Minute, Class: health.Overload}},
		{"Retry-After as a date", exchange{Status: 503, RetryAfter: "Sun, 01 Nov 2026 12:01:00 GMT"}, verdict{Status: hark.Failed, Retry: true, Wait: time.Minute, Pause: time.Minute, Class: health.Overload}},
		{"Retry-After never shortens the schedule", exchange{Status: 500, RetryAfter: "1"}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Pause: time.Second, Class: health.Bad}},
		{"Retry-After is clamped to an hour", exchange{Status: 500, RetryAfter: "1e12"}, verdict{Status: hark.Failed, Retry: true, Wait: time.Hour, Pause: hark.MaxRetryWait, Class: health.Bad}},
		{"or to twice the wait, if that is longer", exchange{Status: 500, Attempts: 2, RetryAfter: "1e12"}, verdict{Status: hark.Failed, Retry: true, Wait: 8 * time.Hour, Pause: hark.MaxRetryWait, Class: health.Bad}},
		{"nonsense in Retry-After is ignored", exchange{Status: 500, RetryAfter: "soon"}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
		{"a negative Retry-After is ignored", exchange{Status: 500, RetryAfter: "-5"}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
		{"NaN in Retry-After is ignored", exchange{Status: 500, RetryAfter: "NaN"}, verdict{Status: hark.Failed, Retry: true, Wait: 10 * time.Second, Class: health.Bad}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := test.give
			x.Schedule, x.Spread, x.Now = schedule, 0.5, now
			if x.Attempts == 0 {
				x.Attempts = 1
			}
			if diff := cmp.Diff(test.want, judge(x)); diff != "" {
				t.Errorf("judge (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "1.5", "-1", "1e400", "Inf", "NaN", "Sun, 06 Nov 1994 08:49:37 GMT", "0x10"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := parseRetryAfter(text, now)
		if ok && (d <= 0 || d > hark.MaxRetryWait) || !ok && d != 0 {
			t.Errorf("parseRetryAfter(%q) = %v, %v", text, d, ok)
		}
	})
}
