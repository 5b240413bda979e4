package body

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

const (
	namespace = "shop"
	service   = "cart"
	// dropsRemote stands for every affinity that is neither none, local nor remote to a version of Cilium.
	dropsRemote = "drops-remote"
	// shown is how many differences of one function are printed; all are counted.
	shown = 3
)

// addresses are compared by value.
var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

var key = routing.Key{Namespace: namespace, Name: service}

// Result is how one function of one version compares.
type Result struct {
	Version     string `json:"version"`
	Function    string `json:"function"`
	Cases       int    `json:"cases"`
	Differences int    `json:"differences"`
	Seed        uint64 `json:"seed"`
}

// Run compares our rules with the judge's, first over the fixed table and then over random cases.
//
// CONFORMANCE_CASES is the number of random cases for each function, 100,000 if unset. CONFORMANCE_SEED repeats a
// run and CONFORMANCE_CASE one case of it. Results are appended to the file CONFORMANCE_REPORT, a JSON document a line.
func Run(t *testing.T, j Judge) {
	t.Run("fixed", func(t *testing.T) { fixed(t, j) })
	s := settings(t, 100_000)
	t.Logf("Cilium %s: seed %d, %d cases for each function", j.Version(), s.seed, s.cases)
	s.compare(t, j, "annotations: global, shared, affinity", func(r random) (any, string, error) {
		ann := r.annotations(7)
		return ann, annotationsDiffer(j, ann), nil
	})
	if n, ok := j.(NamespaceJudge); ok {
		s.compare(t, j, "annotation: namespace global", func(r random) (any, string, error) {
			ann, byDefault := r.namespaceAnnotations(), r.often(5)
			want, got := n.NamespaceGlobal(ann, byDefault), cilium.NamespaceGlobal(ann, byDefault).Value
			return map[string]any{"annotations": ann, "default": byDefault}, cmp.Diff(want, got), nil
		})
	}
	s.compare(t, j, "export", func(r random) (any, string, error) {
		c := r.exporter()
		d, err := exportDiffers(j, c)
		if d != "" {
			c = shrinkOne(c, func(c Cluster) bool { d, err := exportDiffers(j, c); return d != "" && err == nil })
			d, err = exportDiffers(j, c)
		}
		return c, d, err
	})
	s.compare(t, j, "backend selection", func(r random) (any, string, error) {
		cs := r.clusters()
		d, err := selectionDiffers(j, cs)
		if d != "" {
			cs = shrink(cs, func(cs []Cluster) bool { d, err := selectionDiffers(j, cs); return d != "" && err == nil })
			d, err = selectionDiffers(j, cs)
		}
		return cs, d, err
	})
}

func annotationsDiffer(j Judge, ann map[string]string) string {
	want := j.Annotations(ann)
	switch want.Affinity {
	case "", string(cilium.AffinityLocal), string(cilium.AffinityRemote):
	default:
		want.Affinity = dropsRemote
	}
	got, err := parse(j.Version(), ann)
	if err != nil {
		return err.Error()
	}
	return cmp.Diff(want, got)
}

func exportDiffers(j Judge, c Cluster) (string, error) {
	want, ok, err := j.Export(c)
	if err != nil {
		return "", err
	}
	return offerDiffers(j.Version(), c, want, ok), nil
}

// offerDiffers tells how what Cilium exports of a cluster, if anything, differs from what we call exported; "" if it does not.
func offerDiffers(version string, c Cluster, want Exported, exported bool) string {
	got, ok := offer(version, c)
	if exported != ok {
		return fmt.Sprintf("exported by Cilium: %v, by our rules: %v", exported, ok)
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), addresses)
}

func selectionDiffers(j Judge, cs []Cluster) (string, error) {
	want, err := j.Select(cs[0], cs[1:])
	if err != nil {
		return "", err
	}
	got, err := predict(j.Version(), cs)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // that our rules do not answer is a difference, not a failure to ask
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), addresses), nil
}

type run struct {
	seed  uint64
	cases int
	only  int // the number of the only case to run, -1 for all
}

func settings(t *testing.T, cases int) run {
	t.Helper()
	s := run{seed: rand.Uint64(), cases: cases, only: -1} //nolint:gosec // a seed, not a secret
	read := func(name string, set func(uint64)) {
		v := os.Getenv(name)
		if v == "" {
			return
		}
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("%s: %q is not a number", name, v)
		}
		set(n)
	}
	read("CONFORMANCE_SEED", func(n uint64) { s.seed = n })
	read("CONFORMANCE_CASES", func(n uint64) { s.cases = int(n) })
	read("CONFORMANCE_CASE", func(n uint64) { s.only = int(n) })
	return s
}

// compare runs one function's cases. ask makes a question, and returns it, what differs, and an error if there was no answer.
func (s run) compare(t *testing.T, j Judge, function string, ask func(random) (question any, diff string, err error)) {
	s.tally(t, j.Version(), function, func(n int) (any, string, error) { return ask(newRandom(s.seed, uint64(n))) })
}

// numbers are those of the cases to run.
func (s run) numbers() []int {
	if s.only >= 0 {
		return []int{s.only}
	}
	all := make([]int, s.cases)
	for n := range all {
		all[n] = n
	}
	return all
}

// tally counts one function's cases and differences. ask returns the question of that number, what differs, and an
// error if there was no answer.
func (s run) tally(t *testing.T, version, function string, ask func(n int) (question any, diff string, err error)) {
	t.Run(function, func(t *testing.T) {
		res := Result{Version: version, Function: function, Seed: s.seed}
		for _, n := range s.numbers() {
			q, diff, err := ask(n)
			if err != nil {
				t.Fatalf("case %d: no answer: %v\n%s", n, err, render(q))
			}
			res.Cases++
			if diff == "" {
				continue
			}
			if res.Differences++; res.Differences <= shown {
				t.Errorf("case %d (CONFORMANCE_SEED=%d CONFORMANCE_CASE=%d) differs, - Cilium %s, + our rules:\n%s\nthe question:\n%s", n, s.seed, n, version, diff, render(q))
			}
		}
		if res.Differences > shown {
			t.Errorf("%d differences in all", res.Differences)
		}
		t.Logf("%s: %s: %d cases, %d differences", res.Version, res.Function, res.Cases, res.Differences)
		if err := res.append(os.Getenv("CONFORMANCE_REPORT")); err != nil {
			t.Error(err)
		}
	})
}

// append adds the result to a file, if one is named.
func (r Result) append(file string) (err error) {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // named by who runs the test
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return json.NewEncoder(f).Encode(r)
}

// render shows a question for a person to read.
func render(q any) string {
	b, err := yaml.Marshal(q)
	if err != nil {
		return fmt.Sprintf("%+v", q)
	}
	return string(b)
}
