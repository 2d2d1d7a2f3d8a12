package tunnel

import "testing"

func TestEscaped_KeepsBytesThatAreNoText(t *testing.T) {
	for path, want := range map[string]string{
		"":                       "",
		"/a%20b?x=\u00e9&y=%ff":  "/a%20b?x=\u00e9&y=%ff",
		"/a?x=\xe9&y=\xff\xfe":   "/a?x=%E9&y=%FF%FE",
		"/a?x=\u00e9\xe9\ufffd!": "/a?x=\u00e9%E9\ufffd!",
	} {
		if got := escaped(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}
