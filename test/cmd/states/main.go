// Command states compares predictions with traffic in many random states: it draws the annotations,
// ports and endpoints of some hundred Services in all clusters of a lab from one seed, asks mesh-svc describe who will
// answer the clients of one cluster, and counts with mesh-probe who does. A predicted 0 must be exactly 0, and
// all shares must fit by chi-square. On a lab with --chooser=cilium the backends are chosen by Cilium's own code,
// so that the predictions are not compared with themselves.
//
// The Services have no selectors; hand-written EndpointSlices point at a few web servers, with conditions of
// all kinds. So a state costs no pods, and conditions that last only moments in a real rollout stay.
//
// It expects the lab of test/with-lab.sh: MESHLAB_KUBECONFIG, and kubectl and the plugins on the PATH.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxStates is bounded by the lab: a cluster has 254 addresses for Services.
const maxStates = 230

// namespaces is how many there are, each with gates of its own in every cluster.
const namespaces = 8

type options struct {
	seed     uint64
	states   int
	requests int
	// silent is the number of requests where nobody is predicted to answer. On a lab that runs Cilium they may have to time out.
	silent   int
	only     int
	parallel int
	// settle is how long to wait when the last state is in effect: Cilium tells its states in no order.
	settle time.Duration
	// witness also compares the tables of the agents with the predictions. Only a lab that runs Cilium has any.
	witness bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the states; 0 draws one")
	flag.IntVar(&o.states, "states", 200, "number of states")
	flag.IntVar(&o.requests, "requests", 1000, "requests in each state")
	flag.IntVar(&o.silent, "silent", 0, "requests in states in which nobody is predicted to answer; 0 means as many as in the others")
	flag.IntVar(&o.only, "only", -1, "index of the only state to be tried")
	flag.DurationVar(&o.settle, "settle", 0, "pause when the states are in effect")
	flag.IntVar(&o.parallel, "parallel", 2, "states that are tried at a time")
	flag.BoolVar(&o.witness, "witness", false, "also compare the agents' backend tables with the predictions")
	flag.Parse()
	if err := run(ctx, o, os.Getenv("MESHLAB_KUBECONFIG"), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "states:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

// count is how many requests a state gets.
func (o options) count(shares map[string]float64) int {
	for _, share := range shares {
		if share > 0 {
			return o.requests
		}
	}
	if o.silent > 0 {
		return o.silent
	}
	return o.requests
}

func (o options) check(kubeconfig string) error {
	switch {
	case kubeconfig == "":
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make states")
	case o.states < 1 || o.states > maxStates:
		return fmt.Errorf("-states must be from 1 to %d: a cluster of the lab has no more addresses for Services", maxStates)
	case o.only >= o.states:
		return fmt.Errorf("-only must be below -states, %d", o.states)
	case o.requests < 1 || o.parallel < 1 || o.silent < 0:
		return errors.New("-requests and -parallel must be at least 1")
	}
	return nil
}

func run(ctx context.Context, o options, kubeconfig string, out io.Writer) error {
	if err := o.check(kubeconfig); err != nil {
		return err
	}
	if o.seed == 0 {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		o.seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	m, err := connect(ctx, kubeconfig)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "seed %d: %d states in %v, %d requests each\n", o.seed, o.states, m.clusters, o.requests)
	start := time.Now()
	states, gates := drawAll(o, m.clusters)
	if err := m.deploy(ctx, gates); err != nil {
		return err
	}
	if err := m.write(ctx, states); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(o.settle):
	}
	_, _ = fmt.Fprintf(out, "all states are in effect after %s\n", time.Since(start).Round(time.Second))
	tallies, err := m.measure(ctx, states, o, out)
	if err != nil {
		return err
	}
	return summary(out, o, tallies, gates)
}

// drawAll draws the states, or the requested one, and the annotations of the namespaces.
func drawAll(o options, clusters []string) (states []state, gates map[string]map[string]map[string]string) {
	var names []string
	for i := range namespaces {
		names = append(names, fmt.Sprintf("states-%d", i))
	}
	for i := range o.states {
		if o.only < 0 || o.only == i {
			states = append(states, newDice(o.seed, uint64(i)).state(i, names, clusters))
		}
	}
	// An index that no state has.
	return states, newDice(o.seed, 1<<32).gates(names, clusters)
}

// A tally that does not fit is counted once more, after a pause. A request that a busy machine did not answer in time, or a change that has not arrived at
// every node yet, is gone then; a wrong prediction is not.
const (
	tries = 2
	pause = 10 * time.Second
)

// misfit is what is wrong with a tally.
func (t tally) misfit(level float64) error {
	_, err := t.fit(level)
	return errors.Join(err, t.witnessed())
}

// measure predicts and counts in every state.
func (m *mesh) measure(ctx context.Context, states []state, o options, out io.Writer) ([]tally, error) {
	tallies := make([]tally, len(states))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.parallel)
	for i, s := range states {
		g.Go(func() error {
			doc, err := m.describe(ctx, s)
			if err != nil {
				return fmt.Errorf("seed %d: %w\n%s", o.seed, err, s)
			}
			t := tally{state: s}
			if t.kind, t.shares, err = predict(doc, s.Client, m.clusters); err != nil {
				return fmt.Errorf("seed %d: %w\n%s", o.seed, err, s)
			}
			var more []string
			if o.witness {
				more = []string{"--witness", "agents"}
			}
			level := familyWise / float64(len(states))
			for try := 1; ; try++ {
				if t.counts, t.unanswered, t.requests, t.witnesses, err = m.probe(ctx, s, s.Client, o.count(t.shares), more...); err != nil {
					return fmt.Errorf("seed %d: %w\n%s", o.seed, err, s)
				}
				misfit := t.misfit(level)
				if misfit == nil || try == tries {
					break
				}
				_, _ = fmt.Fprintf(out, "state %d is tried once more: %v\n", s.Index, misfit)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(pause):
				}
			}
			tallies[i] = t
			return nil
		})
	}
	return tallies, g.Wait()
}

