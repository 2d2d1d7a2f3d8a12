//go:build !unix

package outbound

// alive cannot look without reading here; the exchange finds out and tries again.
func (cn *conn) alive() bool { return true }
