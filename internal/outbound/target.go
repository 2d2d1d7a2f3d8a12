package outbound

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxURL is the longest URL that an endpoint may have.
const maxURL = 65536

// Target is where requests go: a URL, taken apart once so that sending need not. It is immutable
// and may be shared.
type Target struct {
	https bool
	host  string     // lower case, punycode; an address without brackets
	addr  netip.Addr // valid when the host is an address
	port  uint16
	head  string // the request line and Host field, as sent
	basic string // the Authorization field from the URL's userinfo, as sent; "" when none
	key   string // connections to targets with the same key are interchangeable
	url   string // the normal form
}

// ParseTarget takes an endpoint's URL apart. It accepts exactly what Normalize accepts.
func ParseTarget(rawURL string) (*Target, error) {
	u, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	t := &Target{https: u.scheme == "https", host: u.host, addr: u.addr, port: u.port, url: u.String()}
	path := u.path
	if u.hasQuery {
		path += "?" + u.query
	}
	t.head = "POST " + path + " HTTP/1.1\r\nHost: " + u.hostPort() + "\r\n"
	if u.user != "" || u.password != "" {
		pair := percentDecode(u.user) + ":" + percentDecode(u.password)
		t.basic = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
	}
	t.key = u.scheme + "://" + u.host + ":" + strconv.Itoa(int(u.port))
	return t, nil
}

// Host is the host's name in lower case and punycode, or its address without brackets.
func (t *Target) Host() string { return t.host }

// Port is the port that is dialled.
func (t *Target) Port() uint16 { return t.port }

// HTTPS says whether requests are encrypted.
func (t *Target) HTTPS() bool { return t.https }

// String is the URL's normal form, without the password.
func (t *Target) String() string {
	scheme, rest, _ := strings.Cut(t.url, "://")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = "***" + authority[at:]
	}
	return scheme + "://" + authority + "/" + path
}

// Normalize gives the normal form of an endpoint's URL, as a browser would write it: host in lower
// case and punycode, numbers that mean an IPv4 address written as one, default port and dot
// segments dropped, an empty path as "/". Its errors are sentences for people.
func Normalize(rawURL string) (string, error) {
	u, err := parse(rawURL)
	if err != nil {
		return "", err
	}
	text := u.String()
	if len(text) > maxURL { // escaping can make it longer
		return "", errors.New("the URL must be at most 65536 characters long")
	}
	return text, nil
}

// parsedURL is a URL of which every part is escaped as it is sent.
type parsedURL struct {
	scheme         string
	user, password string
	host           string
	addr           netip.Addr
	port           uint16
	path           string
	query          string
	fragment       string
	hasQuery       bool
	hasFragment    bool
}

func (u *parsedURL) String() string {
	var b strings.Builder
	b.WriteString(u.scheme + "://")
	if u.user != "" || u.password != "" {
		b.WriteString(u.user)
		if u.password != "" {
			b.WriteString(":" + u.password)
		}
		b.WriteByte('@')
	}
	b.WriteString(u.hostPort() + u.path)
	if u.hasQuery {
		b.WriteString("?" + u.query)
	}
	if u.hasFragment {
		b.WriteString("#" + u.fragment)
	}
	return b.String()
}

// hostPort is the host as in a Host field: brackets around IPv6, no default port.
func (u *parsedURL) hostPort() string {
	host := u.host
	if u.addr.Is6() {
		host = "[" + host + "]"
	}
	if u.port == defaultPort(u.scheme) {
		return host
	}
	return host + ":" + strconv.Itoa(int(u.port))
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

func parse(raw string) (*parsedURL, error) {
	raw = strings.Trim(raw, " ")
	if raw == "" {
		return nil, errors.New("the URL must not be empty")
	}
	if utf8.RuneCountInString(raw) > maxURL {
		return nil, errors.New("the URL must be at most 65536 characters long")
	}
	if !utf8.ValidString(raw) {
		return nil, errors.New("the URL must be valid UTF-8")
	}
	for i := range len(raw) {
		if raw[i] < 0x20 || raw[i] == 0x7f {
			return nil, errors.New("the URL must not contain control characters")
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	u := &parsedURL{scheme: strings.ToLower(scheme)}
	if !ok || u.scheme != "http" && u.scheme != "https" {
		return nil, errors.New("the URL must start with http:// or https://")
	}
	rest, u.fragment, u.hasFragment = strings.Cut(rest, "#")
	rest, u.query, u.hasQuery = strings.Cut(rest, "?")
	rest = strings.ReplaceAll(rest, `\`, "/") // as browsers do, so that nobody sees another host than we do
	authority, path, _ := strings.Cut(rest, "/")
	if err := u.parseAuthority(authority); err != nil {
		return nil, err
	}
	u.path = normalPath(path)
	u.query = escape(u.query, `"#<>'`)
	u.fragment = escape(u.fragment, "\"<>`")
	return u, nil
}

func (u *parsedURL) parseAuthority(authority string) error {
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		const userinfoSet = "\"#<>?`{}/:;=@[\\]^|"
		u.user, u.password = escape(user, userinfoSet), escape(password, userinfoSet)
		authority = authority[at+1:]
	}
	host, port, err := splitPort(authority)
	if err != nil {
		return err
	}
	if u.port, err = parsePort(port, u.scheme); err != nil {
		return err
	}
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasSuffix(host, "]") {
			return errors.New("the URL's host is not an IPv6 address")
		}
		u.addr, u.host = addr, addr.String()
		return nil
	}
	u.host, u.addr, err = parseHost(host)
	return err
}

func splitPort(authority string) (host, port string, err error) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || colon < strings.LastIndexByte(authority, ']') {
		return authority, "", nil
	}
	if strings.Contains(authority[:colon], ":") && authority[0] != '[' {
		return "", "", errors.New("the URL's host must not contain a colon; write IPv6 addresses in brackets")
	}
	return authority[:colon], authority[colon+1:], nil
}

func parsePort(text, scheme string) (uint16, error) {
	if text == "" {
		return defaultPort(scheme), nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, errors.New("the URL's port must be a number from 1 to 65535")
	}
	return uint16(port), nil
}

// hostProfile maps names as UTS 46 asks of browsers.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true),
	idna.CheckHyphens(false), idna.StrictDomainName(false), idna.Transitional(false))

