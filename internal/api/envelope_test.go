package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

func TestDecodeMessage_KeepsThePayloadVerbatim(t *testing.T) {
	payload := `{ "b":1.0, "a" : 10000000000000000000000001, "b":"\u00e9\/", "c":[ ] }`
	for _, text := range []string{
		`{"eventType":"a.b","payload":` + payload + `}`,
		` { "payload" : ` + payload + ` , "eventType" : "a.b" } `,
		`{"eventType":"a.b","data":` + payload + `}`,
		`{"eventType":"a\u002eb","payload":` + payload + `,"unknown":[1,{"x":null}]}`,
	} {
		var in MessageIn
		if err := decodeMessage([]byte(text), &in); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(in.Payload) != payload || in.EventType != "a.b" {
			t.Errorf("%s: got %q and %s", text, in.EventType, in.Payload)
		}
	}
}

func TestDecodeMessage_SaysWhatIsWrongAndWhere(t *testing.T) {
	deep := strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1)
	for _, tt := range []struct{ text, loc, msg string }{
		{``, "body", "empty"},
		{`{"eventType":"a"`, "body", "unexpected end"},
		{`{"eventType":"a","payload":{}} x`, "body", "invalid character 'x'"},
		{`[]`, "body", "expected an object"},
		{`{"eventType":1,"payload":{}}`, "body.eventType", "expected a string"},
		{`{"eventType":"a","payload":[]}`, "body.payload", "JSON object"},
		{`{"eventType":"a","payload":null}`, "body.payload", "JSON object"},
		{`{"eventType":"a"}`, "body.payload", "required"},
		{`{"eventType":"a","payload":{},"data":{}}`, "body", "same field"},
		{`{"eventType":"a","payload":{},"eventId":7}`, "body.eventId", "expected a string"},
		{`{"eventType":"a","payload":{},"tags":["x",7]}`, "body.tags", "expected a string"},
		{`{"eventType":"a","payload":` + deep + `}`, "body", "nested too deep"},
		{"{\"eventType\":\"\xff\",\"payload\":{}}", "body", "UTF-8"},
	} {
		var in MessageIn
		err := decodeMessage([]byte(tt.text), &in)
		e, ok := err.(*hark.Error)
		if !ok || e.Code != hark.Invalid || len(e.Fields) != 1 {
			t.Errorf("%s: got %v, want one wrong field", tt.text, err)
			continue
		}
		if loc := strings.Join(e.Fields[0].Loc, "."); loc != tt.loc || !strings.Contains(e.Fields[0].Msg, tt.msg) || e.Fields[0].Type != typeJSON {
			t.Errorf("%.60s: got %s: %s (%s), want %s: …%s…", tt.text, loc, e.Fields[0].Msg, e.Fields[0].Type, tt.loc, tt.msg)
		}
	}
}

