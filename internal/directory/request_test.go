package directory

import (
	"net/http"
	"testing"
	"time"

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

func TestHeader_ShowsAMachineWhatTheSenderSent(t *testing.T) {
	prefixes := []string{"webhook-", "svix-"}
	ep := &Endpoint{}
	for _, tt := range []struct {
		sent http.Header
		want map[string]string // "" is none; "hark" is Hark's own
	}{
		{http.Header{"User-Agent": {"GitHub-Hookshot/1"}, "Accept": {"*/*"}}, map[string]string{"User-Agent": "GitHub-Hookshot/1", "Accept": "*/*", "webhook-id": "hark", "svix-id": "hark"}},
		{http.Header{"Webhook-Id": {"msg_theirs"}, "Webhook-Timestamp": {"1"}, "Webhook-Signature": {"v1,theirs"}},
			map[string]string{"Webhook-Id": "msg_theirs", "Webhook-Timestamp": "1", "Webhook-Signature": "v1,theirs", "webhook-id": "", "svix-id": "hark", "User-Agent": ""}},
		{http.Header{"Svix-Id": {"a"}, "Svix-Timestamp": {"1"}, "Svix-Signature": {"v1,a"}}, map[string]string{"Svix-Id": "a", "svix-id": "", "webhook-id": "hark"}},
		{http.Header{"Webhook-Id": {"msg_half"}}, map[string]string{"Webhook-Id": "", "webhook-id": "hark", "svix-id": "hark"}},
	} {
		var head hark.Head
		head.SetHeader(tt.sent)
		fields, _ := ep.AppendHeader(nil, &hark.Message{ID: "msg_hark", Head: head.Encode()}, prefixes, time.Unix(1, 0), nil)
		got := map[string]string{}
		for _, f := range fields {
			if got[f.Name] = f.Value; f.Value == "msg_hark" {
				got[f.Name] = "hark"
			}
		}
		for name, want := range tt.want {
			if got[name] != want {
				t.Errorf("of %v comes %s %q, want %q", tt.sent, name, got[name], want)
			}
		}
	}
	if len(prefixes) != 2 || prefixes[0] != "webhook-" {
		t.Errorf("the prefixes became %v", prefixes)
	}
}
