//go:build unix

package outbound

import "syscall"

// alive looks at an idle connection without waiting. Anything to read is a goodbye or an answer
// that nobody asked for: either way the connection is spent. It sees what the kernel has; the
// pool is keyed by scheme, host and port, so a late second answer can only fool its own server's requests.
func (cn *conn) alive() bool {
	sc, ok := cn.raw.(syscall.Conn)
	if !ok {
		return true // a test's pipe: the exchange will find out
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}
