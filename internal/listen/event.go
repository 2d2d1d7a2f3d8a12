package listen

import (
	"net/http"
	"time"

	"github.com/harkhq/hark"
)

// Event is something that has happened: one of the types below, by value.
type Event interface{ event() }

// Ready says that messages come from now on: after the start, and again after each loss of the connection.
type Ready struct {
	At        time.Time
	Session   Session
	ForwardTo string // "" for nowhere
	Behind    int64  // how many messages wait already
	Again     bool
}

// Message is a message that has come, before it is forwarded.
type Message struct {
	At        time.Time // when its turn came here
	Seq       int64     // its number in the feed
	ID        hark.MessageID
	EventType string
	CreatedAt time.Time        // when the server accepted it
	Method    string           // by which it came to its source; POST where it was published
	Path      string           // behind the source's URL, with the query; "" where there is none
	Header    []hark.HeadField // all that is sent, signatures included; values of one name in their order
	Body      []byte
}

// Response is what became of forwarding a message.
type Response struct {
	At      time.Time
	Message *Message
	Method  string // by which it went
	URL     string // where to
	Status  int    // 0: there was no answer, and Err says why
	Header  http.Header
	Body    []byte // at most MostBody
	Took    time.Duration
	Err     string
	Retry   bool // by hand: the same bytes again
	Edited  bool // by hand: another body

	cut bool // the connection ended before the answer began
}

// OK says that the answer was a 2xx.
func (r *Response) OK() bool { return r.Err == "" && r.Status >= 200 && r.Status < 300 }

// Waiting says that a message is held: nothing listens at the local address, or what does was cut off before it
// answered, as a server is that starts anew; then the message is sent once more.
type Waiting struct {
	At      time.Time
	Message *Message
	URL     string
	Err     error // how that was found out: connection refused
	CutOff  bool
}

// Reconnecting says that the connection to the server is lost. Ready follows when it is back.
type Reconnecting struct {
	At  time.Time
	Err error
}

// Gap says that messages expired, or were deleted, before they came here.
type Gap struct {
	At       time.Time
	From, To int64
}

// Standby says that another listener of this machine, to the same of the same application, has taken over. Ready
// follows when it has ended.
type Standby struct{ At time.Time }

func (Ready) event()        {}
func (Message) event()      {}
func (Response) event()     {}
func (Waiting) event()      {}
func (Reconnecting) event() {}
func (Gap) event()          {}
func (Standby) event()      {}
