package match

import (
	"encoding/json"
	"strings"
)

// maxPayloadDepth is how deep a payload may be nested to be looked into: as deep as encoding/json goes.
const maxPayloadDepth = 10_000

// parse reads a payload that was checked to be JSON when it was accepted, so it takes a few things
// that JSON does not have, and answers ok false for the rest. It gives what encoding/json gives
// into an any with UseNumber, at a third of the cost: texts and numbers are parts of one copy.
func parse(payload []byte) (v any, ok bool) {
	p := parser{text: string(payload)}
	v, ok = p.value(0)
	p.space()
	return v, ok && p.at == len(p.text)
}

type parser struct {
	text string
	at   int
}

// space skips white space and answers the byte behind it, or 0 at the end.
func (p *parser) space() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) value(depth int) (any, bool) {
	if depth > maxPayloadDepth {
		return nil, false
	}
	switch c := p.space(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.list(depth)
	case '"':
		return p.string()
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		return p.number()
	}
}

func (p *parser) word(word string) bool {
	if !strings.HasPrefix(p.text[p.at:], word) {
		return false
	}
	p.at += len(word)
	return true
}

func (p *parser) number() (any, bool) {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("0123456789+-.eE", p.text[p.at]) >= 0 {
		p.at++
	}
	return json.Number(p.text[start:p.at]), p.at > start
}

func (p *parser) string() (string, bool) {
	start := p.at
	escaped := false
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			escaped = true
			p.at++
		case '"':
			p.at++
			quoted := p.text[start:p.at]
			if !escaped {
				return quoted[1 : len(quoted)-1], true
			}
			var text string
			err := json.Unmarshal([]byte(quoted), &text)
			return text, err == nil
		}
	}
	return "", false
}

func (p *parser) list(depth int) (any, bool) {
	values := []any{}
	p.at++
	if p.space() == ']' {
		p.at++
		return values, true
	}
	for {
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		values = append(values, v)
		switch p.space() {
		case ',':
			p.at++
		case ']':
			p.at++
			return values, true
		default:
			return nil, false
		}
	}
}

func (p *parser) object(depth int) (any, bool) {
	values := map[string]any{}
	p.at++
	if p.space() == '}' {
		p.at++
		return values, true
	}
	for {
		if p.space() != '"' {
			return nil, false
		}
		name, ok := p.string()
		if !ok || p.space() != ':' {
			return nil, false
		}
		p.at++
		if values[name], ok = p.value(depth + 1); !ok {
			return nil, false
		}
		switch p.space() {
		case ',':
			p.at++
		case '}':
			p.at++
			return values, true
		default:
			return nil, false
		}
	}
}
