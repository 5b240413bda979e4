package podexec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

func on(node string) change   { return func(p *corev1.Pod) { p.Spec.NodeName = node } }
func completed(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
func names(pods []Pod) string {
	var out []string
	for _, p := range pods {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestFindAll(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{}
	svc.Namespace, svc.Name, svc.Spec.Selector = "default", "client", map[string]string{"app": "client"}
	ref := Ref{"service", "client"}
	for name, c := range map[string]struct {
		which    Which
		pods     []*corev1.Pod
		want     string
		notReady int
		err      string
	}{
		"one":                  {One, []*corev1.Pod{pod("b"), pod("a")}, "a", 0, ""},
		"every ready":          {EveryReady, []*corev1.Pod{pod("c"), pod("b"), pod("a", notReady), pod("z", older), pod("t", terminating), pod("p", pending)}, "z b c", 3, ""},
		"ended pods of a job":  {EveryReady, []*corev1.Pod{pod("a", completed), pod("b")}, "b", 0, ""},
		"one for each node":    {OnePerNode, []*corev1.Pod{pod("a", on("n1")), pod("b", on("n2")), pod("c", on("n1")), pod("d", on("n2"), older)}, "d a", 0, ""},
		"a node without ready": {OnePerNode, []*corev1.Pod{pod("a", on("n1")), pod("b", on("n2"), notReady)}, "a", 1, ""},
		"none ready":           {EveryReady, []*corev1.Pod{pod("a", notReady)}, "", 0, `no pod of service "client" in namespace "default" is ready`},
		"none running":         {OnePerNode, []*corev1.Pod{pod("a", pending)}, "", 0, "is running; a is pending"},
		"no pods":              {OnePerNode, nil, "", 0, "has no pods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{svc.DeepCopy()}
			for _, p := range c.pods {
				objects = append(objects, p)
			}
			got, err := FindAll(t.Context(), fake.NewClientset(objects...), "default", ref, "", c.which)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, names(got.Pods)); d != "" || got.NotReady != c.notReady {
				t.Errorf("not ready %d, want %d; %s", got.NotReady, c.notReady, d)
			}
		})
	}
}

// A container that only one of the pods lacks is an error: the pods are of one workload.
func TestFindAllContainer(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{}
	svc.Namespace, svc.Name, svc.Spec.Selector = "default", "client", map[string]string{"app": "client"}
	api := fake.NewClientset(svc, pod("a"), pod("b"))
	if _, err := FindAll(t.Context(), api, "default", Ref{"service", "client"}, "none", EveryReady); err == nil || !strings.Contains(err.Error(), "has no such container") {
		t.Errorf("error %v", err)
	}
}
