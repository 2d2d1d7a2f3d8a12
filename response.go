package hark

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a response's header as it is kept.
const (
	MaxResponseFields = 50
	MaxResponseHeader = 4 << 10 // bytes of names and values together
)

const (
	// hiddenValue stands where a credential was.
	hiddenValue = "•••"
	// cutMark ends a value that was cut, and is the name, which no header has, of a field that says how many more
	// there were.
	cutMark = "…"
	// moreFields is that field's value.
	moreFields = "%d more"
)

// KeepHeader is as much of a response's header as is kept with an attempt: within the bounds, with a mark where
// it was cut, and another where a cookie's value or another credential was. What it answers passes it unchanged.
func KeepHeader(fields []HeadField) []HeadField {
	var kept []HeadField
	room, missing := MaxResponseHeader, 0
	for _, f := range fields {
		if f.Name == cutMark {
			var more int
			if _, err := fmt.Sscanf(f.Value, moreFields, &more); err == nil && more > 0 && more < 1_000_000 {
				missing += more
			}
			continue
		}
		f.Value = hideCredentials(f.Name, f.Value)
		if len(kept) == MaxResponseFields || len(f.Name)+len(cutMark) > room {
			missing++
			continue
		}
		f.Value = cutValue(f.Value, room-len(f.Name))
		room -= len(f.Name) + len(f.Value)
		kept = append(kept, f)
	}
	if missing > 0 {
		kept = append(kept, HeadField{cutMark, fmt.Sprintf(moreFields, missing)})
	}
	return kept
}

// cutValue makes a value that is too long end with a mark, and cuts no character in two.
func cutValue(value string, most int) string {
	if len(value) <= most {
		return value
	}
	end := most - len(cutMark)
	for n := 0; n < utf8.UTFMax && end > 0 && !utf8.RuneStart(value[end]); n++ {
		end--
	}
	return value[:end] + cutMark
}

// hideCredentials leaves out of a header's value what nobody may read in a history: of a cookie its name and
// attributes stay.
func hideCredentials(name, value string) string {
	lower := strings.ToLower(name)
	switch {
	case lower == "set-cookie" || lower == "set-cookie2":
		pair, attributes, some := strings.Cut(value, ";")
		cookie, _, named := strings.Cut(pair, "=")
		if !named {
			return hiddenValue
		}
		if some {
			attributes = ";" + attributes
		}
		return cookie + "=" + hiddenValue + attributes
	case lower == "www-authenticate" || lower == "proxy-authenticate" || strings.HasPrefix(lower, "access-control-"):
		return value // they say what is wanted, and not what it is
	case lower == "location" || lower == "content-location":
		return withoutUser(value)
	case carriesCredential(lower) || isCredential(value):
		return hiddenValue
	}
	return value
}

// withoutUser leaves the user and password out of a URL, also of one that is malformed.
func withoutUser(location string) string {
	scheme, rest, ok := strings.Cut(location, "//")
	if !ok || scheme != "" && !strings.HasSuffix(scheme, ":") {
		return location
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return scheme + "//" + rest[strings.LastIndexByte(rest[:end], '@')+1:]
}

// carriesCredential goes by what such headers are called.
func carriesCredential(lower string) bool {
	for _, part := range [...]string{
		"authorization", "authentication", "token", "secret", "password", "passwd", "cookie", "session", "credential", "csrf", "xsrf",
		"api-key", "apikey", "api_key", "access-key", "auth-key", "private-key", "jwt",
	} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return lower == "auth" || strings.HasSuffix(lower, "-auth")
}

// isCredential goes by how they begin.
func isCredential(value string) bool {
	scheme, rest, ok := strings.Cut(value, " ")
	return ok && rest != "" && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "basic"))
}

// responseVersion is the first byte of an encoded header.
const responseVersion = 1

// EncodeHeader writes a header as stores keep it: a version, then names and values with their length before
// them. It is nil when there is none.
func EncodeHeader(fields []HeadField) []byte {
	if len(fields) == 0 {
		return nil
	}
	size := 1
	for _, f := range fields {
		size += len(f.Name) + len(f.Value) + 4
	}
	out := append(make([]byte, 0, size), responseVersion)
	for _, f := range fields {
		out = appendText(appendText(out, f.Name), f.Value)
	}
	return out
}

// DecodeHeader reads what EncodeHeader wrote.
func DecodeHeader(encoded []byte) (fields []HeadField, err error) {
	if len(encoded) == 0 {
		return nil, nil
	}
	if encoded[0] != responseVersion {
		return nil, ErrHead
	}
	for rest, ok := string(encoded[1:]), true; rest != ""; {
		var f HeadField
		if f.Name, rest, ok = cutText(rest); ok {
			f.Value, rest, ok = cutText(rest)
		}
		if !ok {
			return nil, ErrHead
		}
		fields = append(fields, f)
	}
	return fields, nil
}
