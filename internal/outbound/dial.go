package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

// connect opens a connection to the request's target: policy, name, address, TLS.
func (c *Client) connect(x *exchange, key string) (*conn, *Error) {
	t := x.req.Target
	if err := c.opts.Policy.CheckTarget(t); err != nil {
		return nil, fail(x.ctx, "connecting", Blocked, err)
	}
	ctx, cancel := context.WithDeadline(x.ctx, x.deadline)
	defer cancel()
	if !c.conns.dialing(&cancel) {
		return nil, c.failed(x, "connecting", net.ErrClosed)
	}
	defer c.conns.dialed(&cancel)

	start := time.Now()
	addrs, err := c.resolve(ctx, t)
	if !t.addr.IsValid() {
		x.resp.Phases.DNS = time.Since(start)
	}
	if err != nil {
		return nil, c.failedAs(x, "resolving the host name", DNS, err)
	}
	start = time.Now()
	nc, err := c.dial(ctx, addrs, t.port)
	x.resp.Phases.Connect = time.Since(start)
	if err != nil {
		return nil, c.failedAs(x, "connecting", Connect, err)
	}
	cn := &conn{nc: nc, raw: nc, key: key}
	if t.https {
		start = time.Now()
		cn.nc, err = c.handshake(ctx, nc, t, x.req.SkipTLSVerify)
		x.resp.Phases.TLS = time.Since(start)
		if err != nil {
			_ = nc.Close()
			return nil, c.failedAs(x, "making the TLS handshake", TLS, err)
		}
	}
	cn.born = time.Now()
	if !c.conns.add(x.ctx, cn) {
		_ = nc.Close()
		return nil, c.failed(x, "connecting", net.ErrClosed)
	}
	return cn, nil
}

// resolve finds the target's addresses. One forbidden address among them refuses all: a name that
// points both outside and inside is an attack or a mistake.
func (c *Client) resolve(ctx context.Context, t *Target) ([]netip.Addr, error) {
	addrs := []netip.Addr{t.addr}
	if !t.addr.IsValid() {
		ctx, cancel := context.WithTimeout(ctx, c.opts.DNSTimeout)
		defer cancel()
		var err error
		if addrs, err = c.opts.Resolver.LookupNetIP(ctx, "ip", t.host); err != nil {
			return nil, err
		}
		if len(addrs) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: t.host, IsNotFound: true}
		}
	}
	for i, addr := range addrs {
		if err := c.opts.Policy.Check(addr); err != nil {
			return nil, err
		}
		addrs[i] = addr.Unmap()
	}
	return interleave(addrs)[:min(len(addrs), maxAddresses)], nil
}

// interleave orders addresses so that the two families take turns, beginning with the resolver's
// first choice: when one family is broken, the second dial is already to the other.
func interleave(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range first {
		out = append(out, first[i])
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return append(out, second[min(len(first), len(second)):]...)
}

// dial connects to the first address that answers. The next one gets its turn when one fails, or
// after a short while beside it.
func (c *Client) dial(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	dialOne := func(addr netip.Addr) (net.Conn, error) {
		return c.opts.Dial(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
	}
	if len(addrs) == 1 {
		return dialOne(addrs[0])
	}
	type result struct {
		nc  net.Conn
		err error
	}
	results := make(chan result, len(addrs))
	var wg sync.WaitGroup
	defer func() { // the losers are called off, waited for, and hung up
		cancel()
		wg.Wait()
		close(results)
		for r := range results {
			if r.err == nil {
				_ = r.nc.Close()
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var firstErr error
	for next, running := 0, 0; next < len(addrs) || running > 0; {
		select {
		case <-timer.C:
			if next < len(addrs) {
				addr := addrs[next]
				next, running = next+1, running+1
				wg.Go(func() {
					nc, err := dialOne(addr)
					results <- result{nc, err}
				})
				timer.Reset(dialStagger)
			}
		case r := <-results:
			if r.err == nil {
				return r.nc, nil
			}
			running--
			if firstErr == nil {
				firstErr = r.err
			}
			timer.Reset(0)
		}
	}
	return nil, firstErr
}

// handshake makes nc a TLS connection.
func (c *Client) handshake(ctx context.Context, nc net.Conn, t *Target, skipVerify bool) (net.Conn, error) {
	config := c.tls.Clone()
	if skipVerify {
		config = c.tlsNoAuth.Clone()
	}
	config.ServerName = strings.TrimSuffix(t.host, ".")
	ctx, cancel := context.WithTimeout(ctx, c.opts.TLSTimeout)
	defer cancel()
	tc := tls.Client(nc, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return tc, nil
}

// guardedDialer asks the policy once more when the socket exists and before it connects: about
// the address that the kernel is given, whoever chose it.
func guardedDialer(policy Policy) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil {
				return &Error{Kind: Blocked, Err: err, sentence: "requests to this IP range are blocked"}
			}
			return policy.Check(addr.Addr())
		},
	}
	return dialer.DialContext
}

// failedAs words a failure of the given kind; failed is for the exchange, where all are Closed.
func (c *Client) failedAs(x *exchange, stage string, kind Kind, err error) *Error {
	if c.conns.isClosed() && !errors.Is(x.ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: Canceled, Err: err, sentence: "canceled while " + stage}
	}
	return fail(x.ctx, stage, kind, err)
}

func (c *Client) failed(x *exchange, stage string, err error) *Error {
	return c.failedAs(x, stage, Closed, err)
}
