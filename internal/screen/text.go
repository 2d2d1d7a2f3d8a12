package screen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// mostMarks is how many marks may stand on one character: more is a heap that covers other lines.
const mostMarks = 8

// mostField is how much is shown of what is usually short, such as a header's value.
const mostField = 8 << 10

// cleanField is clean for a line, which has an end.
func cleanField(text string) string {
	if len(text) <= mostField {
		return clean(text)
	}
	return clean(text[:mostField]) + "…"
}

// clean makes text safe to draw. What would not be seen, or would do something, is written as an escape.
func clean(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	marks := 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r) && marks <= mostMarks:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// isPlain says that text is printable ASCII, as most is.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// cut shortens text to a width.
func cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(text, width, "…")
}

// cutFront shortens text from the front: the ends of ids differ, not their beginnings.
func cutFront(text string, width int) string {
	over := ansi.StringWidth(text) - width
	if over <= 0 || width <= 0 {
		return cut(text, width)
	}
	return ansi.TruncateLeft(text, over+1, "…")
}

// fit shortens or fills text to exactly a width.
func fit(text string, width int) string {
	text = cut(text, width)
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// wrap breaks text at a width.
func wrap(text string, width int) []string {
	if ansi.StringWidth(text) <= width {
		return []string{text}
	}
	return strings.Split(ansi.Hardwrap(text, max(width, 2), true), "\n") // a wide character needs two columns
}

// How much of a body is shown.
const (
	mostText   = 256 << 10
	mostBinary = 16 << 10
	mostNested = 40 // deeper JSON is shown as it is: indenting costs the square of the depth
)

// show makes lines of a body, at most width columns wide: indented if it is JSON, in hexadecimal if it is no
// text; kind says which.
func show(body []byte, width int) (lines []string, kind string) {
	if len(body) == 0 {
		return nil, "empty"
	}
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		shown := body[:min(len(body), mostBinary)]
		return more(dump(shown, width), len(body)-len(shown)), "binary"
	}
	shown, kind := body, "text"
	if len(body) <= mostText && nesting(body) <= mostNested {
		var indented bytes.Buffer
		if json.Indent(&indented, bytes.TrimSpace(body), "", "  ") == nil {
			shown, kind = indented.Bytes(), "JSON"
		}
	}
	left := 0
	if len(shown) > mostText {
		left = len(shown) - mostText
		shown = shown[:mostText]
		for !utf8.Valid(shown[max(0, len(shown)-utf8.UTFMax):]) && len(shown) > mostText-utf8.UTFMax {
			shown, left = shown[:len(shown)-1], left+1
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(shown), "\n"), "\n") {
		lines = append(lines, wrap(clean(strings.TrimSuffix(line, "\r")), width)...)
	}
	return more(lines, left), kind
}

func more(lines []string, left int) []string {
	if left == 0 {
		return lines
	}
	return append(lines, fmt.Sprintf("… and %s more, not shown", size(left)))
}

// nesting is at most how deep JSON is nested.
func nesting(body []byte) (most int) {
	depth := 0
	for _, c := range body {
		switch c {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most
}

// dump writes bytes in hexadecimal, as many in a line as there is room for.
func dump(body []byte, width int) (lines []string) {
	per := 4
	for _, n := range []int{8, 16} {
		if 6+1+3*n+2+n <= width {
			per = n
		}
	}
	for at := 0; at < len(body); at += per {
		part := body[at:min(at+per, len(body))]
		text := bytes.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, asLatin(part))
		lines = append(lines, cut(fmt.Sprintf("%06x %-*s  %s", at, 3*per, fmt.Sprintf(" % x", part), text), width))
	}
	return lines
}

// asLatin makes every byte a character.
func asLatin(part []byte) []byte {
	out := make([]rune, len(part))
	for i, b := range part {
		out[i] = rune(b)
	}
	return []byte(string(out))
}

// size says how much that is.
func size(n int) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
