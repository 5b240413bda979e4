package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	cmd := exec.CommandContext(ctx, "kubectl", args...) //nolint:gosec // arguments are ours, or what a plugin printed
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
		wait := [][]string{{"--context", c.Context, "wait", "--for=condition=Ready", "pod/observer", "--timeout=300s"}}
		if n < 2 {
			wait = append(wait, []string{"--context", c.Context, "rollout", "status", "deployment/rotation", "--timeout=300s"})
		}
		for _, args := range wait {
			if out, err := l.command(ctx, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
			}
		}
	}
	return nil
}

// contexts are those of all clusters.
func (l *lab) contexts() string {
	var out []string
	for _, c := range l.clusters {
		out = append(out, c.Context)
	}
	return strings.Join(out, ",")
}

// meshCA runs a command of kubectl mesh-ca that writes, and notes when it replaces pods.
func (l *lab) meshCA(ctx context.Context, args ...string) (row, error) {
	r := row{name: strings.Join(args, " "), begun: time.Now()}
	cmd := l.command(ctx, append(append([]string{"mesh-ca"}, args...), "--yes", "--contexts", l.contexts())...)
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
	var ends []<-chan time.Time
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		_, _ = fmt.Fprintf(l.out, "%6.1f s  %s\n", time.Since(r.begun).Seconds(), lines.Text())
		if strings.HasPrefix(lines.Text(), "Replacing the pods") {
			r.restarts = append(r.restarts, restart{begun: time.Now()})
			ends = append(ends, l.replaced(ctx, lines.Text()))
		}
	}
	err = cmd.Wait()
	r.end = time.Now()
	for n, end := range ends {
		r.restarts[n].end = <-end
	}
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, out.String())
	}
	return r, nil
}

// replaced follows the Deployments that a message names, and gives the time at which they have only new pods. The message comes before the change: it is
// waited for, too, but not for ever, as a command may end without it.
func (l *lab) replaced(ctx context.Context, message string) <-chan time.Time {
	_, where, _ := strings.Cut(strings.TrimSuffix(message, "."), " in ")
	done := make(chan time.Time, 1)
	begun, before := time.Now(), map[string]int64{}
	for _, c := range l.clusters {
		if slices.Contains(strings.Split(where, ", "), c.Name) {
			if d, err := c.Client.AppsV1().Deployments("kube-system").Get(ctx, "clustermesh-apiserver", metav1.GetOptions{}); err == nil {
				before[c.Name] = d.Generation
			}
		}
	}
	go func() {
		end := begun
		for _, c := range l.clusters {
			generation, named := before[c.Name]
			for limit := begun.Add(patience); named && ctx.Err() == nil && time.Now().Before(limit); time.Sleep(look) {
				d, err := c.Client.AppsV1().Deployments("kube-system").Get(ctx, "clustermesh-apiserver", metav1.GetOptions{})
				if err != nil {
					continue
				}
				changed := d.Generation != generation || time.Since(begun) > afterRestart // the change may have come before the first look
				s := d.Status
				switch replaced := s.ObservedGeneration == d.Generation && s.UpdatedReplicas == *d.Spec.Replicas && s.Replicas == s.UpdatedReplicas && s.AvailableReplicas == s.Replicas; {
				case !replaced:
					end = time.Now()
				case changed:
					named = false
				}
			}
		}
		done <- end
	}()
	return done
}
