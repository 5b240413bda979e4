//go:build unix

package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestNewBench(t *testing.T) {
	t.Parallel()
	const kubeconfig = "MESHLAB_KUBECONFIG=/lab"
	for name, tc := range map[string]struct {
		env  []string
		want string // of the error
	}{
		"defaults":             {env: []string{kubeconfig}},
		"small":                {env: []string{kubeconfig, "SERVICES=500", "MESH_SERVICES=50", "MESH_CLUSTERS=3", "RUNS=1", "RTT=0s"}},
		"no lab":               {want: "with-lab.sh"},
		"no number":            {env: []string{kubeconfig, "RUNS=many"}, want: `RUNS="many" is not a number`},
		"nothing to measure":   {env: []string{kubeconfig, "RUNS=0"}, want: `RUNS="0"`},
		"no duration":          {env: []string{kubeconfig, "RTT=50"}, want: `RTT="50" is not a duration`},
		"more than a mesh":     {env: []string{kubeconfig, "MESH_CLUSTERS=512"}, want: "at most 511"},
		"more than is created": {env: []string{kubeconfig, "SERVICES=500", "MESH_SERVICES=51"}, want: "a tenth of SERVICES=500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := newBench(func(name string) string {
				for _, v := range tc.env {
					if value, ok := strings.CutPrefix(v, name+"="); ok {
						return value
					}
				}
				return ""
			})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v; want %q", err, tc.want)
			case err == nil && b.services%10 != 0:
				t.Errorf("%d Services", b.services)
			}
		})
	}
}

func TestSeries(t *testing.T) {
	t.Parallel()
	s := series{{Wall: 3 * time.Second, RSS: 3 << 20}, {Wall: time.Second, RSS: 9 << 20}, {Wall: 2 * time.Second, RSS: 1 << 20}}
	if got := s.span(wall, "%.0f"); got != "2 (1 to 3)" {
		t.Error(got)
	}
	if got := s[:2].median(wall); got != 1 {
		t.Errorf("of two: %v", got)
	}
	sum := s[0].add(s[1])
	if sum.Wall != 4*time.Second || sum.RSS != 9<<20 {
		t.Errorf("in a row: %+v", sum)
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := measure(t.Context(), &out, []string{"sh", "-c", "exit 3"}); err == nil {
		t.Error("a command that fails was measured")
	}
	if err := measure(t.Context(), &out, nil); err == nil {
		t.Error("nothing was measured")
	}
	if err := measure(t.Context(), &out, []string{"sh", "-c", "sleep 0.05"}); err != nil || !strings.Contains(out.String(), `"Wall":`) {
		t.Errorf("%v %s", err, out.String())
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string]float64{
		"7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 0 0 20 0": 300,
		"7 (short) S 1": 0,
		"":              0,
	} {
		if got := ticks(stat); got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}

// TestFarListener sends a line there and back: nothing is lost, and no answer is there before its time.
func TestFarListener(t *testing.T) {
	t.Parallel()
	const rtt = 40 * time.Millisecond
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := farListener{plain, rtt / 2}
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		data, err := io.ReadAll(c)
		if err == nil {
			_, err = c.Write(data)
		}
		_ = c.Close()
		done <- err
	}()
	start := time.Now()
	c, err := net.Dial("tcp", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sent := strings.Repeat("far ", 10000)
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(sent), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// The set-up of the connection and the way there and back. It is never less, however busy the machine is.
	if took := time.Since(start); took < 2*rtt {
		t.Errorf("answered after %s, sooner than two round trips of %s", took, rtt)
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}
