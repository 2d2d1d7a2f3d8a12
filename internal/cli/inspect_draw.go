package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// How much of a body is shown: the rest is hark requests show's.
const (
	maxTextShown = 16 << 10
	maxHexShown  = 512
)

// drawRequest shows all of a request.
func (sh *shell) drawRequest(q requestOut) {
	path := q.Path
	if path == "" {
		path = "/"
	}
	if q.Query != "" {
		path += "?" + q.Query
	}
	colour := green
	if q.Answered/100 != 2 {
		colour = red
	}
	sh.say("%s %s  %s  %s  from %s  %s  %s", sh.paint(bold, printable(q.Method)), printable(path), sh.paint(colour, strconv.Itoa(q.Answered)),
		byteCount(q.Size), printable(q.Remote), sh.paint(dim, q.ReceivedAt.UTC().Format("15:04:05.000Z")), sh.paint(dim, q.ID))
	if why := strings.TrimSuffix(text(q.Cause)+": "+text(q.Detail), ": "); why != "" {
		sh.say("  %s", sh.paint(red, printable(why)))
	}
	for _, name := range slices.Sorted(maps.Keys(q.Headers)) {
		for _, value := range q.Headers[name] {
			sh.say("  %s %s", sh.paint(dim, printable(name)+":"), printable(value))
		}
	}
	lines, more := bodyLines(&q)
	if len(lines) > 0 {
		sh.say("")
	}
	for _, line := range lines {
		sh.say("  %s", line)
	}
	if more > 0 {
		sh.say("  %s", sh.paint(dim, fmt.Sprintf("… %s more (hark requests show %s)", byteCount(int64(more)), q.ID)))
	}
	sh.say("")
}

// bodyLines is a body as people can read it: JSON indented, other text as it is, the rest as hexadecimal
// digits; more is how many bytes that leaves out.
func bodyLines(q *requestOut) (lines []string, more int) {
	if q.Base64 != nil {
		body, err := base64.StdEncoding.DecodeString(*q.Base64)
		if err != nil {
			return nil, 0
		}
		shown := body[:min(len(body), maxHexShown)]
		return strings.Split(strings.TrimSuffix(hex.Dump(shown), "\n"), "\n"), len(body) - len(shown)
	}
	body := string(indented([]byte(text(q.Body))))
	if len(body) > maxTextShown {
		body, more = strings.ToValidUTF8(body[:maxTextShown], ""), len(body)-maxTextShown
	}
	for line := range strings.Lines(body) {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		lines = append(lines, line[:indent]+printable(line[indent:]))
	}
	return lines, more
}

// listen takes lines from the terminal: each is an answer.
func (b *bin) listen(ctx context.Context) {
	lines := bufio.NewScanner(b.sh.stdin)
	for lines.Scan() && ctx.Err() == nil {
		answer, err := parseAnswer(lines.Text())
		if err == nil {
			err = b.api.ask(ctx, question{path: aSource(b.source.ID).path, method: http.MethodPatch, in: map[string]any{"answer": answer}}, nil)
		}
		if err != nil {
			b.sh.note("%s", err)
			continue
		}
		b.sh.note("It answers %s from now on.", answer)
	}
}

// parseAnswer reads a status with a body behind it.
func parseAnswer(line string) (*answerOut, error) {
	status, body, _ := strings.Cut(strings.TrimSpace(line), " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		return nil, fmt.Errorf("that is no answer, which looks like: 503 try later")
	}
	return &answerOut{Status: code, Body: strings.TrimSpace(body)}, nil
}
