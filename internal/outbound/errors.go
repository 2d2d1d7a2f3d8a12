package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/harkhq/hark"
)

// Kind names why there was no answer. The set is closed, so that it can be a metric's label.
type Kind string

// The kinds of failure.
const (
	Blocked        Kind = "blocked"          // the Policy forbids it; nothing was sent
	Invalid        Kind = "invalid"          // the request cannot be sent: a field holds a line break, or its method is none
	DNS            Kind = "dns"              // the host's name did not lead to an address
	Connect        Kind = "connect"          // nobody accepted the connection
	TLS            Kind = "tls"              // the handshake or the certificate failed
	Timeout        Kind = "timeout"          // no status and headers in time
	Closed         Kind = "closed"           // the connection ended before status and headers
	Protocol       Kind = "protocol"         // what came is not HTTP/1.1 that we accept
	HeaderTooLarge Kind = "header_too_large" // more header bytes than we read
	Canceled       Kind = "canceled"         // the caller's context ended, or the client was closed
)

// Error says why a request got no answer. Its text is a sentence that a tenant may see: it names
// no address, and for Blocked it tells nothing about what is behind the wall, timing included.
type Error struct {
	Kind     Kind
	Err      error // the cause, for logs; nil when there is none
	Phases   hark.Phases
	Duration time.Duration // of the whole Post; zero for Blocked

	sentence string
}

func (e *Error) Error() string { return e.sentence }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error of a stage that went wrong with err. An ended ctx explains everything else.
func fail(ctx context.Context, stage string, kind Kind, err error) *Error {
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Err: err, sentence: "timed out while " + stage}
	case cause != nil:
		return &Error{Kind: Canceled, Err: cause, sentence: "canceled while " + stage}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e // the dialer's guard said no
	}
	if isTimeout(err) {
		return &Error{Kind: Timeout, Err: err, sentence: "timed out while " + stage}
	}
	return &Error{Kind: kind, Err: err, sentence: describe(kind, stage, err)}
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// describe words a failure for people, without the addresses that Go's own texts carry.
func describe(kind Kind, stage string, err error) string {
	switch kind {
	case DNS:
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return "the host name does not exist"
		}
		return "the host name could not be resolved"
	case Connect:
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			return "could not connect: " + errno.Error()
		}
		return "could not connect"
	case TLS:
		return "TLS failed: " + describeTLS(err)
	case Closed:
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return "the connection was reset while " + stage
		}
		return "the connection was closed while " + stage
	}
	return "something went wrong while " + stage
}

func describeTLS(err error) string {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate is not valid for %s", e.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an unknown authority"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "the certificate has expired or is not yet valid"
		}
		return "the certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS on this port"
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return e.Error()
	}
	return "the handshake was broken off"
}
