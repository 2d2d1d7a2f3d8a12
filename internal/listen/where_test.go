package listen

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	gopath "path"
	"strings"
	"testing"
)

func TestWhere_AppendsPathAndQueryAndNeverLeavesTheTarget(t *testing.T) {
	for _, c := range []struct{ target, path, want string }{
		{"http://localhost:3000/", "", "/"},
		{"http://localhost:3000/hook?a=1", "", "/hook?a=1"},
		{"http://localhost:3000/hook?a=1", "/eu?x=1", "/hook/eu?a=1&x=1"},
		{"http://localhost:3000/", "/eu?x=1&x=2", "/eu?x=1&x=2"},
		{"http://localhost:3000/a%2Fb/", "/%2e%2E/%2F%e9?q=%zz", "/a%2Fb/%252e%252E/%2F%e9?q=%zz"},
		{"http://localhost:3000/hook", "?x=1", "/hook?x=1"},
		{"http://localhost:3000/", "//evil.test/x", "//evil.test/x"},
		{"http://localhost:3000/hook", "//evil.test/x", "/hook//evil.test/x"},
		{"http://localhost:3000/hook", "/../../x", "/hook/%252e%252e/../x"},
		{"http://localhost:3000/hook", "/..%2Fx/..\\x/...", "/hook/%252e%252e%252Fx/..%5Cx/..."},
		{"http://localhost:3000/hook", "/eu/../%2F", "/hook/eu/../%2F"},
		{"http://localhost:3000/hook", "/./a%2Fb/../../x", "/hook/./a%2Fb/../%252e%252e/x"},
		{"http://localhost:3000/hook", "@evil.test/", "/hook/@evil.test/"},
		{"http://localhost:3000/hook", "/\\evil.test|%", "/hook/%5Cevil.test%7C%25"},
		{"http://localhost:3000/", "/a?b?c#d \"\xff", "/a?b?c%23d%20\"\xff"},
		{"http://localhost:3000/", "/ HTTP/1.1\r\nX: y", "/%20HTTP/1.1%0D%0AX:%20y"},
	} {
		target, err := url.Parse(c.target)
		if err != nil {
			t.Fatal(err)
		}
		u := where(target, c.path)
		if u.Host != target.Host || u.Scheme != target.Scheme || u.RequestURI() != c.want {
			t.Errorf("%s and %q: %s at %s, want %s", c.target, c.path, u.RequestURI(), u.Host, c.want)
		}
	}
}

func FuzzWhere(f *testing.F) {
	for _, path := range []string{"", "/x?y", "//h/..", "/%2e%2E%5c.%2f..", "/%zz|%2f", "?#", "/\x00\r\n", "/[::1]:80/@"} {
		f.Add(path)
	}
	target, _ := url.Parse("http://localhost:3000/a/?k=v")
	f.Fuzz(func(t *testing.T, path string) {
		u := where(target, path)
		if !strings.HasPrefix(u.RequestURI(), "/a/") || u.Host != target.Host || strings.ContainsAny(u.RequestURI(), " \r\n\x00#") {
			t.Fatalf("%q became %q", path, u.RequestURI())
		}
		for _, read := range []func(string) string{
			func(s string) string { return s }, // an escaped slash is part of a name
			func(s string) string {
				plain, _ := url.PathUnescape(s)
				return strings.ReplaceAll(plain, "\\", "/")
			},
		} {
			if got := gopath.Clean(read(strings.ReplaceAll(strings.ToLower(u.EscapedPath()), "%2e", "."))); got != "/a" && !strings.HasPrefix(got, "/a/") {
				t.Fatalf("%q became %q, which leads to %q", path, u.RequestURI(), got)
			}
		}
	})
}

func TestForwarder_SendsTheRequestLineThatCame(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan string, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			lines <- line
			_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	target, _ := url.Parse("http://" + l.Addr().String() + "/")
	f := newForwarder(&Options{ForwardTo: target})
	for _, c := range []struct{ method, path, want string }{
		{"PUT", "/eu?x=1", "PUT /eu?x=1 HTTP/1.1\r\n"},
		{"DELETE", "//evil.test/%2F../", "DELETE //evil.test/%2F../ HTTP/1.1\r\n"},
		{"", "", "POST / HTTP/1.1\r\n"},
		{"CONNECT", "", "POST / HTTP/1.1\r\n"},
		{"G ET", "/", "POST / HTTP/1.1\r\n"},
	} {
		r, err := f.send(t.Context(), &Message{Method: c.method, Path: c.path})
		if err != nil || r.Status != http.StatusNoContent {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := <-lines; got != c.want || !strings.HasPrefix(c.want, r.Method+" ") {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
