package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// requests is how many each client sends at each probe.
const requests = 1000

// familyWise is the probability with which the whole demo may fail by chance: chi-square at 1e-4 over all probes.
const familyWise = 1e-4

// result is one client's tally at one probe.
type result struct {
	probe, client string
	counts        weights // answers by cluster; other replies are counted under their own names
	total         int
	predicted     map[string]float64 // by mesh-svc describe
	byHand        map[string]float64
}

// probe predicts with mesh-svc describe, counts with mesh-probe, and keeps both for the summary. more are flags of mesh-probe.
func (d *demo) probe(id, service, namespace, from string, more ...string) error {
	want := d.expected[id]
	if len(want) == 0 {
		return fmt.Errorf("expected.yaml has no %q", id)
	}
	clients := make([]string, 0, len(want))
	for c := range want {
		clients = append(clients, c)
	}
	slices.Sort(clients)
	if err := d.kubectl("mesh-svc", "describe", service, "-n", namespace); err != nil {
		return err
	}
	// A change takes a moment to reach every cluster; --settle waits for it.
	predict := []string{"mesh-svc", "describe", service, "-n", namespace}
	args := append([]string{"mesh-probe", "http://" + service, "-n", namespace, "--from", from, "--from-clusters", strings.Join(clients, ","),
		"--count", fmt.Sprint(requests), "--max-rate", "100000", "--settle", "3s"}, more...)
	results, err := d.count(id, want, predict, args)
	for try := 1; try < tries && (err != nil || slices.ContainsFunc(results, func(r result) bool { return r.judge(familyWise) != nil })); try++ {
		d.say("The tally does not fit, or is not complete. Once more: a busy machine may need longer to carry a change to every node.")
		time.Sleep(pause)
		results, err = d.count(id, want, predict, args)
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		d.probes = append(d.probes, r)
		_, _ = fmt.Fprintf(d.out, "  %s\n", r)
	}
	return nil
}

// A tally that does not fit is counted once more, after a pause. A wrong prediction fits neither time.
const (
	tries = 2
	pause = 10 * time.Second
)

// count asks for a prediction, runs a probe, and returns the tally of each of its clients.
func (d *demo) count(id string, want map[string]weights, predict, args []string) (out []result, err error) {
	var prediction v1alpha1.ServiceReport
	if err := d.document(&prediction, predict...); err != nil {
		return nil, err
	}
	var report v1alpha1.ProbeReport
	if err := d.document(&report, args...); err != nil {
		return nil, err
	}
	if len(report.Clients) != len(want) || !report.Complete {
		return nil, fmt.Errorf("probe %s: %d of %d clients, complete %v", id, len(report.Clients), len(want), report.Complete)
	}
	for _, c := range report.Clients {
		r := result{probe: id, client: c.Cluster, counts: weights{}, total: c.Requests, predicted: predictedShares(prediction, c.Cluster), byHand: fractions(want[c.Cluster])}
		for _, a := range c.Answers {
			r.counts[a.Name] = a.Requests - a.Errors
		}
		if c.Unknown+c.NoAnswer > 0 {
			r.counts["(nobody known)"] = c.Unknown + c.NoAnswer
		}
		out = append(out, r)
	}
	return out, nil
}

// judge says what does not fit, at a level.
func (r result) judge(level float64) error {
	return errors.Join(wrap("prediction", r.fit(r.predicted, level)), wrap("by hand", r.fit(r.byHand, level)))
}

func predictedShares(doc v1alpha1.ServiceReport, client string) map[string]float64 {
	shares := map[string]float64{}
	for _, p := range doc.Predictions {
		if p.Client != client || len(p.Outcomes) != 1 {
			continue
		}
		for _, s := range p.Outcomes[0].Shares {
			shares[s.Cluster] = ptr.Deref(s.Share, 0)
		}
	}
	return shares
}

func fractions(w weights) map[string]float64 {
	sum := 0
	for _, n := range w {
		sum += n
	}
	out := map[string]float64{}
	for c, n := range w {
		out[c] = float64(n) / float64(sum)
	}
	return out
}

// String shows a tally beside the shares that were worked out by hand.
func (r result) String() string {
	var parts []string
	for _, c := range sortedKeys(r.counts) {
		parts = append(parts, fmt.Sprintf("%s %d (by hand %.1f%%)", c, r.counts[c], 100*r.byHand[c]))
	}
	return fmt.Sprintf("clients in %s: %d requests: %s", r.client, r.total, strings.Join(parts, ", "))
}

// fit tests a tally against shares: what should be 0 must be 0, the rest must fit by chi-square.
func (r result) fit(shares map[string]float64, level float64) error {
	var counts []int
	var expected []float64
	seen := 0
	for _, c := range sortedKeys(r.counts) {
		switch {
		case shares[c] > 0:
			counts, expected = append(counts, r.counts[c]), append(expected, shares[c])
		case r.counts[c] > 0:
			return fmt.Errorf("%s answered %d times, 0 are expected", c, r.counts[c])
		}
		seen += r.counts[c]
	}
	sum := 0.0
	for _, e := range expected {
		sum += e
	}
	if seen != r.total || r.total < requests || math.Abs(sum-1) > 1e-9 {
		return fmt.Errorf("%d of %d requests are accounted for, expected shares of the clusters that answered add up to %.3f", seen, r.total, sum)
	}
	if chi2, df, p := stats.ChiSquare(counts, expected); p < level {
		return fmt.Errorf("chi-square %.2f, df %d, p %.2g is below %.2g", chi2, df, p, level)
	}
	return nil
}

// summary judges all probes at one level over the whole run.
func (d *demo) summary() error {
	d.say("Every tally against the prediction of mesh-svc describe and against the shares worked out by hand")
	// Each tally is judged twice.
	level := familyWise / float64(2*len(d.probes))
	bad := 0
	for _, r := range d.probes {
		err := r.judge(level)
		mark := "ok  "
		if err != nil {
			mark = "FAIL"
			bad++
		}
		_, _ = fmt.Fprintf(d.out, "%s %-24s %s\n", mark, r.probe, r)
		if err != nil {
			_, _ = fmt.Fprintf(d.out, "       %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d tallies do not fit", bad, len(d.probes))
	}
	_, _ = fmt.Fprintf(d.out, "\n%d tallies of %d requests each: all fit (chi-square at %g over the whole run; a predicted 0 is exactly 0)\n", len(d.probes), requests, familyWise)
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
