// Package labclient is how the commands in test/cmd and the demo use a lab: kubectl with the lab's kubeconfig, and a client for each cluster.
package labclient

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Cluster is a cluster of the lab. Name is Cilium's.
type Cluster struct {
	Name, Context string
	Client        kubernetes.Interface
}

// Connect reads the lab's kubeconfig and asks each cluster for its name.
func Connect(ctx context.Context, kubeconfig string) ([]Cluster, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	var clusters []Cluster
	for name := range config.Contexts {
		rest, err := clientcmd.NewNonInteractiveClientConfig(*config, name, nil, nil).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("context %q: %w", name, err)
		}
		rest.QPS, rest.Burst = 500, 1000 // the lab's own servers
		client, err := kubernetes.NewForConfig(rest)
		if err != nil {
			return nil, fmt.Errorf("context %q: %w", name, err)
		}
		cm, err := client.CoreV1().ConfigMaps(cilium.DefaultNamespace).Get(ctx, cilium.ConfigMapName, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("context %q: %w", name, err)
		}
		clusters = append(clusters, Cluster{Name: cm.Data["cluster-name"], Context: name, Client: client})
	}
	return clusters, nil
}

// Kubectl runs kubectl and returns what it prints on stdout, also with an error, which contains stderr.
func Kubectl(ctx context.Context, kubeconfig string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.Bytes(), nil
}
