package hostile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// TestInput_EveryRefusalIsAnAnswer sends what nobody should send, all to one server, which must
// answer each with a 4xx that says why, and be well afterwards.
func TestInput_EveryRefusalIsAnAnswer(t *testing.T) {
	s := harness.Run(t, "--log-level", "warn")
	c := s.Client()
	app := c.Application(t, "input")
	t.Run("JSON", func(t *testing.T) { badJSON(t, c, app) })
	t.Run("fields", func(t *testing.T) { badFields(t, c, app) })
	t.Run("paths", func(t *testing.T) { badPaths(t, c, app) })
	t.Run("sizes", func(t *testing.T) { badSizes(t, s, c, app) })
	t.Run("smuggling", func(t *testing.T) { smuggling(t, s, c, app) })
	t.Run("slow clients", func(t *testing.T) { slowClients(t, s, c, app) })
	u, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.PeakRSS > memoryLimit {
		t.Errorf("memory went up to %d MB, want at most %d", u.PeakRSS>>20, memoryLimit>>20)
	}
	c.Publish(t, app, "still.well", map[string]any{"a": 1})
}

// refused makes one call that must be answered with a 4xx in JSON.
func refused(t *testing.T, c *harness.Client, method, path string, body []byte) {
	t.Helper()
	status, header, answer, err := c.Raw(t.Context(), method, path, bytes.NewReader(body), nil)
	if err != nil {
		t.Errorf("%s %s with %.60q: %v", method, path, body, err)
		return
	}
	var e struct{ Detail json.RawMessage }
	if status/100 != 4 || !strings.HasPrefix(header.Get("Content-Type"), "application/json") ||
		json.Unmarshal(answer, &e) != nil || e.Detail == nil {
		t.Errorf("%s %s with %.60q = %d %.100q, want a 4xx with a detail", method, path, body, status, answer)
	}
}

// badJSON are the kinds of the JSON test suites: n_ are no JSON at all.
func badJSON(t *testing.T, c *harness.Client, app string) {
	broken := []string{
		"", " ", "\x00", "{", "}", "[", "]", "{]", "[}", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`,
		`{'a':1}`, `{a:1}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":Infinity}`,
		`{"a":-}`, `{"a":--1}`, `{"a":tru}`, `{"a":True}`, `{"a":nul}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\uZZZZ"}`,
		`{"a":"`, `{"a":"\`, `{"a":1}}`, `{"a":1}x`, `{"a":1}{"b":2}`, "\ufeff" + `{"a":1}`, `{"a":1/*c*/}`, `{"a":1//c` + "\n}", `{"a":"\0"}`,
		"{\"a\":\"\x01\"}", `{"a"::1}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"":}`, "\xff\xfe{\x00}\x00", `<xml/>`, `a=b&c=d`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000),
	}
	for _, text := range broken {
		refused(t, c, http.MethodPost, "/api/v1/app", []byte(text))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg", []byte(text))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg", []byte(`{"eventType":"a.b","payload":`+text+`}`))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg/batch", []byte(text))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/endpoint", []byte(text))
	}
	// Bytes that are no UTF-8, in every place of a message where text stands.
	for _, bad := range []string{"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"} {
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg", []byte(`{"eventType":"a.b","payload":{"x":"`+bad+`"}}`))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg", []byte(`{"eventType":"a`+bad+`","payload":{}}`))
		refused(t, c, http.MethodPost, "/api/v1/app", []byte(`{"name":"`+bad+`"}`))
	}
	// Strange but right: kept, and given back as it came.
	for _, text := range []string{`{}`, `{"":""}`, `{"a":1,"a":2}`, `{"a":1e400,"b":-0.0,"c":123456789012345678901234567890}`,
		`{"\ud83d\ude00":"\u0000\b\f"}`, "{ \t\r\n }", `{"a":"` + strings.Repeat("é", 1000) + `"}`, `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`} {
		body := []byte(`{"eventType":"a.b","payload":` + text + `}`)
		status, _, answer, err := c.Raw(t.Context(), http.MethodPost, "/api/v1/app/"+app+"/msg", bytes.NewReader(body), nil)
		if err != nil || status != http.StatusAccepted || !bytes.Contains(answer, []byte(text)) {
			t.Errorf("payload %.60q = %d %.200q %v, want 202 and the same bytes", text, status, answer, err)
		}
	}
}

