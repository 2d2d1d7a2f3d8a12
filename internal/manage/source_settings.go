package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/webhook"
)

// Bounds of a source's settings.
const (
	maxSourceList  = 64
	maxParams      = 16
	maxParam       = 4096
	maxAnswerBody  = 16 << 10
	maxAnswerField = 16
	maxSourceRate  = 1_000_000
	maxQuota       = 1_000_000_000
)

// sourceMethods are what a source may be called with.
var sourceMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// apply writes what is set over a source.
func (in *SourcePatch) apply(v *check, s *hark.Source) {
	in.applyWords(v, s)
	in.applyVerification(v, s)
	in.applyLimits(v, s)
	if in.Deduplicate.Set {
		s.Deduplicate = v.deduplication(in.Deduplicate.Value)
	}
	if in.EventType.Set {
		if in.EventType.Given() && in.EventType.Value != "" {
			if err := ingest.CheckPart(in.EventType.Value, true); err != nil {
				v.wrong(err.Error(), "body", "eventType")
			}
		}
		s.EventType = in.EventType.Value
	}
	if in.Answer.Set {
		s.Answer = v.answer(in.Answer)
	}
}

func (in *SourcePatch) applyWords(v *check, s *hark.Source) {
	if in.Name.Set {
		v.text(in.Name.Value, 1, maxName, "body", "name")
		s.Name = in.Name.Value
	}
	if in.UID.Set {
		v.uid(in.UID, hark.SourcePrefix, "body", "uid")
		s.UID = in.UID.Value
	}
	if in.Description.Set {
		v.text(in.Description.Value, 0, maxText, "body", "description")
		s.Description = in.Description.Value
	}
	if in.Metadata.Set {
		s.Metadata = v.metadata(in.Metadata.Value)
	}
	if in.Disabled.Set {
		s.Disabled = in.Disabled.Value
	}
	if in.Credentials.Set {
		s.Credentials = in.Credentials.Value
	}
	if in.Kind.Set {
		s.Kind = in.Kind.Value
	}
}

func (in *SourcePatch) applyVerification(v *check, s *hark.Source) {
	if in.Provider.Set {
		s.Provider = in.Provider.Value
	}
	if in.Scheme.Set {
		s.Scheme = in.Scheme.Value
		if in.Scheme.Null {
			s.Scheme = nil
		}
	}
	if in.Params.Set {
		if len(in.Params.Value) > maxParams {
			v.wrong(fmt.Sprintf("must not be more than %d", maxParams), "body", "params")
		}
		for name, value := range in.Params.Value {
			if len(name)+len(value) > maxParam {
				v.wrong(fmt.Sprintf("must not be longer than %d bytes", maxParam), "body", "params", name)
			}
		}
		s.Params = maps.Clone(in.Params.Value)
	}
	if in.Unverified.Set {
		s.Unverified = in.Unverified.Value
	}
	if in.Tolerance.Set {
		v.between(in.Tolerance, -1, 7*24*60*60, "body", "toleranceSeconds")
		s.Tolerance = time.Duration(in.Tolerance.Value) * time.Second
	}
	if in.URL.Set {
		if u, err := url.Parse(in.URL.Value); in.URL.Given() && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			v.wrong("must be an http or https URL", "body", "url")
		}
		s.URL = in.URL.Value
	}
	if in.Confirm.Set {
		s.Confirm = in.Confirm.Value
	}
}

func (in *SourcePatch) applyLimits(v *check, s *hark.Source) {
	if in.Methods.Set {
		if in.Methods.Given() && (len(in.Methods.Value) == 0 || slices.ContainsFunc(in.Methods.Value, func(m string) bool { return !slices.Contains(sourceMethods, m) })) {
			v.wrong("must be some of "+strings.Join(sourceMethods, ", "), "body", "methods")
		}
		s.Methods = in.Methods.Value
	}
	if in.AllowIPs.Set {
		if len(in.AllowIPs.Value) > maxSourceList || in.AllowIPs.Given() && len(in.AllowIPs.Value) == 0 {
			v.wrong(fmt.Sprintf("must have 1 to %d entries", maxSourceList), "body", "allowIps")
		}
		for _, text := range in.AllowIPs.Value {
			if _, err := ingest.ParseNetwork(text); err != nil {
				v.wrong(fmt.Sprintf("%.64q is neither an address nor a network", text), "body", "allowIps")
			}
		}
		s.AllowIPs = in.AllowIPs.Value
	}
	if in.MaxBytes.Set {
		v.between(in.MaxBytes, 1, hark.MaxMaxBytes, "body", "maxBytes")
		s.MaxBytes = in.MaxBytes.Value
	}
	if in.RateLimit.Set {
		v.between(in.RateLimit, 1, maxSourceRate, "body", "rateLimit")
		s.RateLimit = in.RateLimit.Value
	}
	if in.DailyQuota.Set {
		v.between(in.DailyQuota, 1, maxQuota, "body", "dailyQuota")
		s.DailyQuota = in.DailyQuota.Value
	}
}

