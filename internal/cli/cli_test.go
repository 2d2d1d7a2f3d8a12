package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMoment_TakesDatesAndSpans(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h":                   now.Add(-2 * time.Hour),
		"90m":                  now.Add(-90 * time.Minute),
		"3d":                   now.AddDate(0, 0, -3),
		"1d12h":                now.AddDate(0, 0, -1).Add(-12 * time.Hour),
		"2026-11-01":           time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"2026-11-01 08:30:00":  time.Date(2026, 11, 1, 8, 30, 0, 0, time.UTC),
		"2026-11-01T08:30:00Z": time.Date(2026, 11, 1, 8, 30, 0, 0, time.UTC),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "3", "3dx", "-1d", "99999999d"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("parseMoment(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseMoment(f *testing.F) {
	f.Add("1d12h")
	f.Add("2026-11-01")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseMoment(text, now)
		if err == nil && strings.ContainsAny(text, "dhms") && !strings.Contains(text, "-") && at.After(now) {
			t.Errorf("parseMoment(%q) = %v, which is not ago", text, at)
		}
	})
}

func TestParseWaits_ReadsSchedules(t *testing.T) {
	for list, want := range map[string]any{
		"5s,5m, 1h": []float64{5, 300, 3600},
		"1,0.5":     []float64{1, 0.5},
		"none":      []float64{},
		"default":   nil,
	} {
		got, err := parseWaits(list)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("parseWaits(%q): %v\n%s", list, err, diff)
		}
	}
	for _, list := range []string{"", "5s,", "soon", "-1s"} {
		if got, err := parseWaits(list); err == nil {
			t.Errorf("parseWaits(%q) = %v, want an error", list, got)
		}
	}
}

func FuzzParseWaits(f *testing.F) {
	f.Add("5s,5m,1h")
	f.Fuzz(func(t *testing.T, list string) {
		waits, err := parseWaits(list)
		if seconds, ok := waits.([]float64); ok && err == nil {
			for _, s := range seconds {
				if s < 0 {
					t.Errorf("parseWaits(%q) = %v", list, seconds)
				}
			}
		}
	})
}

func TestTable_IsCutOnATerminalOnly(t *testing.T) {
	draw := func(width int) string {
		var out bytes.Buffer
		tb := newTable("ID", "URL", "STATUS")
		tb.add("ep_1", "https://shop.example/a/very/long/path", "success")
		tb.add("ep_22", "http://ä", "fail")
		tb.write(&shell{stdout: &out, width: width})
		return out.String()
	}
	whole := "ID     URL                                    STATUS\n" +
		"ep_1   https://shop.example/a/very/long/path  success\n" +
		"ep_22  http://ä                               fail\n"
	if diff := cmp.Diff(whole, draw(0)); diff != "" {
		t.Errorf("nobody looks (-want +got):\n%s", diff)
	}
	cut := "ID     URL             STATUS\n" +
		"ep_1   https://shop.…  success\n" +
		"ep_22  http://ä        fail\n"
	if diff := cmp.Diff(cut, draw(30)); diff != "" {
		t.Errorf("30 columns (-want +got):\n%s", diff)
	}
}

func TestTable_DoesNotLetCellsMoveTheCursor(t *testing.T) {
	var out bytes.Buffer
	tb := newTable("NAME")
	tb.add("a\x1b[2Jb\nc\xff")
	tb.write(&shell{stdout: &out})
	if got, want := out.String(), "NAME\na·[2Jb c\uFFFD\n"; got != want {
		t.Errorf("table = %q, want %q", got, want)
	}
}

func TestProgress_IsSilentWhereNobodyLooks(t *testing.T) {
	var out bytes.Buffer
	bar := (&shell{stderr: &out}).newProgress("copying")
	bar.set(5, 10, count)
	bar.end()
	if out.Len() != 0 {
		t.Errorf("progress wrote %q to what is no terminal", out.String())
	}
	bar = (&shell{stderr: &out, progress: true}).newProgress("copying")
	bar.set(5<<20, 10<<20, byteCount)
	bar.end()
	if got := out.String(); !strings.Contains(got, "copying ████████████░░░░░░░░░░░░  50 % 5.0 MiB") || !strings.HasSuffix(got, "\r") {
		t.Errorf("progress wrote %q", got)
	}
}

func TestInput_EndsWhenTheCommandIsAskedToEnd(t *testing.T) {
	typed, keyboard := io.Pipe() // nobody types
	defer keyboard.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out, notes strings.Builder
	sh := newShell(typed, &out, &notes)
	time.AfterFunc(10*time.Millisecond, cancel)
	if code := run(ctx, []string{"sign", "-", "--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, sh); code != 130 || out.Len() > 0 || notes.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, out.String(), notes.String())
	}
}

func TestSeconds_ReadAsPeopleSayThem(t *testing.T) {
	for s, want := range map[float64]string{0: "", 0.5: "500ms", 5: "5s", 90: "1m30s", 300: "5m", 3600: "1h", 5400: "1h30m", 86400: "24h"} {
		if got := seconds(s); got != want {
			t.Errorf("seconds(%v) = %q, want %q", s, got, want)
		}
	}
}

func TestHelp_HasAnExampleForEveryCommand(t *testing.T) {
	sh := &shell{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, lookupEnv: func(string) (string, bool) { return "", false }}
	parser, err := newParser(sh, []string{"--help"}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range collectWords(parser.Model.Node)[1:] {
		var out bytes.Buffer
		sh := &shell{stdout: &out, stderr: &out, lookupEnv: sh.lookupEnv}
		code := run(t.Context(), append(strings.Fields(p.path), "--help"), sh)
		if code != exitOK || !strings.Contains(out.String(), "Example") {
			t.Errorf("hark %s --help: exit %d, without an example:\n%s", p.path, code, out.String())
		}
	}
}

var update = flag.Bool("update", false, "rewrite the golden file")

func TestHelp_IsTheGoldenFile(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	none := func(string) (string, bool) { return "", false }
	parser, err := newParser(&shell{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, lookupEnv: none}, []string{"--help"}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, p := range collectWords(parser.Model.Node) {
		fmt.Fprintf(&all, "$ %s\n", strings.TrimSpace("hark "+p.path+" --help"))
		run(t.Context(), append(strings.Fields(p.path), "--help"), &shell{stdout: &all, stderr: &all, lookupEnv: none})
		all.WriteByte('\n')
	}
	const path = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("help is not what %s says (make golden rewrites it) (-want +got):\n%s", path, diff)
	}
}
