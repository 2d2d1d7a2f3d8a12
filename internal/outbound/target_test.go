package outbound

import (
	"net/url"
	"strings"
	"testing"
)

func TestNormalize_WritesURLsAsBrowsersDo(t *testing.T) {
	for raw, want := range map[string]string{
		"http://example.com":                      "http://example.com/",
		"HTTPS://Example.COM/Path?Q=1#Frag":       "https://example.com/Path?Q=1#Frag",
		" https://example.com ":                   "https://example.com/",
		"https://example.com:443/a":               "https://example.com/a",
		"http://example.com:80":                   "http://example.com/",
		"http://example.com:":                     "http://example.com/",
		"http://example.com:08080/":               "http://example.com:8080/",
		"https://example.com:80/":                 "https://example.com:80/",
		"https://user:pass@example.com/":          "https://user:pass@example.com/",
		"https://us er:p@ss:w@example.com/":       "https://us%20er:p%40ss%3Aw@example.com/",
		"https://:secret@example.com/":            "https://:secret@example.com/",
		"https://@example.com/":                   "https://example.com/",
		"https://example.com/a/../b/./c":          "https://example.com/b/c",
		"https://example.com/a/%2E%2e/b/.":        "https://example.com/b/",
		"https://example.com/../../x/..":          "https://example.com/",
		"https://example.com//a//b":               "https://example.com//a//b",
		`https://example.com\a\b?c\d`:             `https://example.com/a/b?c\d`,
		"https://example.com/a b/ü/%zz?x y='1'":   "https://example.com/a%20b/%C3%BC/%zz?x%20y=%271%27",
		"https://example.com?x":                   "https://example.com/?x",
		"https://example.com?":                    "https://example.com/?",
		"https://bücher.example/":                 "https://xn--bcher-kva.example/",
		"https://XN--Bcher-KVA.example/":          "https://xn--bcher-kva.example/",
		"https://ｅｘａｍｐｌｅ.com/":                    "https://example.com/",
		"https://faß.de/":                         "https://xn--fa-hia.de/",
		"https://example.com./":                   "https://example.com./",
		"http://my_host.example/":                 "http://my_host.example/",
		"http://0x7f.1/":                          "http://127.0.0.1/",
		"http://2130706433:8080/":                 "http://127.0.0.1:8080/",
		"http://0177.0.0.1/":                      "http://127.0.0.1/",
		"http://192.168.257/":                     "http://192.168.1.1/",
		"http://127.0.0.1./":                      "http://127.0.0.1/",
		"http://[::1]:8080/":                      "http://[::1]:8080/",
		"http://[2001:DB8:0:0::1]/":               "http://[2001:db8::1]/",
		"http://r3---sn-p5qlsnrl.googlevideo.com": "http://r3---sn-p5qlsnrl.googlevideo.com/",
	} {
		got, err := Normalize(raw)
		if err != nil || got != want {
			t.Errorf("Normalize(%q): got %q, %v, want %q", raw, got, err, want)
		}
	}
}

