package deliver

import (
	"slices"
	"strings"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
)

// Headers that say where an inbound message came from.
const (
	sourceHeader  = "Hark-Source-Id"
	requestHeader = "Hark-Request-Id"
	methodHeader  = "Hark-Request-Method"
	pathHeader    = "Hark-Request-Path" // behind the source's token, with the query
)

// appendContent appends what describes the body: of an inbound message all headers that came with it
// and that are the receiver's business, in place of the one that every other message has.
func (e *Engine) appendContent(fields []outbound.Field, m *hark.Message, ep *directory.Endpoint) []outbound.Field {
	head, err := hark.DecodeHead(m.Head)
	if m.Head == nil || err != nil {
		return append(fields, outbound.Field{Name: "Content-Type", Value: "application/json"})
	}
	path := head.Path
	if head.Query != "" {
		path += "?" + head.Query
	}
	for _, f := range [...]outbound.Field{
		{Name: sourceHeader, Value: string(head.SourceID)}, {Name: requestHeader, Value: string(head.RequestID)},
		{Name: methodHeader, Value: head.Method}, {Name: pathHeader, Value: path},
	} {
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	hops := strings.ToLower(head.Get("Connection"))
	for _, f := range head.Header {
		if e.isForwarded(f.Name, hops, head.Credentials) && !isOwn(ep, f.Name) {
			fields = append(fields, outbound.Field(f))
		}
	}
	return fields
}

// isForwarded says whether a receiver gets an inbound header. What belongs to the connection, or speaks
// of Hark's own address, is not passed on; nor are the names under which Hark itself signs, or an
// encoding of the answer that nobody would decode.
func (e *Engine) isForwarded(name, hops string, credentials bool) bool {
	switch name {
	case "Host", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Accept", "Accept-Encoding", "User-Agent",
		sourceHeader, requestHeader, methodHeader, pathHeader:
		return false
	case "Authorization", "Cookie":
		return credentials
	}
	lower := strings.ToLower(name)
	for _, prefix := range e.opt.HeaderPrefixes {
		if rest, ok := strings.CutPrefix(lower, strings.ToLower(prefix)); ok && (rest == "id" || rest == "timestamp" || rest == "signature") {
			return false
		}
	}
	return hops == "" || !slices.ContainsFunc(strings.Split(hops, ","), func(hop string) bool { return strings.TrimSpace(hop) == lower })
}

// isOwn says whether the endpoint sets a header itself.
func isOwn(ep *directory.Endpoint, name string) bool {
	return slices.ContainsFunc(ep.Fields, func(f outbound.Field) bool { return strings.EqualFold(f.Name, name) })
}
