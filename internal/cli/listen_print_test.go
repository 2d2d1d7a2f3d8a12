package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

func TestRecords_KeepHeadersAndBodiesByteForByte(t *testing.T) {
	var out buffer
	p := &listenPrinter{sh: &shell{stdout: &out, stderr: &out}}
	m := listen.Message{ID: "msg_1", Path: "/a?x=1&y=<2>", Body: []byte{0xff}, Header: []hark.HeadField{
		{Name: "X-Plain", Value: "a"}, {Name: "X-Latin", Value: "caf\xe9"}, {Name: "X-Plain", Value: "b"},
	}}
	p.record(m)
	p.record(listen.Response{Message: &m, Status: 200, Header: http.Header{"X-Latin": {"\xe9"}, "A": {"1", "2"}}, Body: []byte("<&>")})
	p.record(listen.Response{Message: &m, Err: "no answer within 30s"})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range [][]string{
		{`"path":"/a?x=1&y=<2>"`, `"headers":[["X-Plain","a"],["X-Latin","Y2Fm6Q==","base64"],["X-Plain","b"]]`, `"bodyBase64":"/w=="`},
		{`"headers":[["A","1"],["A","2"],["X-Latin","6Q==","base64"]]`, `"body":"<&>"`, `"status":200`},
		{`"status":0`, `"error":"no answer within 30s"`},
	} {
		for _, part := range want {
			if i >= len(lines) || !strings.Contains(lines[i], part) {
				t.Errorf("%s is not in record %d of\n%s", part, i+1, out.String())
			}
		}
	}
	if strings.Contains(lines[2], "headers") || strings.Contains(lines[2], "body") {
		t.Errorf("a record of no answer has parts of one: %s", lines[2])
	}
}
