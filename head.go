package hark

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"unicode/utf8"
)

// Head is what an inbound request said besides its body. It is kept beside the payload of the message
// that the request became, in the form that Encode gives it, and is there for filters and receivers.
type Head struct {
	SourceID  SourceID
	RequestID RequestID
	Method    string
	Path      string // behind the source's token: "" or "/…", as it was escaped
	Query     string // without the question mark
	Remote    string // address of the caller
	// Credentials says that Authorization and Cookie may be forwarded.
	Credentials bool
	Header      []HeadField // by name; values of one name in the order in which they came
}

// HeadField is one header field.
type HeadField struct{ Name, Value string }

// pairIsBase64 is a third element of a field's JSON, which says that the value is base64.
const pairIsBase64 = "base64"

// Pair is the field as it goes in JSON: ["Name", "value"], and with a third element if the value is no UTF-8.
func (f HeadField) Pair() []string {
	if utf8.ValidString(f.Value) {
		return []string{f.Name, f.Value}
	}
	return []string{f.Name, base64.StdEncoding.EncodeToString([]byte(f.Value)), pairIsBase64}
}

// FieldOf reads what Pair wrote.
func FieldOf(pair []string) (f HeadField, ok bool) {
	switch {
	case len(pair) == 2:
		return HeadField{pair[0], pair[1]}, true
	case len(pair) == 3 && pair[2] == pairIsBase64:
		value, err := base64.StdEncoding.DecodeString(pair[1])
		return HeadField{pair[0], string(value)}, err == nil
	}
	return HeadField{}, false
}

// PathQuery is the path with the query, behind the source's token; "" for neither.
func (h *Head) PathQuery() string {
	if h.Query == "" {
		return h.Path
	}
	return h.Path + "?" + h.Query
}

// Get is the first value of a header with a canonical name; "" when there is none.
func (h *Head) Get(name string) string {
	for i := range h.Header {
		if h.Header[i].Name == name {
			return h.Header[i].Value
		}
	}
	return ""
}

// HTTPHeader is the header as net/http has it.
func (h *Head) HTTPHeader() http.Header {
	out := make(http.Header, len(h.Header))
	for _, f := range h.Header {
		out[f.Name] = append(out[f.Name], f.Value)
	}
	return out
}

// Shown is the header for those who may read the message: without credentials that were for Hark, unless the
// source passes them on.
func (h *Head) Shown() http.Header {
	out := h.HTTPHeader()
	if !h.Credentials {
		delete(out, "Authorization")
		delete(out, "Cookie")
	}
	delete(out, "Proxy-Authorization")
	return out
}

// SetHeader takes a header from net/http, which keeps the order of a name's values but not that of
// the names.
func (h *Head) SetHeader(header http.Header) {
	h.Header = make([]HeadField, 0, len(header))
	for name, values := range header {
		for _, v := range values {
			h.Header = append(h.Header, HeadField{name, v})
		}
	}
	slices.SortStableFunc(h.Header, func(a, b HeadField) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
}

// headVersion is the first byte of an encoded Head.
const headVersion = 1

// Encode writes the head: a version, then texts with their length before them.
func (h *Head) Encode() []byte {
	size := 32 + len(h.SourceID) + len(h.RequestID) + len(h.Method) + len(h.Path) + len(h.Query) + len(h.Remote)
	for _, f := range h.Header {
		size += len(f.Name) + len(f.Value) + 4
	}
	out := make([]byte, 0, size)
	flags := byte(0)
	if h.Credentials {
		flags = 1
	}
	out = append(out, headVersion, flags)
	for _, text := range [...]string{string(h.SourceID), string(h.RequestID), h.Method, h.Path, h.Query, h.Remote} {
		out = appendText(out, text)
	}
	for _, f := range h.Header {
		out = appendText(appendText(out, f.Name), f.Value)
	}
	return out
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// ErrHead reports bytes that are no encoded Head.
var ErrHead = errors.New("not an encoded head")

// DecodeHead reads what Encode wrote.
func DecodeHead(encoded []byte) (h Head, err error) {
	if len(encoded) < 2 || encoded[0] != headVersion {
		return Head{}, ErrHead
	}
	h.Credentials = encoded[1]&1 != 0
	rest := string(encoded[2:])
	ok := true
	next := func() (text string) {
		if ok {
			text, rest, ok = cutText(rest)
		}
		return text
	}
	h.SourceID, h.RequestID = SourceID(next()), RequestID(next())
	h.Method, h.Path, h.Query, h.Remote = next(), next(), next(), next()
	for ok && rest != "" {
		f := HeadField{Name: next()}
		f.Value = next()
		h.Header = append(h.Header, f)
	}
	if !ok {
		return Head{}, ErrHead
	}
	return h, nil
}

// cutText takes one text off the front.
func cutText(s string) (text, rest string, ok bool) {
	var n uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			s = s[i+1:]
			if n > uint64(len(s)) {
				return "", "", false
			}
			return s[:n], s[n:], true
		}
	}
	return "", "", false
}
