package clusters

import (
	"fmt"
	"mime"
	"net/http"
)

// WebPageError says that a web page was answered with success, as the login page of a network or a load balancer without an API server does. It does not tell
// whether the request reached the API server.
type WebPageError struct{ Type string }

// Error says what probably answered.
func (e *WebPageError) Error() string {
	return fmt.Sprintf("the answer is a web page (%s) and not that of an API server: a login page, a proxy or a load balancer answered instead", e.Type)
}

// rejectWebPages returns a round tripper that makes an error of each web page. client-go would say that a "serializer for text/html doesn't exist".
func rejectWebPages(base http.RoundTripper) http.RoundTripper { return &apiOnly{base} }

type apiOnly struct{ http.RoundTripper }

// WrappedRoundTripper returns what is wrapped, for client-go.
func (a *apiOnly) WrappedRoundTripper() http.RoundTripper { return a.RoundTripper }

// RoundTrip looks at the type of successful answers only. The error of any other answer quotes it.
func (a *apiOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return resp, err
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "text/html" {
		return resp, nil //nolint:nilerr // streams have no type, and client-go judges types that cannot be parsed
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	return nil, &WebPageError{Type: kind}
}
