package request

import "time"

// Request is the request that a client pod sends again and again.
type Request struct {
	Target    Target
	Method    string   // one of Methods
	Headers   []string // "Name: value"
	UserAgent string
	Timeout   time.Duration // of one request
	// Data is the body of each request, nil if there is none.
	Data []byte
	// Resolve replaces DNS for the host of the target.
	Resolve Resolve
	// Insecure skips the verification of the server's certificate.
	Insecure bool
	// CACert are the certificates, in PEM form, that the tool verifies the server's certificate with.
	CACert []byte
	// AllowVisibleHeaders allows secret headers where the pod's process list shows them.
	AllowVisibleHeaders bool
}
