package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Weather is how it is between the two sides of a Proxy.
type Weather string

// The kinds of weather.
const (
	Fine     Weather = "fine"
	Refused  Weather = "refused"   // connections are dropped, new ones too
	Swallow  Weather = "swallowed" // nothing gets through, nobody is told, and connections are lost
	KeptBack Weather = "kept back" // nothing gets through until it is fine again, and then all of it
)

// Proxy passes TCP connections on to a target, as well as its weather lets it.
type Proxy struct {
	Addr string // where it listens

	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target string
	now    Weather
	change chan struct{} // closed when the weather changes
	links  map[*link]bool
}

// link is one connection through the proxy.
type link struct {
	near, far net.Conn
	doomed    chan struct{} // closed: it is to end
	once      sync.Once
}

// NewProxy starts a proxy on loopback for the time of a test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listener: l, now: Fine, change: make(chan struct{}), links: map[*link]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Set(Refused)
		p.running.Wait()
	})
	return p
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(near) })
	}
}

// Set changes the weather. What is swallowed is lost with its connection when the weather changes.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.now
	p.now = w
	close(p.change)
	p.change = make(chan struct{})
	if w == Refused || before == Swallow {
		for l := range p.links {
			l.end()
		}
	}
}

// Point makes new connections go to another target. Those that there are stay where they are.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) look() (Weather, <-chan struct{}) {
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

func (p *Proxy) serve(near net.Conn) {
	defer abort(near)
	l := &link{near: near, doomed: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = true
	gone := p.now == Refused
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if gone || !p.pass(l) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	far, err := net.Dial("tcp", target)
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
func (p *Proxy) pass(l *link) bool {
	for {
		w, change := p.look()
		if w == Fine {
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

func (p *Proxy) copy(l *link, to io.Writer, from io.Reader) {
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
