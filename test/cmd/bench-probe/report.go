package main

import (
	"fmt"
	"math"
	"slices"
)

// The bounds: of the slower of hey and the bare tool, and of the loop.
const (
	ofSlower = 0.9
	ofLoop   = 4
)

// report prints rates, CPU times and verdicts.
func (b *bench) report() {
	b.print("%d requests each, median of %d alternating rounds (lowest to highest). CPU is in microseconds per request.", b.requests, b.rounds)
	b.print("client: the tool in the pod, or hey. network: the lab's packets and the servers, which others need as well.\n")
	b.print("%-12s %-8s %7s %24s %7s %7s %10s %8s %8s", "", "TOOL", "STREAMS", "REQUESTS/S", "CLIENT", "PLUGIN", "API SERVER", "KUBELET", "NETWORK")
	for _, c := range b.order() {
		s := b.measured[c]
		rate := spread(s, func(s sample) float64 { return s.rate })
		cpu := func(f func(sample) float64) string {
			return fmt.Sprintf("%.0f", 1e6*spread(s, func(s sample) float64 { return f(s) / float64(s.requests) }).median)
		}
		plugin := "-"
		if c.name == "mesh-probe" {
			plugin = cpu(func(s sample) float64 { return s.plugin })
		}
		b.print("%-12s %-8s %7d %24s %7s %7s %10s %8s %8s", c.name, c.tool, c.streams, rate.String(),
			cpu(func(s sample) float64 { return s.client }), plugin, cpu(func(s sample) float64 { return s.parts.apiServer }),
			cpu(func(s sample) float64 { return s.parts.kubelet }), cpu(func(s sample) float64 { return s.parts.network }))
	}
	b.print("\n%-46s %-34s %s", "MEASURED", "BOUND", "RESULT")
	for _, streams := range []int{1, 4} {
		for _, tool := range b.tools {
			if len(b.measured[contender{"mesh-probe", tool, streams}]) == 0 {
				continue
			}
			probe, hey, bare := b.rate("mesh-probe", tool, streams), b.rate("hey", "", streams), b.rate("bare", tool, streams)
			slower := "hey"
			if bare < hey {
				slower = "the bare tool"
			}
			b.verdict(fmt.Sprintf("%s, streams: %d", tool, streams), fmt.Sprintf("%.1f of the slower, %s", ofSlower, slower), probe/math.Min(hey, bare), ofSlower)
		}
	}
	for _, tool := range b.tools {
		if loop := b.rate("loop", tool, 1); loop > 0 {
			b.verdict(tool+", against the loop of the walk-through", fmt.Sprintf("%d times", ofLoop), b.rate("mesh-probe", tool, 1)/loop, ofLoop)
		}
	}
}

func (b *bench) verdict(what, bound string, got, want float64) {
	verdict := "kept"
	if got < want {
		verdict = "MISSED"
	}
	b.print("%-46s %-34s %s: %.2f", what, bound, verdict, got)
}

func (b *bench) print(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

// order lists what was measured: by streams, hey first, then each tool.
func (b *bench) order() []contender {
	var out []contender
	for _, streams := range []int{1, 4} {
		out = append(out, contender{"hey", "", streams})
		for _, tool := range b.tools {
			for _, name := range []string{"loop", "bare", "mesh-probe"} {
				out = append(out, contender{name, tool, streams})
			}
		}
	}
	return slices.DeleteFunc(out, func(c contender) bool { return len(b.measured[c]) == 0 })
}

func (b *bench) rate(name, tool string, streams int) float64 {
	return spread(b.measured[contender{name, tool, streams}], func(s sample) float64 { return s.rate }).median
}

// values are the lowest, the median and the highest of several.
type values struct{ low, median, high float64 }

func (v values) String() string { return fmt.Sprintf("%.0f (%.0f to %.0f)", v.median, v.low, v.high) }

func spread(all []sample, of func(sample) float64) values {
	if len(all) == 0 {
		return values{}
	}
	v := make([]float64, len(all))
	for i, s := range all {
		v[i] = of(s)
	}
	slices.Sort(v)
	return values{v[0], v[len(v)/2], v[len(v)-1]}
}