// summary judges all tallies at one level over the whole run.
func summary(out io.Writer, o options, tallies []tally, gates map[string]map[string]map[string]string) error {
	level := familyWise / float64(len(tallies))
	smallest, requests, zeros, exact, mixed, bad, witnessed := 1.0, 0, 0, 0, 0, 0, 0
	for _, t := range tallies {
		p, err := t.fit(level)
		if err == nil {
			err = t.witnessed()
		}
		if len(t.witnesses) > 0 && t.witnesses[0].DifferingLayer == "none" {
			witnessed++
		}
		requests += t.requests
		zeros += t.zeros()
		positive := 0
		for _, c := range sortedKeys(t.shares) {
			if t.shares[c] > 0 {
				positive++
			} else if t.counts[c] == 0 {
				exact++
			}
		}
		if positive > 1 {
			mixed++
		}
		if err == nil {
			smallest = min(smallest, p)
			continue
		}
		bad++
		_, _ = fmt.Fprintf(out, "\nMISFIT %v\n  %s\n%s", err, t, t.state)
		for _, c := range sortedKeys(gates) {
			_, _ = fmt.Fprintf(out, "  %s: annotations of the namespace %q\n", c, gates[c][t.state.Namespace])
		}
		_, _ = fmt.Fprintf(out, "  again: make states SEED=%d STATES=%d ONLY=%d\n", o.seed, o.states, t.state.Index)
	}
	_, _ = fmt.Fprintf(out, "\nseed %d: %d states, %d requests; in %d states more than one cluster answers; %d of %d predicted zeros were exactly zero; smallest p %.2g (limit %.2g, family-wise %g)\n",
		o.seed, len(tallies), requests, mixed, exact, zeros, smallest, level, familyWise)
	if bad > 0 {
		return fmt.Errorf("%d of %d states do not fit", bad, len(tallies))
	}
	if o.witness {
		_, _ = fmt.Fprintf(out, "in %d states the agent has exactly the predicted backends; in the others Cilium does not balance the Service\n", witnessed)
	}
	_, _ = fmt.Fprintln(out, "every state fits its prediction")
	return nil
}
