package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

type transformationsTest struct {
	OneEndpoint
	Payload string            `arg:"" optional:"" help:"A payload to try it on; - for stdin; @FILE for a file."`
	Message string            `short:"m" placeholder:"ID" help:"A message of the application to try it on, instead."`
	Type    string            `short:"t" placeholder:"TYPE" help:"The event type of the payload."`
	File    string            `short:"f" placeholder:"FILE" help:"The script to try; - for stdin. Default: the endpoint's own."`
	Var     map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A variable (repeatable). When one is given, the endpoint's own are left out."`
}

// Help is shown by hark transformations test --help.
func (transformationsTest) Help() string {
	return `Shows what changes, the script's console, and why it failed; then the exit code is 1. Nothing is sent.

Examples:

  hark transformations test ep_… '{"amount": 5}' --file handler.js
  hark transformations test ep_… --message msg_…`
}

type simulatedOut struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Payload string            `json:"payload"`
	Headers map[string]string `json:"headers"`
}

type simulateOut struct {
	simulatedOut
	Cancel     bool          `json:"cancel"`
	Changed    []string      `json:"changed"`
	Before     simulatedOut  `json:"before"`
	Console    []consoleLine `json:"console"`
	ConsoleCut bool          `json:"consoleCut"`
	DurationMs float64       `json:"durationMs"`
	Error      *struct {
		Message string   `json:"message"`
		Line    *int     `json:"line"`
		Stack   []string `json:"stack"`
	} `json:"error"`
}

// Run tries a transformation.
func (c *transformationsTest) Run(ctx context.Context, sh *shell) error {
	in, code, err := c.input(sh)
	if err != nil {
		return err
	}
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	if c.Message != "" {
		if err := api.ask(ctx, question{about: aMessage(c.Message)}, nil); err != nil {
			return err
		}
	}
	var raw json.RawMessage
	if err := api.ask(ctx, question{about: anEndpoint(c.ID), path: "/transformation/simulate", method: http.MethodPost, in: in}, &raw); err != nil {
		return err
	}
	var out simulateOut
	if err := json.Unmarshal(raw, &out); err != nil {
		return hintf(exitFailed, "check HARK_URL", "the server does not answer like Hark: %w", err)
	}
	if c.JSON {
		if err := sh.json(raw); err != nil {
			return err
		}
	} else {
		sh.drawSimulation(&out)
	}
	if out.Error == nil {
		return nil
	}
	if line := lineOf(code, out.Error.Line); line != "" {
		sh.note("%s", line)
	}
	return hintf(exitFailed, "", "%s", out.Error.Message)
}

func (c *transformationsTest) input(sh *shell) (in map[string]any, code string, err error) {
	if (c.Payload == "") == (c.Message == "") {
		return nil, "", usagef(`hark transformations test `+c.ID+` '{"a": 1}', or --message ID`, "give a payload or a message to try it on")
	}
	in = map[string]any{}
	setIf(in, "messageId", c.Message, c.Message != "")
	setIf(in, "eventType", c.Type, c.Type != "")
	setIf(in, "variables", c.Var, c.Var != nil)
	if c.Payload != "" {
		payload, err := readPayload(sh, c.Payload)
		if err != nil {
			return nil, "", err
		}
		if !json.Valid(payload) {
			return nil, "", usagef(`'{"a": 1}'`, "the payload is not JSON: %.80s", payload)
		}
		in["payload"] = json.RawMessage(payload)
	}
	if c.File != "" {
		if code, err = readScript(sh, c.File); err != nil {
			return nil, "", err
		}
		in["code"] = code
	}
	return in, code, nil
}

// lineOf is a line of the script, as an error shows it.
func lineOf(code string, line *int) string {
	lines := strings.Split(code, "\n")
	if line == nil || *line < 1 || *line > len(lines) || code == "" {
		return ""
	}
	return "  " + number(line) + " | " + printable(lines[*line-1])
}

// drawSimulation prints what changed, and what the script said.
func (sh *shell) drawSimulation(s *simulateOut) {
	switch {
	case s.Cancel:
		sh.say("%s", sh.paint(yellow, "canceled: the message would not be sent"))
	case s.Error == nil && len(s.Changed) == 0:
		sh.say("nothing changes: the message would be sent as it is, byte for byte")
	}
	if !s.Cancel && s.Error == nil {
		sh.drawChange("method", s.Before.Method, s.Method)
		sh.drawChange("url", s.Before.URL, s.URL)
		sh.drawDiff("headers", headerLines(s.Before.Headers), headerLines(s.Headers))
		if slices.Contains(s.Changed, "payload") {
			sh.drawDiff("payload", jsonLines(s.Before.Payload), jsonLines(s.Payload))
		}
	}
	for _, l := range s.Console {
		sh.say("%s %s", sh.paint(dim, "console "+l.Level+":"), printable(l.Text))
	}
	if s.ConsoleCut {
		sh.note("The console had more than that.")
	}
	sh.note("It took %.1f ms. Nothing was sent.", s.DurationMs)
}

func (sh *shell) drawChange(what, before, after string) {
	if before == after {
		return
	}
	sh.say("%s", sh.paint(bold, what))
	sh.say("%s", sh.paint(red, "- "+printable(before)))
	sh.say("%s", sh.paint(green, "+ "+printable(after)))
}

func (sh *shell) drawDiff(what string, before, after []string) {
	if slices.Equal(before, after) {
		return
	}
	sh.say("%s", sh.paint(bold, what))
	for _, l := range diffLines(before, after) {
		switch text := printable(l.text); l.mark {
		case '-':
			sh.say("%s", sh.paint(red, "- "+text))
		case '+':
			sh.say("%s", sh.paint(green, "+ "+text))
		default:
			sh.say("  %s", text)
		}
	}
}

func headerLines(headers map[string]string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lines = append(lines, name+": "+headers[name])
	}
	return lines
}

// jsonLines is a payload with a value a line, if it is JSON.
func jsonLines(payload string) []string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(payload), "", "  ") != nil {
		return strings.Split(payload, "\n")
	}
	return strings.Split(b.String(), "\n")
}

// diffLine is a line that is there before (-), after (+), or both.
type diffLine struct {
	mark byte
	text string
}

// mostCompared bounds the table of a comparison; beyond it everything is old, then everything is new.
const mostCompared = 4 << 20

// diffLines compares two texts by their longest common lines.
func diffLines(before, after []string) (out []diffLine) {
	n, m := len(before), len(after)
	if n*m > mostCompared {
		for _, l := range before {
			out = append(out, diffLine{'-', l})
		}
		for _, l := range after {
			out = append(out, diffLine{'+', l})
		}
		return out
	}
	common := make([][]int32, n+1) // of what is behind i and j
	for i := range common {
		common[i] = make([]int32, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if before[i] == after[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < n || j < m {
		switch {
		case i < n && j < m && before[i] == after[j]:
			out = append(out, diffLine{' ', before[i]})
			i, j = i+1, j+1
		case i < n && (j == m || common[i+1][j] >= common[i][j+1]):
			out = append(out, diffLine{'-', before[i]})
			i++
		default:
			out = append(out, diffLine{'+', after[j]})
			j++
		}
	}
	return out
}
