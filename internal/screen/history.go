package screen

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

// What is remembered at most.
const (
	maxMessages = 1000
	maxBytes    = 16 << 20
)

// entry is a row of the list: a message and what became of it, or a gap.
type entry struct {
	at       time.Time
	message  *listen.Message
	gap      *listen.Gap
	response *listen.Response // the newest; nil while there is none
	answers  int              // how often it was answered
	waiting  bool             // nothing listens
	edited   bool             // by hand
	matches  bool             // the filter
}

func (e *entry) bytes() int {
	if e.message == nil {
		return 0
	}
	n := messageBytes(e.message)
	if e.response != nil {
		n += responseBytes(e.response)
	}
	return n
}

func messageBytes(m *listen.Message) int {
	n := len(m.Body) + len(m.EventType) + len(m.Path)
	for _, h := range m.Header {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

func responseBytes(r *listen.Response) int {
	n := len(r.Body) + len(r.Err)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// status says in a word what became of it.
func (e *entry) status() string {
	switch {
	case e.gap != nil:
		return "gap"
	case e.response != nil && e.response.Err != "":
		return "error"
	case e.response != nil:
		return strconv.Itoa(e.response.Status)
	case e.waiting:
		return "waits"
	}
	return ""
}

// history is what is remembered, oldest first.
type history struct {
	entries []*entry
	byKey   map[key]*entry
	bytes   int
}

// key tells entries apart: a message that comes again has another number, an edited one another id.
type key struct {
	seq int64
	id  hark.MessageID
}

func keyOf(m *listen.Message) key { return key{m.Seq, m.ID} }

func newHistory() history { return history{byKey: map[key]*entry{}} }

// add appends an entry and forgets the oldest ones if need be, but never all.
func (h *history) add(e *entry) {
	h.entries = append(h.entries, e)
	h.bytes += e.bytes()
	if e.message != nil {
		h.byKey[keyOf(e.message)] = e
	}
	h.trim()
}

func (h *history) trim() {
	for len(h.entries) > 1 && (len(h.entries) > maxMessages || h.bytes > maxBytes) {
		old := h.entries[0]
		h.entries[0] = nil
		h.entries = h.entries[1:]
		h.bytes -= old.bytes()
		if old.message != nil && h.byKey[keyOf(old.message)] == old {
			delete(h.byKey, keyOf(old.message))
		}
	}
}

// came is a message that has come.
func (h *history) came(m *listen.Message) *entry {
	if e := h.byKey[keyOf(m)]; e != nil {
		return e
	}
	e := &entry{at: m.At, message: m}
	h.add(e)
	return e
}

// answered is an answer; that to an edited message is the first that is heard of it.
func (h *history) answered(r *listen.Response) *entry {
	e := h.byKey[keyOf(r.Message)]
	if e == nil {
		e = &entry{at: r.At, message: r.Message, edited: r.Edited}
		h.add(e)
	}
	h.bytes -= e.bytes()
	e.response, e.waiting = r, false
	e.answers++
	h.bytes += e.bytes()
	h.trim()
	return e
}

// filter is what the person looks for: words, all of which must be found.
type filter []word

type word struct {
	text   string // lower case
	status string // of digits and x, such as 404 or 5xx; "" if it is not meant so
}

func parseFilter(text string) (f filter) {
	for _, w := range strings.Fields(strings.ToLower(text)) {
		it := word{text: w}
		if len(w) == 3 && w[0] >= '1' && w[0] <= '5' && strings.Trim(w[1:], "0123456789x") == "" {
			it.status = w
		}
		f = append(f, it)
	}
	return f
}

// matches looks for every word in the type, the id, the status and the body. What looks like a status is
// one: 200 is in too many bodies.
func (f filter) matches(e *entry) bool {
	if len(f) == 0 {
		return true
	}
	if e.message == nil {
		return false
	}
	var body []byte
	for _, w := range f {
		switch {
		case w.status != "":
			if !sameStatus(w.status, e.status()) {
				return false
			}
			continue
		case strings.Contains(strings.ToLower(e.message.EventType), w.text), strings.Contains(strings.ToLower(string(e.message.ID)), w.text), e.status() == w.text:
			continue
		}
		if body == nil {
			body = bytes.ToLower(e.message.Body)
		}
		if !bytes.Contains(body, []byte(w.text)) {
			return false
		}
	}
	return true
}

func sameStatus(pattern, status string) bool {
	if len(status) != len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != 'x' && pattern[i] != status[i] {
			return false
		}
	}
	return true
}
