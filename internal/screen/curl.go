package screen

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

// mostArgument is the longest body that stands in the command line: Linux takes no argument of 128 KiB.
const mostArgument = 96 << 10

// curl is a command that sends a message to a URL as it came: its method, its headers, no others, and its bytes. It is
// for bash and zsh; a plain sh does not know how bytes in headers are written that cannot be typed. Headers that
// were given besides stand in place of others of their name.
func curl(m *listen.Message, url string, besides []hark.HeadField, skipVerify bool) string {
	var b strings.Builder
	inline := isTypable(m.Body)
	if !inline {
		fmt.Fprintf(&b, "printf %%s '%s' | base64 -d | ", base64.StdEncoding.EncodeToString(m.Body))
	}
	bare := m.SentBy() == http.MethodHead && len(m.Body) == 0
	if bare { // curl would wait for a body with -X HEAD, and takes no -I with data
		b.WriteString("curl -I ")
	} else {
		b.WriteString("curl -X " + m.SentBy() + " ")
	}
	if m.Path != "" { // which curl would tidy up, and expand
		b.WriteString("-g --path-as-is ")
	}
	if skipVerify {
		b.WriteString("-k ")
	}
	b.WriteString(quote(url))
	fields := headersOf(m.Header, besides)
	for _, name := range []string{"Accept", "Content-Type", "Expect"} { // that curl would add
		if !has(fields, name) {
			fields = append(fields, hark.HeadField{Name: name + ":"})
		}
	}
	for _, h := range fields {
		switch {
		case strings.HasSuffix(h.Name, ":"):
			b.WriteString(" -H " + quote(h.Name))
		case h.Value == "":
			b.WriteString(" -H " + quote(h.Name+";")) // how curl wants an empty header
		default:
			b.WriteString(" -H " + quote(h.Name+": "+h.Value))
		}
	}
	switch {
	case bare:
		return b.String()
	case inline:
		return b.String() + " --data-raw " + quote(string(m.Body))
	}
	return b.String() + " --data-binary @-"
}

// headersOf are the headers that are sent. Curl finds the length by itself.
func headersOf(own, besides []hark.HeadField) (out []hark.HeadField) {
	for _, h := range own {
		if !has(besides, h.Name) && !strings.EqualFold(h.Name, "Content-Length") {
			out = append(out, h)
		}
	}
	return append(out, besides...)
}

func has(fields []hark.HeadField, name string) bool {
	for _, h := range fields {
		if strings.EqualFold(h.Name, name) {
			return true
		}
	}
	return false
}

// isTypable says that a body survives a clipboard and a terminal into which it is pasted.
func isTypable(body []byte) bool {
	if len(body) > mostArgument || !utf8.Valid(body) {
		return false
	}
	for _, r := range string(body) {
		if r != '\n' && r != ' ' && !unicode.IsGraphic(r) {
			return false
		}
	}
	return true
}

// quote makes one word of text for a shell. What cannot be typed is written as an escape.
func quote(text string) string {
	if isTypable([]byte(text)) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03o`, c) // always three digits, so that what follows is not taken in
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}
