package poll

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/harkhq/hark"
)

// item is one element of an answer.
type item struct {
	raw     json.RawMessage
	key     [32]byte // of its id
	content [32]byte // of what counts as a change
	since   string   // what Since.Path leads to, "" when nothing
}

// errNoArray says that an answer is not what the settings say.
var errNoArray = errors.New("the answer has no array where itemsPath leads")

// itemsOf finds the elements of an answer. An empty body has none.
func itemsOf(body []byte, path string) ([]json.RawMessage, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	if !json.Valid(body) {
		return nil, errors.New("the answer is not JSON")
	}
	list, ok := lookup(body, path)
	if !ok || len(list) == 0 || list[0] != '[' {
		return nil, errNoArray
	}
	var all []json.RawMessage
	if json.Unmarshal(list, &all) != nil {
		return nil, errNoArray
	}
	return all, nil
}

// newItem reads one element.
func newItem(s *hark.PollerSettings, raw json.RawMessage) (item, error) {
	it := item{raw: bytes.TrimSpace(raw)}
	if len(it.raw) == 0 || it.raw[0] != '{' {
		return it, errors.New("an item is not a JSON object")
	}
	id, ok := lookup(raw, s.IDPath)
	text := plain(id)
	if !ok || text == "" {
		return it, fmt.Errorf("an item has no id at %s", s.IDPath)
	}
	it.key = sha256.Sum256([]byte(text))
	if s.Since.Path != "" {
		at, _ := lookup(raw, s.Since.Path)
		it.since = plain(at)
	}
	if s.Changed == nil {
		it.content = sha256.Sum256(canonical(raw))
		return it, nil
	}
	h := sha256.New()
	for _, path := range s.Changed {
		part, ok := lookup(raw, path)
		if ok {
			part = canonical(part)
		}
		_ = binary.Write(h, binary.BigEndian, int64(len(part))) // a hash takes everything
		h.Write(part)
	}
	h.Sum(it.content[:0])
	return it, nil
}

// canonical is a value in one spelling: members sorted, no spaces.
func canonical(raw json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // large numbers keep their digits
	var v any
	if d.Decode(&v) != nil {
		return raw
	}
	out, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return out
}

// plain is a string or a number as text; "" for everything else.
func plain(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return ""
		}
		return text
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// ValidPointer says whether text is a JSON pointer (RFC 6901).
func ValidPointer(text string) bool {
	if text == "" {
		return true
	}
	rest := strings.NewReplacer("~0", "", "~1", "").Replace(text)
	return text[0] == '/' && !strings.Contains(rest, "~") && len(text) <= 1024
}

// lookup follows a JSON pointer.
func lookup(raw json.RawMessage, pointer string) (json.RawMessage, bool) {
	raw = bytes.TrimSpace(raw)
	if pointer == "" {
		return raw, len(raw) > 0
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for part := range strings.SplitSeq(pointer[1:], "/") {
		if len(raw) == 0 {
			return nil, false
		}
		switch raw[0] {
		case '{':
			var members map[string]json.RawMessage
			if json.Unmarshal(raw, &members) != nil {
				return nil, false
			}
			next, ok := members[unescape.Replace(part)]
			if !ok {
				return nil, false
			}
			raw = next
		case '[':
			var elements []json.RawMessage
			i, err := strconv.Atoi(part)
			if err != nil || json.Unmarshal(raw, &elements) != nil || i < 0 || i >= len(elements) {
				return nil, false
			}
			raw = elements[i]
		default:
			return nil, false
		}
		raw = bytes.TrimSpace(raw)
	}
	return raw, true
}

// later says whether b is behind a: as numbers, if both are, else as text, as times in ISO 8601 compare.
func later(a, b string) bool {
	if a == "" || b == "" {
		return b != ""
	}
	ai, errA := strconv.ParseInt(a, 10, 64)
	bi, errB := strconv.ParseInt(b, 10, 64)
	if errA == nil && errB == nil {
		return bi > ai
	}
	af, errA := strconv.ParseFloat(a, 64)
	bf, errB := strconv.ParseFloat(b, 64)
	if errA == nil && errB == nil {
		return bf > af
	}
	return b > a
}
