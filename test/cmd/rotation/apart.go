package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

// silence is how long nothing may be seen of another cluster that is not connected.
const silence = 10 * time.Second

// step is something that is done to clusters of different CAs.
type step struct {
	name string
	do   func(context.Context) (row, error)
	// connected says whether the clusters must be connected afterwards. nil says nothing.
	connected *bool
	// first says that the clusters see each other for the first time. They do so one after the other. In between, a cluster that has the backends of
	// the other one sends requests to them whose answers have no route: Cilium loses these, whatever connects the clusters.
	first bool
}

// steps begin with clusters that do not know each other's CA. They are connected in both ways, separated in between, and at last one of them is given
// another CA by hand.
func (l *lab) steps() []step {
	command := func(words ...string) func(context.Context) (row, error) {
		return func(ctx context.Context) (row, error) { return l.meshCA(ctx, words...) }
	}
	yes, no := true, false
	first, last := l.clusters[0].Name, l.clusters[len(l.clusters)-1].Name
	return []step{
		{"federate", command("federate"), &yes, true},
		{"federate again", command("federate"), &yes, false},
		{"federate --off", l.separate, &no, false},
		{"sync --reissue --restart", command("sync", "--from", first, "--to-all", "--reissue", "--helm", "--restart"), &yes, false},
		{"another CA by hand in " + last, func(ctx context.Context) (row, error) { return l.naive(ctx, len(l.clusters)-1) }, nil, false},
		{"rotate repair", command("rotate", "repair"), &yes, false},
	}
}

// connectAll does the steps under traffic, and prints for each how long it took until the clusters were connected.
func (l *lab) connectAll(ctx context.Context, w *watchers) error {
	if err := l.apart(ctx, w); err != nil {
		return fmt.Errorf("before anything was done: %w", err)
	}
	t := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "STEP\tTOOK\tRESTARTS\tCONNECTED AFTER\tREQUESTS\tFAILED")
	var problems []string
	for _, s := range l.steps() {
		begun := time.Now()
		joined := make(chan time.Duration, 1)
		watching, stop := context.WithCancel(ctx)
		go func() { joined <- l.joined(watching, w, begun) }()
		r, err := s.do(ctx)
		if err != nil {
			stop()
			return fmt.Errorf("%s: %w", s.name, err)
		}
		after := "-"
		switch {
		case s.connected == nil:
		case *s.connected:
			// Everything must be seen once more: while the command ran, the clusters may have been connected only for a time.
			if err = w.ready(ctx, r.end); err != nil {
				stop()
			}
			after = fmt.Sprintf("%.1f s", (<-joined).Seconds())
		default:
			err = l.apart(ctx, w)
			after = "never"
		}
		stop()
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", s.name, err))
			after = "?"
		}
		w.mu.Lock()
		all, failed, _ := w.between(r.begun, time.Now())
		w.mu.Unlock()
		_, _ = fmt.Fprintf(t, "%s\t%.0f s\t%d\t%s\t%d\t%d\n", s.name, r.end.Sub(r.begun).Seconds(), len(r.restarts), after, all, failed)
		if failed > 0 {
			_, _ = fmt.Fprintf(l.out, "%s: %s\n", s.name, w.lost(begun))
		}
		if all == 0 || failed > 0 && !s.first {
			problems = append(problems, fmt.Sprintf("%s: %d of %d requests failed", s.name, failed, all))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// joined returns how long it took until every cluster has seen something of every other one. The context ends it.
func (l *lab) joined(ctx context.Context, w *watchers, since time.Time) time.Duration {
	pairs := len(l.clusters) * (len(l.clusters) - 1)
	for ctx.Err() == nil && w.pairs(since) < pairs {
		time.Sleep(look)
	}
	return time.Since(since)
}

// apart waits until requests are answered, and checks that no cluster sees anything of another one for a while.
func (l *lab) apart(ctx context.Context, w *watchers) error {
	for end := time.Now().Add(patience); ; time.Sleep(look) {
		answered, err := w.answered()
		if err != nil {
			return err
		}
		if answered {
			break
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return errors.New("requests are not answered")
		}
	}
	since := time.Now()
	time.Sleep(silence)
	if n := w.pairs(since); n > 0 {
		return fmt.Errorf("%d pairs see each other's changes, and should not", n)
	}
	if blind := w.blind(time.Now().Add(-silence / 2)); len(blind) > 0 {
		return fmt.Errorf("the agents of %s cannot be asked, so nothing is known", strings.Join(blind, ", "))
	}
	return ctx.Err()
}

// separate ends a federation. Where that needs no restarts, connections stay open; they end with the pods of clustermesh-apiserver.
func (l *lab) separate(ctx context.Context) (row, error) {
	r, err := l.meshCA(ctx, "federate", "--off", "--allow-disconnect")
	if err != nil || len(r.restarts) > 0 {
		return r, err
	}
	for _, c := range l.clusters {
		begun := time.Now()
		if err := l.replacePods(ctx, c); err != nil {
			return r, err
		}
		r.restarts = append(r.restarts, restart{begun, time.Now()})
	}
	r.end = time.Now()
	return r, nil
}

// replacePods restarts clustermesh-apiserver as a person does.
func (l *lab) replacePods(ctx context.Context, c labclient.Cluster) error {
	for _, args := range [][]string{{"rollout", "restart", "deployment/clustermesh-apiserver"}, {"rollout", "status", "deployment/clustermesh-apiserver", "--timeout=300s"}} {
		if out, err := l.command(ctx, append([]string{"--context", c.Context, "-n", "kube-system"}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// naive gives a cluster another CA as people do it by hand: the Secret, the leaf certificates, a restart of clustermesh-apiserver.
func (l *lab) naive(ctx context.Context, index int) (row, error) {
	c := l.clusters[index]
	r := row{begun: time.Now()}
	out, err := l.command(ctx, "mesh-ca", "init", "--print-values").Output()
	if err != nil {
		return r, fmt.Errorf("mesh-ca init: %w", err)
	}
	var values struct {
		TLS struct {
			CA struct{ Cert, Key string } `json:"ca"`
		} `json:"tls"`
	}
	if err := yaml.Unmarshal(out, &values); err != nil {
		return r, err
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"ca.crt": values.TLS.CA.Cert, "ca.key": values.TLS.CA.Key}})
	if err != nil {
		return r, err
	}
	if _, err := c.Client.CoreV1().Secrets("kube-system").Patch(ctx, "cilium-ca", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		return r, err
	}
	if _, err := l.meshCA(ctx, "reissue", "--in", c.Name, "--all", "--helm"); err != nil {
		return r, err
	}
	begun := time.Now()
	if err := l.replacePods(ctx, c); err != nil {
		return r, err
	}
	r.end, r.restarts = time.Now(), []restart{{begun, time.Now()}}
	return r, nil
}
