package transfer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// The shapes of the file's lines. They are the format: a field that is renamed or changes its meaning
// makes a new one. Times are milliseconds since 1970, durations nanoseconds, 0 and a field that is
// missing are the same; applications, endpoints, sources and pollers are named by their place among their kind, from 1.

// line is one line: one of its fields is set.
type line struct {
	Environment *environmentShape `json:"environment,omitempty"`
	EventType   *eventTypeShape   `json:"eventType,omitempty"`
	Key         *keyShape         `json:"key,omitempty"`
	Task        *taskShape        `json:"task,omitempty"`
	MessageKey  *messageKeyShape  `json:"messageKey,omitempty"`
	Answer      *answerShape      `json:"answer,omitempty"`
	Application *applicationShape `json:"application,omitempty"`
	Endpoint    *endpointShape    `json:"endpoint,omitempty"`
	Version     *versionShape     `json:"version,omitempty"`
	Execution   *executionShape   `json:"execution,omitempty"`
	Source      *sourceShape      `json:"source,omitempty"`
	Poller      *pollerShape      `json:"poller,omitempty"`
	Items       *itemsShape       `json:"items,omitempty"`
	Feed        *feedShape        `json:"feed,omitempty"`
	Message     *messageShape     `json:"message,omitempty"`
	Request     *requestShape     `json:"request,omitempty"`
	End         *endShape         `json:"end,omitempty"`
}

// encode writes a record as a line, without the line's end.
func encode(r *store.Record, sealer store.Sealer) ([]byte, error) {
	var l line
	var err error
	switch {
	case r.Environment != nil:
		l.Environment = shapeEnvironment(r.Environment)
	case r.EventType != nil:
		l.EventType = shapeEventType(r.EventType)
	case r.Key != nil:
		l.Key = shapeKey(r.Key)
	case r.Task != nil:
		l.Task = shapeTask(r.Task)
	case r.MessageKey != nil:
		l.MessageKey = &messageKeyShape{keyOf(&r.MessageKey.IdempotencyKey), string(r.MessageKey.MessageID)}
	case r.Answer != nil:
		l.Answer = shapeAnswer(r.Answer)
	case r.Application != nil:
		l.Application = shapeApplication(r.Application)
	case r.Endpoint != nil:
		l.Endpoint, err = shapeEndpoint(r.Endpoint, sealer)
	case r.Version != nil:
		l.Version = shapeVersion(r.Version)
	case r.Execution != nil:
		l.Execution = shapeExecution(r.Execution)
	case r.Source != nil:
		l.Source, err = shapeSource(r.Source, sealer)
	case r.Poller != nil:
		l.Poller, err = shapePoller(r.Poller, sealer)
	case r.Items != nil:
		l.Items = shapeItems(r.Items)
	case r.Feed != nil:
		l.Feed = shapeFeed(r.Feed)
	case r.Message != nil:
		l.Message = shapeMessage(r.Message)
	case r.Request != nil:
		l.Request = shapeRequest(r.Request)
	default:
		err = errEmpty // and not left out in silence
	}
	if err != nil {
		return nil, err
	}
	return marshal(&l)
}

// marshal is json.Marshal without escapes for what stands in HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write a record: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// errEmpty says that a record or a line is of no kind that is known here.
var errEmpty = errors.New("there is nothing known in it")

// record turns a line back.
func (l *line) record(sealer store.Sealer) (r store.Record, err error) {
	switch {
	case l.Environment != nil:
		r.Environment = l.Environment.restore()
	case l.EventType != nil:
		r.EventType = l.EventType.restore()
	case l.Key != nil:
		r.Key, err = l.Key.restore()
	case l.Task != nil:
		r.Task = l.Task.restore()
	case l.MessageKey != nil:
		r.MessageKey = &store.MessageKey{MessageID: hark.MessageID(l.MessageKey.Message)}
		r.MessageKey.IdempotencyKey, err = l.MessageKey.restore()
	case l.Answer != nil:
		r.Answer, err = l.Answer.restore()
	case l.Application != nil:
		r.Application = l.Application.restore()
	case l.Endpoint != nil:
		r.Endpoint, err = l.Endpoint.restore(sealer)
	case l.Version != nil:
		r.Version = l.Version.restore()
	case l.Execution != nil:
		r.Execution = l.Execution.restore()
	case l.Source != nil:
		r.Source, err = l.Source.restore(sealer)
	case l.Poller != nil:
		r.Poller, err = l.Poller.restore(sealer)
	case l.Items != nil:
		r.Items, err = l.Items.restore()
	case l.Feed != nil:
		r.Feed = l.Feed.restore()
	case l.Message != nil:
		r.Message, err = l.Message.restore()
	case l.Request != nil:
		r.Request = l.Request.restore()
	default:
		err = errEmpty
	}
	return r, err
}

// placeOf binds what is sealed to the thing whose it is.
func placeOf(kind string, application int64, id string) []byte {
	return fmt.Appendf(nil, "export\x00%s\x00%d\x00%s", kind, application, id)
}

// sealSecrets closes what nobody may read of a thing.
func sealSecrets(sealer store.Sealer, kind string, application int64, id string, secrets any) ([]byte, error) {
	plain, err := marshal(secrets)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(plain, placeOf(kind, application, id)), nil
}

// openSecrets reads them back.
func openSecrets(sealer store.Sealer, sealed []byte, kind string, application int64, id string, into any) error {
	plain, err := sealer.Open(sealed, placeOf(kind, application, id))
	if err == nil && json.Unmarshal(plain, into) != nil {
		err = errors.New("not readable") // the cause would quote them
	}
	if err != nil {
		return fmt.Errorf("the secrets of %s: %w", id, err)
	}
	return nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// content is bytes that are text most of the time: only one of the two is set, and neither for nil.
type content struct {
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func contentOf(b []byte) *content {
	if b == nil {
		return nil
	}
	if !utf8.Valid(b) {
		return &content{Base64: b}
	}
	text := string(b)
	return &content{Text: &text}
}

func (c *content) bytes() []byte {
	switch {
	case c == nil:
		return nil
	case c.Text != nil:
		return []byte(*c.Text)
	case c.Base64 == nil:
		return []byte{}
	}
	return c.Base64
}

// list keeps the difference between none (nil) and an empty one, which omitempty does not.
type list[T any] []T

// IsZero tells omitzero.
func (l list[T]) IsZero() bool { return l == nil }

// pairs is the same for maps.
type pairs map[string]string

// IsZero tells omitzero.
func (p pairs) IsZero() bool { return p == nil }

func rawText(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	text := string(raw)
	return &text
}

func textRaw(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// readable is text as every store takes it: an error may quote what a strange server has sent.
func readable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// parseHash reads 32 bytes from hexadecimal digits.
func parseHash(text string) (h [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(h) {
		return h, errors.New("not a SHA-256 in hexadecimal digits")
	}
	return [32]byte(raw), nil
}
