package transform

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// Host and worker talk through the worker's standard input and output, in frames: a kind, and a text with
// its length before it. The host sends a request in three frames; the worker answers with any number of
// frames and ends with a frameEnd.

// request is one call. Its first frame is this as JSON; code and payload follow as they are.
type request struct {
	Op     string          `json:"op"` // compile, probe or run
	Input  json.RawMessage `json:"input,omitempty"`
	Time   time.Duration   `json:"time"`
	Memory int64           `json:"memory"`
	Result int             `json:"result"`
	Log    int             `json:"log"`

	code    []byte // what Compile made of the script; for compile, its source
	payload []byte
}

// answer is how a call ended, as JSON in its last frame.
type answer struct {
	Kind    Kind   `json:"kind,omitempty"` // empty: all went well
	Message string `json:"message,omitempty"`
	Stack   string `json:"stack,omitempty"`
	TooBig  int    `json:"tooBig,omitempty"` // how long the payload was that was not sent
	// CPU is what the call took of a processor's time; negative where the system does not say.
	CPU time.Duration `json:"cpu"`
}

// The kinds of frames.
const (
	frameRequest = 'q'
	frameCode    = 'c'
	framePayload = 'p'
	frameResult  = 'r'
	frameReady   = 'h'
	frameEnd     = 'e'
	frameLog     = '0' // and the three levels above it
)

var errFrame = errors.New("a frame that cannot be")

// writeFrame writes one; nothing is sent before the writer is flushed.
func writeFrame(w *bufio.Writer, kind byte, text []byte) error {
	head := [5]byte{kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(text)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}

// readFrame reads one of at most so many bytes.
func readFrame(r *bufio.Reader, most int) (kind byte, text []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if int64(n) > int64(most) {
		return 0, nil, errFrame
	}
	text = make([]byte, n)
	_, err = io.ReadFull(r, text)
	return head[0], text, err
}

// send writes a request.
func (r *request) send(w *bufio.Writer) error {
	head, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return errors.Join(writeFrame(w, frameRequest, head), writeFrame(w, frameCode, r.code),
		writeFrame(w, framePayload, r.payload), w.Flush())
}

// receive reads a request. The worker trusts the host.
func (r *request) receive(in *bufio.Reader) error {
	const any = 1 << 30
	_, head, err := readFrame(in, any)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(head, r); err != nil {
		return err
	}
	if _, r.code, err = readFrame(in, any); err != nil {
		return err
	}
	_, r.payload, err = readFrame(in, any)
	return err
}
