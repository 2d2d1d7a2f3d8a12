package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/webhook"
)

// part is a part of a request, as settings name it: "header:NAME", "query:NAME", a JSON pointer, "body",
// or else a text that is the same for all.
type part struct{ header, query, pointer, fixed string }

func parsePart(text string) part {
	if name, ok := strings.CutPrefix(text, "header:"); ok {
		return part{header: textproto.CanonicalMIMEHeaderKey(name)}
	}
	if name, ok := strings.CutPrefix(text, "query:"); ok {
		return part{query: name}
	}
	if strings.HasPrefix(text, "/") {
		return part{pointer: text}
	}
	return part{fixed: text}
}

// CheckPart says what is wrong with a part of a request as settings name it; fixed says that a text
// that is the same for all will do, too.
func CheckPart(text string, fixed bool) error {
	p := parsePart(text)
	switch {
	case p.header != "" || p.query != "":
		return nil
	case p.pointer != "":
		return match.ValidPointer(p.pointer)
	case fixed && isName(text) || !fixed && text == "body":
		return nil
	case fixed:
		return fmt.Errorf("must be a name, header:NAME or a JSON pointer")
	}
	return fmt.Errorf("must be header:NAME, query:NAME, a JSON pointer or body")
}

// value reads the part. Of JSON it is the text as it stands there.
func (p part) value(header http.Header, query string, body []byte) (string, bool) {
	switch {
	case p.header != "":
		values := header[p.header]
		return strings.Join(values, "\x00"), len(values) > 0
	case p.query != "":
		form, _ := url.ParseQuery(query)
		values := form[p.query]
		return strings.Join(values, "\x00"), len(values) > 0
	case p.pointer != "":
		raw, ok := match.At(body, p.pointer)
		return string(bytes.TrimSpace(raw)), ok
	}
	return string(body), true
}

// eventKey is what a request is told by from others; ok is false when it is not to be told.
func (v *visit) eventKey(verdict *webhook.Verdict) (hash [32]byte, ok bool) {
	src, body := v.src, v.body
	if src.Deduplicate.Off || src.by == nil && verdict.ID == "" {
		return hash, false
	}
	var buf [512]byte
	text := append(buf[:0], "hark request\x00"...)
	text = append(text, src.ID...)
	if src.by == nil {
		text = appendPart(append(text, "\x00id"...), verdict.ID)
		// Whoever has captured a request may send it again under another id, where that is not signed.
		if !verdict.IDSigned {
			sum := sha256.Sum256(body)
			text = append(text, sum[:]...)
		}
		return sha256.Sum256(text), true
	}
	found := false
	for i, p := range src.by {
		value, there := p.value(v.r.Header, v.r.URL.RawQuery, body)
		found = found || there
		text = append(text, 0, byte(i))
		if there {
			text = appendPart(text, value)
		}
	}
	return sha256.Sum256(text), found
}

func appendPart(text []byte, value string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(value))), value...)
}

// eventType is the message's event type: the source's choice, or the provider's word for it, or the
// provider's name where it has none.
func (src *source) eventType(verdict *webhook.Verdict, header http.Header, query string, body []byte) string {
	name := verdict.Type
	switch {
	case src.kind.fixed != "":
		name = src.kind.fixed
	case src.kind != part{}:
		name, _ = src.kind.value(header, query, body)
		var text string
		if src.kind.pointer != "" && json.Unmarshal([]byte(name), &text) == nil {
			name = text
		}
	}
	if name = plain(name); name != "" {
		return name
	}
	if src.Provider != "" {
		return src.Provider
	}
	return "webhook"
}

// plain makes an event type of a provider's word: what event types cannot have becomes a dot or an
// underscore, so that orders/create is orders.create.
func plain(word string) string {
	word = strings.TrimSpace(word)
	if isName(word) {
		return word
	}
	out := make([]byte, 0, min(len(word), maxName))
	for i := 0; i < len(word) && len(out) < maxName; i++ {
		switch c := word[i]; {
		case isName(word[i : i+1]):
			out = append(out, c)
		case c == '/' || c == ':':
			out = append(out, '.')
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}

// maxName is the longest event type.
const maxName = 256

// isName says whether text can be an event type.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return text != "" && len(text) <= maxName
}
