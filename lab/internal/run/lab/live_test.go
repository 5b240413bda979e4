package lab

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// The tests below ask a lab that runs: MESHLAB_KUBECONFIG is its kubeconfig file.
const kubeconfigVariable = "MESHLAB_KUBECONFIG"

const (
	liveInterval = 100 * time.Millisecond
	// liveWatchdog ends a hang; no test asserts how long something takes.
	liveWatchdog = 2 * time.Minute
)

// liveClients returns a client for each context of the running lab.
func liveClients(t *testing.T) map[string]kubernetes.Interface {
	t.Helper()
	file := os.Getenv(kubeconfigVariable)
	if file == "" {
		t.Skip("no lab: " + kubeconfigVariable + " is not set")
	}
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]kubernetes.Interface{}
	for name := range config.Contexts {
		rest, err := clientcmd.NewNonInteractiveClientConfig(*config, name, nil, nil).ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		if clients[name], err = kubernetes.NewForConfig(rest); err != nil {
			t.Fatal(err)
		}
	}
	return clients
}

func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), liveInterval, liveWatchdog, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestLiveControlPlanes(t *testing.T) {
	t.Parallel()
	clients := liveClients(t)
	l, err := state.Dir(os.Getenv("MESHLAB_STATE")).Read()
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version, err := client.Discovery().ServerVersion()
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(l.Clusters, func(c state.Cluster) bool { return c.Context == name })
			if want := "v" + l.Clusters[i].KubernetesVersion; version.GitVersion != want {
				t.Errorf("server version %s, want %s", version.GitVersion, want)
			}
			namespace, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-live-"}}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			labels := map[string]string{"app": "live"}
			_, err = client.AppsV1().Deployments(namespace.Name).Create(t.Context(), &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: "live"},
				Spec: appsv1.DeploymentSpec{
					Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels},
					Template: corev1.PodTemplateSpec{
						ObjectMeta: metav1.ObjectMeta{Labels: labels},
						Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "meshlab/web"}}},
					},
				},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the deployment makes its pods", func(ctx context.Context) (bool, error) {
				pods, err := client.CoreV1().Pods(namespace.Name).List(ctx, metav1.ListOptions{LabelSelector: "app=live"})
				return err == nil && len(pods.Items) == 2, err
			})
			if err := client.CoreV1().Namespaces().Delete(t.Context(), namespace.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the namespace is finalised", func(ctx context.Context) (bool, error) {
				_, err := client.CoreV1().Namespaces().Get(ctx, namespace.Name, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return true, nil
				}
				return false, err
			})
		})
	}
}

func TestLiveClustersAreDifferent(t *testing.T) {
	t.Parallel()
	var names, ids, uids []string
	for context, client := range liveClients(t) {
		config, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "cilium-config", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		namespace, err := client.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if context != "kind-"+config.Data["cluster-name"] {
			t.Errorf("context %s leads to Cilium's cluster %s", context, config.Data["cluster-name"])
		}
		names, ids, uids = append(names, config.Data["cluster-name"]), append(ids, config.Data["cluster-id"]), append(uids, string(namespace.UID))
	}
	for what, values := range map[string][]string{"cluster-name": names, "cluster-id": ids, "uid of kube-system": uids} {
		slices.Sort(values)
		if len(slices.Compact(slices.Clone(values))) != len(values) {
			t.Errorf("%s is not unique: %v", what, values)
		}
	}
}

// Owners are read from managedFields, so the lab must not write everything under its
// own name.
func TestLiveFieldOwners(t *testing.T) {
	t.Parallel()
	for name, client := range liveClients(t) {
		config, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "cilium-config", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(config.ManagedFields) != 1 || config.ManagedFields[0].Manager != "helm" {
			t.Errorf("%s: cilium-config is owned by %v, want helm", name, config.ManagedFields)
		}
		eventually(t, "the controller-manager reports on a DaemonSet", func(ctx context.Context) (bool, error) {
			set, err := client.AppsV1().DaemonSets("kube-system").Get(ctx, "cilium", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			return slices.ContainsFunc(set.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
				return f.Manager == "kube-controller-manager" && f.Subresource == "status"
			}), nil
		})
	}
}
