package labnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// The tests below need a lab that runs: MESHLAB_KUBECONFIG is its kubeconfig file.
const kubeconfigVariable = "MESHLAB_KUBECONFIG"

const (
	interval = 50 * time.Millisecond
	// watchdog ends a hang; no test asserts how long something takes.
	watchdog = 2 * time.Minute
)

// liveCluster is one cluster of the running lab.
type liveCluster struct {
	name      string
	rest      *rest.Config
	client    kubernetes.Interface
	namespace string
}

// liveClusters makes a namespace of the same name, which is the test's own, in all clusters of the lab.
func liveClusters(t *testing.T) []*liveCluster {
	t.Helper()
	file := os.Getenv(kubeconfigVariable)
	if file == "" {
		t.Skip("no lab: " + kubeconfigVariable + " is not set")
	}
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	namespace := fmt.Sprintf("labnet-%s-%d", strings.ToLower(strings.TrimPrefix(t.Name(), "TestLive")), time.Now().UnixNano()%1e9)
	var out []*liveCluster
	for _, name := range slices.Sorted(maps.Keys(config.Contexts)) {
		c := &liveCluster{name: strings.TrimPrefix(name, "kind-"), namespace: namespace}
		if c.rest, err = clientcmd.NewNonInteractiveClientConfig(*config, name, nil, nil).ClientConfig(); err != nil {
			t.Fatal(err)
		}
		c.rest.QPS, c.rest.Burst = 100, 200
		if c.client, err = kubernetes.NewForConfig(c.rest); err != nil {
			t.Fatal(err)
		}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.client.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		out = append(out, c)
	}
	return out
}

func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), interval, watchdog, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// run starts a pod and waits until it is ready.
func (c *liveCluster) run(t *testing.T, name string, change func(*corev1.Pod)) {
	t.Helper()
	grace := int64(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{Name: "main", Image: "meshlab/busybox"}}},
	}
	if change != nil {
		change(pod)
	}
	// The service account appears a moment after its namespace.
	eventually(t, "create pod "+name, func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, pod, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
	eventually(t, "pod "+name+" ready", func(ctx context.Context) (bool, error) { return c.ready(ctx, name) })
}

func (c *liveCluster) ready(ctx context.Context, name string) (bool, error) {
	pod, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(cond corev1.PodCondition) bool {
		return cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue
	}), nil
}

// exec runs a command in a pod's container, over WebSocket or SPDY.
func (c *liveCluster) exec(ctx context.Context, spdy bool, pod, container string, stdin io.Reader, argv ...string) (stdout, stderr string, err error) {
	query := url.Values{"container": {container}, "command": argv, "stdout": {"true"}, "stderr": {"true"}}
	if stdin != nil {
		query.Set("stdin", "true")
	}
	u := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(pod).SubResource("exec").URL()
	u.RawQuery = query.Encode()
	var e remotecommand.Executor
	if spdy {
		e, err = remotecommand.NewSPDYExecutor(c.rest, "POST", u)
	} else {
		e, err = remotecommand.NewWebSocketExecutor(c.rest, "GET", u.String())
	}
	if err != nil {
		return "", "", err
	}
	var out, errOut bytes.Buffer
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: &out, Stderr: &errOut})
	return out.String(), errOut.String(), err
}

