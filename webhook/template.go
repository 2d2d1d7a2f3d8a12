package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// part is a piece of signed content.
type part struct {
	kind partKind
	text string // of partLiteral; the name of partHeader
	path []step
}

type partKind uint8

const (
	partLiteral partKind = iota
	partBody
	partBodyHash
	partTimestamp
	partMethod
	partURL
	partPath
	partSecret
	partHeader
	partJSON
)

var partNames = map[string]partKind{
	"body": partBody, "body_sha256": partBodyHash, "timestamp": partTimestamp, "method": partMethod,
	"url": partURL, "path": partPath, "secret": partSecret,
}

// parseTemplate reads Scheme.Signed. Parameters are put in at once.
func parseTemplate(text string, params map[string]string) ([]part, error) {
	var parts []part
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if literal != "" {
			parts = append(parts, part{kind: partLiteral, text: literal})
		}
		if !found {
			return parts, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("%w: { without } in the signed content", ErrProvider)
		}
		p, err := parsePart(name, params)
		if err != nil {
			return nil, err
		}
		parts, text = append(parts, p), after
	}
	return parts, nil
}

func parsePart(name string, params map[string]string) (part, error) {
	if kind, ok := partNames[name]; ok {
		return part{kind: kind}, nil
	}
	if strings.HasPrefix(name, "$") {
		path, err := parsePath(name)
		return part{kind: partJSON, path: path}, err
	}
	what, value, _ := strings.Cut(name, ":")
	switch {
	case what == "header" && value != "":
		return part{kind: partHeader, text: canonical(value)}, nil
	case what == "param" && params[value] != "":
		return part{kind: partLiteral, text: params[value]}, nil
	case what == "param":
		return part{}, fmt.Errorf("%w: the parameter %s is not set", ErrProvider, value)
	}
	return part{}, fmt.Errorf("%w: the signed content cannot have {%s}", ErrProvider, name)
}

// append appends every part but the body to dst. The body goes to flush, if there is one, after
// what is before it: nothing that large has to be copied. ok is false when a part is not there.
func (s *scheme) append(dst []byte, c *call, secret []byte, timestamp string, flush func(before, body []byte) []byte) (out []byte, ok bool) {
	if s.content != nil {
		return s.content(dst, c, timestamp, flush)
	}
	for _, p := range s.parts {
		switch p.kind {
		case partLiteral:
			dst = append(dst, p.text...)
		case partBody:
			dst = flush(dst, c.Body)
		case partBodyHash:
			sum := sha256.Sum256(c.Body)
			dst = hex.AppendEncode(dst, sum[:])
		case partTimestamp:
			dst = append(dst, timestamp...)
		case partMethod:
			dst = append(dst, c.Method...)
		case partURL:
			dst = append(dst, c.url...)
		case partPath:
			dst = append(dst, pathOf(c.url)...)
		case partSecret:
			dst = append(dst, secret...)
		case partHeader:
			values := c.Header[p.text]
			if len(values) != 1 {
				return dst, false
			}
			dst = append(dst, values[0]...)
		case partJSON:
			value, _ := jsonValue(c.Body, p.path)
			if value == "" {
				return dst, false
			}
			dst = append(dst, value...)
		}
	}
	return dst, true
}

// pathOf is the path and query of a URL, as written.
func pathOf(url string) string {
	if _, after, ok := strings.Cut(url, "://"); ok {
		if i := strings.IndexAny(after, "/?"); i >= 0 {
			return after[i:]
		}
		return "/"
	}
	return url
}

// isHeaderName says whether a header can have this name (RFC 9110 §5.1).
func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}

func canonical(name string) string { return http.CanonicalHeaderKey(name) }
