package screen

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// How times are written.
const (
	clock  = "15:04:05"
	moment = "2006-01-02 15:04:05"
)

// look is how a meaning is drawn, in the sixteen colours that are the person's own.
func look(s style) lipgloss.Style {
	l := lipgloss.NewStyle()
	switch s {
	case heading:
		return l.Bold(true)
	case faint:
		return l.Faint(true)
	case good:
		return l.Foreground(lipgloss.Green)
	case odd:
		return l.Foreground(lipgloss.Yellow)
	case bad:
		return l.Foreground(lipgloss.Red)
	}
	return l
}

func paint(s style, text string) string {
	if s == plain || text == "" {
		return text
	}
	return look(s).Render(text)
}

// View draws the screen: always as many lines as it is high, none wider than it is.
func (m *model) View() tea.View {
	lines := m.header()
	room := m.height - len(lines) - 1
	if m.page == pageList {
		lines = append(lines, m.table(room)...)
	} else {
		lines = append(lines, m.read(room)...)
	}
	foot := m.footer()
	for len(lines) < m.height {
		lines = append(lines, "")
	}
	lines = append(lines[:m.height-len(foot)], foot...)
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	if m.typing {
		v.Cursor = tea.NewCursor(min(1+ansi.StringWidth(m.query), m.width-1), m.height-1)
	}
	return v
}

// room is how many lines of a page there is room for.
func (m *model) room() int { return max(m.height-len(m.header())-1, 1) }

// rows is how many messages there is room for.
func (m *model) rows() int { return m.room() }

// header says where messages come from and go to, and what is wrong. On a page, or where there are few
// lines, it is one.
func (m *model) header() (lines []string) {
	word, s := m.state()
	name := cut("hark listen  "+cleanField(m.opt.Application), max(m.width-ansi.StringWidth(word)-1, 0))
	gap := max(m.width-ansi.StringWidth(name)-ansi.StringWidth(word), 0)
	lines = append(lines, paint(heading, name)+strings.Repeat(" ", gap)+paint(s, cut(word, m.width)))
	if m.page == pageList && m.height >= 10 && m.ready != nil {
		if m.ready.Session.URL != "" {
			lines = append(lines, cut("URL "+cleanField(m.ready.Session.URL), m.width))
		}
		lines = append(lines, m.forward())
	}
	if m.height >= 5 {
		if text := m.banner(); text != "" {
			lines = append(lines, paint(odd, cut(text, m.width)))
		}
	}
	if m.height >= 10 {
		lines = append(lines, paint(faint, strings.Repeat("─", m.width)))
	}
	return lines[:min(len(lines), max(m.height-2, 0))]
}

func (m *model) state() (string, style) {
	switch {
	case m.trouble != nil:
		return "○ reconnecting", odd
	case m.ready == nil:
		return "○ connecting", faint
	case m.standby:
		return "○ standing by", odd
	}
	return "● connected", good
}

func (m *model) forward() string {
	target := m.target()
	state, s := "", faint
	switch {
	case target == "":
		return paint(faint, cut("To  nowhere (--forward-to 4242 changes that)", m.width))
	case m.waiting != nil:
		state, s = "○ nothing listens", odd
	case m.answering:
		state, s = "● answers", good
	}
	left := cut("To  "+cleanField(target), max(m.width-ansi.StringWidth(state)-1, 0))
	return left + strings.Repeat(" ", max(m.width-ansi.StringWidth(left)-ansi.StringWidth(state), 0)) + paint(s, state)
}

// banner is what is wrong, and that it is not that bad.
func (m *model) banner() string {
	switch {
	case m.trouble != nil:
		return fmt.Sprintf("Reconnecting; nothing is lost (%s).", cleanField(m.trouble.Error()))
	case m.standby:
		return "Another listener has taken over (try: --fan-out)."
	case m.waiting != nil:
		return "Messages wait until your server is up."
	}
	return ""
}

// columns of the list that have always the same width.
const (
	timeWidth    = len(clock)
	statusWidth  = 5
	latencyWidth = 7
	idWidth      = 31
	shortID      = 11
	shortType    = 16
	wideType     = 36 // customer.subscription.trial_will_end
)

func (m *model) table(room int) []string {
	if len(m.shown) == 0 {
		return m.empty()
	}
	var lines []string
	for _, e := range m.shown[m.top:min(m.top+max(room, 0), len(m.shown))] {
		lines = append(lines, m.row(e))
	}
	return lines
}

