package directory

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
)

func TestForward_PassesOnWhatIsTheReceiversBusiness(t *testing.T) {
	prefixes := []string{"webhook-", "svix-"}
	head := hark.Head{SourceID: "src_1", RequestID: "req_1", Method: "PUT", Path: "/eu", Query: "a=1"}
	head.SetHeader(http.Header{
		"Content-Type": {"text/xml"}, "X-Github-Event": {"push"}, "X-Many": {"1", "2"}, "Content-Encoding": {"gzip"},
		"Connection": {"keep-alive, X-Hop"}, "X-Hop": {"h"}, "Te": {"trailers"}, "Host": {"hark"}, "Content-Length": {"3"},
		"Authorization": {"Bearer s"}, "Cookie": {"c"}, "Webhook-Signature": {"v1,x"}, "Svix-Id": {"msg"}, "Webhook-Topic": {"t"},
		"Accept-Encoding": {"gzip"}, "Hark-Source-Id": {"src_forged"}, "X-Own": {"theirs"},
	})
	ep := &Endpoint{Fields: []outbound.Field{{Name: "x-own", Value: "ours"}}}
	want := []outbound.Field{
		{Name: "Hark-Source-Id", Value: "src_1"}, {Name: "Hark-Request-Id", Value: "req_1"}, {Name: "Hark-Request-Method", Value: "PUT"},
		{Name: "Hark-Request-Path", Value: "/eu?a=1"}, {Name: "Content-Encoding", Value: "gzip"}, {Name: "Content-Type", Value: "text/xml"},
		{Name: "Webhook-Topic", Value: "t"}, {Name: "X-Github-Event", Value: "push"}, {Name: "X-Many", Value: "1"}, {Name: "X-Many", Value: "2"},
	}
	if diff := cmp.Diff(want, ep.AppendContent(nil, &hark.Message{Head: head.Encode()}, prefixes)); diff != "" {
		t.Errorf("forwarded (-want +got):\n%s", diff)
	}
	head.Credentials = true
	with := ep.AppendContent(nil, &hark.Message{Head: head.Encode()}, prefixes)
	if len(with) != len(want)+2 {
		t.Errorf("with credentials: %v", with)
	}
	if got := ep.AppendContent(nil, &hark.Message{}, prefixes); len(got) != 1 || got[0].Value != "application/json" {
		t.Errorf("published: %v", got)
	}
}