func (v *check) deduplication(in DeduplicateIn) hark.Deduplication {
	return hark.Deduplication{Off: in.Off, By: in.By, Window: v.window(in.By, in.WindowHours)}
}

// window checks what tells some from others, and for how long; 0 is as long as by default.
func (v *check) window(by []string, hours Opt[float64]) time.Duration {
	window := time.Duration(hours.Value * float64(time.Hour))
	if hours.Given() && (window < time.Minute || window > hark.MaxWindow) {
		v.wrong(fmt.Sprintf("must be a minute to %.0f hours", hark.MaxWindow.Hours()), "body", "deduplicate", "windowHours")
	}
	if len(by) > maxSourceList {
		v.wrong(fmt.Sprintf("must not be more than %d", maxSourceList), "body", "deduplicate", "by")
	}
	for _, text := range by {
		if err := ingest.CheckPart(text, false); err != nil {
			v.wrong(err.Error(), "body", "deduplicate", "by")
		}
	}
	return window
}

func (v *check) answer(in Opt[hark.SourceAnswer]) *hark.SourceAnswer {
	if !in.Given() {
		return nil
	}
	a := in.Value
	isError := a.Status >= 400 && a.Status <= 599
	if a.Status != 0 && !isError && (a.Status < 200 || a.Status > 299 || a.Status == 204 && a.Body != "") {
		v.wrong("must be 200 to 299 (204 has no body), or 400 to 599", "body", "answer", "status")
	}
	if len(a.Body) > maxAnswerBody {
		v.wrong(fmt.Sprintf("must not be longer than %d bytes", maxAnswerBody), "body", "answer", "body")
	}
	if len(a.Headers) > maxAnswerField {
		v.wrong(fmt.Sprintf("must not be more than %d", maxAnswerField), "body", "answer", "headers")
	}
	for name, value := range a.Headers {
		checked := name
		if strings.EqualFold(name, "Content-Type") { // which is the answer's own business here
			checked = "X-Type"
		}
		if problem := outbound.FieldProblem(checked, value); problem != "" {
			v.wrong(problem, "body", "answer", "headers", name)
		}
	}
	return &a
}

// wholeSource says what is wrong with a source once all of it is there.
func (v *check) wholeSource(s *hark.Source) {
	v.verification(s)
	// A provider that is told so sends again, and stops in the end, although Hark has the message.
	if s.Answer != nil && s.Answer.Status > 299 && !s.Unverified {
		v.wrong("must be 200 to 299: only a source to try things with (unverified: true) may answer with an error", "body", "answer", "status")
	}
}

// verification says what is wrong with how a source verifies.
func (v *check) verification(s *hark.Source) {
	field := "provider"
	if len(s.Scheme) > 0 {
		field = "scheme"
		if s.Provider != "" {
			v.wrong("give either provider or scheme", "body", "scheme")
			return
		}
		var scheme webhook.Scheme
		text := json.NewDecoder(bytes.NewReader(s.Scheme))
		text.DisallowUnknownFields() // a wrong name would leave out what somebody relies on
		if err := text.Decode(&scheme); err != nil {
			v.wrong("must be an object with algorithm, signed, header, … and nothing else: "+strings.TrimPrefix(err.Error(), "json: "), "body", "scheme")
			return
		}
	}
	secrets := make([]string, len(s.Secrets))
	for i, k := range s.Secrets {
		secrets[i] = k.Key.Reveal()
	}
	verifier, err := ingest.NewVerifier(s, secrets, nil)
	if err != nil {
		v.wrong(err.Error(), "body", field) // it never repeats a secret
		return
	}
	if !s.Unverified && !s.Confirm && !verifies(verifier) {
		v.wrong("a secret is needed to verify with (or unverified: true, so that the URL alone keeps strangers out)", "body", "secrets")
	}
}

// verifies says whether a verifier refuses anything: one without secrets does only where the provider's
// keys are public.
func verifies(verifier *webhook.Verifier) bool {
	return verifier != nil && verifier.Verify(context.Background(), webhook.Request{Method: "POST", Header: http.Header{}}, time.Now()).Outcome == webhook.Failed
}
