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

// RoundTrip counts how often in a row the credentials were rejected.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if p := w.host.plugins[w.key]; p != nil {
		if p.rejected++; resp.StatusCode != http.StatusUnauthorized {
			p.rejected = 0
		}
	}
	return resp, nil
}
