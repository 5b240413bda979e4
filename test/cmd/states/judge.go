package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// familyWise is the probability with which a whole run may fail by chance.
const familyWise = 1e-4

// tally is what was predicted for one state and what was counted.
type tally struct {
	state state
	// kind is how the client reaches the Service, in the words of mesh-svc describe.
	kind string
	// shares are the predicted ones by cluster; all are 0 where nobody is to answer.
	shares map[string]float64
	counts map[string]int
	// unanswered counts what no cluster answered.
	unanswered, requests int
	// witnesses is what the agent on the client's node has, if that was asked for.
	witnesses []v1alpha1.ProbeWitness
}

// predict reads the shares of the client's cluster on the Service's first port.
func predict(doc v1alpha1.ServiceReport, client string, clusters []string) (kind string, shares map[string]float64, err error) {
	shares = map[string]float64{}
	for _, c := range clusters {
		shares[c] = 0
	}
	for _, p := range doc.Predictions {
		if p.Client != client || p.Port.Port != 80 && p.Port.Port != 0 {
			continue
		}
		switch {
		case !p.Complete:
			return "", nil, fmt.Errorf("the prediction for %s is not complete", client)
		case len(p.Outcomes) > 1:
			return "", nil, fmt.Errorf("%d outcomes for %s, whose version is known", len(p.Outcomes), client)
		}
		if len(p.Outcomes) == 1 {
			for _, s := range p.Outcomes[0].Shares {
				shares[s.Cluster] = ptr.Deref(s.Share, 0)
			}
		}
		return p.Kind, shares, nil
	}
	return "", nil, fmt.Errorf("describe predicts nothing for the clients of %s", client)
}

// fit judges a tally: a predicted 0 must be exactly 0, and the rest must fit by chi-square. It returns the probability
// of a deviation at least as large, 1 where nothing is left to chance.
func (t tally) fit(level float64) (p float64, err error) {
	var counts []int
	var shares []float64
	answered, sum := 0, 0.0
	for _, c := range sortedKeys(t.counts) {
		answered += t.counts[c]
		if _, known := t.shares[c]; !known && t.counts[c] > 0 {
			return 0, fmt.Errorf("%q answered, which is not a cluster", c)
		}
	}
	for _, c := range sortedKeys(t.shares) {
		switch {
		case t.shares[c] > 0:
			counts, shares = append(counts, t.counts[c]), append(shares, t.shares[c])
			sum += t.shares[c]
		case t.counts[c] > 0:
			return 0, fmt.Errorf("%s answered %d of %d times and was predicted to answer none", c, t.counts[c], t.requests)
		}
	}
	switch {
	case answered+t.unanswered != t.requests:
		return 0, fmt.Errorf("%d of %d requests are accounted for", answered+t.unanswered, t.requests)
	case len(shares) == 0:
		return 1, nil
	case t.unanswered > 0:
		return 0, fmt.Errorf("%d of %d requests were not answered", t.unanswered, t.requests)
	case math.Abs(sum-1) > 1e-9:
		return 0, fmt.Errorf("the predicted shares add up to %.6f", sum)
	}
	chi2, df, p := stats.ChiSquare(counts, shares)
	if p < level {
		return p, fmt.Errorf("chi-square %.2f, df %d, p %.2g is below %.2g", chi2, df, p, level)
	}
	return p, nil
}

// witnessed judges what the agent has. Where Cilium does not balance the Service there is nothing to compare.
func (t tally) witnessed() error {
	for _, w := range t.witnesses {
		switch {
		case w.DifferingLayer == "none":
		case w.DifferingLayer != "":
			return fmt.Errorf("%s differs: %s", w.DifferingLayer, w.Message)
		case t.kind == "balanced":
			return fmt.Errorf("no witness: %s", w.Message)
		}
	}
	return nil
}

// zeros counts the predicted zeros.
func (t tally) zeros() int {
	n := 0
	for _, s := range t.shares {
		if s == 0 {
			n++
		}
	}
	return n
}

// String shows counts beside predictions.
func (t tally) String() string {
	var parts []string
	for _, c := range sortedKeys(t.shares) {
		parts = append(parts, fmt.Sprintf("%s %d (predicted %.1f %%)", c, t.counts[c], 100*t.shares[c]))
	}
	return fmt.Sprintf("%s, %d requests: %s, nobody %d", t.kind, t.requests, strings.Join(parts, ", "), t.unanswered)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
