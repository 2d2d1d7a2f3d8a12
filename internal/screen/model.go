package screen

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/harkhq/hark/internal/listen"
)

// page is what fills the screen.
type page int

const (
	pageList page = iota
	pageDetails
	pageSession // secret and addresses
	pageHelp
)

// model is what the screen knows. Update changes it, and View draws it; neither does anything else.
type model struct {
	opt           *Options
	act           actions
	width, height int

	ready     *listen.Ready // the newest; nil before the first
	trouble   error         // the connection is lost
	standby   bool
	waiting   *listen.Waiting // nothing listens
	answering bool            // something has answered there last
	gone      int64           // messages that expired before they came

	history  history
	filter   filter
	query    string // the filter as it is written
	typing   bool   // the person writes it
	shown    []*entry
	selected *entry // nil when nothing is shown
	top      int    // the first row that is drawn
	follow   bool   // the newest is selected

	page   page
	lines  []line // of a page that scrolls
	scroll int

	busy   bool // an action goes on
	note   string
	failed bool // and so the note is bad news
}

func newModel(opt *Options, act actions) *model {
	return &model{opt: opt, act: act, width: 80, height: 24, history: newHistory(), follow: true}
}

// Init asks for nothing.
func (m *model) Init() tea.Cmd { return nil }

// Update takes in what has happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 1), max(msg.Height, 1)
		m.refresh()
	case happened:
		m.happen(msg)
	case done:
		m.busy = false
		m.say(msg.note, msg.failed)
	case edited:
		m.say("Sending …", false)
		cmd = m.act.resend(msg.message, msg.body)
	case tea.PasteMsg:
		if m.typing {
			m.search(m.query + oneLine(msg.Content))
		}
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	}
	m.settle()
	return m, cmd
}

func (m *model) say(note string, failed bool) { m.note, m.failed = note, failed }

// happen takes in events.
func (m *model) happen(events []listen.Event) {
	for _, e := range events {
		switch e := e.(type) {
		case listen.Ready:
			m.ready, m.trouble, m.standby = &e, nil, false
			if e.Behind > 0 {
				m.say(fmt.Sprintf("%s waited.", count(e.Behind, "message")), false)
			}
		case listen.Message:
			m.judge(m.history.came(&e))
		case listen.Response:
			m.waiting, m.answering = nil, e.Err == ""
			answered := m.history.answered(&e)
			if m.selected != nil && m.selected.message != nil && keyOf(m.selected.message) == keyOf(e.Message) {
				m.selected = answered // it may have been forgotten before
			}
			m.judge(answered)
		case listen.Waiting:
			if e.CutOff {
				break // it is sent once more at once
			}
			m.waiting, m.answering = &e, false
			if held := m.history.byKey[keyOf(e.Message)]; held != nil {
				held.waiting = true
				m.judge(held)
			}
		case listen.Reconnecting:
			m.trouble = e.Err
		case listen.Standby:
			m.standby, m.waiting = true, nil
		case listen.Gap:
			m.gone += e.To - e.From + 1
			gap := &entry{at: e.At, gap: &e}
			m.history.add(gap)
			m.judge(gap)
		}
	}
	m.list()
	if m.page == pageDetails || m.page == pageSession {
		m.refresh()
	}
}

// judge asks the filter about one entry, so that the others need not be asked again.
func (m *model) judge(e *entry) { e.matches = m.filter.matches(e) }

// list makes the list of what matches.
func (m *model) list() {
	m.shown = m.shown[:0]
	for _, e := range m.history.entries {
		if e.matches {
			m.shown = append(m.shown, e)
		}
	}
}

// search filters by a text.
func (m *model) search(query string) {
	m.query, m.filter = query, parseFilter(query)
	for _, e := range m.history.entries {
		m.judge(e)
	}
	m.list()
}

// settle keeps the selection and what is drawn within the list.
func (m *model) settle() {
	if m.page != pageDetails { // details stay, whatever comes or is forgotten
		at := m.index()
		switch {
		case len(m.shown) == 0:
			m.selected, m.follow = nil, true
		case m.follow:
			m.selected = m.shown[len(m.shown)-1]
		case at < 0:
			m.selected = m.shown[0] // it was forgotten, or does not match
		}
	}
	rows := m.rows()
	at := max(m.index(), 0)
	m.top = min(max(m.top, at-rows+1), at)
	m.top = max(0, min(m.top, len(m.shown)-rows))
	m.scroll = max(0, min(m.scroll, len(m.lines)-m.room()))
}

func (m *model) index() int { return slices.Index(m.shown, m.selected) }

