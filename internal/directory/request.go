package directory

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
)

// Headers that say where an inbound message came from.
const (
	sourceHeader  = "Hark-Source-Id"
	requestHeader = "Hark-Request-Id"
	methodHeader  = "Hark-Request-Method"
	PathHeader    = "Hark-Request-Path" // behind the source's token, with the query
)

// SignaturePrefixes are the names of the signature headers up to id, timestamp and signature, unless an
// operator says otherwise: those of Standard Webhooks, and Svix's, so that receivers written for either verify.
func SignaturePrefixes() []string { return []string{"webhook-", "svix-"} }

// AppendHeader appends what a receiver gets with a message that is sent at a moment: what describes the
// body, then the signatures, then the endpoint's own headers. scratch is as for AppendSigned.
func (e *Endpoint) AppendHeader(fields []outbound.Field, m *hark.Message, prefixes []string, at time.Time, scratch []byte) ([]outbound.Field, []byte) {
	fields = e.AppendContent(fields, m, prefixes)
	fields, scratch = e.AppendSigned(fields, m.ID, m.Body(), prefixes, at, scratch)
	return append(fields, e.Fields...), scratch
}

// AppendSigned appends the signature of a body under each of the prefixes. scratch is for its text, and is
// answered to be used again.
func (e *Endpoint) AppendSigned(fields []outbound.Field, id hark.MessageID, body []byte, prefixes []string, at time.Time, scratch []byte) ([]outbound.Field, []byte) {
	scratch = e.AppendSignatures(scratch[:0], id, at, body)
	signature, timestamp := string(scratch), strconv.FormatInt(at.Unix(), 10)
	for _, prefix := range prefixes {
		fields = append(fields,
			outbound.Field{Name: prefix + "id", Value: string(id)},
			outbound.Field{Name: prefix + "timestamp", Value: timestamp},
			outbound.Field{Name: prefix + "signature", Value: signature})
	}
	return fields, scratch
}

// AppendContent appends what describes the body: of an inbound message all headers that came with it
// and that are the receiver's business, in place of the one that every other message has.
func (e *Endpoint) AppendContent(fields []outbound.Field, m *hark.Message, prefixes []string) []outbound.Field {
	head, err := hark.DecodeHead(m.Head)
	if m.Head == nil || err != nil {
		return append(fields, outbound.Field{Name: "Content-Type", Value: "application/json"})
	}
	for _, f := range [...]outbound.Field{
		{Name: sourceHeader, Value: string(head.SourceID)}, {Name: requestHeader, Value: string(head.RequestID)},
		{Name: methodHeader, Value: head.Method}, {Name: PathHeader, Value: head.PathQuery()},
	} {
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	hops := strings.ToLower(head.Get("Connection"))
	for _, f := range head.Header {
		if isForwarded(f.Name, hops, head.Credentials, prefixes) && !e.isOwn(f.Name) {
			fields = append(fields, outbound.Field(f))
		}
	}
	return fields
}

// isForwarded says whether a receiver gets an inbound header. What belongs to the connection, or speaks
// of Hark's own address, is not passed on; nor are the names under which Hark itself signs, or an
// encoding of the answer that nobody would decode.
func isForwarded(name, hops string, credentials bool, prefixes []string) bool {
	switch name {
	case "Host", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Accept", "Accept-Encoding", "User-Agent",
		sourceHeader, requestHeader, methodHeader, PathHeader:
		return false
	case "Authorization", "Cookie":
		return credentials
	}
	lower := strings.ToLower(name)
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(lower, strings.ToLower(prefix)); ok && (rest == "id" || rest == "timestamp" || rest == "signature") {
			return false
		}
	}
	return hops == "" || !slices.ContainsFunc(strings.Split(hops, ","), func(hop string) bool { return strings.TrimSpace(hop) == lower })
}

// isOwn says whether the endpoint sets a header itself.
func (e *Endpoint) isOwn(name string) bool {
	return slices.ContainsFunc(e.Fields, func(f outbound.Field) bool { return strings.EqualFold(f.Name, name) })
}
