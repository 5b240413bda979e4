package failure

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
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
	// A connection that ends is reset, closed or, with HTTP/2, has its stream reset. Which of them a client sees depends on what was under way.
	for _, err := range []error{
		fmt.Errorf("read: %w", syscall.ECONNRESET),
		&url.Error{Op: "Get", URL: "https://x", Err: io.EOF},
		fmt.Errorf("read body: %w", io.ErrUnexpectedEOF),
		fmt.Errorf("read body: %w", http2.StreamError{StreamID: 1, Code: http2.ErrCodeInternal}),
		fmt.Errorf("read body: %w", http2.GoAwayError{LastStreamID: 1}),
		fmt.Errorf("write: %w", syscall.EPIPE),
	} {
		if got := Classify(err); got.Class != Refused {
			t.Errorf("%v: got %s, want %s", err, got.Class, Refused)
		}
	}
	if got := Classify(&url.Error{Op: "Get", URL: "https://x", Err: http.ErrSchemeMismatch}); got.Class != TLS {
		t.Errorf("HTTP instead of HTTPS: got %s, want %s", got.Class, TLS)
	}
	if Classify(nil) != nil {
		t.Error("an error out of nil")
	}
}
