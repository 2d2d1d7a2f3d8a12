package match

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/harkhq/hark"
)

func TestRequest_IsFilteredByWhatCameBesidesTheBody(t *testing.T) {
	head := hark.Head{SourceID: "src_1", Method: "POST", Path: "/eu", Query: "a=1&b=x&b=y"}
	head.SetHeader(http.Header{"X-Github-Event": {"push"}, "X-Many": {"1", "2"}, "Content-Type": {"application/json"}})
	form := head
	form.SetHeader(http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}})
	inbound := hark.Message{EventType: "t", Payload: []byte(`{"n":1}`), Head: head.Encode()}
	for _, test := range []struct {
		filter string
		m      hark.Message
		want   bool
	}{
		{`{"n":1,"$request":{"headers":{"x-github-event":"push"}}}`, inbound, true},
		{`{"n":2,"$request":{"headers":{"x-github-event":"push"}}}`, inbound, false},
		{`{"$request":{"headers":{"x-github-event":"pull"}}}`, inbound, false},
		{`{"$request":{"headers":{"x-many":"2"},"query":{"a":1,"b":["x","y"]},"path":{"$startsWith":"/e"},"method":"POST"}}`, inbound, true},
		{`{"$request":{"source":"src_1"}}`, inbound, true},
		{`{"$request":{"source":"src_2"}}`, inbound, false},
		{`{"$request":{"body":{"n":1}}}`, inbound, true},
		{`{"$request":{"headers":{"x-none":{"$exist":false}}}}`, inbound, true},
		{`{"$or":[{"$request":{"path":"/us"}},{"$request":{"path":"/eu"}}]}`, inbound, true},
		{`{"$request":{"path":"/eu"}}`, hark.Message{Payload: []byte(`{"n":1}`)}, false},
		{`{"$request":{"$exist":false}}`, hark.Message{Payload: []byte(`{"n":1}`)}, true},
		{`{"$request":{"body":{"amount":"12"}}}`, hark.Message{RawBody: []byte("amount=12&x=%zz"), Head: form.Encode()}, true},
		{`{"$request":{"body":{"$in":"<paid/>"}}}`, hark.Message{RawBody: []byte("<a><paid/></a>"), Head: head.Encode()}, true},
		{`{"$request":{"body":{"$exist":false}}}`, hark.Message{RawBody: []byte{0xff, 0}, Head: head.Encode()}, true},
		{`{"$request":{"body":[1]}}`, hark.Message{RawBody: []byte("[1,2]"), Head: head.Encode()}, true},
		{`{"$request":{"path":"/eu"}}`, hark.Message{RawBody: []byte("x"), Head: []byte("nonsense")}, false},
	} {
		m, err := Compile(Rule{Filter: json.RawMessage(test.filter)})
		if err != nil {
			t.Fatalf("%s: %v", test.filter, err)
		}
		s := Of(&test.m)
		if got := m.Match(s); got != test.want {
			t.Errorf("%s on %s: %t", test.filter, test.m.Body(), got)
		}
		if v := m.Explain(s); v.Matched != test.want || !test.want && v.Detail == "" {
			t.Errorf("%s explained: %+v", test.filter, v)
		}
	}
	if _, err := Compile(Rule{Filter: json.RawMessage(`{"$request":1}`)}); err == nil || !strings.Contains(err.Error(), "$request takes") {
		t.Errorf("$request of a number: %v", err)
	}
}
