package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// crashFolder names the environment variable that makes the test binary the victim of the crash
// test: it accepts and settles in that folder, and says on its standard output what was committed.
const crashFolder = "HARK_TEST_CRASH_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashFolder); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// victim works until it is killed.
func victim(dir string) {
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				at := time.Now()
				a := &store.Acceptance{Message: hark.Message{ID: hark.NewMessageID(at), ApplicationRef: 1, EventType: "t", EventID: hark.NewKSUID(at).Format("ev_"),
					Payload: []byte(strings.Repeat("x", 500)), CreatedAt: at, Matched: []hark.Ref{1, 2}},
					Deliveries: []hark.Delivery{{EndpointRef: 1, Due: at.UnixMilli()}, {EndpointRef: 2, Due: at.UnixMilli()}}}
				if err := s.Accept(context.Background(), []*store.Acceptance{a}); err != nil {
					fmt.Println("error", err)
					return
				}
				_, _ = fmt.Fprintf(os.Stdout, "accepted %s\n", a.Message.ID)
				if i%2 == 0 {
					if err := s.Settle(context.Background(), []store.Settlement{{Delivery: a.Deliveries[1], FedAt: at}}); err != nil {
						fmt.Println("error", err)
						return
					}
					_, _ = fmt.Fprintf(os.Stdout, "fed %s\n", a.Message.ID)
					continue
				}
				attempt := &hark.Attempt{ID: hark.NewAttemptID(at), URL: "u", Number: 1, StatusCode: 200, StartedAt: at}
				if err := s.Settle(context.Background(), []store.Settlement{{Delivery: a.Deliveries[0], Attempt: attempt, Succeeded: true}}); err != nil {
					fmt.Println("error", err)
					return
				}
				_, _ = fmt.Fprintf(os.Stdout, "settled %s\n", a.Message.ID)
			}
		})
	}
	wg.Wait()
}

// Everything that was acknowledged before a kill -9 is there after it, and nothing is half there.
func TestStore_KeepsWhatItAcknowledgedThroughAKill(t *testing.T) {
	dir := t.TempDir()
	prepare := openTest(t, dir, Options{})
	at := time.Now()
	env := hark.NewEnvironmentID(at)
	app, err := prepare.InsertApplication(t.Context(), hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: env})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.InsertEndpoint(t.Context(), hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: app.Ref}); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.InsertEndpoint(t.Context(), hark.Endpoint{ID: hark.NewConsumerID(at), ApplicationRef: app.Ref}); err != nil {
		t.Fatal(err)
	}
	if err := prepare.Close(); err != nil {
		t.Fatal(err)
	}
	accepted, settled, fed := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for round := range 4 {
		killMidLoad(t, dir, time.Duration(100+50*round)*time.Millisecond, accepted, settled, fed)
	}
	s := openTest(t, dir, Options{})
	if wrong, err := s.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
	for id := range accepted {
		m, err := s.Message(t.Context(), app.Ref, id, true)
		if err != nil || len(m.Payload) != 500 {
			t.Fatalf("accepted message %s: %v", id, err)
		}
		states, err := s.DeliveryStates(t.Context(), m.Ref, []hark.Ref{1})
		if err != nil {
			t.Fatal(err)
		}
		if got := states[1].Status; settled[id] && got != hark.Succeeded || got != hark.Succeeded && got != hark.Pending {
			t.Fatalf("message %s (settled: %v) is %v", id, settled[id], got)
		}
	}
	checkFeed(t, s, fed)
	t.Logf("%d accepted, %d settled, %d fed", len(accepted), len(settled), len(fed))
	if len(accepted) == 0 || len(settled) == 0 || len(fed) == 0 {
		t.Error("the victim did nothing")
	}
}

// checkFeed checks that the feed of the consumer 2 has no holes, each message once, and all that was said
// to be fed.
func checkFeed(t *testing.T, s *Store, fed map[string]bool) {
	t.Helper()
	seen := make(map[string]bool)
	for after := int64(0); ; {
		some, err := s.ReadFeed(t.Context(), 2, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			if after++; e.Seq != after || seen[string(e.Message.ID)] {
				t.Fatalf("entry %d is number %d, message %s", after, e.Seq, e.Message.ID)
			}
			seen[string(e.Message.ID)] = true
		}
	}
	for id := range fed {
		if !seen[id] {
			t.Errorf("message %s was fed, and is not in the feed", id)
		}
	}
	if _, last, err := s.FeedEnds(t.Context(), 2); err != nil || last != int64(len(seen)) {
		t.Errorf("the last number is %d, of %d entries: %v", last, len(seen), err)
	}
}

func killMidLoad(t *testing.T, dir string, after time.Duration, accepted, settled, fed map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if kill == nil { // it is up
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		switch what, id, _ := strings.Cut(lines.Text(), " "); what {
		case "accepted":
			accepted[id] = true
		case "settled":
			settled[id] = true
		case "fed":
			fed[id] = true
		default:
			t.Errorf("victim: %s", lines.Text())
		}
	}
	_ = cmd.Wait() // it was killed
}
