package harness

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// Main is a TestMain that builds the binary once for all tests of a package. HARK_BINARY names a
// ready one to test instead, such as a release.
func Main(m *testing.M) int {
	flag.Parse()
	if testing.Short() || os.Getenv("HARK_BINARY") != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hark-binary-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, err := Build(context.Background(), dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv("HARK_BINARY", bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Binary is the path of the binary under test. In short mode the test is skipped.
func Binary(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("whole-binary test: skipped by -short")
	}
	bin := os.Getenv("HARK_BINARY")
	if bin == "" {
		t.Fatal("no HARK_BINARY: does the package's TestMain call harness.Main?")
	}
	if err := see(); err != nil {
		t.Fatal(err)
	}
	return bin
}

// Rounds is how often a campaign does what it does when nobody says so: few times in the inner loop, many
// times where everything is to be tested (HARK_TESTS=all, as make test has it).
func Rounds(few, many int) int {
	if os.Getenv("HARK_TESTS") == "all" {
		return many
	}
	return few
}

// Run starts a server on an empty folder for the time of a test. When the test fails, the end of
// the server's log is shown.
func Run(t testing.TB, args ...string) *Server {
	t.Helper()
	return RunWith(t, Options{Args: args})
}

// RunWith is Run with options; Binary and Dir are filled in when they are empty.
func RunWith(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Binary == "" {
		o.Binary = Binary(t)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir() + "/data"
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", s.Tail())
		}
	})
	return s
}

// Arrival is one request that a Sink got.
type Arrival struct {
	Path   string
	ID     string // webhook-id
	Header http.Header
	Body   []byte
	At     time.Time
	Nth    int // 1 for the first arrival of this id at this path
}

// Sink is a receiver on loopback that remembers what it got.
type Sink struct {
	URL string

	mu       sync.Mutex
	arrivals []Arrival
	seen     map[string]int
}

// NewSink starts a receiver. answer writes the response; nil answers 204 at once.
func NewSink(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, a Arrival)) *Sink {
	t.Helper()
	s := &Sink{seen: map[string]int{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender went away: nothing arrived
		}
		a := s.record(r, body)
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r, a)
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	s.URL = srv.URL
	return s
}

func (s *Sink) record(r *http.Request, body []byte) Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := Arrival{Path: r.URL.Path, ID: r.Header.Get("webhook-id"), Header: r.Header.Clone(), Body: body, At: time.Now()}
	key := a.Path + " " + a.ID
	s.seen[key]++
	a.Nth = s.seen[key]
	s.arrivals = append(s.arrivals, a)
	return a
}

// Arrivals are the requests so far at path, in the order in which they came; "" is every path.
func (s *Sink) Arrivals(path string) []Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Arrival
	for _, a := range s.arrivals {
		if path == "" || a.Path == path {
			out = append(out, a)
		}
	}
	return out
}

// Wait waits until there are n arrivals at path, and returns them; fewer within limit end the test.
func (s *Sink) Wait(t testing.TB, path string, n int, limit time.Duration) []Arrival {
	t.Helper()
	var got []Arrival
	Eventually(t, limit, func() error {
		if got = s.Arrivals(path); len(got) < n {
			return fmt.Errorf("%d arrivals at %q, want %d", len(got), path, n)
		}
		return nil
	})
	return got
}

// Eventually calls check until it returns nil; if it does not within limit, the test ends with the
// last error.
func Eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", limit, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
