package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestNewBench(t *testing.T) {
	t.Parallel()
	const kubeconfig = "MESHLAB_KUBECONFIG=/lab"
	for name, tc := range map[string]struct {
		env  []string
		want string // of the error
	}{
		"defaults":     {env: []string{kubeconfig}},
		"small":        {env: []string{kubeconfig, "ROUNDS=1", "REQUESTS=10", "LOOP=5", "TOOLS=wget,curl"}},
		"no lab":       {want: "with-lab.sh"},
		"not a number": {env: []string{kubeconfig, "ROUNDS=many"}, want: `ROUNDS="many": must be a number`},
		"nothing":      {env: []string{kubeconfig, "REQUESTS=0"}, want: `REQUESTS="0"`},
		"another tool": {env: []string{kubeconfig, "TOOLS=curl,nc"}, want: `"nc" must be one of`},
	} {
		_, err := newBench(func(name string) string {
			for _, v := range tc.env {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	self, waited := times("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3000 400 0 0")
	if self != 120 || waited != 3400 {
		t.Errorf("%v and %v", self, waited)
	}
	if self, waited := times("12 (short) S 1"); self != 0 || waited != 0 {
		t.Errorf("%v and %v", self, waited)
	}
}

// The bound is of the slower of hey and the bare tool, and a row without a measurement is not printed.
func TestReport(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bench{rounds: 3, requests: 100, tools: []string{"curl", "wget"}, out: &out, measured: map[contender][]sample{}}
	for c, rates := range map[contender][]float64{
		{"hey", "", 1}: {1000, 1200, 800}, {"bare", "curl", 1}: {2000, 2100, 1900}, {"mesh-probe", "curl", 1}: {850, 950, 700},
		{"bare", "wget", 1}: {900, 500, 600}, {"mesh-probe", "wget", 1}: {540, 530, 560}, {"loop", "wget", 1}: {100, 120, 140},
	} {
		for _, r := range rates {
			b.measured[c] = append(b.measured[c], sample{rate: r, requests: 100, client: 0.03})
		}
	}
	b.report()
	for _, want := range []string{
		"hey                         1       1000 (800 to 1200)     300",
		"0.9 of the slower, hey             MISSED: 0.85", "0.9 of the slower, the bare tool   kept: 0.90", "4 times                            kept: 4.50",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
