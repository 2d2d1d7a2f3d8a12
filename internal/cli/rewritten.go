package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"unicode/utf16"
)

// What parsers and printers make of the same JSON. Each way of spacing is tried with each way of escaping.

// rewrite is JSON written in another way.
type rewrite struct {
	body []byte
	what string // "with its keys sorted"
}

// spacings are how JSON is laid out, by what writes it so.
var spacings = []struct {
	what string
	of   func(compact []byte) []byte
}{
	{"without the white space", func(b []byte) []byte { return b }},
	{"indented by two spaces", indentedBy("  ")},
	{"indented by four spaces", indentedBy("    ")},
	{"indented by tabs", indentedBy("\t")},
	{"with a space behind each comma and colon", spaced},
}

// escapings are how the same characters of JSON are written.
var escapings = []struct {
	what string
	of   func(plain []byte) []byte
}{
	{"", func(b []byte) []byte { return b }},
	{"with its slashes escaped", escapeSlashes},
	{"with its letters outside ASCII escaped", escapeRunes},
	{"with slashes and letters outside ASCII escaped", func(b []byte) []byte { return escapeSlashes(escapeRunes(b)) }},
	{"with <, > and & escaped", escapeHTML},
}

// maxRewritten bounds what is written in all those ways.
const maxRewritten = 1 << 20

// otherJSON is a body written in other ways; nothing if it is no JSON.
func otherJSON(body []byte) iter.Seq[rewrite] {
	return func(yield func(rewrite) bool) {
		var compact bytes.Buffer
		if len(body) > maxRewritten || json.Compact(&compact, body) != nil {
			return
		}
		texts := []struct {
			text []byte
			what string
		}{{compact.Bytes(), ""}, {rewritten(body), "with nothing escaped that need not be"}, {sorted(body), "with its keys sorted"}}
		for _, t := range texts {
			for _, spacing := range spacings {
				for _, escaping := range escapings {
					var what []string
					for _, w := range []string{t.what, spacing.what, escaping.what} {
						if w != "" {
							what = append(what, w)
						}
					}
					if t.text != nil && !yield(rewrite{spacing.of(escaping.of(t.text)), strings.Join(what, ", ")}) {
						return
					}
				}
			}
		}
	}
}

// sorted is JSON whose keys are in order, and whose numbers are as they were; nil if it is none.
func sorted(body []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return nil
	}
	return plainly(value)
}

// rewritten is JSON in which characters stand for themselves, its keys as they were; nil if it is none.
func rewritten(body []byte) []byte {
	var out bytes.Buffer
	rest := body
	for len(rest) > 0 {
		if rest[0] != '"' {
			if c := rest[0]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				out.WriteByte(c)
			}
			rest = rest[1:]
			continue
		}
		end := 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		var text string
		if end >= len(rest) || json.Unmarshal(rest[:end+1], &text) != nil {
			return nil
		}
		out.Write(plainly(text))
		rest = rest[end+1:]
	}
	return out.Bytes()
}

// plainly is JSON that escapes what must be; nil for what has none.
func plainly(value any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(value) != nil {
		return nil
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func indentedBy(indent string) func([]byte) []byte {
	return func(compact []byte) []byte {
		var out bytes.Buffer
		if json.Indent(&out, compact, "", indent) != nil {
			return compact
		}
		return out.Bytes()
	}
}

// spaced is as Python writes it.
func spaced(compact []byte) []byte {
	var out []byte
	inText := false
	for i, c := range compact {
		out = append(out, c)
		switch {
		case c == '"' && !isEscaped(compact, i):
			inText = !inText
		case !inText && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

// isEscaped says whether an odd number of backslashes stands before a place.
func isEscaped(text []byte, at int) bool {
	n := 0
	for at-n > 0 && text[at-n-1] == '\\' {
		n++
	}
	return n%2 == 1
}

// escapeSlashes is as PHP writes it.
func escapeSlashes(text []byte) []byte { return bytes.ReplaceAll(text, []byte("/"), []byte(`\/`)) }

// escapeRunes is as Python and PHP write it.
func escapeRunes(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		switch {
		case r < 0x80:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// escapeHTML is as Go writes it.
func escapeHTML(text []byte) []byte {
	var out bytes.Buffer
	json.HTMLEscape(&out, text)
	return out.Bytes()
}
