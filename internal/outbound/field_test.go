package outbound_test

import (
	"strings"
	"testing"

	"github.com/harkhq/hark/internal/outbound"
)

func TestFieldProblem_KeepsWhatFramesTheRequest(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"X-Token", "t", ""},
		{"Authorization", "Bearer t", ""},
		{"Content-Length", "1", "this header cannot be set"},
		{"Transfer-Encoding", "chunked", "this header cannot be set"},
		{"HOST", "other", "this header cannot be set"},
		{"webhook-id", "1", "this header cannot be set"},
		{"", "1", "is not a header name"},
		{"a b", "1", "is not a header name"},
		{strings.Repeat("a", 257), "1", "is not a header name"},
		{"X-Token", "a\r\nb", "is not a header value"},
		{"X-Token", strings.Repeat("a", 4097), "must not be longer than 4096 bytes"},
	} {
		if got := outbound.FieldProblem(test.name, test.value); got != test.want {
			t.Errorf("%.20s: %.20s: got %q, want %q", test.name, test.value, got, test.want)
		}
	}
}
