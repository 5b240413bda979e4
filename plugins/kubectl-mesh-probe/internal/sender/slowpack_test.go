package sender

import (
	"testing"
	"time"
)

// A packed batch prints nothing until it has ended. If the server becomes slow, the batch takes longer than the plugin is patient, and is not
// ended while it makes progress.
func TestPackedBatchBecomesSlow(t *testing.T) {
	t.Parallel()
	for _, pod := range []string{"dash GNU wget packed", "ash busybox packed"} {
		t.Run(pod, func(t *testing.T) {
			t.Parallel()
			srv := newTortureServer(t, false, slowAfter(60, 160)...)
			cfg := testConfig(t, srv.url, 160)
			cfg.Timeout = 2 * time.Second // less than that a busy machine may stand still
			got, want, res := torture(t, pod, srv, cfg)
			if n := got[result{200, ""}]; !res.Complete || n != 160 || want[result{200, ""}] != 160 {
				t.Errorf("result %+v, counts %v, the server's log %v", res, got, want)
			}
			if res.End.Sub(res.Start) < 6*time.Second {
				t.Errorf("it took only %s", res.End.Sub(res.Start))
			}
		})
	}
}

// slowAfter are ways to reply of which those from n on take a tenth of a second.
func slowAfter(n, of int) []string {
	var out []string
	for i := range of {
		if i < n {
			out = append(out, "ok")
		} else {
			out = append(out, "slow")
		}
	}
	return out
}
