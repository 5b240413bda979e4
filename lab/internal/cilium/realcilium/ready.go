package realcilium

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// askTimeout bounds the question of one cluster.
const askTimeout = 5 * time.Second

// WaitsFor says which parts of Cilium are not ready in a cluster; empty means that all are.
func WaitsFor(ctx context.Context, c state.Cluster) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return err.Error()
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err.Error()
	}
	var waits []string
	agents, err := client.AppsV1().DaemonSets("kube-system").Get(ctx, "cilium", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if ready, all := agents.Status.NumberReady, len(c.Nodes); int(ready) < all {
		waits = append(waits, fmt.Sprintf("%d of %d agents ready", ready, all))
	}
	mesh, err := client.AppsV1().Deployments("kube-system").Get(ctx, "clustermesh-apiserver", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if mesh.Status.ReadyReplicas == 0 {
		waits = append(waits, "clustermesh-apiserver not ready")
	}
	return strings.Join(waits, ", ")
}
