package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

const (
	// patience ends a wait that never comes true.
	patience = 5 * time.Minute
	// every is how often such a wait looks.
	every = 500 * time.Millisecond
	// writers is how many objects are written to a cluster at a time.
	writers = 8
)

// mesh is the lab as the test sees it.
type mesh struct {
	kubeconfig string
	clusters   []string
	clients    map[string]kubernetes.Interface
	// pods are the addresses of the web servers by cluster.
	pods map[string][]string
}

// connect reads the lab's kubeconfig. The names of the clusters are Cilium's.
func connect(ctx context.Context, kubeconfig string) (*mesh, error) {
	clusters, err := labclient.Connect(ctx, kubeconfig)
	if err != nil {
		return nil, err
	}
	m := &mesh{kubeconfig: kubeconfig, clients: map[string]kubernetes.Interface{}, pods: map[string][]string{}}
	for _, c := range clusters {
		m.clients[c.Name] = c.Client
	}
	m.clusters = sortedKeys(m.clients)
	return m, nil
}

// each does something in all clusters at once.
func (m *mesh) each(ctx context.Context, do func(ctx context.Context, cluster string, client kubernetes.Interface) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range m.clusters {
		g.Go(func() error {
			if err := do(ctx, c, m.clients[c]); err != nil {
				return fmt.Errorf("cluster %q: %w", c, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// deploy makes the namespaces, the web servers and the clients, and waits for their addresses.
func (m *mesh) deploy(ctx context.Context, gates map[string]map[string]map[string]string) error {
	addresses := map[string][]string{}
	found := make(chan struct {
		cluster string
		ips     []string
	}, len(m.clusters))
	err := m.each(ctx, func(ctx context.Context, cluster string, client kubernetes.Interface) error {
		for _, ns := range sortedKeys(gates[cluster]) {
			if err := create(ctx, client.CoreV1().Namespaces().Create, namespaceObject(ns, gates[cluster][ns])); err != nil {
				return err
			}
		}
		if err := create(ctx, client.CoreV1().Namespaces().Create, namespaceObject(home, nil)); err != nil {
			return err
		}
		for _, d := range []int{0, 1} {
			if err := create(ctx, client.AppsV1().Deployments(home).Create, deployments()[d]); err != nil {
				return err
			}
		}
		ips, err := waitForPods(ctx, client)
		found <- struct {
			cluster string
			ips     []string
		}{cluster, ips}
		return err
	})
	close(found)
	for f := range found {
		addresses[f.cluster] = f.ips
	}
	m.pods = addresses
	return err
}

// waitForPods returns the addresses of the web servers once these and the client are ready.
func waitForPods(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	var ips []string
	err := wait.PollUntilContextTimeout(ctx, every, patience, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Pods(home).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ips = nil
		ready := 0
		for _, p := range list.Items {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.Status.PodIP != "" {
					ready++
					if p.Labels["app"] == web {
						ips = append(ips, p.Status.PodIP)
					}
				}
			}
		}
		return ready == pods+1 && len(ips) == pods, nil
	})
	if err != nil {
		return nil, fmt.Errorf("web servers and client: %w", err)
	}
	return ips, nil
}

// write makes the Services of all states, and behind them one that tells when all have been seen.
func (m *mesh) write(ctx context.Context, states []state) error {
	write := func(ctx context.Context, states []state) error {
		return m.each(ctx, func(ctx context.Context, cluster string, client kubernetes.Interface) error {
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(writers)
			for _, s := range states {
				if s.Clusters[cluster] == nil {
					continue
				}
				g.Go(func() error {
					svc, slices := objects(s, cluster, m.pods[cluster])
					if err := create(ctx, client.CoreV1().Services(s.Namespace).Create, svc); err != nil {
						return err
					}
					for _, sl := range slices {
						if err := create(ctx, client.DiscoveryV1().EndpointSlices(s.Namespace).Create, sl); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return g.Wait()
		})
	}
	if err := write(ctx, states); err != nil {
		return err
	}
	last := barrier(m.clusters)
	if err := write(ctx, []state{last}); err != nil {
		return err
	}
	return m.waitFor(ctx, last)
}

// waitFor returns when the clients of every cluster get answers of all clusters. The lab tells its states in the order in
// which they came to be, so that everything written before is in effect then.
func (m *mesh) waitFor(ctx context.Context, s state) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, every, patience, true, func(ctx context.Context) (bool, error) {
		for _, client := range m.clusters {
			counts, _, _, _, err := m.probe(ctx, s, client, 60)
			if err != nil {
				last = err
				return false, nil //nolint:nilerr // tried again
			}
			for _, c := range m.clusters {
				if counts[c] == 0 {
					last = fmt.Errorf("clients of %s get no answer of %s", client, c)
					return false, nil
				}
			}
		}
		return true, nil
	})
	if err != nil {
		return errors.Join(errors.New("the states do not come into effect"), err, last)
	}
	return nil
}

// describe asks the plugin for its prediction.
func (m *mesh) describe(ctx context.Context, s state) (v1alpha1.ServiceReport, error) {
	var doc v1alpha1.ServiceReport
	err := m.document(ctx, &doc, "mesh-svc", "describe", s.name(), "-n", s.Namespace)
	return doc, err
}

// probe lets the other plugin count who answers the client of a cluster.
func (m *mesh) probe(ctx context.Context, s state, client string, count int, more ...string) (counts map[string]int, unanswered, requests int, witness []v1alpha1.ProbeWitness, err error) {
	var doc v1alpha1.ProbeReport
	url := fmt.Sprintf("http://%s.%s.svc.cluster.local", s.name(), s.Namespace)
	err = m.document(ctx, &doc, append([]string{"mesh-probe", url, "-n", home, "--from", "deploy/client", "--from-clusters", client,
		"--count", fmt.Sprint(count), "--max-rate", "0", "--timeout", "2s", "--identify", `body=^cluster=(\S+)`}, more...)...)
	if len(doc.Witnesses) > 0 {
		err = nil // what the agents have is judged with the rest
	}
	nobody := len(doc.Clients) == 1 && doc.Clients[0].Complete && doc.Clients[0].Answered == 0 // exit code 2, and one of the states to judge
	if err != nil && !nobody {
		return nil, 0, 0, nil, err
	}
	if len(doc.Clients) != 1 || !doc.Clients[0].Complete {
		return nil, 0, 0, nil, fmt.Errorf("mesh-probe %s from %s: not complete", url, client)
	}
	c := doc.Clients[0]
	counts = map[string]int{}
	for _, a := range c.Answers {
		counts[a.Name] = a.Requests - a.Errors
		unanswered += a.Errors
	}
	return counts, unanswered + c.NoAnswer + c.Unknown, c.Requests, doc.Witnesses, nil
}

// document runs a plugin through kubectl and reads its document, also where the exit code is an error.
func (m *mesh) document(ctx context.Context, into any, args ...string) error {
	out, err := labclient.Kubectl(ctx, m.kubeconfig, append(args, "-o", "json")...)
	if parsed := json.Unmarshal(out, into); err == nil {
		err = parsed
	}
	return err
}

func create[T any](ctx context.Context, call func(context.Context, T, metav1.CreateOptions) (T, error), object T) error {
	_, err := call(ctx, object, metav1.CreateOptions{FieldManager: "states"})
	return err
}