// badFields are right JSON with wrong content: injections, wrong types, limits.
func badFields(t *testing.T, c *harness.Client, app string) {
	messages := []string{
		`null`, `[]`, `1`, `"x"`, `{}`, `{"eventType":"a.b"}`, `{"payload":{}}`, `{"eventType":1,"payload":{}}`, `{"eventType":"","payload":{}}`,
		`{"eventType":"a b","payload":{}}`, `{"eventType":"a\r\nX-Injected: 1","payload":{}}`, `{"eventType":"` + strings.Repeat("a", 300) + `","payload":{}}`,
		`{"eventType":"a.b","payload":[]}`, `{"eventType":"a.b","payload":"x"}`, `{"eventType":"a.b","payload":1}`, `{"eventType":"a.b","payload":null}`,
		`{"eventType":"a.b","payload":{},"eventId":""}`, `{"eventType":"a.b","payload":{},"eventId":"msg_x"}`, `{"eventType":"a.b","payload":{},"eventId":"a/b"}`,
		`{"eventType":"a.b","payload":{},"eventId":"a\u0000b"}`, `{"eventType":"a.b","payload":{},"channels":[]}`, `{"eventType":"a.b","payload":{},"channels":["a b"]}`,
		`{"eventType":"a.b","payload":{},"channels":"x"}`, `{"eventType":"a.b","payload":{},"payloadRetentionPeriod":0}`, `{"eventType":"a.b","payload":{},"deliverAt":"yesterday"}`,
	}
	for _, text := range messages {
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/msg", []byte(text))
	}
	for _, url := range []string{"", "x", "//x", "ftp://127.0.0.1/", "file:///etc/passwd", "javascript:alert(1)", "gopher://127.0.0.1:25/", "http://", "http:///x",
		"http://127.0.0.1:99999/", "http://127.0.0.1\\r\\nX: 1/", "http://127.0.0.1/\\r\\nX: 1", "http://[::1", "http://[fe80::1%25eth0]/", "unix:///tmp/x", "http://127.0.0.1:0x50/"} {
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/endpoint", []byte(`{"url":"`+url+`"}`))
	}
	endpoint := c.Endpoint(t, app, "http://127.0.0.1:1/", map[string]any{"disabled": true})
	for _, header := range []string{`"X-A":"a\r\nX-B: b"`, `"X-A":"a\nb"`, `"X-A":"a\u0000b"`, `"X A":"a"`, `"X-A\r\nX-B":"a"`, `"":"a"`, `"Host":"evil"`, `"Content-Length":"5"`,
		`"Transfer-Encoding":"chunked"`, `"webhook-id":"msg_forged"`, `"Webhook-Signature":"v1,forged"`, `"svix-id":"x"`, `"X-A":"` + strings.Repeat("v", 5000) + `"`, `"X-A:":"a"`, `"X\u00e9":"a"`} {
		refused(t, c, http.MethodPut, "/api/v1/app/"+app+"/endpoint/"+endpoint+"/headers", []byte(`{"headers":{`+header+`}}`))
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/endpoint", []byte(`{"url":"http://127.0.0.1:1/","headers":{`+header+`}}`))
	}
	for _, setting := range []string{`"retrySchedule":[-1]`, `"retrySchedule":[1e12]`, `"retrySchedule":"5"`, `"timeoutSeconds":-1`, `"timeoutSeconds":1e9`, `"concurrency":-1`,
		`"ordering":"sideways"`, `"filter":{"$and":"x"}`, `"throttleRate":0`, `"throttleRate":-1`, `"secret":"x"`, `"secret":"whsec_"`, `"channels":[]`, `"metadata":{"a":1}`, `"uid":"ep_x"`} {
		refused(t, c, http.MethodPost, "/api/v1/app/"+app+"/endpoint", []byte(`{"url":"http://127.0.0.1:1/",`+setting+`}`))
	}
}