func TestLiveExec(t *testing.T) {
	t.Parallel()
	c := liveClusters(t)[0]
	c.run(t, "pod", func(p *corev1.Pod) {
		p.Spec.Containers = []corev1.Container{
			{Name: "main", Image: "meshlab/busybox:1", Env: []corev1.EnvVar{
				{Name: "ME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			}},
			{Name: "web", Image: "meshlab/web", Args: []string{"--style=header"}},
			{Name: "bare", Image: "meshlab/distroless", Env: []corev1.EnvVar{{Name: "PORT", Value: "8080"}}},
			{Name: "picture", Image: "registry.example/agent:v1"},
		}
	})
	for name, spdy := range map[string]bool{"websocket": false, "spdy": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			out, errOut, err := c.exec(ctx, spdy, "pod", "main", nil, "sh", "-c", "echo out; echo err >&2; exit 7")
			var code utilexec.CodeExitError
			if out != "out\n" || errOut != "err\n" || !errors.As(err, &code) || code.Code != 7 {
				t.Errorf("stdout %q, stderr %q, error %v", out, errOut, err)
			}
			data := strings.Repeat("0123456789abcde\n", 1<<16)
			out, _, err = c.exec(ctx, spdy, "pod", "main", strings.NewReader(data), "cat")
			if err != nil || out != data {
				t.Errorf("%d bytes of %d came back: %v", len(out), len(data), err)
			}
			out, _, err = c.exec(ctx, spdy, "pod", "main", nil, "sh", "-c", "hostname; echo $ME; wget -qSO- http://$ME 2>&1; wget -qO- http://localhost:8080")
			if err != nil || !strings.HasPrefix(out, "pod\n10.") || !strings.Contains(out, "X-Cluster: "+c.name) || !strings.HasSuffix(out, "in cluster "+c.name+"\n") {
				t.Errorf("containers of one pod do not share its network: %q, %v", out, err)
			}
			for _, refused := range []struct{ container, command, want string }{
				{"bare", "sh", "executable file not found in $PATH"},
				{"picture", "ls", "it has no process"},
			} {
				if _, _, err := c.exec(ctx, spdy, "pod", refused.container, nil, refused.command); err == nil || !strings.Contains(err.Error(), refused.want) {
					t.Errorf("container %s: error %v, want %q", refused.container, err, refused.want)
				}
			}
		})
	}
}

func TestLiveLogs(t *testing.T) {
	t.Parallel()
	c := liveClusters(t)[0]
	c.run(t, "talker", func(p *corev1.Pod) {
		p.Spec.Containers[0].Command = []string{"sh", "-c", "for i in 1 2 3; do echo line $i; done; exec sleep 1000"}
	})
	logs := func(ctx context.Context, o *corev1.PodLogOptions) (string, error) {
		data, err := c.client.CoreV1().Pods(c.namespace).GetLogs("talker", o).DoRaw(ctx)
		return string(data), err
	}
	eventually(t, "all lines in the log", func(ctx context.Context) (bool, error) {
		got, err := logs(ctx, &corev1.PodLogOptions{})
		return got == "line 1\nline 2\nline 3\n", err
	})
	one := int64(1)
	if got, err := logs(t.Context(), &corev1.PodLogOptions{TailLines: &one}); err != nil || got != "line 3\n" {
		t.Errorf("tail: %q, %v", got, err)
	}
	stream, err := c.client.CoreV1().Pods(c.namespace).GetLogs("talker", &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if err := c.client.CoreV1().Pods(c.namespace).Delete(t.Context(), "talker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// Following ends with the pod.
	if got, err := io.ReadAll(stream); err != nil || string(got) != "line 1\nline 2\nline 3\n" {
		t.Errorf("followed: %q, %v", got, err)
	}
	eventually(t, "the pod's end", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, "talker", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// answering lists the clusters that answer a client's requests, each once.
func (c *liveCluster) answering(ctx context.Context) (string, error) {
	// 60 requests miss one backend of three with a probability of 3e-11.
	out, _, err := c.exec(ctx, false, "client", "main", nil, "sh", "-c", "for i in $(seq 60); do timeout 5 wget -qO- http://web || echo none; done 2>/dev/null")
	if err != nil {
		return "", err
	}
	names := strings.Fields(out)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ","), nil
}

func TestLiveMesh(t *testing.T) {
	t.Parallel()
	clusters := liveClusters(t)
	if len(clusters) < 2 {
		t.Skip("the lab has one cluster only")
	}
	var names []string
	for _, c := range clusters {
		names = append(names, c.name)
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		if _, err := c.client.CoreV1().Services(c.namespace).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.run(t, "web", func(p *corev1.Pod) {
			p.Spec.Containers[0] = corev1.Container{
				Name: "main", Image: "meshlab/web", Env: []corev1.EnvVar{{Name: "BODY", Value: "${MESHLAB_CLUSTER}\n"}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"wget", "-qO-", "http://localhost"}}}},
			}
		})
		c.run(t, "client", nil)
	}
	slices.Sort(names)
	all := strings.Join(names, ",")
	first := clusters[0]
	others := strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == first.name }), ",")

	annotate := func(c *liveCluster, kind, name string, annotations map[string]any) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":%s}}`, encode(annotations))
		var err error
		if kind == "pod" {
			_, err = c.client.CoreV1().Pods(c.namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
		} else {
			_, err = c.client.CoreV1().Services(c.namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, c *liveCluster, want string) {
		t.Helper()
		var got string
		err := wait.PollUntilContextTimeout(t.Context(), interval, watchdog, true, func(ctx context.Context) (bool, error) {
			var err error
			got, err = c.answering(ctx)
			return got == want, err
		})
		if err != nil {
			t.Errorf("%s: clients in %s are answered by %q, want %q: %v", what, c.name, got, want, err)
		}
	}

	for _, c := range clusters {
		expect("not global", c, c.name)
	}
	for _, c := range clusters {
		annotate(c, "service", "web", map[string]any{cilium.AnnotationGlobal: "true"})
	}
	for _, c := range clusters {
		expect("global", c, all)
	}
	annotate(first, "pod", "web", map[string]any{"lab.kubectl-mesh.io/ready": "false"})
	for _, c := range clusters {
		expect("no ready backend in "+first.name, c, others)
	}
	annotate(first, "pod", "web", map[string]any{"lab.kubectl-mesh.io/ready": nil})
	annotate(first, "service", "web", map[string]any{cilium.AnnotationAffinity: "local"})
	expect("affinity local", first, first.name)
	expect("affinity of another cluster's Service", clusters[1], all)
	if err := first.client.CoreV1().Pods(first.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("affinity local without a local backend", first, others)
	annotate(first, "service", "web", map[string]any{cilium.AnnotationGlobal: nil, cilium.AnnotationAffinity: nil})
	expect("not global and without a backend: refused", first, "none")
}

func encode(m map[string]any) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v := "null"
		if m[k] != nil {
			v = fmt.Sprintf("%q", m[k])
		}
		parts = append(parts, fmt.Sprintf("%q:%s", k, v))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
