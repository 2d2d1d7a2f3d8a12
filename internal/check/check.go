// Package check finds out from outside whether a webhook receiver is sound.
//
// It sends what a receiver meets in its life (valid, repeated, late, forged, large and slow requests),
// signed as the provider would, and says of each answer what it means and what to do about it. A
// forgery is sent only if the library's own verifier would refuse it: what a scheme lets through by
// nature, such as an old timestamp where there is none, is no fault of the receiver, and is skipped.
//
// It promises to send to the one URL and nowhere else, to follow no redirect, and to name no secret.
// It refuses to judge what cannot be seen from outside: whether a repeated event was acted on twice.
package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

// Result is what became of one check.
type Result string

const (
	Pass Result = "pass"
	Warn Result = "warn" // sound, and yet there will be trouble
	Fail Result = "fail"
	Skip Result = "skip"
)

// Verdict is one check's outcome.
type Verdict struct {
	Check  string        `json:"check"`
	Sends  string        `json:"sends"` // what was sent
	Wants  string        `json:"wants"` // what a sound receiver does
	Result Result        `json:"result"`
	Means  string        `json:"means"` // one sentence: what it means, and what to do
	Took   time.Duration `json:"-"`
}

// Report is what became of all.
type Report struct {
	URL      string    `json:"url"`
	Provider string    `json:"provider"`
	Sound    bool      `json:"sound"`
	Verdicts []Verdict `json:"checks"`
}

// Options say what is checked, and how.
type Options struct {
	URL      string
	Provider string // webhook.StandardWebhooks if empty
	Secret   string
	Params   map[string]string
	Header   http.Header // sent along, such as one that a gateway asks for
	Event    string      // the events' type
	Body     []byte      // an event of your own; its id is made anew for every delivery
	Only     []string    // names of checks; empty means all
	Skip     []string
	Timeout  time.Duration    // how long the provider waits; 0 is its own limit
	Tell     func(Verdict)    // hears of each verdict as it comes; may be nil
	Now      func() time.Time // nil is the clock
	Slow     time.Duration    // the pause in the slow body; 0 is two seconds
}

// Errors that Run can end with, beside those of webhook.NewSigner.
var (
	ErrUnreachable = errors.New("the receiver is out of reach")
	ErrName        = errors.New("no such check")
)

// limit is how long a provider waits for an answer.
func limit(provider string) time.Duration {
	switch provider {
	case "telnyx":
		return 2 * time.Second
	case "slack", "zoom", "quickbooks":
		return 3 * time.Second
	case "shopify", "persona", "xero", "linear", "paddle":
		return 5 * time.Second
	case "github", "circleci", "asana", "polar", "twitter", "dropbox":
		return 10 * time.Second
	case "paystack", "solidgate":
		return 30 * time.Second
	}
	return 15 * time.Second
}

// Names lists the checks in their order.
func Names() []string {
	var names []string
	for _, c := range table() {
		names = append(names, c.name)
	}
	return names
}

// Run checks a receiver. The first check, valid, is always made: without a delivery that is accepted,
// a refusal proves nothing, and what follows is skipped.
func Run(ctx context.Context, o Options) (Report, error) {
	o = withDefaults(o)
	for _, name := range slices.Concat(o.Only, o.Skip) {
		if !slices.Contains(Names(), name) {
			return Report{}, fmt.Errorf("%w: %s; there are %s", ErrName, name, strings.Join(Names(), ", "))
		}
	}
	w, err := newWorld(o)
	if err != nil {
		return Report{}, err
	}
	defer w.close()
	report := Report{URL: o.URL, Provider: o.Provider, Sound: true}
	accepted := true
	for i, c := range table() {
		if i > 0 && (len(o.Only) > 0 && !slices.Contains(o.Only, c.name) || slices.Contains(o.Skip, c.name)) {
			continue
		}
		v := Verdict{Check: c.name, Sends: c.sends, Wants: c.wants}
		began := time.Now()
		if accepted || c.unsigned {
			v.Result, v.Means = c.run(ctx, w)
		} else {
			v.Result, v.Means = Skip, "the valid delivery was not accepted, so this would prove nothing"
		}
		v.Took = time.Since(began)
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		if i == 0 {
			if w.unreachable != nil {
				return Report{}, fmt.Errorf("%w: %w", ErrUnreachable, w.unreachable)
			}
			accepted = v.Result == Pass
		}
		report.Sound = report.Sound && v.Result != Fail
		report.Verdicts = append(report.Verdicts, v)
		o.Tell(v)
	}
	return report, nil
}

func withDefaults(o Options) Options {
	if o.Provider == "" {
		o.Provider = webhook.StandardWebhooks
	}
	if o.Event == "" {
		o.Event = "hark.check"
	}
	if o.Timeout <= 0 {
		o.Timeout = limit(o.Provider)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Slow <= 0 {
		o.Slow = 2 * time.Second
	}
	if o.Tell == nil {
		o.Tell = func(Verdict) {}
	}
	return o
}
