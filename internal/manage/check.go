package manage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/harkhq/hark"
)

// check collects what is wrong with an input, so that all of it is reported at once.
type check struct{ fields []hark.FieldError }

func (v *check) wrong(msg string, loc ...string) {
	v.fields = append(v.fields, hark.FieldError{Loc: loc, Msg: msg, Type: "value_error"})
}

func (v *check) wrongType(kind, msg string, loc ...string) {
	v.fields = append(v.fields, hark.FieldError{Loc: loc, Msg: msg, Type: kind})
}

func (v *check) err() error {
	if len(v.fields) == 0 {
		return nil
	}
	e := &hark.Error{Code: hark.Invalid, Fields: v.fields}
	e.Detail = e.Error()
	return e
}

// Characters that names of the various kinds are made of, beside letters and digits.
const (
	nameChars    = "-_."
	channelChars = "-_.:+"
	tagChars     = `-_./\#`
	sessionChars = "@_-"
)

// Longest names.
const (
	maxName    = 256
	maxChannel = 128
	maxTag     = 128
	maxSession = 64
)

// plainName says whether text is 1 to most letters, digits and chars.
func plainName(text, chars string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	for i := range len(text) {
		b := text[i]
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9') && strings.IndexByte(chars, b) < 0 {
			return false
		}
	}
	return true
}

func (v *check) name(text, chars string, most int, loc ...string) {
	if !plainName(text, chars, most) {
		v.wrong(fmt.Sprintf("must be 1 to %d letters, digits and %s", most, chars), loc...)
	}
}

// uid checks a caller's own id. It must not look like one of Hark's ids of the same kind, which
// could then not be told from it in a path.
func (v *check) uid(uid Opt[string], prefix string, loc ...string) {
	if !uid.Given() {
		return
	}
	if strings.HasPrefix(uid.Value, prefix) {
		v.wrong("must not start with "+prefix, loc...)
		return
	}
	v.name(uid.Value, nameChars, maxName, loc...)
}

// names checks a list that must not be empty when it is there.
func (v *check) names(list []string, chars string, longest, least, most int, loc ...string) {
	if len(list) < least || len(list) > most {
		if most == many {
			v.wrong("must not be empty", loc...)
		} else {
			v.wrong(fmt.Sprintf("must have %d to %d entries", least, most), loc...)
		}
		return
	}
	for i, name := range list {
		if !plainName(name, chars, longest) {
			v.name(name, chars, longest, append(slices.Clip(loc), strconv.Itoa(i))...)
		}
	}
}

// many is a bound that nothing reaches: requests are bounded themselves.
const many = 1 << 30

// throttle checks a rate and answers it, 0 for none.
func (v *check) throttle(rate Opt[int]) int {
	if rate.Given() && (rate.Value < 1 || rate.Value > 65535) {
		v.wrong("must be between 1 and 65535", "body", "throttleRate")
	}
	return rate.Value
}

// maxMetadata is the most bytes of metadata, as JSON.
const maxMetadata = 4096

// metadata checks and copies metadata; nil becomes empty.
func (v *check) metadata(meta map[string]string) map[string]string {
	out := make(map[string]string, len(meta))
	for k, s := range meta {
		out[k] = s
	}
	if text, err := json.Marshal(out); err != nil || len(text) > maxMetadata {
		v.wrong(fmt.Sprintf("must not be larger than %d bytes", maxMetadata), "body", "metadata")
	}
	return out
}

// text checks a text for people: no control characters that terminals and spreadsheets trip over.
func (v *check) text(text string, least, most int, loc ...string) {
	switch {
	case len(text) < least:
		v.wrong("must not be empty", loc...)
	case len(text) > most:
		v.wrong(fmt.Sprintf("must not be longer than %d bytes", most), loc...)
	case !utf8.ValidString(text):
		v.wrong("must be UTF-8", loc...)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= 0x08 }):
		v.wrong("must not contain control characters", loc...)
	}
}

// maxText is the longest name or description of anything.
const maxText = 64 << 10

// between checks a number that may be left out.
func (v *check) between(n Opt[int], least, most int, loc ...string) {
	if n.Given() && (n.Value < least || n.Value > most) {
		v.wrong(fmt.Sprintf("must be between %d and %d", least, most), loc...)
	}
}

// unique removes repetitions and keeps the order.
func unique(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
