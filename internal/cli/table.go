package cli

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// table is rows of text for people: aligned always, cut only on a terminal, where a wrapped line is
// worse than a short one.
type table struct {
	header []string
	rows   [][]string
}

func newTable(header ...string) *table { return &table{header: header} }

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// printable drops what could move a terminal's cursor: cells hold what other people wrote.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && utf8.ValidString(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return '·'
	}, text)
}

const columnGap = 2

// write prints the table; width 0 means that nothing is cut.
func (t *table) write(sh *shell) {
	widths := t.widths(sh.width)
	line := func(cells []string, paint func(column int, text string) string) {
		var b strings.Builder
		for i, cell := range cells {
			text := cut(cell, widths[i])
			pad := widths[i] - utf8.RuneCountInString(text) + columnGap
			b.WriteString(paint(i, text))
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", pad))
			}
		}
		sh.say("%s", strings.TrimRight(b.String(), " "))
	}
	line(t.header, func(_ int, text string) string { return sh.paint(dim, text) })
	for _, row := range t.rows {
		line(row, func(column int, text string) string { return sh.paintStatus(t.header[column], text) })
	}
}

// widths are the columns' widths: what they need, less what the terminal does not have. The widest
// column gives way first, down to a width in which something can still be recognised; the thing's
// own id never does, because the next command needs all of it.
func (t *table) widths(limit int) []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	const least = 8
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; limit > 0 && total > limit; total-- {
		widest := -1
		for i, w := range widths {
			if t.header[i] != "ID" && w > least && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// cut shortens text to a width. What tells ids of one hour apart is their end, so that of an id the
// prefix and the end stay.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	if prefix, rest, ok := strings.Cut(text, "_"); ok && len(rest) == 27 && len(prefix)+2 < width {
		return prefix + "_…" + text[len(text)-(width-len(prefix)-2):]
	}
	return string(runes[:max(width-1, 0)]) + "…"
}

// paintStatus colours the words that say how it went.
func (sh *shell) paintStatus(header, text string) string {
	if header != "STATUS" && header != "STATE" {
		return text
	}
	switch text {
	case "success", "enabled", "active", "matched", "accepted":
		return sh.paint(green, text)
	case "fail", "disabled", "revoked", "expired", "rejected", "failing":
		return sh.paint(red, text)
	case "sending", "pending", "paused", "canceled", "duplicate":
		return sh.paint(yellow, text)
	}
	return text
}

// clock writes a moment for people; a zero moment is nothing.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// join lists names, or says what an empty list means.
func join(names []string, empty string) string {
	if len(names) == 0 {
		return empty
	}
	return strings.Join(names, ",")
}

// fields prints one thing as names and values; what is empty is left out.
func (sh *shell) fields(pairs [][2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			sh.say("%s  %s", sh.paint(dim, p[0]+strings.Repeat(" ", width-len(p[0]))), printable(p[1]))
		}
	}
}

// jsonText is JSON as it is; null is nothing.
func jsonText(raw json.RawMessage) string {
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// pairs lists metadata in the order of its names.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ", ")
}

// done confirms what happened to something: "deleted ep_…", or {"id": …, "result": "deleted"}.
func (sh *shell) done(asJSON bool, what, id string) error {
	if asJSON {
		return sh.json(map[string]string{"id": id, "result": what})
	}
	sh.say("%s %s", what, id)
	return nil
}
