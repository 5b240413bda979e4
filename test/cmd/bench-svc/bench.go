//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// deadline is for each request: kubectl get has none of its own, so that a machine that is busy with something else makes both slower
// and neither fail.
const deadline = "5m"

// bench is one run of the whole.
type bench struct {
	kubeconfig                             string
	contexts                               []string
	services, meshServices, clusters, runs int
	rtt                                    time.Duration
	mode                                   string // empty, ca or scale
	out, progress                          io.Writer
	rows                                   []row
}

// row is one line of the result.
type row struct {
	what, bound, got string
	kept             bool
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.progress, format+"\n", args...) }

func (b *bench) print(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bench) add(what, bound string, kept bool, format string, args ...any) {
	b.rows = append(b.rows, row{what, bound, fmt.Sprintf(format, args...), kept})
}

// all fills the clusters step by step and measures what each step is for.
func (b *bench) all(ctx context.Context) error {
	cfg, err := clientcmd.LoadFromFile(b.kubeconfig)
	if err != nil {
		return err
	}
	for name := range cfg.Contexts {
		b.contexts = append(b.contexts, name)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		b.print("load of the machine before anything was started (1, 5, 15 minutes): %s; what else runs makes times longer", strings.Join(strings.Fields(string(load))[:3], " "))
	}
	slices.Sort(b.contexts)
	meshes, subjects := []int{b.clusters}, []func() subject{b.listAll}
	switch b.mode {
	case "ca":
		subjects = []func() subject{b.status, b.sync}
	case "scale":
		meshes, b.contexts = []int{3, 30, usualMesh, b.clusters}, b.contexts[:1]
	}
	if b.mode != "ca" {
		if err := b.fill(ctx, 0, b.meshServices); err != nil {
			return err
		}
	}
	for _, b.clusters = range meshes {
		for _, s := range subjects {
			if err := b.far(ctx, s()); err != nil {
				return err
			}
		}
	}
	if b.mode != "ca" {
		if err := b.near(ctx); err != nil {
			return err
		}
	}
	b.verdicts()
	return nil
}

// near measures large clusters that are not far away.
func (b *bench) near(ctx context.Context) error {
	small := b.services / 10
	if err := b.fill(ctx, b.meshServices, small); err != nil {
		return err
	}
	few, err := b.list(ctx, small)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, small, b.services); err != nil {
		return err
	}
	return b.peer(ctx, few)
}

// verdicts prints what was measured beside its bounds.
func (b *bench) verdicts() {
	b.print("")
	b.print("%-82s %-34s %s", "MEASURED", "BOUND", "RESULT")
	for _, r := range b.rows {
		verdict := "kept"
		if !r.kept {
			verdict = "MISSED"
		}
		b.print("%-82s %-34s %s: %s", r.what, r.bound, verdict, r.got)
	}
}

func (b *bench) fill(ctx context.Context, from, to int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"fill", b.kubeconfig, strconv.Itoa(from), strconv.Itoa(to)}, b.contexts...)...)
	cmd.Stderr = b.progress
	return cmd.Run()
}

// env makes kubectl and its plugins read a kubeconfig and nothing else of whoever runs this.
func env(kubeconfig string) []string {
	return []string{"KUBECONFIG=" + kubeconfig, "KUBECTL_MESH_CONTEXTS="}
}

// document runs a command once and reads what it prints.
func (b *bench) document(ctx context.Context, kubeconfig string, command []string, doc any) error {
	cmd := exec.CommandContext(ctx, command[0], slices.Concat(command[1:], []string{"-o", "json"})...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env(kubeconfig)...), b.progress
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return json.Unmarshal(out, doc)
}

// verify runs list once and looks at what it says: a fast failure is not fast.
func (b *bench) verify(ctx context.Context, kubeconfig string, members, services int, command []string) error {
	var doc v1alpha1.ServiceList
	if err := b.document(ctx, kubeconfig, command, &doc); err != nil {
		return err
	}
	if !doc.Complete || len(doc.Members) != members || len(doc.Services) != services {
		return fmt.Errorf("%s: complete=%t, %d clusters, %d global services; expected %d clusters with %d", strings.Join(command, " "), doc.Complete, len(doc.Members), len(doc.Services), members, services)
	}
	return nil
}

