// Command trust compares what `kubectl mesh-ca status` says of the trust between clusters with what Cilium's processes do, in
// random states of the certificates: it writes the Secrets of a state, replaces the pods of clustermesh-apiserver, so that
// etcd and KVStoreMesh load them, and asks KVStoreMesh of every cluster which peers it is connected to.
//
// It expects a lab of `meshlab up --datapath=cilium`: MESHLAB_KUBECONFIG, and kubectl and the plugins on the PATH. The lab's
// certificates are not restored.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	crand "crypto/rand"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

const (
	// patience is how long to wait for a connection that is expected, and how long one that is not expected must stay away.
	patience = time.Minute
	// every is the pause between two looks.
	every = 500 * time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	seed := flag.Uint64("seed", 0, "seed of the states; 0 draws one")
	states := flag.Int("states", 30, "number of states")
	flag.Parse()
	if err := run(ctx, *seed, *states, os.Getenv("MESHLAB_KUBECONFIG"), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "trust:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

func run(ctx context.Context, seed uint64, states int, kubeconfig string, out io.Writer) error {
	if kubeconfig == "" {
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make trust-cilium")
	}
	if seed == 0 {
		var b [4]byte
		if _, err := crand.Read(b[:]); err != nil {
			return err
		}
		seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	m, err := connect(ctx, kubeconfig)
	if err != nil {
		return err
	}
	all, err := newAuthorities(time.Now())
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "seed %d: %d states of the certificates of %v\n", seed, states, m.clusters())
	var sum tally
	for i := range states {
		s := draw(rand.New(rand.NewPCG(seed, uint64(i))), m.clusters()) //nolint:gosec // a test that can be repeated
		if err := m.try(ctx, i, s, all, &sum, out); err != nil {
			return fmt.Errorf("seed %d, state %d: %w", seed, i, err)
		}
	}
	_, _ = fmt.Fprintf(out, "%d directions: %d connected, %d not connected, %d differ from mesh-ca status; %d were left out, because their KVStoreMesh cannot use its own etcd\n",
		sum.connected+sum.refused, sum.connected, sum.refused, sum.differ, sum.skipped)
	if sum.differ > 0 {
		return fmt.Errorf("seed %d: %d directions differ", seed, sum.differ)
	}
	if sum.connected == 0 || sum.refused == 0 {
		return errors.New("the states do not contain both outcomes; choose another seed or more states")
	}
	return nil
}

type tally struct{ connected, refused, differ, skipped int }

// try puts the mesh into a state and compares.
func (m *mesh) try(ctx context.Context, number int, s state, all *authorities, sum *tally, out io.Writer) error {
	now := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for _, c := range m.clusters() {
		g.Go(func() error { return m.write(gctx, c, s[c], all, now) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	doc, err := m.predict(ctx)
	if err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	for _, c := range m.clusters() {
		g.Go(func() error { return m.replacePods(gctx, c) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "state %d\n", number)
	for _, c := range m.clusters() {
		_, _ = fmt.Fprintf(out, "  %s: %s\n", c, s[c])
	}
	connected := make([]bool, len(doc.Trust))
	g, gctx = errgroup.WithContext(ctx)
	for i, pair := range doc.Trust {
		if s[pair.Client].Server.expired {
			continue
		}
		g.Go(func() (err error) {
			connected[i], err = m.observe(gctx, pair)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, pair := range doc.Trust {
		if s[pair.Client].Server.expired {
			// Nobody can use this etcd, the cluster's own KVStoreMesh included.
			sum.skipped++
			continue
		}
		got := connected[i]
		note := "as predicted"
		if got != (pair.Verdict == "ok") {
			sum.differ++
			note = "DIFFERS from the prediction"
		}
		if got {
			sum.connected++
		} else {
			sum.refused++
		}
		_, _ = fmt.Fprintf(out, "  %s to %s: %s, predicted %s: %s\n", pair.Client, pair.Server, map[bool]string{true: "connected", false: "not connected"}[got], pair.Verdict, note)
		if got != (pair.Verdict == "ok") {
			_, _ = fmt.Fprintf(out, "    login: %+v\n    identity: %+v\n", pair.Login, pair.Identity)
		}
	}
	return nil
}

// observe says whether the client's KVStoreMesh gets connected to the server's etcd within a minute.
func (m *mesh) observe(ctx context.Context, pair v1alpha1.TrustPair) (bool, error) {
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		peers, err := m.connected(ctx, pair.Client)
		if err == nil && peers[pair.Server].Connected {
			return true, nil
		}
		last = err
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(every):
		}
	}
	if last != nil {
		return false, fmt.Errorf("KVStoreMesh of %s does not answer: %w", pair.Client, last)
	}
	return false, nil
}
