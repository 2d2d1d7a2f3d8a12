package outbound

import (
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Bounds of a header that an endpoint sets.
const (
	maxFieldName  = 256
	maxFieldValue = 4096
)

// FieldProblem says what is wrong with a header that an endpoint sets, or "".
func FieldProblem(name, value string) string {
	switch {
	case len(name) > maxFieldName || !httpguts.ValidHeaderFieldName(name):
		return "is not a header name"
	case isReserved(strings.ToLower(name)):
		return "this header cannot be set"
	case len(value) > maxFieldValue:
		return fmt.Sprintf("must not be longer than %d bytes", maxFieldValue)
	case !httpguts.ValidHeaderFieldValue(value):
		return "is not a header value"
	}
	return ""
}

// isReserved says whether an endpoint may not set a header: those that frame the request or say what
// is in it, and those by which receivers and clouds recognise a sender.
func isReserved(name string) bool {
	switch name {
	case "accept-charset", "accept-encoding", "cache-control", "connection", "date", "expect", "expires", "host",
		"keep-alive", "pragma", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via":
		return true
	}
	for _, prefix := range []string{
		"content-", "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
