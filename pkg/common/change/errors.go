package change

import (
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Errors of a step whose object is not what the plan was made for. Nothing was written to it.
var (
	ErrConflict  = errors.New("changed since planning; nothing was written to it, run the command again")
	ErrDeleted   = errors.New("deleted since planning; nothing was written to it, run the command again")
	ErrRecreated = errors.New("recreated since planning; nothing was written to it, run the command again")
	// ErrNotSent says that a write was given up before it was sent again.
	ErrNotSent = errors.New("nothing was written")
	// ErrPreflight says that a step cannot be carried out, and therefore none was.
	ErrPreflight = errors.New("preflight failed; nothing was written in any cluster")
)

// Conflict returns ErrConflict for the answer to a write whose object was changed, or created, since planning. It returns any other error as it is.
func Conflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ErrConflict
	}
	return err
}

// rejected reports whether it is certain that the write of an error did not happen: the API server said so, or the connection was never made.
func rejected(err error) bool {
	for _, own := range []error{ErrConflict, ErrDeleted, ErrRecreated, ErrNotSent} {
		if errors.Is(err, own) {
			return true
		}
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= 400 && code < 500 && finished(err)
	}
	return neverConnected(err)
}

// neverConnected reports whether the connection to the API server, or to the proxy before it, was never made.
func neverConnected(err error) bool {
	for op := (*net.OpError)(nil); errors.As(err, &op); err = op.Err {
		if op.Op != "proxyconnect" { // whatever happened between the proxy and the API server, or before that
			return op.Op == "dial"
		}
	}
	return false
}

// finished reports whether an error is the answer of an API server that is done with the write. A load balancer or a proxy that answers instead may have sent the write on,
// and an API server whose own deadline has ended may still do it.
func finished(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsUnexpectedServerError(err) && !apierrors.IsTimeout(err)
}

// Redact keeps the answers of an API server from repeating a key that was sent: an Invalid or Forbidden status may quote field values.
func (t Target) Redact(err error) error {
	var status apierrors.APIStatus
	if !t.Kind.Secret || !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	if len(s.Message) < maxMessage && !strings.Contains(s.Message, "PRIVATE KEY") && !strings.Contains(s.Message, encodedPEM) {
		return err
	}
	page := apierrors.IsUnexpectedServerError(err)
	s.Message, s.Details = fmt.Sprintf("the API server rejected it (%s); its message is left out because it may hold the key", s.Reason), nil
	if page { // it may not be the API server's answer: what is decided by that stays, without the text
		s.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseTypeUnexpectedServerResponse}}}
	}
	return &apierrors.StatusError{ErrStatus: s}
}

const (
	// maxMessage is longer than any message that does not quote an object.
	maxMessage = 600
	// encodedPEM is how "-----BEGIN" begins in base64.
	encodedPEM = "LS0tLS1CRUdJ"
)
