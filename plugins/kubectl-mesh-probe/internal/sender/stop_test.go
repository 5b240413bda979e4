package sender

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// A run that is told to stop ends in order: every request that was sent is counted, and the result is complete. Each request has a start,
// and they are in order, as far as the starts are known.
func TestStop(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer srv.Close()
	url, err := request.ParseTarget(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	stop, counted, began := make(chan struct{}), 0, time.Now()
	var last time.Time
	cfg := Config{
		Request: request.Request{Target: url, Method: "GET", UserAgent: "test", Timeout: 5 * time.Second}, Count: 1000000, Streams: 1, Tool: "curl", BodyLimit: 1 << 10, Stop: stop,
	}
	res, err := Run(t.Context(), newLocalPod(t, "sh", "curl", "head"), cfg, func(r reply.Reply) {
		if counted++; counted == 20 {
			close(stop)
		}
		// The durations are curl's, by another clock than the plugin's: their sum may be a little longer than the time that passed.
		if r.Start.Add(r.Uncertain+100*time.Millisecond).Before(last) || r.Start.Before(began) || r.Start.Add(r.Latency).After(time.Now()) {
			t.Errorf("request %d starts at %s, after %s", counted, r.Start, last)
		}
		last = r.Start
	})
	if err != nil || !res.Complete || res.Requests != counted || counted < 20 || counted > 20000 {
		t.Errorf("%+v, %d counted, %v", res, counted, err)
	}
}