func badPaths(t *testing.T, c *harness.Client, app string) {
	for _, path := range []string{"/api/v1/app/app_x", "/api/v1/app/..%2f..%2fetc", "/api/v1/app/%00", "/api/v1/app/%ff", "/api/v1/app/' OR 1=1 --", "/api/v1/app/" + strings.Repeat("a", 5000),
		"/api/v1/nothing", "/api/v1/app/" + app + "/msg/msg_000000000000000000000000000", "/api/v1/app/" + app + "/msg?limit=0", "/api/v1/app/" + app + "/msg?limit=251",
		"/api/v1/app/" + app + "/msg?limit=abc", "/api/v1/app/" + app + "/msg?iterator=msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz", "/api/v1/app/" + app + "/msg?iterator=garbage",
		"/api/v1/app/" + app + "/msg?before=garbage", "/api/v1/app?order=sideways"} {
		path = strings.ReplaceAll(path, " ", "%20")
		refused(t, c, http.MethodGet, strings.ReplaceAll(path, "'", "%27"), nil)
	}
	for _, method := range []string{"TRACE", "PROPFIND", "BREW", "DELETE", "PATCH"} {
		refused(t, c, method, "/api/v1/app", []byte("{}"))
	}
}

// badSizes are bodies and headers without measure.
func badSizes(t *testing.T, s *harness.Server, c *harness.Client, app string) {
	huge := []byte(`{"eventType":"a.b","payload":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`)
	status, _, answer, err := c.Raw(t.Context(), http.MethodPost, "/api/v1/app/"+app+"/msg", bytes.NewReader(huge), nil)
	if err != nil || status != http.StatusRequestEntityTooLarge || !json.Valid(answer) {
		t.Errorf("a body of 3 MiB = %d %.100q %v, want 413 in JSON", status, answer, err)
	}
	head := "POST /api/v1/app/" + app + "/msg HTTP/1.1\r\nHost: hark\r\nAuthorization: Bearer " + harness.Key + "\r\nContent-Type: application/json\r\n"
	if got := exchange(t, s.Addr, head+"Content-Length: 99999999999\r\n\r\n{", patience); !strings.Contains(got, " 413 ") {
		t.Errorf("a promise of 100 GB = %.80q, want 413 without waiting for it", got)
	}
	// An endless chunked body: the server stops reading at its limit.
	conn := dial(t, s.Addr)
	defer conn.Close()
	fmt.Fprint(conn, head, "Transfer-Encoding: chunked\r\n\r\n")
	chunk := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	sent := 0
	for err = nil; err == nil && sent < 256<<20; sent += len(chunk) {
		_, err = io.WriteString(conn, chunk)
	}
	if err == nil {
		t.Errorf("the server read %d MB of an endless body", sent>>20)
	}
	got := exchange(t, s.Addr, "GET /api/v1/health HTTP/1.1\r\nHost: hark\r\nX-Long: "+strings.Repeat("x", 2<<20)+"\r\n\r\n", patience)
	if got != "" && !strings.Contains(got, " 4") {
		t.Errorf("a header of 2 MiB = %.80q, want a 4xx or a closed connection", got)
	}
}

