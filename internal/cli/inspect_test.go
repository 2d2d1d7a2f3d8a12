package cli

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBodyLines_ShowWhatPeopleCanRead(t *testing.T) {
	for body, want := range map[string][]string{
		"":                          nil,
		`{"a":[1],"b":{}}`:          {"{", `  "a": [`, "    1", "  ],", `  "b": {}`, "}"},
		"a=1&b=\x1b[2J\r\n\tlast\n": {"a=1&b=·[2J", "\tlast"},
	} {
		lines, more := bodyLines(&requestOut{Body: &body})
		if diff := cmp.Diff(want, lines); diff != "" || more != 0 {
			t.Errorf("%q: %d more\n%s", body, more, diff)
		}
	}
	long := strings.Repeat("é", maxTextShown)
	lines, more := bodyLines(&requestOut{Body: &long})
	if len(lines) != 1 || more != maxTextShown || strings.ContainsRune(lines[0], '\uFFFD') {
		t.Errorf("%d lines, %d more", len(lines), more)
	}
	binary := base64.StdEncoding.EncodeToString(append([]byte("\x00\xffabc"), make([]byte, maxHexShown)...))
	lines, more = bodyLines(&requestOut{Base64: &binary})
	if len(lines) != maxHexShown/16 || more != 5 || lines[0] != "00000000  00 ff 61 62 63 00 00 00  00 00 00 00 00 00 00 00  |..abc...........|" {
		t.Errorf("%d lines, %d more: %q", len(lines), more, lines)
	}
}

func TestDrawRequest_DoesNotLetASenderMoveTheCursor(t *testing.T) {
	var out bytes.Buffer
	body := "\x1b]0;title\x07"
	(&shell{stdout: &out}).drawRequest(requestOut{
		ID: "req_1", Method: "POST\x1b[1A", Path: "/\x1b", Query: "\x1b", Remote: "\x1b", Headers: map[string][]string{"X\x1b": {"a\x1b[2J", "b"}},
		Body: &body, ReceivedAt: time.Unix(0, 0), Answered: 200,
	})
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("wrote %q", out.String())
	}
}

func TestParseAnswer_ReadsAStatusAndABody(t *testing.T) {
	for line, want := range map[string]*answerOut{
		"503":              {Status: 503},
		" 429  try later ": {Status: 429, Body: "try later"},
		"soon":             nil,
		"":                 nil,
	} {
		got, err := parseAnswer(line)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v\n%s", line, err, diff)
		}
	}
}

func TestInspect_SaysThatItCouldNotRemoveItsBin(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /api/v1/source":
			_, _ = io.WriteString(w, `{"id":"src_1","applicationId":"app_1","url":"http://127.0.0.1/in/x"}`)
		case "GET /api/v1/tail":
			_, _ = io.WriteString(w, "data: {\"kind\":\"request\",\"request\":{\"id\":\"req_1\"}}\n\n")
		case "GET /api/v1/source/src_1/request/req_1":
			_, _ = io.WriteString(w, `{"id":"req_1"}`)
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":"internal","detail":"it broke"}`)
		}
	}))
	defer server.Close()
	c := inspectStart{Remote: Remote{URL: server.URL, APIKey: "hark_test"}, Limit: 1}
	err := c.Run(t.Context(), &shell{stdout: io.Discard, stderr: io.Discard})
	if err == nil || err.Error() != "remove src_1: it broke" {
		t.Errorf("got %v", err)
	}
}
