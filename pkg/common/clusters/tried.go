package clusters

import (
	"net/http"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// noteTried returns a round tripper that notes the answers after which client-go tries again, silently and until the deadline: 429 and 5xx that say when, and connections that
// end. Without it a throttled cluster would look like one that does not answer.
func noteTried(base http.RoundTripper) http.RoundTripper { return &tried{base} }

type tried struct{ http.RoundTripper }

// WrappedRoundTripper returns what is wrapped, for client-go.
func (t *tried) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// RoundTrip notes how the request ended.
func (t *tried) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	switch {
	case err != nil && r.Context().Err() != nil: // the deadline, which is not an answer
	case err != nil:
		fanout.Tried(r.Context(), err.Error())
	case resp.Header.Get("Retry-After") != "":
		fanout.Tried(r.Context(), resp.Status)
	default:
		fanout.Tried(r.Context(), "")
	}
	return resp, err
}
