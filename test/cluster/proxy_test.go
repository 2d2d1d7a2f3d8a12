package cluster

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// weather is how it is between a node and the database.
type weather string

const (
	fine     weather = "fine"
	refused  weather = "refused"   // connections are dropped, new ones too
	swallow  weather = "swallowed" // nothing gets through, nobody is told, and connections are lost
	keptBack weather = "kept back" // nothing gets through until it is fine again, and then all of it
)

// proxy stands between a node and the database.
type proxy struct {
	addr     string
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	now    weather
	change chan struct{} // closed when the weather changes
	links  map[*link]bool
}

// link is one connection through the proxy.
type link struct {
	near, far net.Conn
	doomed    chan struct{} // closed: it is to end
	once      sync.Once
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, listener: l, now: fine, change: make(chan struct{}), links: map[*link]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(refused)
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(near) })
	}
}

// set changes the weather. What is swallowed is lost with its connection when the weather changes.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.now
	p.now = w
	close(p.change)
	p.change = make(chan struct{})
	if w == refused || before == swallow {
		for l := range p.links {
			l.end()
		}
	}
}

func (p *proxy) look() (weather, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, p.change
}

func (l *link) end() { l.once.Do(func() { close(l.doomed) }) }

// abort ends a connection so that the other side hears of it at once.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the close matters, not how
	}
	c.Close()
}

func (p *proxy) serve(near net.Conn) {
	defer abort(near)
	l := &link{near: near, doomed: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = true
	gone := p.now == refused
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if gone || !p.pass(l) {
		return
	}
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer abort(far)
	l.far = far
	var copying sync.WaitGroup
	copying.Go(func() { p.copy(l, far, near) })
	copying.Go(func() { p.copy(l, near, far) })
	<-l.doomed
	abort(near)
	abort(far)
	copying.Wait()
}

// pass waits until bytes may go through; it answers false when the link is to end first.
func (p *proxy) pass(l *link) bool {
	for {
		w, change := p.look()
		if w == fine {
			select {
			case <-l.doomed:
				return false
			default:
				return true
			}
		}
		select {
		case <-l.doomed:
			return false
		case <-change:
		}
	}
}

func (p *proxy) copy(l *link, to io.Writer, from io.Reader) {
	defer l.end()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.pass(l) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			p.pass(l) // an end is news, too
			return
		}
	}
}

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
	p := newProxy(t, echo.Addr().String())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.addr)
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
	const long, short = 5 * time.Second, 100 * time.Millisecond
	expect := func(what string, c net.Conn, limit time.Duration, back, stands bool) {
		t.Helper()
		if b, s := says(c, limit); b != back || s != stands {
			t.Errorf("%s: back %v, stands %v; want %v, %v", what, b, s, back, stands)
		}
	}
	old := dial()
	expect("fine", old, long, true, true)
	p.set(keptBack)
	expect("kept back", old, short, false, true)
	expect("kept back, new", dial(), short, false, true)
	p.set(fine)
	expect("fine again", old, long, true, true)
	old = dial() // what was kept back comes through the other one
	expect("fine, new", old, long, true, true)
	p.set(swallow)
	expect("swallowed", old, short, false, true)
	p.set(fine)
	expect("lost", old, long, false, false)
	old = dial()
	expect("new", old, long, true, true)
	p.set(refused)
	expect("refused", old, long, false, false)
	if c, err := net.Dial("tcp", p.addr); err == nil { // else it was as quick as that
		defer c.Close()
		expect("refused, new", c, long, false, false)
	}
}
