//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// subject is a command that is measured over many clusters, and how a result of it is checked.
type subject struct {
	title, what string
	command     []string
	verify      func(ctx context.Context, kubeconfig string, command []string) error
	// least are the contexts of the smallest run that has cluster n in it.
	least func(n int) string
}

func (b *bench) listAll() subject {
	return subject{
		least: clusterName, title: "list -A", what: fmt.Sprintf("with %d Services each, ", b.meshServices), command: []string{"kubectl", "mesh-svc", "list", "-A", "--cluster-timeout", deadline},
		verify: func(ctx context.Context, kubeconfig string, command []string) error {
			return b.verify(ctx, kubeconfig, b.clusters, b.meshServices, command)
		},
	}
}

// status is what mesh-ca reads and judges: in a mesh of 255 clusters 64,770 directions.
func (b *bench) status() subject {
	return subject{
		least: clusterName, title: "mesh-ca status", what: "with leaf certificates of its own, ", command: []string{"kubectl", "mesh-ca", "status", "--fail-on", "never", "--cluster-timeout", deadline},
		verify: func(ctx context.Context, kubeconfig string, command []string) error {
			var doc v1alpha1.CAReport
			if err := b.document(ctx, kubeconfig, command, &doc); err != nil {
				return err
			}
			bad := 0
			for _, p := range doc.Trust {
				if p.Verdict != "ok" {
					bad++
				}
			}
			if want := b.clusters * (b.clusters - 1); !doc.Complete || len(doc.Clusters) != b.clusters || len(doc.Trust) != want || bad > 0 {
				return fmt.Errorf("%s: complete=%t, %d clusters, %d directions, %d of them not ok; expected %d clusters and %d directions", strings.Join(command, " "), doc.Complete, len(doc.Clusters), len(doc.Trust), bad, b.clusters, want)
			}
			return nil
		},
	}
}

// sync is what mesh-ca reads and plans before it copies a CA to all clusters. All of them have it already.
func (b *bench) sync() subject {
	s := b.status()
	s.title, s.command = "mesh-ca sync --dry-run=client", []string{"kubectl", "mesh-ca", "sync", "--from", clusterName(0), "--to-all", "--dry-run=client", "--cluster-timeout", deadline}
	s.least = func(n int) string { return clusterName(0) + "," + clusterName(max(1, n)) }
	s.verify = func(ctx context.Context, kubeconfig string, command []string) error {
		var doc v1alpha1.CAChangeReport
		if err := b.document(ctx, kubeconfig, command, &doc); err != nil {
			return err
		}
		if want := b.clusters - 1; !doc.Complete || len(doc.Changes) != want {
			return fmt.Errorf("%s: complete=%t, %d clusters; expected %d", strings.Join(command, " "), doc.Complete, len(doc.Changes), want)
		}
		return nil
	}
	return s
}

// far measures a command over many clusters that are a round trip away.
func (b *bench) far(ctx context.Context, measured subject) error {
	dir, err := os.MkdirTemp("", "bench-svc")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	servers, err := b.serve(ctx, kubeconfig)
	if err != nil {
		return err
	}
	defer servers.stop()
	everything := measured.command
	// This also lets the servers keep what the API server answers.
	if err := measured.verify(ctx, kubeconfig, everything); err != nil {
		return err
	}
	b.say("measuring runs as small as possible, %d times each", b.runs)
	var slowest series
	for n := 0; n < b.clusters; n += max(1, b.clusters/5) {
		one, err := b.repeat(func() (usage, error) {
			return run(ctx, env(kubeconfig), slices.Concat(everything, []string{"--contexts", measured.least(n)})...)
		})
		if err != nil {
			return err
		}
		if slowest == nil || one.median(wall) > slowest.median(wall) {
			slowest = one
		}
	}
	cores := float64(runtime.NumCPU())
	b.print("\n%d clusters, %sa round trip of %s away; median (lowest to highest) of %d runs", b.clusters, measured.what, b.rtt, b.runs)
	b.print("They are one API server behind servers that give each cluster an identity of its own and delay what goes over")
	b.print("each connection, its set-up included. They answer lists from memory, on the same %.0f cores.", cores)
	b.print("%-58s %-24s %-24s %-20s %s", "", "SECONDS", "CPU SECONDS", "MIB AT MOST", "CPU SECONDS OF THE SERVERS")
	b.print("%-58s %-24s %-24s %s", "the slowest of the smallest runs", slowest.span(wall, "%.2f"), slowest.span(cpu, "%.2f"), slowest.span(mib, "%.0f"))
	for _, l := range []struct {
		what string
		args []string
	}{{"the mesh of the current context", nil}, {"--all-contexts", []string{"--all-contexts"}}} {
		before := servers.cpu()
		all, err := b.repeat(func() (usage, error) { return run(ctx, env(kubeconfig), slices.Concat(everything, l.args)...) })
		if err != nil {
			return err
		}
		theirs := (servers.cpu() - before) / float64(b.runs)
		b.print("%-58s %-24s %-24s %-20s %.2f", "all: "+l.what, all.span(wall, "%.2f"), all.span(cpu, "%.2f"), all.span(mib, "%.0f"), theirs)
		twice, busy := 2*slowest.median(wall), (all.median(cpu)+theirs)/cores
		bound := max(twice, busy)
		b.add(fmt.Sprintf("%s over %d clusters, %s", measured.title, b.clusters, l.what), fmt.Sprintf("%.2f s: max(%.2f, %.2f)", bound, twice, busy), all.median(wall) <= bound,
			"%.2f s, %.2f times that; %.1f ms of client CPU per cluster", all.median(wall), all.median(wall)/bound, 1000*all.median(cpu)/float64(b.clusters))
	}
	return nil
}
