package match

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// Part is a part of a message or of a request, as settings name it: "header:NAME", "query:NAME", a JSON
// pointer into the body, or "body" for all of it.
type Part struct{ header, query, pointer, word string }

// ParsePart reads a part. Whatever is none of the others is a word: Word answers it.
func ParsePart(text string) Part {
	if name, ok := strings.CutPrefix(text, "header:"); ok {
		return Part{header: textproto.CanonicalMIMEHeaderKey(name)}
	}
	if name, ok := strings.CutPrefix(text, "query:"); ok {
		return Part{query: name}
	}
	if strings.HasPrefix(text, "/") {
		return Part{pointer: text}
	}
	return Part{word: text}
}

// Word is what was read when it is neither a header, a parameter nor a pointer.
func (p Part) Word() string { return p.word }

// IsPointer says that the part is a JSON value of the body.
func (p Part) IsPointer() bool { return p.pointer != "" }

// IsHead says that the part is in the head of a request: a header or a parameter.
func (p Part) IsHead() bool { return p.header != "" || p.query != "" }

// Check says what is wrong with a part; a word must be "body".
func (p Part) Check() error {
	switch {
	case p.IsHead() || p.word == "body":
		return nil
	case p.IsPointer():
		return ValidPointer(p.pointer)
	}
	return errors.New("must be header:NAME, query:NAME, a JSON pointer or body")
}

// Value reads the part; a word is the whole body. Of JSON it is the text as it stands there.
func (p Part) Value(header http.Header, query string, body []byte) (value string, ok bool) {
	switch {
	case p.header != "":
		values := header[p.header]
		return strings.Join(values, "\x00"), len(values) > 0
	case p.query != "":
		form, _ := url.ParseQuery(query) // what is malformed is left out
		values := form[p.query]
		return strings.Join(values, "\x00"), len(values) > 0
	case p.pointer != "":
		raw, ok := at(body, p.pointer)
		return string(bytes.TrimSpace(raw)), ok
	}
	return string(body), true
}

// AppendParts appends the values of parts to a text that tells things apart: no other values make the
// same text. ok is false when none of them is there.
func AppendParts(text []byte, parts []Part, header http.Header, query string, body []byte) (out []byte, ok bool) {
	for i, p := range parts {
		value, there := p.Value(header, query, body)
		ok = ok || there
		text = append(text, 0, byte(i))
		if there {
			text = AppendValue(text, value)
		}
	}
	return text, ok
}

// AppendValue appends a value of any length such that it is plain where it ends.
func AppendValue(text []byte, value string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(value))), value...)
}
