package failure

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	gr := schema.GroupResource{Resource: "services"}
	cases := map[Class]error{
		DNS:          fmt.Errorf("get: %w", &net.DNSError{Err: "no such host"}),
		Timeout:      fmt.Errorf("get: %w", context.DeadlineExceeded),
		Refused:      fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		TLS:          fmt.Errorf("get: %w", x509.UnknownAuthorityError{}),
		Unauthorized: apierrors.NewUnauthorized("who"),
		Forbidden:    apierrors.NewForbidden(gr, "x", errors.New("no")),
		NotFound:     apierrors.NewNotFound(gr, "x"),
		NoCilium:     fmt.Errorf("context: %w", &Error{NoCilium, errors.New("none")}),
		Interrupted:  context.Canceled,
		Other:        errors.New("else"),
	}
	for want, err := range cases {
		if got := Classify(err); got.Class != want || !errors.Is(got, err) {
			t.Errorf("%v: got %s, want %s", err, got.Class, want)
		}
	}
	if Classify(nil) != nil {
		t.Error("an error out of nil")
	}
}