func parseHost(host string) (string, netip.Addr, error) {
	if host == "" {
		return "", netip.Addr{}, errors.New("the URL must have a host")
	}
	wrong := errors.New("the URL's host is not a valid host name")
	name, err := hostProfile.ToASCII(host)
	if err != nil {
		return "", netip.Addr{}, wrong
	}
	name = strings.ToLower(name)
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if endsInNumber(labels[len(labels)-1]) {
		addr, ok := parseIPv4(labels)
		if !ok {
			return "", netip.Addr{}, errors.New("the URL's host is not an IPv4 address")
		}
		return addr.String(), addr, nil
	}
	if len(name) > 253 {
		return "", netip.Addr{}, errors.New("the URL's host name is longer than 253 characters")
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notHostRune) {
			return "", netip.Addr{}, wrong
		}
	}
	return name, netip.Addr{}, nil
}

func notHostRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// endsInNumber says whether a host with this last label must be an IPv4 address: no such
// top-level domain can exist.
func endsInNumber(label string) bool {
	if _, ok := parseNumber(label); ok {
		return true
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// parseIPv4 reads the ways of writing an IPv4 address that browsers and getaddrinfo know: one to
// four numbers, decimal, octal or hexadecimal, the last filling what is left.
func parseIPv4(parts []string) (netip.Addr, bool) {
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var addr uint64
	for i, part := range parts {
		n, ok := parseNumber(part)
		if !ok {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			if n >= 1<<(8*(5-len(parts))) {
				return netip.Addr{}, false
			}
			addr |= n
		} else {
			if n > 255 {
				return netip.Addr{}, false
			}
			addr |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}), true
}

func parseNumber(text string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(text, "0x"):
		text, base = text[2:], 16
		if text == "" {
			return 0, true
		}
	case len(text) > 1 && text[0] == '0':
		text, base = text[1:], 8
	}
	n, err := strconv.ParseUint(text, base, 64)
	return n, err == nil
}

// normalPath escapes a path and resolves its dot segments. path is without its first slash.
func normalPath(path string) string {
	segments := strings.Split(path, "/")
	out := make([]string, 0, len(segments))
	for i, segment := range segments {
		last := i == len(segments)-1
		switch dots(segment) {
		case 2:
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		case 1:
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, escape(segment, "\"#<>?^`{}"))
		}
	}
	return "/" + strings.Join(out, "/")
}

// dots is 1 or 2 for the segments "." and "..", however they are escaped, and else 0.
func dots(segment string) int {
	if len(segment) > 6 {
		return 0
	}
	switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
	case ".":
		return 1
	case "..":
		return 2
	}
	return 0
}

// escape percent-encodes spaces, what is not ASCII, and the bytes of set; what is escaped already
// stays as it is.
func escape(text, set string) string {
	const hex = "0123456789ABCDEF"
	clean := func(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte(set, c) < 0 }
	first := 0
	for first < len(text) && clean(text[first]) {
		first++
	}
	if first == len(text) {
		return text
	}
	out := append(make([]byte, 0, len(text)+16), text[:first]...)
	for _, c := range []byte(text[first:]) {
		if clean(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

// percentDecode undoes escape; a % that starts no escape stands for itself.
func percentDecode(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}
