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
// Credentials that were sent before a run ended are not those of that run.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	runs := w.host.runs(w.key)
	resp, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	switch p := w.host.plugins[w.key]; {
	case p == nil:
	case resp.StatusCode != http.StatusUnauthorized:
		p.rejected, p.rejectedRuns = false, 0
	case p.runs == runs:
		p.rejected = true
	}
	return resp, nil
}

// runs returns how many runs of a plugin have given credentials.
func (h *Host) runs(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.plugins[key]; p != nil {
		return p.runs
	}
	return 0
}

// renewed notes that a run has ended. If the credentials of the run before it were rejected, the next response tells of those of this run.
func (p *plugin) renewed() {
	if p.failure != nil {
		return
	}
	p.runs++
	if p.rejected {
		p.rejected = false
		p.rejectedRuns++
	}
}
