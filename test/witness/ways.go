package witness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"github.com/harkhq/hark/test/harness"
)

// maxLine is more than any event takes.
const maxLine = 1 << 20

// events reads server-sent events until ctx ends or the stream does. What broke off in the middle is no
// event: the next time it comes again.
func (r *reader) events(ctx context.Context, node *harness.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node.Base+r.feed.path+"/stream", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+node.Key)
	if r.id != "" {
		req.Header.Set("Last-Event-ID", r.id)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine)) // only for the log
		return r.denied(resp.StatusCode, string(text))
	}
	r.write(Event{Kind: Opened, Number: r.at})
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	var id, name, data string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data += value
		case "":
			if data != "" {
				if err := r.event(id, name, data); err != nil {
					return err
				}
				r.id = id
			}
			id, name, data = "", "", ""
		}
	}
	return lines.Err()
}

func (r *reader) event(id, name, data string) error {
	if name == "gap" {
		var g gap
		if err := json.Unmarshal([]byte(data), &g); err != nil {
			return err
		}
		r.missed(g)
		return nil
	}
	var m message
	if err := json.Unmarshal([]byte(data), &m); err != nil {
		return err
	}
	r.got(numberOf(id), m)
	return nil
}

// socket reads and acknowledges over a WebSocket until ctx ends or the connection does. Not every entry
// is acknowledged: what comes behind says so for it.
func (r *reader) socket(ctx context.Context, node *harness.Client) error {
	url := "ws" + strings.TrimPrefix(node.Base, "http") + r.feed.path + "/ws"
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + node.Key}}})
	if err != nil {
		if resp != nil {
			return r.denied(resp.StatusCode, "no WebSocket")
		}
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxLine)
	if err := say(ctx, conn, map[string]any{"type": "subscribe", "group": r.name, "window": 50}); err != nil {
		return err
	}
	r.write(Event{Kind: Opened, Grouped: true})
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var in struct {
			Type, Code, Detail string
			Seq                int64
			Message            message
			Gap                gap
		}
		if err := json.Unmarshal(text, &in); err != nil {
			return err
		}
		switch in.Type {
		case "message":
			r.got(in.Seq, in.Message)
		case "gap":
			r.missed(in.Gap)
		case "acked":
			r.write(Event{Kind: Confirmed, Number: in.Seq})
			continue
		case "error":
			return r.refused(in.Code, in.Detail)
		default:
			continue
		}
		if in.Seq%20 != 0 && rand.IntN(10) > 0 {
			continue
		}
		r.write(Event{Kind: Asked, Number: in.Seq})
		if err := say(ctx, conn, map[string]any{"type": "ack", "seq": in.Seq}); err != nil {
			return err
		}
	}
}

// refused is what an error on a WebSocket means: one without a code, or of these, passes.
func (r *reader) refused(code, detail string) error {
	if code != "" && code != "unavailable" && code != "overloaded" {
		return r.denied(http.StatusBadRequest, code+": "+detail)
	}
	return fmt.Errorf("it ended: %s", detail)
}

func say(ctx context.Context, conn *websocket.Conn, what map[string]any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, text)
}

// polls asks for pages until ctx ends, and acknowledges all of a page, some of it, or nothing.
func (r *reader) polls(ctx context.Context, node *harness.Client) error {
	for ctx.Err() == nil {
		r.write(Event{Kind: Opened, Grouped: true})
		status, _, text, err := node.Raw(ctx, http.MethodGet, r.feed.path+"/messages?wait=1&limit=100&group="+strings.ReplaceAll(r.name, " ", "+"), nil, nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return r.denied(status, string(text))
		}
		var page struct {
			Data []struct {
				message
				Seq    int64
				Cursor string
			}
			Gaps   []gap
			Cursor string
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return err
		}
		gaps := page.Gaps
		for _, m := range page.Data {
			for len(gaps) > 0 && gaps[0].From < m.Seq {
				r.missed(gaps[0])
				gaps = gaps[1:]
			}
			r.got(m.Seq, m.message)
		}
		for _, g := range gaps {
			r.missed(g)
		}
		if n := len(page.Data); n > 0 {
			cursor := page.Cursor
			switch rand.IntN(4) {
			case 0:
				continue
			case 1:
				cursor = page.Data[rand.IntN(n)].Cursor
			}
			if err := r.acknowledge(ctx, node, cursor); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) acknowledge(ctx context.Context, node *harness.Client, cursor string) error {
	in, err := json.Marshal(map[string]string{"group": r.name, "cursor": cursor})
	if err != nil {
		return err
	}
	number := numberOf(cursor)
	r.write(Event{Kind: Asked, Number: number})
	status, _, text, err := node.Raw(ctx, http.MethodPost, r.feed.path+"/ack", bytes.NewReader(in), nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return r.denied(status, string(text))
	}
	r.write(Event{Kind: Confirmed, Number: number})
	return nil
}
