// Package match decides which endpoints a message goes to, and says why: by event type, by
// channel, and by a filter over the payload.
//
// The promise: a Rule that compiles never fails later. A value of the wrong type is no match,
// whatever the payload looks like, and matching ends within a fixed number of steps. Types and
// channels are compared without allocating; the payload is parsed at most once per message, and
// not at all unless a filter needs it. Numbers are compared exactly, however long they are.
//
// It refuses filters that are too large or too deep, and operators that it does not know. See
// Compile for the filter language.
package match

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Rule is what an endpoint asks for.
type Rule struct {
	EventTypes []string        // none: every event type
	Channels   []string        // none: every message; else only messages with one of these channels
	Filter     json.RawMessage // none, or null: every payload
}

// Matcher is a compiled Rule. It is immutable and safe for concurrent use.
type Matcher struct {
	eventTypes set
	channels   set
	filter     node // nil: none
}

// Subject is a message to be matched against many rules. It is for one goroutine at a time.
type Subject struct {
	eventType string
	channels  []string
	payload   []byte
	head      []byte // of an inbound message

	parsed    bool
	root      any // absent when the payload is not JSON
	requested bool
	request   any // what $request looks at; absent when there is none
}

// NewSubject prepares a message. It keeps what it is given and parses nothing yet.
func NewSubject(eventType string, channels []string, payload []byte) *Subject {
	return &Subject{eventType: eventType, channels: channels, payload: payload}
}

// EventType is the message's event type.
func (s *Subject) EventType() string { return s.eventType }

// document is the payload, parsed once.
func (s *Subject) document() any {
	if s.parsed {
		return s.root
	}
	s.parsed, s.root = true, absent
	if root, ok := parse(s.payload); ok {
		s.root = root
	}
	return s.root
}

// Match says whether the message goes to the endpoint.
func (m *Matcher) Match(s *Subject) bool {
	return m.eventTypes.allows(s.eventType) && m.channels.allowsAny(s.channels) && m.matchFilter(s)
}

func (m *Matcher) matchFilter(s *Subject) bool {
	if m.filter == nil {
		return true
	}
	r := run{root: s.document(), subject: s, left: maxSteps}
	return m.filter.match(&r, r.root) && !r.exhausted()
}

// The clauses of a rule, as Verdict names them.
const (
	ClauseEventTypes = "eventTypes"
	ClauseChannels   = "channels"
	ClauseFilter     = "filter"
)

// Verdict says whether a message matched and, if not, which clause decided and why.
type Verdict struct {
	Matched bool
	Clause  string // ClauseEventTypes, ClauseChannels, ClauseFilter; "" when matched
	Detail  string // a sentence for the person; "" when matched
}

// Explain is Match with reasons. It is for people, not for the hot path.
func (m *Matcher) Explain(s *Subject) Verdict {
	if !m.eventTypes.allows(s.eventType) {
		return Verdict{Clause: ClauseEventTypes, Detail: fmt.Sprintf("wanted one of %s, found %s", m.eventTypes, s.eventType)}
	}
	if !m.channels.allowsAny(s.channels) {
		found := "none"
		if len(s.channels) > 0 {
			found = strings.Join(s.channels, ", ")
		}
		return Verdict{Clause: ClauseChannels, Detail: fmt.Sprintf("wanted one of %s, found %s", m.channels, found)}
	}
	if m.matchFilter(s) {
		return Verdict{Matched: true}
	}
	return Verdict{Clause: ClauseFilter, Detail: m.explainFilter(s)}
}

func (m *Matcher) explainFilter(s *Subject) string {
	if s.document() == absent && s.head == nil {
		return "the payload is not JSON"
	}
	r := run{root: s.root, subject: s, left: maxSteps}
	detail := m.filter.why(&r, "body", s.root)
	if r.exhausted() {
		return fmt.Sprintf("the filter took more than %d steps on this payload", maxSteps)
	}
	return detail
}

// set is a list of allowed names; an empty one allows everything.
type set struct {
	names []string
	index map[string]struct{} // nil while names is short
}

// shortList is how many names are looked through one by one before hashing pays.
const shortList = 8

func newSet(names []string) set {
	s := set{names: slices.Clone(names)}
	if len(names) > shortList {
		s.index = make(map[string]struct{}, len(names))
		for _, name := range names {
			s.index[name] = struct{}{}
		}
	}
	return s
}

func (s *set) contains(name string) bool {
	if s.index != nil {
		_, ok := s.index[name]
		return ok
	}
	return slices.Contains(s.names, name)
}

func (s *set) allows(name string) bool { return len(s.names) == 0 || s.contains(name) }

func (s *set) allowsAny(names []string) bool {
	return len(s.names) == 0 || slices.ContainsFunc(names, s.contains)
}

// String lists the first few names.
func (s set) String() string {
	if len(s.names) > shortList {
		return fmt.Sprintf("%s and %d more", strings.Join(s.names[:shortList], ", "), len(s.names)-shortList)
	}
	return strings.Join(s.names, ", ")
}
