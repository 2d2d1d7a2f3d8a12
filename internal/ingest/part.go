package ingest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/webhook"
)

// CheckPart says what is wrong with a part of a request as settings name it; fixed says that a text
// that is the same for all will do, too.
func CheckPart(text string, fixed bool) error {
	p := match.ParsePart(text)
	switch {
	case !fixed || p.IsHead() || p.IsPointer():
		return p.Check()
	case isName(text):
		return nil
	}
	return errors.New("must be a name, header:NAME or a JSON pointer")
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
		text = match.AppendValue(append(text, "\x00id"...), verdict.ID)
		// Whoever has captured a request may send it again under another id, where that is not signed.
		if !verdict.IDSigned {
			sum := sha256.Sum256(body)
			text = append(text, sum[:]...)
		}
		return sha256.Sum256(text), true
	}
	text, ok = match.AppendParts(text, src.by, v.r.Header, v.r.URL.RawQuery, body)
	return sha256.Sum256(text), ok
}

// eventType is the message's event type: the source's choice, or the provider's word for it, or the
// provider's name where it has none.
func (src *source) eventType(verdict *webhook.Verdict, header http.Header, query string, body []byte) string {
	name := verdict.Type
	switch {
	case src.kind.Word() != "":
		name = src.kind.Word()
	case src.kind != match.Part{}:
		name, _ = src.kind.Value(header, query, body)
		var text string
		if src.kind.IsPointer() && json.Unmarshal([]byte(name), &text) == nil {
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
