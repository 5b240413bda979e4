// Package failure says in one word why a cluster could not be read or written, and names the permission that a request lacked.
//
// It knows the errors of Go's network packages and of API servers. It knows no cluster.
package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"

	"golang.org/x/net/http2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Class is that word.
type Class string

// The classes. They are part of the documents that scripts read. docs/exit-codes.md is the user's page about them.
const (
	DNS          Class = "dns"
	Timeout      Class = "timeout"
	Refused      Class = "refused" // no connection, or one that the other end closed
	TLS          Class = "tls"
	Unauthorized Class = "unauthorized"
	Forbidden    Class = "forbidden"
	NotFound     Class = "notfound"
	NoCilium     Class = "no-cilium"
	Kubeconfig   Class = "kubeconfig"
	Interrupted  Class = "interrupted"
	Other        Class = "error"
)

// Error is a failure of one cluster with its class.
type Error struct {
	Class Class
	Err   error
}

// Error returns the message without the class.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// WithClass returns the error with its class in front, as lines about a cluster have it. An error of class Other stays as it is.
func (e *Error) WithClass() error {
	if e.Class == Other {
		return e
	}
	return fmt.Errorf("%s: %w", e.Class, e)
}

// Classify gives an error its class. Where a permission is missing, the message names it. It returns nil for nil.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return &Error{own.Class, err}
	}
	return &Error{classOf(err), Explain(err)}
}

func classOf(err error) Class {
	var dns *net.DNSError
	var netErr net.Error
	var (
		unknownCA x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
	)
	class := numbersOf(runtime.GOOS).class(err)
	switch {
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.As(err, &dns):
		return DNS
	case errors.As(err, &unknownCA), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record),
		errors.As(err, &alert), errors.As(err, &verify), errors.Is(err, http.ErrSchemeMismatch):
		return TLS
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), class == Timeout:
		return Timeout
	case class == Refused, disconnected(err):
		return Refused
	case errors.As(err, &netErr) && netErr.Timeout():
		return Timeout
	case apierrors.IsUnauthorized(err):
		return Unauthorized
	case apierrors.IsForbidden(err):
		return Forbidden
	case apierrors.IsNotFound(err):
		return NotFound
	// client-go loses the type of some transport errors on the way through url.Error strings.
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return TLS
	}
	return Other
}

// disconnected reports whether the other end closed a connection. Whether it ends, is reset, or has its stream reset (HTTP/2), depends on what was under way and on
// the protocol, not on what happened.
func disconnected(err error) bool {
	var stream http2.StreamError
	var away http2.GoAwayError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &stream) || errors.As(err, &away)
}
