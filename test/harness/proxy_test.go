package harness_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// A campaign in whose weather nothing happens would prove nothing.
func TestProxy_MakesTheWeather(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p := harness.NewProxy(t, echo.Addr().String())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	// says sends a byte and answers whether it comes back, and whether the connection stands.
	says := func(c net.Conn, limit time.Duration) (back, stands bool) {
		if _, err := c.Write([]byte{7}); err != nil {
			return false, false
		}
		_ = c.SetReadDeadline(time.Now().Add(limit))
		_, err := c.Read(make([]byte, 1))
		ne, slow := err.(net.Error)
		return err == nil, err == nil || slow && ne.Timeout()
	}
	const long, short = time.Minute, 100 * time.Millisecond
	expect := func(what string, c net.Conn, limit time.Duration, back, stands bool) {
		t.Helper()
		if b, s := says(c, limit); b != back || s != stands {
			t.Errorf("%s: back %v, stands %v; want %v, %v", what, b, s, back, stands)
		}
	}
	old := dial()
	expect("fine", old, long, true, true)
	p.Set(harness.KeptBack)
	expect("kept back", old, short, false, true)
	expect("kept back, new", dial(), short, false, true)
	p.Set(harness.Fine)
	expect("fine again", old, long, true, true)
	old = dial() // what was kept back comes through the other one
	expect("fine, new", old, long, true, true)
	p.Set(harness.Swallow)
	expect("swallowed", old, short, false, true)
	p.Set(harness.Fine)
	expect("lost", old, long, false, false)
	old = dial()
	expect("new", old, long, true, true)
	p.Set(harness.Refused)
	expect("refused", old, long, false, false)
	if c, err := net.Dial("tcp", p.Addr); err == nil { // else it was as quick as that
		defer c.Close()
		expect("refused, new", c, long, false, false)
	}
}