func TestNormalize_RefusesInSentences(t *testing.T) {
	for raw, want := range map[string]string{
		"":                              "the URL must not be empty",
		"   ":                           "the URL must not be empty",
		"example.com":                   "the URL must start with http:// or https://",
		"ftp://example.com/":            "the URL must start with http:// or https://",
		"javascript:alert(1)//http://x": "the URL must start with http:// or https://",
		"http:example.com":              "the URL must start with http:// or https://",
		"http://":                       "the URL must have a host",
		"http:///path":                  "the URL must have a host",
		"http://user@/":                 "the URL must have a host",
		"http://exa\tmple.com/":         "the URL must not contain control characters",
		"http://example.com/\r\nX: y":   "the URL must not contain control characters",
		"http://example.com/\x7f":       "the URL must not contain control characters",
		"http://example.com/\xff":       "the URL must be valid UTF-8",
		"http://exa mple.com/":          "the URL's host is not a valid host name",
		"http://exa%41mple.com/":        "the URL's host is not a valid host name",
		"http://a..b/":                  "the URL's host is not a valid host name",
		"http://.example/":              "the URL's host is not a valid host name",
		"http://xn--a/":                 "the URL's host is not a valid host name",
		"http://exam<ple.com/":          "the URL's host is not a valid host name",
		"http://example.com:0/":         "the URL's port must be a number from 1 to 65535",
		"http://example.com:65536/":     "the URL's port must be a number from 1 to 65535",
		"http://example.com:+80/":       "the URL's port must be a number from 1 to 65535",
		"http://example.com:a/":         "the URL's port must be a number from 1 to 65535",
		"http://::1/":                   "the URL's host must not contain a colon; write IPv6 addresses in brackets",
		"http://[::1/":                  "the URL's host is not an IPv6 address",
		"http://[fe80::1%25eth0]/":      "the URL's host is not an IPv6 address",
		"http://[127.0.0.1]/":           "the URL's host is not an IPv6 address",
		"http://[::1]x/":                "the URL's host is not an IPv6 address",
		"http://256.1.1.1/":             "the URL's host is not an IPv4 address",
		"http://1.2.3.4.5/":             "the URL's host is not an IPv4 address",
		"http://example.09/":            "the URL's host is not an IPv4 address",
		"http://a." + long(64) + "/":    "the URL's host is not a valid host name",
		"http://" + strings.Repeat("a.", 127) + "com/":     "the URL's host name is longer than 253 characters",
		"http://example.com/" + long(65536):                "the URL must be at most 65536 characters long",
		"http://example.com/" + strings.Repeat("ü", 30000): "the URL must be at most 65536 characters long",
	} {
		if got, err := Normalize(raw); err == nil || err.Error() != want {
			t.Errorf("Normalize(%.60q): got %q, %v, want %q", raw, got, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestParseTarget_LaysOutTheHead(t *testing.T) {
	target := mustTarget(t, "https://us%20er:p%40ss@Bücher.example:8443/a b?c=d#frag")
	wantHead := "POST /a%20b?c=d HTTP/1.1\r\nHost: xn--bcher-kva.example:8443\r\n"
	if target.head != wantHead {
		t.Errorf("head: got %q, want %q", target.head, wantHead)
	}
	if want := "Authorization: Basic dXMgZXI6cEBzcw==\r\n"; target.basic != want {
		t.Errorf("basic: got %q, want %q", target.basic, want)
	}
	if want := "https://***@xn--bcher-kva.example:8443/a%20b?c=d#frag"; target.String() != want {
		t.Errorf("String: got %q, want %q", target, want)
	}
	if target.Host() != "xn--bcher-kva.example" || target.Port() != 8443 || !target.HTTPS() {
		t.Errorf("got %s, %d, %v", target.Host(), target.Port(), target.HTTPS())
	}
}

func mustTarget(t testing.TB, raw string) *Target {
	t.Helper()
	target, err := ParseTarget(raw)
	if err != nil {
		t.Fatalf("ParseTarget(%q): %v", raw, err)
	}
	return target
}

// FuzzNormalize: what comes out is a fixed point, and every other parser sees the same host in it.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"http://example.com", "https://u:p@[::1]:8443/a/../b?c#d", `http://a\@b/`, "http://0x7f.1", "http://a@b@c/", "http://①.com",
		"http://example.com/%zz", "http://[::ffff:1.2.3.4]", "http://a/?#", "http://xn--bcher-kva.example", "http://a:b:c@d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := Normalize(raw)
		if err != nil {
			return
		}
		twice, err := Normalize(once)
		if err != nil || once != twice {
			t.Fatalf("%q normalizes to %q and that to %q, %v", raw, once, twice, err)
		}
		target, err := ParseTarget(raw)
		if err != nil {
			t.Fatalf("ParseTarget(%q): %v", raw, err)
		}
		if strings.Count(target.head, "\r\n") != 2 || strings.Count(target.head, "\n") != 2 || strings.Count(target.head, " ") != 3 {
			t.Fatalf("%q makes the head %q", raw, target.head)
		}
		if u, err := url.Parse(once); err == nil && u.Hostname() != target.host {
			t.Fatalf("%q: net/url sees host %q, we see %q", raw, u.Hostname(), target.host)
		}
		_ = Policy{}.CheckTarget(target)
	})
}
