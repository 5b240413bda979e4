package vnode

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
)

func TestPool(t *testing.T) {
	t.Parallel()
	p := newPool(netip.MustParsePrefix("10.1.1.0/29"))
	var got []string
	for {
		a, err := p.take()
		if errors.Is(err, errNoAddress) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.String())
	}
	if diff := cmp.Diff([]string{"10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"}, got); diff != "" {
		t.Fatal(diff)
	}
	for _, a := range []string{"10.1.1.5", "10.1.1.3"} {
		p.give(netip.MustParseAddr(a))
	}
	for _, want := range []string{"10.1.1.3", "10.1.1.5"} {
		if a, err := p.take(); err != nil || a.String() != want {
			t.Errorf("take() = %v, %v; want %s", a, err, want)
		}
	}
}

func TestPoolUsesAnAddressAgainAsLateAsPossible(t *testing.T) {
	t.Parallel()
	p := newPool(netip.MustParsePrefix("10.1.1.0/24"))
	first, err := p.take()
	if err != nil {
		t.Fatal(err)
	}
	p.give(first)
	for i := range 252 {
		a, err := p.take()
		if err != nil {
			t.Fatal(err)
		}
		if a == first {
			t.Fatalf("used again after %d others", i)
		}
		p.give(a)
	}
	if a, err := p.take(); err != nil || a != first {
		t.Errorf("take() = %v, %v; want %s again", a, err, first)
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	get := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "B": "2"}[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"plain": "plain", "$(A)-$(B)": "1-2", "$(NO)": "$(NO)", "$$(A)": "$(A)", "$A": "$A", "$(A": "$(A", "$": "$", "": "", "a$$b": "a$b",
	} {
		if got := expand(in, get); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func newPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "shop", UID: "u1", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "us-worker", RestartPolicy: corev1.RestartPolicyAlways},
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	forever, serve := []string{"sleep", "9"}, []string{"/lab", "web"}
	tests := map[string]struct {
		image, command, args, want []string
	}{
		"image":           {forever, nil, nil, forever},
		"command":         {forever, []string{"sh"}, nil, []string{"sh"}},
		"both":            {serve, []string{"sh"}, []string{"-c", "$(X)"}, []string{"sh", "-c", "42"}},
		"flags of web":    {serve, nil, []string{"--style=json"}, []string{"/lab", "web", "--style=json"}},
		"args of busybox": {forever, nil, []string{"nc", "-l"}, []string{"nc", "-l"}},
	}
	for name, tt := range tests {
		got := command(&corev1.Container{Command: tt.command, Args: tt.args}, tt.image, newVars([]string{"X=42"}).get)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	pod := newPod()
	pod.Name = strings.Repeat("a", 62) + "-" + strings.Repeat("b", 40)
	if got := hostname(pod); got != strings.Repeat("a", 62) {
		t.Errorf("hostname %q", got)
	}
	pod.Spec.Hostname = "own"
	if got := hostname(pod); got != "own" {
		t.Errorf("hostname %q", got)
	}
}

func TestPickNode(t *testing.T) {
	t.Parallel()
	node := func(name string, change ...func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		for _, f := range change {
			f(n)
		}
		return n
	}
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	tainted := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "x", Effect: corev1.TaintEffectNoSchedule}}
	}
	// As the DaemonSet controller writes it.
	daemonPod := func(p *corev1.Pod) {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", UID: "d", Controller: &yes}}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
				{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}},
			}}},
		}}}
	}
	tests := map[string]struct {
		pod   func(*corev1.Pod)
		nodes []*corev1.Node
		loads map[string]load
		want  string
	}{
		"first of equals":        {nodes: []*corev1.Node{node("b"), node("a")}, want: "a"},
		"fewest of the owner":    {nodes: []*corev1.Node{node("a"), node("b")}, loads: map[string]load{"a": {owner: 1, total: 1}, "b": {total: 5}}, want: "b"},
		"fewest pods":            {nodes: []*corev1.Node{node("a"), node("b")}, loads: map[string]load{"a": {total: 2}, "b": {total: 1}}, want: "b"},
		"node selector":          {pod: func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "b"} }, nodes: []*corev1.Node{node("a"), node("b")}, want: "b"},
		"daemon":                 {pod: daemonPod, nodes: []*corev1.Node{node("a"), node("b")}, want: "b"},
		"daemon on a cordoned":   {pod: daemonPod, nodes: []*corev1.Node{node("a"), node("b", cordoned)}, want: "b"},
		"cordoned":               {nodes: []*corev1.Node{node("a", cordoned), node("b")}, want: "b"},
		"tainted":                {nodes: []*corev1.Node{node("a", tainted), node("b")}, want: "b"},
		"tolerated":              {pod: func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Value: "x"}} }, nodes: []*corev1.Node{node("a", tainted), node("b")}, want: "a"},
		"tolerates everything":   {pod: func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }, nodes: []*corev1.Node{node("a", tainted)}, want: "a"},
		"none fits":              {nodes: []*corev1.Node{node("a", cordoned)}},
		"no nodes":               {},
		"selector matches none ": {pod: func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"gpu": "yes"} }, nodes: []*corev1.Node{node("a")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := newPod()
			pod.Spec.NodeName = ""
			if tt.pod != nil {
				tt.pod(pod)
			}
			got := ""
			if n := pickNode(pod, tt.nodes, tt.loads); n != nil {
				got = n.Name
			}
			if got != tt.want {
				t.Errorf("node %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPhase(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store, err := images.Open(t.Context(), "/lab")
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{cluster: &Cluster{Config: Config{Images: store}}, node: &node{runtime: struct{ Runtime }{}}}
	fresh := func(isInit bool) *unit {
		return w.newUnit(&corev1.Container{Name: "c", Image: "meshlab/web"}, isInit)
	}
	running := func(isInit bool) *unit {
		u := fresh(isInit)
		u.started(now)
		return u
	}
	ended := func(isInit bool, code int) *unit {
		u := running(isInit)
		u.ended(code, "", "", now)
		return u
	}
	tests := map[string]struct {
		units  []*unit
		policy corev1.RestartPolicy
		want   corev1.PodPhase
	}{
		"waiting":                     {[]*unit{fresh(false)}, corev1.RestartPolicyAlways, corev1.PodPending},
		"running":                     {[]*unit{running(false)}, corev1.RestartPolicyAlways, corev1.PodRunning},
		"one of two running":          {[]*unit{running(false), fresh(false)}, corev1.RestartPolicyAlways, corev1.PodRunning},
		"ended, will be restarted":    {[]*unit{ended(false, 1)}, corev1.RestartPolicyAlways, corev1.PodRunning},
		"ended well, never restarted": {[]*unit{ended(false, 0)}, corev1.RestartPolicyNever, corev1.PodSucceeded},
		"failed, never restarted":     {[]*unit{ended(false, 3)}, corev1.RestartPolicyNever, corev1.PodFailed},
		"on failure, failed":          {[]*unit{ended(false, 3)}, corev1.RestartPolicyOnFailure, corev1.PodRunning},
		"on failure, ended well":      {[]*unit{ended(false, 0)}, corev1.RestartPolicyOnFailure, corev1.PodSucceeded},
		"one failed, one ended well":  {[]*unit{ended(false, 0), ended(false, 1)}, corev1.RestartPolicyNever, corev1.PodFailed},
		"init running":                {[]*unit{running(true), fresh(false)}, corev1.RestartPolicyAlways, corev1.PodPending},
		"init done":                   {[]*unit{ended(true, 0), running(false)}, corev1.RestartPolicyAlways, corev1.PodRunning},
		"init failed for good":        {[]*unit{ended(true, 1), fresh(false)}, corev1.RestartPolicyNever, corev1.PodFailed},
	}
	for name, tt := range tests {
		if got := phase(tt.units, tt.policy); got != tt.want {
			t.Errorf("%s: phase %s, want %s", name, got, tt.want)
		}
	}
}

func TestBackoffGrowsAndStartsAnew(t *testing.T) {
	t.Parallel()
	u := &unit{}
	now := time.Now()
	var got []time.Duration
	for range 7 {
		u.started(now)
		u.ended(1, "", "", now)
		got = append(got, u.retryAt.Sub(now))
	}
	want := []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	u.started(now)
	u.ended(1, "", "", now.Add(goodRun))
	if wait := u.retryAt.Sub(now.Add(goodRun)); wait != firstBackoff {
		t.Errorf("after a good run it waits %v", wait)
	}
}

func TestMergeConditions(t *testing.T) {
	t.Parallel()
	then, now := metav1.NewTime(time.Unix(1000, 0)), metav1.NewTime(time.Unix(2000, 0))
	old := []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: then},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: then},
		{Type: "DisruptionTarget", Status: corev1.ConditionTrue, LastTransitionTime: then},
	}
	got := mergeConditions(old, now,
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue})
	want := []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: then},
		{Type: "DisruptionTarget", Status: corev1.ConditionTrue, LastTransitionTime: then},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPortNumber(t *testing.T) {
	t.Parallel()
	c := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	for in, want := range map[intstr.IntOrString]string{intstr.FromInt32(80): "80", intstr.FromString("http"): "8080", intstr.FromString("81"): "81"} {
		if got, err := portNumber(c, in); err != nil || got != want {
			t.Errorf("portNumber(%v) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := portNumber(c, intstr.FromString("grpc")); err == nil {
		t.Error("a port that the container has not got")
	}
}

// TestNewsDoNotWaitForAStep: a step may wait for a CNI plugin, and other pods of the cluster must not wait with it.
func TestNewsDoNotWaitForAStep(t *testing.T) {
	t.Parallel()
	w := newWorker(&Cluster{}, &node{}, newPod())
	w.mu.Lock() // a step goes on
	told := make(chan struct{})
	go func() {
		w.update(newPod())
		w.remove()
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(2 * time.Minute):
		t.Error("the news waits for the step")
	}
	w.mu.Unlock()
}
