package hark

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Ids are a prefix and 27 base62 characters of a millisecond KSUID, so that they sort by time
// (4 ms grain) and the clients written for Svix accept them.
type (
	EnvironmentID string // org_
	ApplicationID string // app_
	EndpointID    string // ep_, of a consumer sink_
	MessageID     string // msg_
	AttemptID     string // atmpt_
	TaskID        string // qtask_
	KeyID         string // key_
)

// The prefixes of ids.
const (
	EnvironmentPrefix = "org_"
	ApplicationPrefix = "app_"
	EndpointPrefix    = "ep_"
	ConsumerPrefix    = "sink_"
	MessagePrefix     = "msg_"
	AttemptPrefix     = "atmpt_"
	TaskPrefix        = "qtask_"
	KeyPrefix         = "key_"
)

// KSUID is the binary form of an id: four bytes of seconds since 2014-05-13T16:53:20Z, one byte
// of milliseconds divided by four, fifteen random bytes. It compares as its text does.
type KSUID [20]byte

const (
	ksuidEpoch  = 1_400_000_000
	ksuidLength = 27
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKSUID makes an id for the moment at.
func NewKSUID(at time.Time) KSUID {
	k := KSUIDFloor(at)
	_, _ = rand.Read(k[5:]) // crypto/rand.Read never fails (Go 1.24)
	return k
}

// KSUIDFloor is the smallest id of the moment at; ids made before at are smaller. Moments outside
// what an id can say are clamped to the first or the last.
func KSUIDFloor(at time.Time) KSUID {
	var k KSUID
	ms := at.UnixMilli() - ksuidEpoch*1000
	ms = min(max(ms, 0), (1<<32)*1000-1)
	binary.BigEndian.PutUint32(k[:4], uint32(ms/1000))
	k[4] = byte(ms % 1000 / 4)
	return k
}

// Time is the moment the id was made, with a grain of 4 ms.
func (k KSUID) Time() time.Time {
	s := int64(binary.BigEndian.Uint32(k[:4])) + ksuidEpoch
	return time.Unix(s, int64(k[4])*int64(4*time.Millisecond)).UTC()
}

// Compare orders ids by time.
func (k KSUID) Compare(other KSUID) int { return bytes.Compare(k[:], other[:]) }

// Format writes the id with its prefix.
func (k KSUID) Format(prefix string) string {
	// Repeated division by 62 of the 160-bit number, as five 32-bit limbs.
	var limbs [5]uint32
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint32(k[i*4:])
	}
	out := make([]byte, len(prefix)+ksuidLength)
	copy(out, prefix)
	for i := len(out) - 1; i >= len(prefix); i-- {
		var rem uint64
		for j := range limbs {
			rem = rem<<32 | uint64(limbs[j])
			limbs[j] = uint32(rem / 62)
			rem %= 62
		}
		out[i] = base62[rem]
	}
	return string(out)
}

// ErrID reports text that is not an id of the wanted kind.
var ErrID = errors.New("not an id")

// base62Digits maps a character to its value plus one; zero means that it is none.
var base62Digits = func() (t [256]byte) {
	for i := range len(base62) {
		t[base62[i]] = byte(i + 1)
	}
	return t
}()

// ParseID reads the text form of an id with the given prefix.
func ParseID(text, prefix string) (KSUID, error) {
	var k KSUID
	if len(text) != len(prefix)+ksuidLength || text[:len(prefix)] != prefix {
		return k, ErrID
	}
	var limbs [5]uint32
	for i := len(prefix); i < len(text); i++ {
		d := base62Digits[text[i]]
		if d == 0 {
			return k, ErrID
		}
		carry := uint64(d - 1)
		for j := len(limbs) - 1; j >= 0; j-- {
			v := uint64(limbs[j])*62 + carry
			limbs[j] = uint32(v)
			carry = v >> 32
		}
		if carry != 0 { // more than 160 bits
			return KSUID{}, ErrID
		}
	}
	for j, limb := range limbs {
		binary.BigEndian.PutUint32(k[j*4:], limb)
	}
	return k, nil
}

// NewEnvironmentID and its siblings make a fresh id for the moment at.
func NewEnvironmentID(at time.Time) EnvironmentID {
	return EnvironmentID(NewKSUID(at).Format(EnvironmentPrefix))
}

// NewApplicationID makes an application's id.
func NewApplicationID(at time.Time) ApplicationID {
	return ApplicationID(NewKSUID(at).Format(ApplicationPrefix))
}

// NewEndpointID makes an endpoint's id.
func NewEndpointID(at time.Time) EndpointID { return EndpointID(NewKSUID(at).Format(EndpointPrefix)) }

// NewConsumerID makes a consumer's id: that of an endpoint which is pulled.
func NewConsumerID(at time.Time) EndpointID { return EndpointID(NewKSUID(at).Format(ConsumerPrefix)) }

// IsPulled says whether it is a consumer's: nothing is sent there, its messages are fetched.
func (id EndpointID) IsPulled() bool { return strings.HasPrefix(string(id), ConsumerPrefix) }

// NewMessageID makes a message's id.
func NewMessageID(at time.Time) MessageID { return MessageID(NewKSUID(at).Format(MessagePrefix)) }

// NewAttemptID makes an attempt's id.
func NewAttemptID(at time.Time) AttemptID { return AttemptID(NewKSUID(at).Format(AttemptPrefix)) }

// NewTaskID makes a task's id.
func NewTaskID(at time.Time) TaskID { return TaskID(NewKSUID(at).Format(TaskPrefix)) }

// NewKeyID makes a key's id.
func NewKeyID(at time.Time) KeyID { return KeyID(NewKSUID(at).Format(KeyPrefix)) }
