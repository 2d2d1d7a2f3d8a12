package api

// maxDepth bounds how deep JSON may nest, in payloads too: far beyond what people send, and shallow
// enough for every recursive reader behind us (filters, transformations, receivers).
const maxDepth = 256

// scanner walks over JSON text without building anything. It accepts exactly what encoding/json
// accepts, less what nests deeper than maxDepth; a fuzz test holds it to that.
type scanner struct {
	text []byte
	at   int
}

// space moves behind white space and answers the byte that follows, 0 at the end.
func (s *scanner) space() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take moves behind the byte c, white space before it included.
func (s *scanner) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.at++
	return true
}

// value moves behind one whole value, which stands depth levels deep, and answers its text,
// verbatim; nil if it is not JSON.
func (s *scanner) value(depth int) []byte {
	s.space()
	start := s.at
	if !s.skip(depth) {
		return nil
	}
	return s.text[start:s.at]
}

// skip moves behind the value that starts here.
func (s *scanner) skip(depth int) bool {
	switch c := s.space(); {
	case c == '"':
		_, _, ok := s.str()
		return ok
	case c == '{' || c == '[':
		if depth == maxDepth {
			return false
		}
		s.at++
		if c == '{' {
			return s.skipMembers(depth + 1)
		}
		return s.skipElements(depth + 1)
	case c == '-' || c-'0' <= 9:
		return s.skipNumber()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return false
}

func (s *scanner) skipMembers(depth int) bool {
	if s.take('}') {
		return true
	}
	for {
		if s.space() != '"' {
			return false
		}
		if _, _, ok := s.str(); !ok || !s.take(':') || !s.skip(depth) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) skipElements(depth int) bool {
	if s.take(']') {
		return true
	}
	for {
		if !s.skip(depth) {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// str moves behind the string that starts here and answers what stands between its quotes. plain
// says that nothing in it is escaped, so that the text is the value.
func (s *scanner) str() (inside []byte, plain, ok bool) {
	text, start := s.text, s.at+1
	plain = true
	for i := start; i < len(text); i++ {
		c := text[i]
		if c > '\\' || c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		switch c {
		case '"':
			s.at = i + 1
			return text[start:i], plain, true
		case '\\':
			plain = false
			n := escapeLength(text[i+1:])
			if n == 0 {
				return nil, false, false
			}
			i += n
		default: // a control character
			return nil, false, false
		}
	}
	return nil, false, false
}

// escapeLength is how many bytes behind a backslash belong to its escape; 0 if it is none.
func escapeLength(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(text) < 5 {
			return 0
		}
		for _, c := range text[1:5] {
			if lower := c | 0x20; c-'0' > 9 && (lower < 'a' || lower > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

func (s *scanner) skipNumber() bool {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return false
		}
	}
	if s.peek()|0x20 == 'e' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		return s.digits()
	}
	return true
}

// digits moves behind one digit or more.
func (s *scanner) digits() bool {
	start := s.at
	for s.peek()-'0' <= 9 {
		s.at++
	}
	return s.at > start
}

func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// end says whether only white space is left.
func (s *scanner) end() bool { return s.space() == 0 && s.at == len(s.text) }
