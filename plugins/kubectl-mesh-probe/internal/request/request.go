package request

import "time"

// Request is the request that a client pod sends again and again.
type Request struct {
	Target    Target
	Method    string   // GET or HEAD
	Headers   []string // "Name: value"
	UserAgent string
	Timeout   time.Duration // of one request
	// Insecure skips the verification of the server's certificate.
	Insecure bool
	// CACert are the certificates, in PEM form, that the tool verifies the server's certificate with.
	CACert []byte
	// AllowVisibleHeaders allows secret headers where the pod's process list shows them.
	AllowVisibleHeaders bool
}
