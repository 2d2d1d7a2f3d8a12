// Command bench measures a sender of webhooks: how many messages a second it accepts, delivers and
// records, how late they arrive, and what that costs. Generator, server and sink are processes of
// their own on one machine, traffic stays on loopback, and a run ends when the queue has drained: a
// backlog left behind counts as missing, not as throughput. It promises the same load for every
// sender and refuses to be clever about the results.
//
//	go run ./bench all                          every scenario against a Hark built from this tree
//	go run ./bench pg                           those on PostgreSQL, with one node and with three
//	go run ./bench throughput -duration 5s      one of them
//	go run ./bench drive -publish HOST:PORT -path /publish -sink HOST:PORT -item '{…{{pad}}}' -pid N
//	                                            any other sender that has been set up to deliver to
//	                                            http://SINK/ok/…
//	go run ./bench gen …, go run ./bench sink … the two ends alone
//
// Hark runs on a fresh folder with fsync on every commit, as it always does; or on a PostgreSQL of the
// benchmark's own, from the system's binaries, whose commits are synced as well.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/harkhq/hark/test/harness"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("which scenario? one of " + names() + ", all, pg, drive, gen, sink")
	}
	switch args[0] {
	case "gen":
		return genMain(args[1:])
	case "sink":
		return sinkMain(args[1:])
	case "drive":
		return driveMain(args[1:])
	}
	return scenarioMain(args[0], args[1:])
}

func names() string {
	var out []string
	for _, s := range scenarios {
		out = append(out, s.name)
	}
	return strings.Join(out, ", ")
}

func scenarioMain(name string, args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	b := &bench{}
	fs := flag.NewFlagSet(name, flag.ExitOnError)
	fs.StringVar(&b.hark, "hark", "", "binary to measure; without it, one is built from this tree")
	fs.StringVar(&b.dir, "dir", "", "folder for the data, on a real disk; default: the system's temporary folder")
	fs.DurationVar(&b.duration, "duration", 15*time.Second, "how long each load lasts")
	fs.IntVar(&b.conns, "conns", 64, "keep-alive connections of the throughput scenarios")
	fs.Int64Var(&b.messages, "history", 100_000, "messages of history; the published figure uses 5000000")
	fs.Int64Var(&b.backlog, "backlog", 1_000_000, "deliveries of the backlog")
	fs.DurationVar(&b.held, "held", time.Minute, "how long the open transaction is taken to have been open; the published figure uses 10m")
	fs.Float64Var(&b.rate, "rate", 200, "messages a second in the fairness scenario, times nine endpoints")
	fs.StringVar(&b.profile, "cpuprofile", "", "write the server's CPU profile to FILE.throughput, FILE.batch and FILE.history")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	return b.scenarios(ctx, name)
}

// prepare makes the folder and the binary.
func (b *bench) prepare(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "hark-bench-")
	if err != nil {
		return err
	}
	b.dir = dir
	if onMemory(dir) {
		fmt.Println("WARNING:", dir, "is in memory: fsync costs nothing there. Name a folder on a disk with -dir.")
	}
	if b.hark == "" {
		if b.hark, err = harness.Build(ctx, dir); err != nil {
			os.RemoveAll(dir)
			return err
		}
	}
	return nil
}

func (b *bench) scenarios(ctx context.Context, name string) error {
	machine, err := json.Marshal(harness.ThisMachine())
	if err != nil {
		return err
	}
	fmt.Printf("machine %s\n", machine)
	var reports []*report
	var failed bool
	for _, s := range scenarios {
		onPostgres := strings.HasPrefix(s.name, "pg-")
		if name != s.name && (name != "all" || onPostgres) && (name != "pg" || !onPostgres) {
			continue
		}
		r := &report{Scenario: s.name, About: s.about}
		if err := s.run(b, ctx, r); err != nil {
			r.Error, failed = err.Error(), true
		}
		if err := r.print(os.Stdout); err != nil {
			return err
		}
		reports = append(reports, r)
		if ctx.Err() != nil {
			break
		}
	}
	if len(reports) == 0 {
		return fmt.Errorf("no scenario %q: there are %s, all, pg", name, names())
	}
	if len(reports) > 1 {
		conclude(reports)
	}
	if failed {
		return errors.New("not every scenario ran to its end")
	}
	return nil
}

// conclude prints all targets once more, together.
func conclude(reports []*report) {
	fmt.Println("\n── targets")
	for _, r := range reports {
		for _, t := range r.Targets {
			fmt.Printf("  %s %-10s %-45s %8s %s (%s)\n", mark(t.Holds), r.Scenario, t.What, number(t.Got), t.Unit, t.Want)
		}
		if r.Error != "" {
			fmt.Printf("  ✗ %-10s %s\n", r.Scenario, r.Error)
		}
	}
}

// driveMain measures a sender that somebody else has set up.
func driveMain(args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	var l load
	fs := flag.NewFlagSet("drive", flag.ExitOnError)
	l.flags(fs)
	sinkAddr := fs.String("sink", "127.0.0.1:9000", "where the sink listens; the sender delivers to http://SINK/ok/…")
	cert := fs.String("sink-tls", "", "the sink speaks TLS and writes its certificate to this file")
	fanout := fs.Int64("fanout", 1, "deliveries that each message causes")
	pid := fs.Int("pid", 0, "process of the sender, to measure its CPU and memory")
	if err := fs.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hark-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startSink(ctx, *sinkAddr, *cert)
	if err != nil {
		return err
	}
	defer s.stop()
	var pids []int
	if *pid != 0 {
		pids = append(pids, *pid)
	}
	r := &report{Scenario: "drive", About: strings.Join(l.Addrs, ", ")}
	f, err := (&bench{dir: dir}).measure(ctx, measured{name: "load", load: l, sink: s, fanout: *fanout, pids: pids})
	if f != nil {
		r.Runs = append(r.Runs, f)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return errors.Join(r.print(os.Stdout), err)
}
