package execplugin

import (
	"net/http"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin/wrapper"
)

// TestRejectedCredentials: a plugin is run again when its token has ended, however many requests were rejected together. Only credentials of several runs
// in a row that are rejected show that running it again does not help.
func TestRejectedCredentials(t *testing.T) {
	t.Parallel()
	const ok, rejected = http.StatusOK, http.StatusUnauthorized
	for name, tc := range map[string]struct {
		responses [][]int // before each run
		refused   bool    // the last run
	}{
		"the first run":                     {responses: [][]int{{}}},
		"the token ended":                   {responses: [][]int{{}, {ok, rejected}}},
		"three requests at once":            {responses: [][]int{{}, {ok, rejected, rejected, rejected}}},
		"each time that the token ends":     {responses: [][]int{{}, {ok, rejected, rejected, rejected}, {rejected, ok, rejected, rejected}}},
		"rejected twice":                    {responses: [][]int{{}, {rejected}, {rejected}}, refused: true},
		"rejected twice, by three requests": {responses: [][]int{{}, {ok, rejected, rejected, rejected}, {rejected, rejected, rejected}}, refused: true},
		"the token ends without a response": {responses: [][]int{{}, {rejected}, {}}},
	} {
		h := newHost()
		h.plugins["key"] = &plugin{command: "plugin"}
		for n, statuses := range tc.responses {
			for _, status := range statuses {
				answer := roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Body: http.NoBody}, nil
				})
				resp, err := h.Watch("key", answer).RoundTrip(nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			r := &run{key: "key", begin: make(chan struct{}), done: make(chan struct{})}
			runs, last := h.enqueue(r), n == len(tc.responses)-1
			if runs == (last && tc.refused) {
				t.Errorf("%s: run %d: %v, %v", name, n+1, runs, h.plugins["key"].failure)
			}
			if runs {
				h.dequeue(r, &wrapper.Report{})
			}
		}
	}
}

// TestLateRejection: a response to the old token may arrive when the plugin has run again. It tells nothing of the new token.
func TestLateRejection(t *testing.T) {
	t.Parallel()
	h := newHost()
	p := &plugin{command: "plugin"}
	h.plugins["key"] = p
	run := func() bool {
		r := &run{key: "key", begin: make(chan struct{}), done: make(chan struct{})}
		if !h.enqueue(r) {
			return false
		}
		h.dequeue(r, &wrapper.Report{})
		return true
	}
	rejected := func(meanwhile func()) {
		answer := roundTripper(func(*http.Request) (*http.Response, error) {
			meanwhile()
			return &http.Response{StatusCode: http.StatusUnauthorized, Body: http.NoBody}, nil
		})
		resp, err := h.Watch("key", answer).RoundTrip(nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	run()
	rejected(func() {
		rejected(func() {}) // another request is rejected first, and the plugin runs again
		run()
	})
	if p.rejected || p.rejectedRuns != 1 {
		t.Errorf("after the late response: rejected %v, in %d runs before", p.rejected, p.rejectedRuns)
	}
	if !run() {
		t.Error("the plugin is not run, although the API server has not judged its last token")
	}
	rejected(func() {})
	if run() {
		t.Error("the plugin is run again after two tokens that were rejected")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
