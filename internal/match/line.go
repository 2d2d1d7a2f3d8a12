package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// maxPointerBytes is the longest JSON pointer that anybody may order by.
const maxPointerBytes = 512

// ValidPointer refuses what is not a JSON pointer (RFC 6901) into a payload.
func ValidPointer(pointer string) error {
	switch {
	case !strings.HasPrefix(pointer, "/"):
		return errors.New("a JSON pointer starts with a slash: /customer/id")
	case len(pointer) > maxPointerBytes:
		return errors.New("a JSON pointer has at most " + strconv.Itoa(maxPointerBytes) + " bytes here")
	}
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || pointer[i+1] != '0' && pointer[i+1] != '1') {
			return errors.New("in a JSON pointer, ~ is written ~0 and / inside a name ~1")
		}
	}
	return nil
}

// Line hashes the value that pointer leads to, so that messages with the same value stand in the
// same line: 1 and 1.0 are the same, 1 and "1" are not, and the order of an object's keys does not
// matter. The hash is the same in every process and version, as it is stored. ok is false when
// there is no value, or null. On a payload that is not JSON the answer means nothing.
func Line(payload []byte, pointer string) (line uint64, ok bool) {
	raw, ok := at(payload, pointer)
	if !ok {
		return 0, false
	}
	return hashValue(bytes.TrimSpace(raw))
}

// at answers the raw value that pointer leads to. On a payload that is not JSON the answer means nothing.
func at(payload []byte, pointer string) (raw []byte, ok bool) {
	raw = payload
	for rest := pointer; rest != ""; {
		if rest[0] != '/' {
			return nil, false
		}
		var name string
		name, rest = rest[1:], ""
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name, rest = name[:i], name[i:]
		}
		if strings.Contains(name, "~") {
			name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		}
		if raw, ok = child(raw, name); !ok {
			return nil, false
		}
	}
	return raw, true
}

// The 64-bit FNV-1a hash.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashText[T string | []byte](h uint64, text T) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	return h
}

// hashValue hashes a value's kind and its one spelling.
func hashValue(raw []byte) (uint64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	switch c := raw[0]; {
	case c == '"':
		text, ok := unquote(raw)
		return hashText(hashText[string](fnvOffset, "s"), text), ok
	case c == '-' || c >= '0' && c <= '9':
		n, ok := parseNumber(string(raw))
		if n.negative {
			return n.hash(hashText[string](fnvOffset, "-")), ok
		}
		return n.hash(hashText[string](fnvOffset, "+")), ok
	case c == 't' || c == 'f':
		return hashText(fnvOffset, raw), true
	case c == '{' || c == '[':
		v, ok := parse(raw)
		if !ok {
			return 0, false
		}
		sorted, err := json.Marshal(v)
		return hashText(fnvOffset, sorted), err == nil
	}
	return 0, false // null
}

func (n number) hash(h uint64) uint64 {
	h = hashText(hashText(h, n.whole), n.frac)
	return hashText(h, "e"+strconv.FormatInt(n.point, 10))
}

// child finds a member of an object or an element of a list in raw JSON; of members with the same
// name, the first.
func child(raw []byte, name string) ([]byte, bool) {
	i := skipSpace(raw, 0)
	if i == len(raw) {
		return nil, false
	}
	switch raw[i] {
	case '{':
		return member(raw, i+1, name)
	case '[':
		index, err := strconv.ParseUint(name, 10, 31)
		if err != nil || len(name) > 1 && name[0] == '0' {
			return nil, false
		}
		return element(raw, i+1, int(index))
	}
	return nil, false
}

func member(raw []byte, i int, name string) ([]byte, bool) {
	for {
		start := skipSpace(raw, i)
		colon := skipSpace(raw, skipValue(raw, start))
		if colon >= len(raw) || raw[start] != '"' || raw[colon] != ':' {
			return nil, false
		}
		end := skipValue(raw, colon+1)
		if found, ok := unquote(bytes.TrimSpace(raw[start:colon])); ok && string(found) == name {
			return raw[colon+1 : end], true
		}
		if i = skipSpace(raw, end); i >= len(raw) || raw[i] != ',' {
			return nil, false
		}
		i++
	}
}

func element(raw []byte, i, index int) ([]byte, bool) {
	for ; ; index-- {
		end := skipValue(raw, i)
		if index == 0 {
			value := bytes.TrimSpace(raw[i:end])
			return value, len(value) > 0
		}
		if i = skipSpace(raw, end); i >= len(raw) || raw[i] != ',' {
			return nil, false
		}
		i++
	}
}

// unquote reads a JSON string; without escapes it copies nothing.
func unquote(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, false
	}
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside, true
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, false
	}
	return []byte(text), true
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipValue is the place behind the value that starts at i. It trusts that raw is JSON; on
// anything else it ends somewhere within raw.
func skipValue(raw []byte, i int) int {
	depth := 0
	for i = skipSpace(raw, i); i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(raw))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of the container that the value is in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(raw)
}