func (b *bench) listNear() []string {
	return []string{"kubectl", "mesh-svc", "list", "-A", "--contexts", strings.Join(b.contexts, ","), "--cluster-timeout", deadline}
}

// list measures list -A over the clusters of the lab.
func (b *bench) list(ctx context.Context, services int) (series, error) {
	command := b.listNear()
	if err := b.verify(ctx, b.kubeconfig, len(b.contexts), services, command); err != nil {
		return nil, err
	}
	return b.repeat(func() (usage, error) { return run(ctx, env(b.kubeconfig), command...) })
}

func (b *bench) repeat(once func() (usage, error)) (series, error) {
	var s series
	for range b.runs {
		u, err := once()
		if err != nil {
			return nil, err
		}
		s = append(s, u)
	}
	return s, nil
}

// peer compares list -A with what a person does without it: kubectl get in each cluster in a row. few is list -A over a tenth of the Services.
func (b *bench) peer(ctx context.Context, few series) error {
	b.say("measuring list -A against kubectl get, %d times each", b.runs)
	get := func() (usage, error) {
		var sum usage
		for _, c := range b.contexts {
			u, err := run(ctx, env(b.kubeconfig), "kubectl", "--context", c, "get", "svc,endpointslices", "-A", "-o", "json")
			if err != nil {
				return sum, err
			}
			sum = sum.add(u)
		}
		return sum, nil
	}
	command := b.listNear()
	if err := b.verify(ctx, b.kubeconfig, len(b.contexts), b.services, command); err != nil {
		return err
	}
	if _, err := get(); err != nil { // warms kubectl's discovery cache up
		return err
	}
	var gets, lists, documents series
	for range b.runs {
		for _, m := range []struct {
			into *series
			once func() (usage, error)
		}{
			{&gets, get},
			{&lists, func() (usage, error) { return run(ctx, env(b.kubeconfig), command...) }},
			{&documents, func() (usage, error) {
				return run(ctx, env(b.kubeconfig), slices.Concat(command, []string{"-o", "json"})...)
			}},
		} {
			u, err := m.once()
			if err != nil {
				return err
			}
			*m.into = append(*m.into, u)
		}
	}
	n := len(b.contexts)
	b.print("\n%d clusters x %d Services and as many EndpointSlices; median (lowest to highest) of %d runs, in turns", n, b.services, b.runs)
	if b.services > addresses {
		b.print("%d of the Services are headless.", b.services-addresses)
	}
	b.print("%-58s %-24s %-24s %s", "", "SECONDS", "CPU SECONDS", "MIB AT MOST")
	for _, l := range []struct {
		what string
		s    series
	}{
		{fmt.Sprintf("%d x kubectl get svc,endpointslices -A -o json in a row", n), gets},
		{"kubectl mesh-svc list -A", lists}, {"kubectl mesh-svc list -A -o json", documents},
	} {
		b.print("%-58s %-24s %-24s %s", l.what, l.s.span(wall, "%.2f"), l.s.span(cpu, "%.2f"), l.s.span(mib, "%.0f"))
	}
	faster := gets.median(wall) / lists.median(wall)
	b.add("list -A against kubectl get in a row, time", "3 times faster or more", faster >= 3, "%.1f times faster (%.1f in CPU time)", faster, gets.median(cpu)/lists.median(cpu))
	b.add("list -A against kubectl get, memory", "no more", lists.median(mib) <= gets.median(mib), "%.2f times as much", lists.median(mib)/gets.median(mib))
	growth := lists.median(cpu) / few.median(cpu)
	b.print("client CPU per cluster: %.3f s with %d Services, %.3f s with %d", few.median(cpu)/float64(n), b.services/10, lists.median(cpu)/float64(n), b.services)
	b.add(fmt.Sprintf("CPU per cluster from %d to %d Services", b.services/10, b.services), "10 times or less", growth <= 10, "%.1f times", growth)
	return nil
}
