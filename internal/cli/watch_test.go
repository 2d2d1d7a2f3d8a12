package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A server that goes away again and again, and tells the last events twice.
func TestWatcher_TakesABrokenConnectionUp(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		switch n := len(asked); n {
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			for i := max(n-3, 0); i < n; i++ {
				fmt.Fprintf(w, "retry: 2000\n\nid: place-%d\nevent: message\ndata: {\"kind\":\"message\",\"message\":{\"id\":\"msg_%d\"}}\n\n:\n\n", n, i)
			}
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	w := &watcher{api: newClient(server.URL, "key"), sh: &shell{stdout: &out, stderr: &out}}
	var got []string
	err := w.watch(t.Context(), func(e *tailOut, raw []byte) error {
		if !json.Valid(raw) {
			t.Errorf("%q", raw)
		}
		if got = append(got, e.Message.ID); len(got) == 4 {
			return errEnough
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"msg_0", "msg_1", "msg_2", "msg_3"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"", "place-1", "place-1", "place-3"}, asked); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(out.String(), "The connection is gone; connecting again …\nConnected again.\n") {
		t.Errorf("said %q", out.String())
	}
}

func TestWatcher_SaysAtOnceWhatIsWrong(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"code":"forbidden","detail":"no"}`)
	}))
	defer server.Close()
	w := &watcher{api: newClient(server.URL, "key"), sh: &shell{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}}
	if err := w.watch(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "may not do that") {
		t.Errorf("got %v", err)
	}
}

func TestKnown_ForgetsTheOldest(t *testing.T) {
	var k known
	for i := range knownIDs + 10 {
		if !k.add(fmt.Sprint(i)) {
			t.Fatalf("%d is not new", i)
		}
	}
	if k.add(fmt.Sprint(knownIDs+9)) || k.add("10") || !k.add("9") || len(k.ids) != knownIDs {
		t.Errorf("knows %d", len(k.ids))
	}
}
