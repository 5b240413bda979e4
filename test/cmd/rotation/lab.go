package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

const (
	namespace = "default"
	// every is the pause between two requests of a client: 50 in a second.
	every = 20 * time.Millisecond
	// move is how often an endpoint changes, and look how often it is checked whether the others have it.
	move, look = 2 * time.Second, 100 * time.Millisecond
)

// servers is the Service that clients call; two clusters have backends. Each cluster has a Service of its own whose endpoint changes.
const manifest = `
apiVersion: v1
kind: Service
metadata: {name: rotation, annotations: {service.cilium.io/global: "true"}}
spec: {selector: {app: rotation}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: moving, annotations: {service.cilium.io/global: "true"}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: observer}
spec: {containers: [{name: lab, image: meshlab/web}]}
`

const servers = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: rotation}
spec:
  replicas: 2
  selector: {matchLabels: {app: rotation}}
  template:
    metadata: {labels: {app: rotation}}
    spec:
      containers:
      - {name: web, image: meshlab/web, env: [{name: BODY, value: "cluster=$CLUSTER pod=$POD\n"}], readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}
`

type lab struct {
	kubeconfig string
	clusters   []labclient.Cluster
	out        io.Writer
}

func connect(ctx context.Context, kubeconfig string, out io.Writer) (*lab, error) {
	clusters, err := labclient.Connect(ctx, kubeconfig)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(clusters, func(a, b labclient.Cluster) int { return strings.Compare(b.Name, a.Name) }) // us, eu, ap: the first has two nodes
	if len(clusters) < 2 {
		return nil, errors.New("the lab needs two clusters or more")
	}
	return &lab{kubeconfig: kubeconfig, clusters: clusters, out: out}, nil
}

func (l *lab) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.kubeconfig)
	return cmd
}

func (l *lab) deploy(ctx context.Context) error {
	for n, c := range l.clusters {
		cmd := l.command(ctx, "--context", c.Context, "apply", "-f", "-")
		text := manifest
		if n < 2 {
			text += servers
		}
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apply to %s: %w: %s", c.Name, err, out)
		}
	}
	for n, c := range l.clusters {
		wait := [][]string{{"--context", c.Context, "wait", "--for=condition=Ready", "pod/observer", "--timeout=120s"}}
		if n < 2 {
			wait = append(wait, []string{"--context", c.Context, "rollout", "status", "deployment/rotation", "--timeout=120s"})
		}
		for _, args := range wait {
			if out, err := l.command(ctx, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
			}
		}
	}
	return nil
}

// rotate runs one command of the rotation.
func (l *lab) rotate(ctx context.Context, args []string) (row, error) {
	r := row{name: "rotate " + strings.Join(args, " "), begun: time.Now()}
	words := append([]string{"mesh-ca", "rotate"}, args...)
	for n, c := range l.clusters {
		if n == 0 {
			words = append(words, "--yes", "--contexts")
		}
		words = append(words[:len(words):len(words)], c.Context)
	}
	contexts := strings.Join(words[len(words)-len(l.clusters):], ",")
	cmd := l.command(ctx, append(words[:len(words)-len(l.clusters)], contexts)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return r, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return r, err
	}
	_, _ = fmt.Fprintln(l.out, "# "+strings.Join(cmd.Args, " "))
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		_, _ = fmt.Fprintf(l.out, "%6.1f s  %s\n", time.Since(r.begun).Seconds(), lines.Text())
		if strings.HasPrefix(lines.Text(), "Replacing the pods") {
			r.restarts = append(r.restarts, time.Now())
		}
	}
	err = cmd.Wait()
	r.end = time.Now()
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, out.String())
	}
	return r, nil
}

// watchers see what the rotation does to others.
type watchers struct {
	l    *lab
	done sync.WaitGroup

	mu       sync.Mutex
	attempts []attempt
	seen     []sighting
	failures []error
	made     map[string]sighting  // by address
	last     map[string]time.Time // by cluster and address: when it was first seen
}

// attempt is a line of the observer; lab/internal/nodes/observe writes it.
type attempt struct {
	Start, Took    int64
	Cluster, Error string
}

// sighting is one change of an endpoint: when it was made, and when another cluster's agent had it.
type sighting struct {
	from, to   string
	made, seen time.Time
}

func (l *lab) watch(ctx context.Context) *watchers {
	w := &watchers{l: l, made: map[string]sighting{}, last: map[string]time.Time{}}
	for n, c := range l.clusters {
		w.done.Go(func() { w.note(ctx, w.requests(ctx, c)) })
		w.done.Go(func() { w.note(ctx, w.moves(ctx, n, c)) })
		w.done.Go(func() { w.note(ctx, w.agents(ctx, c)) })
	}
	return w
}

func (w *watchers) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failures = append(w.failures, err)
		_, _ = fmt.Fprintln(w.l.out, "watcher:", err)
	}
}

// requests lets a pod of a cluster call the Service.
func (w *watchers) requests(ctx context.Context, c labclient.Cluster) error {
	cmd := w.l.command(ctx, "--context", c.Context, "exec", "observer", "--", "/lab", "observe", "-every="+every.String(), "-for=2h", "http://rotation."+namespace+".svc.cluster.local/")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("observer in %s: %w: %s", c.Name, err, lines.Text())
		}
		w.mu.Lock()
		w.attempts = append(w.attempts, a)
		w.mu.Unlock()
	}
	return cmd.Wait()
}

// moves changes the only endpoint of a Service of a cluster, and looks for it in the others.
func (w *watchers) moves(ctx context.Context, index int, c labclient.Cluster) error {
	api := c.Client.DiscoveryV1().EndpointSlices(namespace)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "moving", Labels: map[string]string{discoveryv1.LabelServiceName: "moving"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](80)}},
	}
	for n := 0; ctx.Err() == nil; n++ {
		address := fmt.Sprintf("198.18.%d.%d", index*64+n/250%64, 1+n%250) // of a range for benchmarks
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}}}
		made := time.Now()
		w.mu.Lock()
		w.made[address] = sighting{from: c.Name, made: made}
		w.mu.Unlock()
		var err error
		if n == 0 {
			_, err = api.Create(ctx, slice, metav1.CreateOptions{})
		} else {
			_, err = api.Update(ctx, slice, metav1.UpdateOptions{})
		}
		if err != nil {
			return fmt.Errorf("move the endpoint of %s: %w", c.Name, err)
		}
		for ctx.Err() == nil && !w.visible(address, c.Name) {
			time.Sleep(look)
		}
		if rest := move - time.Since(made); rest > 0 {
			time.Sleep(rest)
		}
	}
	return nil
}

// script prints the addresses of the moving endpoints that an agent has, once in a while.
const script = `while sleep 1; do cilium-dbg bpf lb list --backends | grep -o '198[.]18[.][0-9.]*' | sort -u | tr '\n' ' '; echo; done`

// agents reads what an agent of a cluster has.
func (w *watchers) agents(ctx context.Context, c labclient.Cluster) error {
	cmd := w.l.command(ctx, "--context", c.Context, "-n", "kube-system", "exec", "ds/cilium", "-c", "cilium-agent", "--", "sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		now := time.Now()
		w.mu.Lock()
		for _, address := range strings.Fields(lines.Text()) {
			if s, ok := w.made[address]; ok && s.from != c.Name && w.last[c.Name+" "+address].IsZero() {
				w.last[c.Name+" "+address] = now
				w.seen = append(w.seen, sighting{from: s.from, to: c.Name, made: s.made, seen: now})
			}
		}
		w.mu.Unlock()
	}
	return cmd.Wait()
}

// visible reports whether all other clusters have an endpoint.
func (w *watchers) visible(address, from string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.l.clusters {
		if c.Name != from && w.last[c.Name+" "+address].IsZero() {
			return false
		}
	}
	return true
}

// ready waits until both kinds of watchers have seen everything work.
func (w *watchers) ready(ctx context.Context) error {
	const patience = 2 * time.Minute
	pairs := len(w.l.clusters) * (len(w.l.clusters) - 1)
	for end := time.Now().Add(patience); ctx.Err() == nil; time.Sleep(time.Second) {
		w.mu.Lock()
		seen := map[string]bool{}
		for _, s := range w.seen {
			seen[s.from+s.to] = true
		}
		good := 0
		for _, a := range w.attempts[max(0, len(w.attempts)-200):] {
			if a.Error == "" {
				good++
			}
		}
		failures := errors.Join(w.failures...)
		w.mu.Unlock()
		switch {
		case failures != nil:
			return failures
		case len(seen) == pairs && good == 200:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("the mesh does not work before the rotation: %d of %d pairs see changes, %d of the last 200 requests were answered", len(seen), pairs, good)
		}
	}
	return ctx.Err()
}

func (w *watchers) wait() { w.done.Wait() }

// between counts the requests that were under way between two times.
func (w *watchers) between(from, to time.Time) (all, failed int) {
	for _, a := range w.attempts {
		if a.Start+a.Took < from.UnixMilli() || a.Start > to.UnixMilli() {
			continue
		}
		all++
		if a.Error != "" {
			failed++
		}
	}
	return all, failed
}

// gaps are the longest times that a change took to be seen: all of them, and those in which nothing was restarted from the change on.
func (w *watchers) gaps(from, to time.Time, calm func(time.Time) bool) (longest, undisturbed time.Duration) {
	for _, s := range w.seen {
		if s.seen.Before(from) || s.made.After(to) {
			continue
		}
		took := s.seen.Sub(s.made)
		longest = max(longest, took)
		if calm(s.made) && calm(s.seen) {
			undisturbed = max(undisturbed, took)
		}
	}
	return longest, undisturbed
}
