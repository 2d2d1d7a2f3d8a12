package hark

import (
	"strings"
	"testing"
)

func TestParseStatuses(t *testing.T) {
	tests := []struct {
		give, in, out string
	}{
		{"", "100 404 999", ""},
		{"429", "429", "428 430 500"},
		{"500-599 429 !501", "500 502 599 429", "501 428 600 404"},
		{">=400", "400 999", "399"},
		{">400", "401", "400"},
		{"<=499", "499 100", "500"},
		{"<500", "499", "500"},
		{"!501", "500 404 302", "501"},
		{"!400-499 429", "", "429 400 500"}, // what is taken out stays out
		{">999", "", "999 500"},
	}
	for _, test := range tests {
		set, err := ParseStatuses(strings.Fields(test.give))
		if err != nil {
			t.Errorf("%q: %v", test.give, err)
			continue
		}
		for want, codes := range map[bool]string{true: test.in, false: test.out} {
			for _, text := range strings.Fields(codes) {
				code, _ := parseStatus(text)
				if set.Has(code) != want {
					t.Errorf("%q: %d in the set is %v", test.give, code, !want)
				}
			}
		}
	}
	for _, bad := range []string{"", "!", "5xx", "99", "1000", "599-500", "500-", "-500", ">", ">=5", "!!500", "+50", "500 ", "=500"} {
		if _, err := ParseStatuses([]string{bad}); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	if _, err := ParseStatuses(make([]string, MaxRetryOn+1)); err == nil {
		t.Error("too many expressions passed")
	}
}
