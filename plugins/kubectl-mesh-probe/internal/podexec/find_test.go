package podexec

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

func TestParseRef(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Ref{
		"client": {"pod", "client"}, "po/client": {"pod", "client"}, "deploy/client": {"deployment", "client"}, "Deployment/client": {"deployment", "client"},
		"deployments.apps/client": {"deployment", "client"}, "sts/web": {"statefulset", "web"}, "ds/a": {"daemonset", "a"}, "rs/a": {"replicaset", "a"}, "svc/a": {"service", "a"}, "job/a": {"job", "a"},
	} {
		if got, err := ParseRef(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "deploy/", "cm/x", "a/b/c", "deploy/a b", "/x"} {
		if got, err := ParseRef(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

type change func(*corev1.Pod)

func pod(name string, changes ...change) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "client"}, CreationTimestamp: metav1.NewTime(time.Unix(1000, 0))},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "main"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, c := range changes {
		c(p)
	}
	return p
}

func notReady(p *corev1.Pod)    { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func pending(p *corev1.Pod)     { p.Status.Phase = corev1.PodPending }
func terminating(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }
func older(p *corev1.Pod)       { p.CreationTimestamp = metav1.NewTime(time.Unix(1, 0)) }
func two(p *corev1.Pod) {
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy"})
}
func chooseSecond(p *corev1.Pod) {
	p.Annotations = map[string]string{annotationContainer: "istio-proxy"}
}

func TestFind(t *testing.T) {
	t.Parallel()
	deploy := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "client"},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "client"}}},
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "client"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "client"}}}
	bare := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "bare"}}
	found := func(name string) Pod { return Pod{Namespace: "default", Name: name, Container: "main", Node: "node-1"} }
	for name, tc := range map[string]struct {
		ref       Ref
		container string
		pods      []*corev1.Pod
		want      Pod
		err       string
	}{
		"pod":                  {Ref{"pod", "a"}, "", []*corev1.Pod{pod("a")}, found("a"), ""},
		"deployment":           {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("a")}, found("a"), ""},
		"service":              {Ref{"service", "client"}, "", []*corev1.Pod{pod("a")}, found("a"), ""},
		"ready first":          {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("a", notReady, older), pod("b"), pod("c", pending), pod("d", terminating)}, found("b"), ""},
		"oldest, then name":    {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("c"), pod("b"), pod("z", older)}, found("z"), ""},
		"not ready will do":    {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("a", notReady), pod("b", terminating)}, found("a"), ""},
		"pending":              {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("a", pending)}, Pod{}, `no pod of deployment "client" in namespace "default" is running; a is pending`},
		"terminating":          {Ref{"deployment", "client"}, "", []*corev1.Pod{pod("a", terminating)}, Pod{}, "every pod"},
		"no pods":              {Ref{"deployment", "client"}, "", nil, Pod{}, "has no pods"},
		"not found":            {Ref{"statefulset", "x"}, "", nil, Pod{}, `statefulset "x" not found in namespace "default"`},
		"no selector":          {Ref{"service", "bare"}, "", nil, Pod{}, "has no selector"},
		"first of two":         {Ref{"pod", "a"}, "", []*corev1.Pod{pod("a", two)}, Pod{Namespace: "default", Name: "a", Container: "main", Node: "node-1", Defaulted: []string{"main", "istio-proxy"}, Proxy: "Istio sidecar (container istio-proxy)"}, ""},
		"annotation":           {Ref{"pod", "a"}, "", []*corev1.Pod{pod("a", two, chooseSecond)}, Pod{Namespace: "default", Name: "a", Container: "istio-proxy", Node: "node-1", Proxy: "Istio sidecar (container istio-proxy)"}, ""},
		"-c before all":        {Ref{"pod", "a"}, "main", []*corev1.Pod{pod("a", two, chooseSecond)}, Pod{Namespace: "default", Name: "a", Container: "main", Node: "node-1", Proxy: "Istio sidecar (container istio-proxy)"}, ""},
		"-c of another pod":    {Ref{"pod", "a"}, "x", []*corev1.Pod{pod("a", two)}, Pod{}, `--container "x": pod a has no such container; it has main, istio-proxy`},
		"annotation to no one": {Ref{"pod", "a"}, "", []*corev1.Pod{pod("a", func(p *corev1.Pod) { p.Annotations = map[string]string{annotationContainer: "x"} })}, found("a"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{deploy.DeepCopy(), svc.DeepCopy(), bare.DeepCopy()}
			for _, p := range tc.pods {
				objects = append(objects, p)
			}
			got, err := Find(t.Context(), fake.NewClientset(objects...), "default", tc.ref, tc.container)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// If the API server refuses a request, the error shows the missing rule as it would be written in a Role.
func TestFindForbidden(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	client.PrependReactor("get", "deployments", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "client", errors.New(`User "x" cannot get resource`))
	})
	_, err := Find(t.Context(), client, "shop", Ref{"deployment", "client"}, "")
	want := `no permission: a Role in namespace shop needs {apiGroups: [apps], resources: [deployments], verbs: [get]}`
	if err == nil || err.Error() != want || !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// The addresses of a pod are known in the form in which addresses are compared.
func TestAddresses(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.1.2.3"}, {IP: "::ffff:10.1.2.4"}, {IP: "fd00:0:0::3"}, {IP: "none"}}
	got, err := describe(pod, "", func() map[string]string { return nil })
	if want := "[10.1.2.3 10.1.2.4 fd00::3]"; err != nil || fmt.Sprint(got.IPs) != want {
		t.Errorf("%v, %v, want %s", got.IPs, err, want)
	}
}
