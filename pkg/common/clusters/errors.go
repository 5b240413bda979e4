package clusters

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Class says in one word why a member could not be read or written.
type Class string

// The classes. They are part of the documents that scripts read.
const (
	ClassDNS          Class = "dns"
	ClassTimeout      Class = "timeout"
	ClassRefused      Class = "refused"
	ClassTLS          Class = "tls"
	ClassUnauthorized Class = "unauthorized"
	ClassForbidden    Class = "forbidden"
	ClassNotFound     Class = "notfound"
	ClassNoCilium     Class = "no-cilium"
	ClassConfig       Class = "kubeconfig"
	ClassInterrupted  Class = "interrupted"
	ClassOther        Class = "error"
)

// Error is a failure of one member with its class.
type Error struct {
	Class Class
	Err   error
}

// Error returns the message without the class.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Classify gives an error its class; a refusal names the missing rule. It returns nil for nil.
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
	switch {
	case errors.Is(err, context.Canceled):
		return ClassInterrupted
	case errors.As(err, &dns):
		return ClassDNS
	case errors.As(err, &unknownCA), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record),
		errors.As(err, &alert), errors.As(err, &verify):
		return ClassTLS
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return ClassTimeout
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ECONNRESET):
		return ClassRefused
	case errors.As(err, &netErr) && netErr.Timeout():
		return ClassTimeout
	case apierrors.IsUnauthorized(err):
		return ClassUnauthorized
	case apierrors.IsForbidden(err):
		return ClassForbidden
	case apierrors.IsNotFound(err):
		return ClassNotFound
	// client-go loses the type of some transport errors on the way through url.Error strings.
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return ClassTLS
	}
	return ClassOther
}
