// Package refusal reads what the API answers when it does not do what it was asked, for those who call it.
//
// It promises to understand both shapes that such an answer has, one sentence or a list of what is wrong with
// which input, and that whatever else comes, from a proxy for example, is a Refusal that says nothing.
//
// It refuses to judge the status.
package refusal

import (
	"encoding/json"
	"strings"
)

// Refusal is why the API did not do something.
type Refusal struct {
	Code   string
	Detail string // for people
	Field  string // the first input that is wrong, where the API names one: "filter.amount"
}

// Read reads an answer's body.
func Read(body []byte) Refusal {
	var wire struct {
		Code   string          `json:"code"`
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &wire) != nil {
		return Refusal{}
	}
	r := Refusal{Code: wire.Code}
	if json.Unmarshal(wire.Detail, &r.Detail) == nil {
		return r
	}
	var inputs []struct {
		Loc []string `json:"loc"`
		Msg string   `json:"msg"`
	}
	if json.Unmarshal(wire.Detail, &inputs) != nil {
		return Refusal{Code: wire.Code}
	}
	var parts []string
	for _, in := range inputs {
		where := in.Loc
		if len(where) > 1 { // "body" says nothing to somebody who has typed flags
			where = where[1:]
		}
		name := strings.Join(where, ".")
		if r.Field == "" {
			r.Field = name
		}
		parts = append(parts, name+": "+in.Msg)
	}
	r.Detail = strings.Join(parts, "; ")
	return r
}
