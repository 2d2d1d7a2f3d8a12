package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// decodeMessage reads one message. What it answers may point into text.
func decodeMessage(text []byte, in *MessageIn) error {
	if !utf8.Valid(text) {
		return wrongJSON("the body is not UTF-8")
	}
	s := scanner{text: text}
	if usual := s.message(in); usual && s.end() {
		return nil
	}
	*in = MessageIn{}
	if err := decodeJSON(text, in); err != nil {
		return err
	}
	return in.settle()
}

// decodeMessages reads a batch: the messages, and for each what is wrong with it alone. An error
// of its own means that the whole is unreadable.
func decodeMessages(text []byte, most int) (ins []MessageIn, wrong []error, err error) {
	if !utf8.Valid(text) {
		return nil, nil, wrongJSON("the body is not UTF-8")
	}
	s := scanner{text: text}
	if !s.take('{') {
		return nil, nil, jsonError(text, "a batch is an object with the list messages")
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') || s.space() != '"' {
			return nil, nil, jsonError(text, "not JSON")
		}
		name, _, ok := s.str()
		if !ok || !s.take(':') {
			return nil, nil, jsonError(text, "not JSON")
		}
		if string(name) != "messages" {
			if !s.skip(0) {
				return nil, nil, jsonError(text, "not JSON")
			}
			continue
		}
		if ins, wrong, err = s.messages(most); err != nil {
			return nil, nil, err
		}
	}
	if !s.end() {
		return nil, nil, jsonError(text, "something follows the batch")
	}
	if ins == nil {
		return nil, nil, hark.InvalidField("field required", "body", "messages")
	}
	return ins, wrong, nil
}

// messages reads the list of a batch.
func (s *scanner) messages(most int) (ins []MessageIn, wrong []error, err error) {
	if !s.take('[') {
		return nil, nil, jsonError(s.text, "messages must be a list", "messages")
	}
	ins = make([]MessageIn, 0, 64)
	for first := true; !s.take(']'); first = false {
		if !first && !s.take(',') {
			return nil, nil, jsonError(s.text, "not JSON")
		}
		if len(ins) == most {
			return nil, nil, hark.InvalidField(fmt.Sprintf("must have 1 to %d messages", most), "body", "messages")
		}
		ins, wrong = append(ins, MessageIn{}), append(wrong, nil)
		in := &ins[len(ins)-1]
		s.space()
		start := s.at
		if s.message(in) {
			continue
		}
		s.at = start
		item := s.value(0)
		if item == nil {
			return nil, nil, jsonError(s.text, "not JSON")
		}
		*in = MessageIn{}
		err := decodeJSON(item, in)
		if err == nil {
			err = in.settle()
		}
		wrong[len(wrong)-1] = err
	}
	return ins, wrong, nil
}

