package execplugin

import "net/http"

// Watch notes whether API servers accept the plugin's credentials: each response goes through the round tripper that it returns.
func (h *Host) Watch(key string, base http.RoundTripper) http.RoundTripper {
	return &watch{base, h, key}
}

type watch struct {
	http.RoundTripper
	host *Host
	key  string
}

// WrappedRoundTripper returns what is wrapped, for client-go.
func (w *watch) WrappedRoundTripper() http.RoundTripper { return w.RoundTripper }

// RoundTrip notes whether the credentials were rejected. Responses are not counted: requests that run in parallel are rejected together when a token ends.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if p := w.host.plugins[w.key]; p != nil {
		if p.rejected = resp.StatusCode == http.StatusUnauthorized; !p.rejected {
			p.rejectedRuns = 0
		}
	}
	return resp, nil
}

// renewed notes that a run has ended. If the credentials of the run before it were rejected, the next response tells of those of this run.
func (p *plugin) renewed() {
	if p.failure == nil && p.rejected {
		p.rejected = false
		p.rejectedRuns++
	}
}
