// Command gates runs checks of mesh-probe many times on a lab, on Services of which the true shares and the true part of errors are known. A true
// expectation must pass nearly always, and a false one hardly ever. It prints how often each had which result, and fails if a bound is missed.
//
//	with-lab.sh --clusters=us,eu gates
//
// The lab draws a backend for each connection, all with the same probability. So one pod in each cluster is 50:50, and three and two are 60:40.
// RUNS (60) is how often each gate is run, and GATES selects some of them, by name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "gates: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context) error {
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	if kubeconfig == "" {
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make gates")
	}
	runs, err := strconv.Atoi(orDefault(os.Getenv("RUNS"), "60"))
	if err != nil || runs < 1 {
		return fmt.Errorf("RUNS=%q: must be a number greater than 0", os.Getenv("RUNS"))
	}
	chosen, err := choose(os.Getenv("GATES"))
	if err != nil {
		return err
	}
	if err := deploy(ctx, kubeconfig); err != nil {
		return err
	}
	all, err := runAll(ctx, kubeconfig, chosen, runs)
	return errors.Join(err, report(os.Stdout, all))
}

// runAll runs the gates one after the other. With an error it returns the runs before it.
func runAll(ctx context.Context, kubeconfig string, chosen []gate, runs int) ([]series, error) {
	var all []series
	for _, g := range chosen {
		all = append(all, series{gate: g})
		s := &all[len(all)-1]
		for n := range runs {
			one, err := g.run(ctx, kubeconfig)
			if err != nil {
				return all, fmt.Errorf("%s, run %d of %d: %w", g.name, n+1, runs, err)
			}
			s.add(one)
			_, _ = fmt.Fprintf(os.Stderr, "%s %d: %s, %d requests, %d from us, %d failed, %.1f s\n", g.name, n+1, one.verdict, one.requests, one.us, one.failed, one.took.Seconds())
		}
	}
	return all, nil
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// choose returns the gates with these names, separated by commas. Without names it returns all.
func choose(names string) ([]gate, error) {
	if names == "" {
		return gates, nil
	}
	var out []gate
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(gates, func(g gate) bool { return g.name == name })
		if i < 0 {
			return nil, fmt.Errorf("GATES=%q: no gate has the name %q", names, name)
		}
		out = append(out, gates[i])
	}
	return out, nil
}

// deploy makes the Services and the client, and waits for their pods.
func deploy(ctx context.Context, kubeconfig string) error {
	for _, cluster := range []string{"us", "eu"} {
		on := []string{"--context", "kind-" + cluster}
		cmd := exec.CommandContext(ctx, "kubectl", append(on, "apply", "-f", "-")...)
		cmd.Env, cmd.Stdin = append(os.Environ(), "KUBECONFIG="+kubeconfig), strings.NewReader(manifests(cluster))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl apply in %s: %w: %s", cluster, err, out)
		}
		for _, d := range append(services(), client) {
			if _, err := labclient.Kubectl(ctx, kubeconfig, append(on, "-n", namespace, "rollout", "status", "deploy/"+d, "--timeout=5m")...); err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs the gate once.
func (g gate) run(ctx context.Context, kubeconfig string) (result, error) {
	cmd := exec.CommandContext(ctx, "kubectl-mesh_probe", append(g.flags(), "-o", "json")...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	begun := time.Now()
	out, err := cmd.Output()
	took := time.Since(begun)
	var doc v1alpha1.ProbeReport
	if broken := json.Unmarshal(out, &doc); broken != nil {
		return result{}, fmt.Errorf("%w: %s", errors.Join(err, broken), errOut.String())
	}
	if len(doc.Checks) != 1 || len(doc.Clients) != 1 {
		return result{}, fmt.Errorf("the run has no check: %w: %s", err, errOut.String())
	}
	if !doc.Complete { // a check of such a run never passes; the run counts, and its reason is shown
		_, _ = fmt.Fprintf(os.Stderr, "%s: not complete: %s\n", g.name, doc.Clients[0].Reason)
	}
	r := result{verdict: doc.Checks[0].Result, requests: doc.Clients[0].Requests, took: took}
	for _, e := range doc.Clients[0].Errors { // an error that names no cluster is in no row of the answers
		r.failed += e.Count
	}
	for _, a := range doc.Clients[0].Answers {
		if a.Name == "us" {
			r.us = a.Requests
		}
	}
	return r, nil
}

// report prints the table and the flags, and returns an error if a bound is missed.
func report(w io.Writer, all []series) error {
	_, _ = fmt.Fprintf(w, "%-12s %-10s %-14s %5s %5s %5s %6s  %-8s %9s %9s %8s  %s\n", "GATE", "CHECK", "TRUTH", "RUNS", "PASS", "FAIL", "OPEN", "MEASURED", "REQUESTS", "SECONDS", "LONGEST", "BOUND")
	missed := 0
	for _, s := range all {
		bound := "kept"
		if !s.kept() {
			bound = "MISSED"
			missed++
		}
		_, _ = fmt.Fprintf(w, "%-12s %-10s %-14s %5d %5d %5d %6d  %-8s %9.0f %9.1f %8.1f  %s: %s\n", s.gate.name, s.gate.expr, s.gate.truth, s.runs, s.pass, s.fail, s.runs-s.pass-s.fail,
			s.measured(), s.mean(float64(s.requests)), s.mean(s.took.Seconds()), s.longest.Seconds(), s.gate.bound(s.runs), bound)
	}
	_, _ = fmt.Fprintln(w, "OPEN is inconclusive. MEASURED is the share of us, or of failed requests, in all runs together. REQUESTS and SECONDS are means of a run.")
	for _, s := range all {
		_, _ = fmt.Fprintf(w, "%s: kubectl mesh-probe %s\n", s.gate.name, strings.Join(s.gate.flags(), " "))
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d gates missed their bound", missed, len(all))
	}
	return nil
}