// smuggling hides a second request in the first, in the ways in which servers disagree on where
// one ends. It may be refused, but must never be carried out.
func smuggling(t *testing.T, s *harness.Server, c *harness.Client, app string) {
	auth := "Authorization: Bearer " + harness.Key + "\r\n"
	hidden := `{"name":"smuggled ##"}`
	second := "POST /api/v1/app HTTP/1.1\r\nHost: hark\r\n" + auth + "Content-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden
	chunked := "0\r\n\r\n" + second
	head := "POST /api/v1/app/" + app + "/msg HTTP/1.1\r\nHost: hark\r\n" + auth
	length := fmt.Sprintf("Content-Length: %d\r\n", len(chunked))
	attacks := []struct{ name, text string }{
		{"both lengths", head + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked},
		{"both, the other way round", head + "Transfer-Encoding: chunked\r\n" + length + "\r\n" + chunked},
		{"two lengths", head + "Content-Length: 0\r\n" + length + "\r\n" + second},
		{"a list of lengths", head + "Content-Length: 0, 5\r\n\r\n" + second},
		{"a signed length", head + "Content-Length: +0\r\n\r\n" + second},
		{"a negative length", head + "Content-Length: -1\r\n\r\n" + second},
		{"a hexadecimal length", head + "Content-Length: 0x0\r\n\r\n" + second},
		{"an unknown coding", head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked},
		{"a coding twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked},
		{"a folded header", head + "X-A: b\r\n Transfer-Encoding: chunked\r\n" + length + "\r\n" + chunked},
		{"a space before the colon", head + "Content-Length : 0\r\n\r\n" + second},
		{"a tab before the colon", head + "Transfer-Encoding\t: chunked\r\n\r\n" + chunked},
		{"a vertical tab", head + "Transfer-Encoding: \x0bchunked\r\n" + length + "\r\n" + chunked},
		{"a null in a header", head + "X-A: a\x00b\r\n" + length + "\r\n" + chunked},
		{"a bare carriage return", head + "X-A: a\rTransfer-Encoding: chunked\r\n" + length + "\r\n" + chunked},
		{"a chunk size beyond 64 bit", head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + second},
		{"a signed chunk size", head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + second},
		{"two hosts", strings.Replace(head, "Host: hark\r\n", "Host: hark\r\nHost: evil\r\n", 1) + "Content-Length: 0\r\n\r\n"},
		{"no host", strings.Replace(head, "Host: hark\r\n", "", 1) + "Content-Length: 0\r\n\r\n"},
		{"a version that is none", strings.Replace(head, "HTTP/1.1", "HTTP/9.9", 1) + "Content-Length: 0\r\n\r\n"},
		{"a space in the path", strings.Replace(head, "/msg ", "/ms g ", 1) + "Content-Length: 0\r\n\r\n"},
		{"no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
	}
	for i, attack := range attacks {
		text := strings.ReplaceAll(attack.text, "##", fmt.Sprintf("%02d", i)) // as long as before
		if got := exchange(t, s.Addr, text, patience); got != "" && !strings.HasPrefix(got, "HTTP/1.") {
			t.Errorf("%s = %.80q, want an HTTP answer or a closed connection", attack.name, got)
		}
	}
	var apps struct{ Data []struct{ Name string } }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app?limit=250", nil, &apps)
	for _, a := range apps.Data {
		var i int
		if n, _ := fmt.Sscanf(a.Name, "smuggled %d", &i); n == 1 {
			t.Errorf("the request hidden by %s was carried out", attacks[i].name)
		}
	}
}

// slowClients opens many connections that send a byte now and then, and checks that others are
// served meanwhile and that the server lets go of them.
func slowClients(t *testing.T, s *harness.Server, c *harness.Client, app string) {
	const many = 300
	before, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = dial(t, s.Addr)
		defer conns[i].Close()
		fmt.Fprint(conns[i], "POST /api/v1/app HTTP/1.1\r\nHost: hark\r\nX-Slow: ")
	}
	began := time.Now()
	for time.Since(began) < 2*time.Second {
		for _, conn := range conns {
			_, _ = io.WriteString(conn, "x") // it may be closed already
		}
		one := time.Now()
		c.Publish(t, app, "a.b", map[string]any{"a": 1})
		if took := time.Since(one); took > 10*time.Second {
			t.Errorf("a publish took %v beside slow clients", took)
		}
		time.Sleep(50 * time.Millisecond)
	}
	harness.Eventually(t, patience, func() error {
		now, err := s.Usage()
		if err != nil {
			return err
		}
		if now.FDs > before.FDs+many/10 {
			return fmt.Errorf("%d files are open, before the slow clients %d", now.FDs, before.FDs)
		}
		return nil
	})
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// exchange sends raw bytes, and a moment later returns the start of the first answer; "" when the
// server just closed. The moment is for what the server may do after its first answer.
func exchange(t *testing.T, addr, text string, limit time.Duration) string {
	t.Helper()
	conn := dial(t, addr)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "" // closed before it had read everything
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("no answer within %v to %.60q", limit, text)
		}
		return ""
	}
	defer res.Body.Close()
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until it is closed, or idle
	return fmt.Sprintf("%s %s ", res.Proto, res.Status)
}
