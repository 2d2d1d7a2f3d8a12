package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"
)

// shape is a request cut at its variable places, so that making one is a copy and a few digits.
type shape struct {
	heads []piece // one for each path
	body  piece
	batch int
	out   []byte

	fresh   func() hash.Hash // makes what signs the body; nil for requests that nobody signs
	mac     hash.Hash
	stamped bool // the time is signed before it
}

// piece is text with the offsets of its numbers.
type piece struct {
	text []byte
	nows []int // 19 digits
	seqs []int // 12 digits
	secs []int // 10 digits: the time of signing
	sigs []int // 64 hexadecimal digits
}

const (
	nowDigits = 19
	seqDigits = 12
	secDigits = 10
	sigDigits = 2 * sha256.Size
)

func newShape(l load) (*shape, error) {
	item := strings.ReplaceAll(l.Item, "{{now}}", strings.Repeat("1", nowDigits))
	item = strings.ReplaceAll(item, "{{seq}}", strings.Repeat("1", seqDigits))
	if strings.Contains(item, "{{pad}}") {
		pad := l.Size - len(item) + len("{{pad}}")
		if pad < 0 {
			return nil, fmt.Errorf("one message needs %d bytes, more than the %d asked for", len(item), l.Size)
		}
		l.Item = strings.Replace(l.Item, "{{pad}}", strings.Repeat("x", pad), 1)
	}
	body := l.Item
	if l.Envelope != "" {
		items := make([]string, l.Batch)
		for i := range items {
			items[i] = l.Item
		}
		body = strings.Replace(l.Envelope, "{{items}}", strings.Join(items, ","), 1)
	} else if l.Batch > 1 {
		return nil, errors.New("a batch needs an envelope")
	}
	s := &shape{body: cut(body), batch: l.Batch}
	if l.Secret != "" {
		s.fresh, s.stamped = func() hash.Hash { return hmac.New(sha256.New, []byte(l.Secret)) }, l.Stamped
	}
	for _, path := range l.Paths {
		head := "POST " + path + " HTTP/1.1\r\nHost: " + l.Addrs[0] + "\r\nContent-Type: application/json\r\n"
		for _, h := range l.Headers {
			head += h + "\r\n"
		}
		s.heads = append(s.heads, cut(head+"Content-Length: "+strconv.Itoa(len(s.body.text))+"\r\n\r\n"))
	}
	return s, nil
}

// cut replaces the placeholders by digits and notes where they stand.
func cut(template string) piece {
	var p piece
	for template != "" {
		before, after, ok := strings.Cut(template, "{{")
		p.text = append(p.text, before...)
		if !ok {
			break
		}
		switch {
		case strings.HasPrefix(after, "now}}"):
			p.nows = append(p.nows, len(p.text))
			p.text = append(p.text, strings.Repeat("1", nowDigits)...)
		case strings.HasPrefix(after, "seq}}"):
			p.seqs = append(p.seqs, len(p.text))
			p.text = append(p.text, strings.Repeat("1", seqDigits)...)
		case strings.HasPrefix(after, "sec}}"):
			p.secs = append(p.secs, len(p.text))
			p.text = append(p.text, strings.Repeat("1", secDigits)...)
		case strings.HasPrefix(after, "sig}}"):
			p.sigs = append(p.sigs, len(p.text))
			p.text = append(p.text, strings.Repeat("1", sigDigits)...)
		default:
			p.text = append(p.text, "{{"...)
			template = after
			continue
		}
		template = after[len("now}}"):]
	}
	return p
}

// copy is the same shape with a buffer of its own.
func (s *shape) copy() *shape {
	c := *s
	if c.fresh != nil {
		c.mac = c.fresh()
	}
	c.out = make([]byte, 0, len(s.heads[0].text)+len(s.body.text)+64)
	return &c
}

// render makes the n-th request, whose first message has the number first. The result is valid
// until the next call.
func (s *shape) render(n, first int64, now time.Time) []byte {
	head := s.heads[int(n%int64(len(s.heads)))]
	s.out = append(append(s.out[:0], head.text...), s.body.text...)
	for _, at := range head.seqs {
		digits(s.out[at:at+seqDigits], firstSeq+first)
	}
	body := s.out[len(head.text):]
	for _, at := range s.body.nows {
		digits(body[at:at+nowDigits], now.UnixNano())
	}
	per := max(1, len(s.body.seqs)/s.batch)
	for i, at := range s.body.seqs {
		digits(body[at:at+seqDigits], firstSeq+first+int64(i/per))
	}
	if s.mac != nil {
		s.seal(&head, body, now)
	}
	return s.out
}

func digits(out []byte, n int64) {
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = byte('0' + n%10)
		n /= 10
	}
}

// seal signs the body as a provider does, in the header.
func (s *shape) seal(head *piece, body []byte, now time.Time) {
	s.mac.Reset()
	if s.stamped {
		var stamp [secDigits + 1]byte
		digits(stamp[:secDigits], now.Unix())
		stamp[secDigits] = '.'
		for _, at := range head.secs {
			copy(s.out[at:], stamp[:secDigits])
		}
		_, _ = s.mac.Write(stamp[:])
	}
	_, _ = s.mac.Write(body)
	var sum [sha256.Size]byte
	text := hex.AppendEncode(nil, s.mac.Sum(sum[:0]))
	for _, at := range head.sigs {
		copy(s.out[at:], text)
	}
}
