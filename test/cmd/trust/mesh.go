package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

const (
	meshAPIServer = "clustermesh-apiserver"
	selector      = "k8s-app=" + meshAPIServer
)

type mesh struct {
	kubeconfig string
	contexts   map[string]string
	clients    map[string]kubernetes.Interface
}

func (m *mesh) clusters() []string { return slices.Sorted(maps.Keys(m.clients)) }

// connect reads the lab's kubeconfig. The names of the clusters are Cilium's.
func connect(ctx context.Context, kubeconfig string) (*mesh, error) {
	clusters, err := labclient.Connect(ctx, kubeconfig)
	if err != nil {
		return nil, err
	}
	m := &mesh{kubeconfig: kubeconfig, contexts: map[string]string{}, clients: map[string]kubernetes.Interface{}}
	for _, c := range clusters {
		m.contexts[c.Name], m.clients[c.Name] = c.Context, c.Client
	}
	return m, nil
}

// write gives a cluster the certificates of a state. The cluster's own clients of its etcd get certificates that etcd accepts
// and trust every CA, so that only the connections between clusters depend on the state.
func (m *mesh) write(ctx context.Context, cluster string, d side, all *authorities, now time.Time) error {
	everyone := all.bundle([]string{oldCA, newCA, wrongCA}, false)
	accepted := d.ServerTrust[0]
	for secret, content := range map[string]struct {
		leaf  leaf
		trust []byte
	}{
		"server": {d.Server, all.bundle(d.ServerTrust, d.HalfServer)},
		"remote": {d.Client, all.bundle(d.ClientTrust, d.HalfClient)},
		"admin":  {leaf{ca: accepted, name: "admin-" + cluster}, everyone},
		"local":  {leaf{ca: accepted, name: "local-" + cluster}, everyone},
	} {
		cert, key, err := all.sign(content.leaf, now)
		if err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"data": map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": content.trust}})
		if err != nil {
			return err
		}
		name := meshAPIServer + "-" + secret + "-cert"
		_, err = m.clients[cluster].CoreV1().Secrets(cilium.DefaultNamespace).Patch(ctx, name, "application/merge-patch+json", patch, metav1.PatchOptions{FieldManager: "trust"})
		if err != nil {
			return err
		}
	}
	return nil
}

// replacePods deletes the pods of clustermesh-apiserver and waits until others run. They need not become ready.
func (m *mesh) replacePods(ctx context.Context, cluster string) error {
	pods := m.clients[cluster].CoreV1().Pods(cilium.DefaultNamespace)
	old, err := pods.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	grace := int64(1)
	for _, p := range old.Items {
		gone[string(p.UID)] = true
		if err := pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return wait.PollUntilContextTimeout(ctx, every, patience, true, func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return false, nil //nolint:nilerr // tried again
		}
		return len(list.Items) == 1 && !gone[string(list.Items[0].UID)] && list.Items[0].Status.Phase == corev1.PodRunning, nil
	})
}

// remote is what KVStoreMesh says of a peer.
type remote struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Ready     bool   `json:"ready"`
	Status    string `json:"status"`
}

// connected asks KVStoreMesh of a cluster which peers it is connected to.
func (m *mesh) connected(ctx context.Context, cluster string) (map[string]remote, error) {
	data, err := m.kubectl(ctx, "--context", m.contexts[cluster], "exec", "-n", cilium.DefaultNamespace, "deploy/"+meshAPIServer,
		"-c", "kvstoremesh", "--", "/usr/bin/clustermesh-apiserver", "kvstoremesh-dbg", "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []remote
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("status of KVStoreMesh in %s: %w: %s", cluster, err, data)
	}
	byName := map[string]remote{}
	for _, r := range list {
		byName[r.Name] = r
	}
	return byName, nil
}

// predict asks the plugin.
func (m *mesh) predict(ctx context.Context) (v1alpha1.CAReport, error) {
	var doc v1alpha1.CAReport
	data, err := m.kubectl(ctx, "mesh-ca", "status", "-o", "json")
	// Exit code 1 says that something is broken, which is what most states are.
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return doc, err
	}
	return doc, json.Unmarshal(data, &doc)
}

func (m *mesh) kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return labclient.Kubectl(ctx, m.kubeconfig, args...)
}
