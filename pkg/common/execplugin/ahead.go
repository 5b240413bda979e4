package execplugin

import (
	"os"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin/wrapper"
)

// ahead is the state of a plugin that runs before anybody knows whether its credentials are needed.
type ahead struct {
	stderr string // what a plugin that has ended wrote
	ended  bool   // the host ended it, and a wrapper that connects now is late
}

// Ahead marks a plugin that is started before anybody knows whether its credentials are needed. Its stderr is held back until Need.
func (h *Host) Ahead(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.plugins[key]; p != nil {
		p.ahead = &ahead{}
	}
}

// Need ends what Ahead began: the credentials are needed, and the user sees what the plugin writes to stderr.
func (h *Host) Need(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.plugins[key]
	if p == nil || p.ahead == nil {
		return
	}
	text := p.ahead.stderr
	p.ahead = nil
	p.show(text)
	for _, r := range h.running {
		if r.key == key && !r.began.IsZero() {
			_ = r.out.Encode(wrapper.Order{Run: true}) //nolint:errchkjson // the wrapper may have gone
		}
	}
}

// EndAhead ends the plugin if its credentials are not needed. It may run again.
func (h *Host) EndAhead(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.plugins[key]
	if p == nil || p.ahead == nil {
		return
	}
	p.ahead.ended = true
	for _, r := range slices.Concat(h.waiting, h.running) {
		if r.key == key {
			r.end()
		}
	}
}

// show writes what a plugin wrote to stderr, or keeps it until the plugin's credentials are needed.
func (p *plugin) show(stderr string) {
	if p.ahead != nil {
		p.ahead.stderr += stderr
		return
	}
	_, _ = os.Stderr.WriteString(stderr)
}

// Waits reports whether the plugin runs and is seen to wait for something else, such as a server. False: it computes, it does not run, or nobody can tell.
func (h *Host) Waits(key string) bool {
	h.mu.Lock()
	var of *run
	for _, r := range h.running {
		if r.key == key && !r.began.IsZero() {
			of = r
		}
	}
	h.mu.Unlock()
	return of != nil && sleeps(of.pid, of.began)
}