// press does what a key says.
func (m *model) press(k tea.KeyPressMsg) tea.Cmd {
	pressed := k.String()
	if pressed == "ctrl+c" {
		return tea.Quit
	}
	if pressed == "ctrl+z" {
		return tea.Suspend
	}
	if m.typing {
		m.write(k)
		return nil
	}
	m.note = ""
	switch pressed {
	case "q":
		if m.page == pageList {
			return tea.Quit
		}
		m.show(pageList)
	case "?", "f1":
		m.show(pageHelp)
	case "s":
		m.show(pageSession)
	case "esc", "backspace", "left", "h":
		m.back()
	case "enter", "right", "l":
		if m.page == pageList && m.selected != nil && m.selected.message != nil {
			m.show(pageDetails)
		}
	case "/":
		m.show(pageList)
		m.typing = true
	case "r", "e", "c":
		return m.actOn(pressed)
	case "o":
		return m.act.open(m.opt.Dashboard)
	default:
		m.move(pressed)
	}
	return nil
}

// back leaves a page, and in the list the filter.
func (m *model) back() {
	if m.page != pageList {
		m.show(pageList)
		return
	}
	m.search("")
}

func (m *model) show(p page) {
	if m.page == pageDetails && p != pageDetails { // what was read stays selected
		m.follow = m.follow && m.index() == len(m.shown)-1
	}
	m.page, m.scroll = p, 0
	m.refresh()
}

// write takes in a key of the filter.
func (m *model) write(k tea.KeyPressMsg) {
	switch pressed := k.String(); pressed {
	case "enter":
		m.typing = false
	case "esc":
		m.typing = false
		m.search("")
	case "ctrl+u":
		m.search("")
	case "backspace":
		if m.query == "" {
			m.typing = false
			return
		}
		letters := []rune(m.query)
		m.search(string(letters[:len(letters)-1]))
	case "up", "down", "pgup", "pgdown":
		m.move(pressed)
	default:
		if text := k.Key().Text; text != "" {
			m.search(m.query + oneLine(text))
		}
	}
}

// oneLine leaves out what does not stand in a line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

// actOn does something with the message that is selected.
func (m *model) actOn(pressed string) tea.Cmd {
	if m.page == pageHelp || m.page == pageSession || m.selected == nil || m.selected.message == nil {
		return nil
	}
	msg := m.selected.message
	if pressed == "c" {
		return m.copy(msg)
	}
	if m.busy {
		m.say("The one before is not answered yet.", true)
		return nil
	}
	m.busy = true
	if pressed == "e" {
		return m.act.edit(msg)
	}
	m.say("Sending …", false)
	return m.act.retry(msg)
}

// copy puts a curl command into the clipboard of the terminal, which does not say whether it took it.
func (m *model) copy(msg *listen.Message) tea.Cmd {
	url := m.target()
	note := "Copied as curl"
	if url == "" {
		url = "http://localhost:3000/"
		note += " to " + url
	}
	text := curl(msg, msg.SentTo(url), m.opt.Headers, m.opt.SkipVerify)
	if len(text) > 64<<10 {
		note += fmt.Sprintf(", %s: some terminals take less", size(len(text)))
	}
	m.say(note+". Receivers take its signature for five minutes from "+msg.At.Local().Format(clock)+".", false)
	return tea.SetClipboard(text)
}

// target is where messages go; "" for nowhere.
func (m *model) target() string {
	if m.ready == nil {
		return ""
	}
	return m.ready.ForwardTo
}

// move moves in the list, or in what is read.
func (m *model) move(pressed string) {
	if m.page == pageDetails && (pressed == "n" || pressed == "p") {
		m.step(map[string]int{"n": 1, "p": -1}[pressed])
		m.show(pageDetails)
		return
	}
	size := m.room()
	if m.page == pageList {
		size = m.rows()
	}
	by := 0
	switch pressed {
	case "j", "down":
		by = 1
	case "k", "up":
		by = -1
	case "pgdown", "space", "ctrl+f":
		by = max(size-1, 1)
	case "pgup", "ctrl+b":
		by = -max(size-1, 1)
	case "g", "home":
		by = -1 << 30
	case "G", "end":
		by = 1 << 30
	default:
		return
	}
	if m.page != pageList {
		m.scroll += by
		return
	}
	m.step(by)
}

// step selects another message. At the end of the list it follows what comes.
func (m *model) step(by int) {
	if len(m.shown) == 0 {
		return
	}
	at := max(0, min(max(m.index(), 0)+by, len(m.shown)-1))
	if m.page == pageDetails && m.shown[at].message == nil {
		return // of a gap there are no details
	}
	m.selected = m.shown[at]
	m.follow = at == len(m.shown)-1
}