// message reads a message written the usual way: the usual fields, nothing escaped in their
// names and values. It answers false for anything else, which is then encoding/json's to read or to refuse.
func (s *scanner) message(in *MessageIn) (usual bool) {
	if !s.take('{') {
		return false
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') || s.space() != '"' {
			return false
		}
		name, _, ok := s.str()
		if !ok || !s.take(':') {
			return false
		}
		switch string(name) {
		case "payload":
			ok = in.Payload == nil && s.space() == '{'
			if ok {
				in.Payload = s.value(1)
				ok = in.Payload != nil
			}
		case "eventType":
			in.EventType, ok = s.plain()
		case "eventId":
			var id string
			id, ok = s.plain()
			in.EventID = manage.Some(id)
		case "channels":
			in.Channels, ok = s.list()
		case "tags":
			in.Tags, ok = s.list()
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return in.Payload != nil
}

// plain reads a string without escapes.
func (s *scanner) plain() (string, bool) {
	if s.space() != '"' {
		return "", false
	}
	inside, plain, ok := s.str()
	return string(inside), ok && plain
}

// list reads a list of plain strings.
func (s *scanner) list() ([]string, bool) {
	if !s.take('[') {
		return nil, false
	}
	list := []string{}
	if s.take(']') {
		return list, true
	}
	for {
		v, ok := s.plain()
		if !ok {
			return nil, false
		}
		list = append(list, v)
		if s.take(']') {
			return list, true
		}
		if !s.take(',') {
			return nil, false
		}
	}
}

// settle brings the payload's two names together and sees that it is an object.
func (in *MessageIn) settle() error {
	if in.Data != nil {
		if in.Payload != nil {
			return wrongJSON("payload and data are the same field: give one")
		}
		in.Payload, in.Data = in.Data, nil
	}
	switch {
	case in.Payload == nil:
		return wrongJSON("field required", "payload")
	case len(in.Payload) == 0 || in.Payload[0] != '{':
		return wrongJSON("the payload must be a JSON object", "payload")
	}
	return nil
}

// typeJSON is the type of errors about JSON that cannot be read into what was expected.
const typeJSON = "value_error.jsondecode"

// wrongJSON is the error about JSON that is not what was expected at a place in the body.
func wrongJSON(msg string, loc ...string) error {
	return &hark.Error{Code: hark.Invalid, Detail: msg, Fields: []hark.FieldError{
		{Loc: append([]string{"body"}, loc...), Msg: msg, Type: typeJSON}}}
}

// decodeJSON reads text into v; what is wrong with it becomes an Invalid error that says where.
func decodeJSON(text []byte, v any) error {
	if !utf8.Valid(text) { // encoding/json would put replacement characters in
		return wrongJSON("the body is not UTF-8")
	}
	s := scanner{text: text}
	if s.value(0) == nil || !s.end() {
		return jsonError(text, "not JSON")
	}
	err := json.Unmarshal(text, v)
	if err == nil {
		return nil
	}
	loc := whereWrong(err, text, v)
	switch wrong := err.(type) {
	case *json.UnmarshalTypeError:
		return wrongJSON("expected "+wantedType(wrong)+", not "+wrong.Value, loc...)
	case *time.ParseError:
		return wrongJSON("expected a time such as 2026-01-31T15:04:05Z", loc...)
	}
	return wrongJSON(err.Error(), loc...)
}

// whereWrong names the field that v could not take. encoding/json knows it only for some errors, and
// then names embedded structs too: the API's own names start in lower case.
func whereWrong(err error, text []byte, v any) []string {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok && wrong.Field != "" {
		return slices.DeleteFunc(strings.Split(wrong.Field, "."), func(name string) bool {
			return name != "" && 'A' <= name[0] && name[0] <= 'Z'
		})
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil || len(fields) > mostFieldsTried {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		alone, _ := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if json.Unmarshal(alone, reflect.New(reflect.TypeOf(v).Elem()).Interface()) != nil {
			return []string{name}
		}
	}
	return nil
}

// mostFieldsTried bounds the search for a wrong field: no operation has more fields.
const mostFieldsTried = 64

func wantedType(wrong *json.UnmarshalTypeError) string {
	switch wrong.Type.Kind().String() {
	case "string":
		return "a string"
	case "bool":
		return "a boolean"
	case "slice":
		return "a list"
	case "struct", "map":
		return "an object"
	case "int", "int64", "uint16", "uint64", "float64":
		return "a number that fits"
	}
	return wrong.Type.String()
}

// jsonError says that text is not the JSON that was expected: encoding/json's own words when it
// finds a fault in the syntax, else msg.
func jsonError(text []byte, msg string, loc ...string) error {
	var raw json.RawMessage
	s := scanner{text: text}
	if len(bytes.TrimSpace(text)) == 0 {
		msg = "the body is empty"
	} else if err := json.Unmarshal(text, &raw); err != nil {
		msg = err.Error()
	} else if s.value(0) == nil {
		msg = "nested too deep"
	}
	return wrongJSON(msg, loc...)
}