// row draws one message: what does not fit is left out, the id first.
func (m *model) row(e *entry) string {
	mark := "  "
	if e == m.selected {
		mark = "▸ "
	}
	at := e.at.Local().Format(clock)
	if e.gap != nil {
		text := fmt.Sprintf("%s%s %s expired, or were deleted, before they came", mark, at, count(e.gap.To-e.gap.From+1, "message"))
		return paint(odd, cut(text, m.width))
	}
	status, took := e.status(), ""
	if e.response != nil {
		took = latency(e.response.Took)
	} else if status == "" && m.target() != "" {
		status = "…"
	}
	rest := m.width - (2 + timeWidth + 1 + statusWidth + 1 + latencyWidth + 2)
	name, id := m.label(e), ""
	switch {
	case rest >= wideType+1+idWidth:
		id = " " + string(e.message.ID)
		rest -= 1 + idWidth
	case rest >= shortType+1+shortID:
		id = " " + cutFront(string(e.message.ID), shortID)
		rest -= 1 + shortID
	}
	name = fit(name, rest)
	if e == m.selected {
		name = paint(heading, name)
	}
	text := mark + paint(faint, at) + " " + paint(statusStyle(e), fit(status, statusWidth)) + " " +
		paint(faint, fmt.Sprintf("%*s", latencyWidth, took)) + "  " + name + paint(faint, cleanField(id))
	return cut(text, m.width)
}

// label is a message's type, and what has been done to it.
func (m *model) label(e *entry) string {
	name := cleanField(e.message.EventType)
	if e.edited {
		name = "edited " + name
	}
	if e.answers > 1 {
		name = fmt.Sprintf("%d× %s", e.answers, name)
	}
	return name
}

// statusStyle is the colour of what became of a message.
func statusStyle(e *entry) style {
	switch r := e.response; {
	case r == nil && e.waiting:
		return odd
	case r == nil:
		return faint
	case r.OK():
		return good
	case r.Err == "" && r.Status < 400:
		return odd
	}
	return bad
}

// empty says what to do when there is nothing to see.
func (m *model) empty() (lines []string) {
	t := &text{width: m.width}
	t.lines = append(t.lines, line{})
	switch {
	case m.query != "":
		t.say(plain, "Nothing matches. Esc takes the filter away.")
	case m.ready == nil:
		t.add(plain, "Connecting …")
	case m.opt.Invite == "":
		t.say(plain, "No messages yet.")
	default:
		t.say(plain, "No messages yet. From another terminal:")
		t.lines = append(t.lines, line{})
		t.add(plain, "%s", m.opt.Invite)
		if url := m.ready.Session.URL; url != "" {
			t.add(plain, "curl -d '{\"hello\": \"world\"}' %s", url)
		}
	}
	return draw(t.lines)
}

// read draws the part of a page that is scrolled to.
func (m *model) read(room int) []string {
	return draw(m.lines[min(m.scroll, len(m.lines)):min(m.scroll+max(room, 0), len(m.lines))])
}

func draw(lines []line) (out []string) {
	for _, l := range lines {
		out = append(out, paint(l.style, l.text))
	}
	return out
}

// mostNote is how many lines a note may take.
const mostNote = 3

// footer says what was done last, or what there is; and which keys do what, as far as there is room. A long
// note covers what is above it, until the next key.
func (m *model) footer() []string {
	if m.typing {
		return []string{cut("/"+m.query, m.width)}
	}
	left, s := m.status(), faint
	if m.note != "" {
		left, s = cleanField(m.note), plain
		if m.failed {
			s = bad
		}
	}
	if most := min(mostNote, m.height-1); ansi.StringWidth(left) > m.width && m.note != "" && most > 1 {
		t := &text{width: m.width}
		t.say(s, "%s", left)
		return draw(t.lines[:min(len(t.lines), most)])
	}
	left = cut(left, m.width)
	for _, keys := range m.keys() {
		if gap := m.width - ansi.StringWidth(left) - ansi.StringWidth(keys); gap >= 2 {
			return []string{paint(s, left) + strings.Repeat(" ", gap) + paint(faint, keys)}
		}
	}
	return []string{paint(s, left)}
}

// keys are hints, the longest first.
func (m *model) keys() []string {
	switch m.page {
	case pageDetails:
		return []string{"Esc back  n p next, previous  r retry  e edit  c curl", "Esc back  r retry  e edit", "Esc back"}
	case pageHelp, pageSession:
		return []string{"Esc back"}
	}
	return []string{"Enter details  r retry  e edit  / filter  ? help  q quit", "Enter details  r retry  ? help  q quit", "? help  q quit", "? help"}
}

func (m *model) status() string {
	if m.page != pageList {
		last := min(m.scroll+m.room(), len(m.lines))
		if m.scroll == 0 && last == len(m.lines) {
			return ""
		}
		return fmt.Sprintf("%d–%d of %d", m.scroll+1, last, len(m.lines))
	}
	text := count(int64(len(m.shown)), "message")
	if m.query != "" {
		text = fmt.Sprintf("%d of %d match /%s", len(m.shown), len(m.history.entries), m.query)
	}
	if !m.follow {
		text += ", G follows"
	}
	return text
}

// count says how many there are.
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// latency is a time in at most seven columns.
func latency(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