func TestDecodeMessages_ReadsEachByItself(t *testing.T) {
	ins, wrong, err := decodeMessages([]byte(`{"x":1,"messages":[
		{"eventType":"a","payload":{"n":1}},
		{"eventType":"b","payload":7},
		{"eventType":"c","payload":{"n":3},"deliverAt":null}, {"eventType":5}]}`), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(ins) != 4 || wrong[0] != nil || wrong[1] == nil || wrong[2] != nil || wrong[3] == nil {
		t.Fatalf("got %d messages, wrong: %v", len(ins), wrong)
	}
	if string(ins[2].Payload) != `{"n":3}` {
		t.Errorf("got payload %s", ins[2].Payload)
	}
	for _, text := range []string{``, `{}`, `[]`, `{"messages":7}`, `{"messages":[{]}`, `{"messages":[]} 7`, `{"messages":[{},{},{}]}`, `{"messages":[,]}`} {
		if _, _, err := decodeMessages([]byte(text), 2); hark.CodeOf(err) != hark.Invalid {
			t.Errorf("%s: got %v, want Invalid", text, err)
		}
	}
}

func TestDecodeMessage_DepthIsCountedAlikeHoweverItIsRead(t *testing.T) {
	for _, extra := range []string{"", `,"unknown":1`} {
		for depth, right := range map[int]bool{maxDepth - 1: true, maxDepth: false} {
			payload := `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
			var in MessageIn
			if err := decodeMessage([]byte(`{"eventType":"a","payload":`+payload+extra+`}`), &in); (err == nil) != right {
				t.Errorf("payload %d deep with %q: got %v", depth, extra, err)
			}
		}
	}
}

// FuzzEnvelope holds the quick reader to encoding/json: what one accepts the other does, and they
// read the same.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		`{"eventType":"a.b","payload":{"a":[1,-2.5e3,true,null,"x\n\u0041"]},"eventId":"e1","channels":["c"],"tags":[]}`,
		`{"eventType":"a","payload":{},"payload":{"b":0}}`, `{"eventType":null,"payload":{}}`, `{"PAYLOAD":{}}`,
		`{"channels":null,"payload":{}}`, `{"payload":{"a":01}}`, `{"payload":{"\ud800":1e}}`, `{"payload":{"a":-}}`, `{"payload":{} ,}`,
		`{"eventType":"a","data":{"x":1}}`, `[`, `{"payload":{"a":"` + "\x1f" + `"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want MessageIn
		gotErr := decodeMessage(text, &got)
		wantErr := json.Unmarshal(text, &want)
		if !utf8.Valid(text) || deeper(text, maxDepth) {
			if gotErr == nil {
				t.Fatal("accepted what it must not")
			}
			return
		}
		if wantErr == nil {
			wantErr = want.settle()
		}
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("got error %v, want %v", gotErr, wantErr)
		}
		if gotErr == nil {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// FuzzScanner holds the scanner to json.Valid.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{}`, `[1,2]`, `"a\u12G4"`, `-0.1e+1`, `tru`, ` null `, `{"a":{"b":[{}]}}`, `[1,]`, `00`, `1.`, `"` + "\x7f\x80" + `"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{text: text}
		value := s.value(0)
		got := value != nil && s.end()
		want := json.Valid(text) && !deeper(text, maxDepth)
		if got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
		if got && !bytes.Equal(value, bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("value %q is not the whole text", value)
		}
	})
}

// deeper says whether text nests deeper than n.
func deeper(text []byte, n int) bool {
	dec := json.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > n {
				return true
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// FuzzBatch: a batch of one message reads as the message does alone.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(`{"eventType":"a","payload":{"x":[1]}}`))
	f.Add([]byte(`{"eventType":"a\n","payload":{},"application":{"name":"n"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var alone MessageIn
		aloneErr := decodeMessage(text, &alone)
		ins, wrong, err := decodeMessages(between(`{"messages":[`, text, `]}`), manage.MaxBatch)
		if aloneErr == nil && (err != nil || len(ins) != 1 || wrong[0] != nil) {
			t.Fatalf("alone it is right; in a batch: %v %v", err, wrong)
		}
		if aloneErr == nil {
			if diff := cmp.Diff(alone, ins[0]); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func between(head string, text []byte, tail string) []byte {
	return append(append([]byte(head), text...), tail...)
}

func BenchmarkDecodeMessage(b *testing.B) {
	text := benchMessage(1024)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var in MessageIn
		if err := decodeMessage(text, &in); err != nil {
			b.Fatal(err)
		}
	}
}

// benchMessage is a message whose payload is about size bytes of ordinary JSON.
func benchMessage(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"eventType":"invoice.paid","eventId":"evt_0001","channels":["project_1"],"payload":{"lines":[`)
	for b.Len() < size {
		b.WriteString(`{"id":"il_1MtHbELkdIwHu7ixl4OzzPMv","amount":1099,"currency":"eur","paid":true,"description":"One month of the plan"},`)
	}
	b.WriteString(`null]}}`)
	return b.Bytes()
}
