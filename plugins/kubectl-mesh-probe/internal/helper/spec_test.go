package helper

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func clientPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "client-1", UID: "u1", Labels: map[string]string{"app": "client", "pod-template-hash": "abc", LabelManagedBy: "Helm"}},
		Spec: corev1.PodSpec{
			NodeName: "node-1", ServiceAccountName: "client", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Tolerations: []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
		},
	}
}

func TestNewPod(t *testing.T) {
	t.Parallel()
	cfg := Config{Kind: Pod, Image: "curl", Lifetime: time.Hour}
	p := newPod(clientPod(), cfg, "mesh-probe-helper-00000001")
	if d := cmp.Diff(map[string]string{LabelManagedBy: Manager}, p.Labels); d != "" || p.Spec.ServiceAccountName != "" || p.Spec.Affinity != nil || p.Spec.Tolerations != nil {
		t.Errorf("more than requested: %s %+v", d, p.Spec)
	}
	c := p.Spec.Containers[0]
	if *p.Spec.ActiveDeadlineSeconds != 3600 || *p.Spec.AutomountServiceAccountToken || p.Spec.RestartPolicy != corev1.RestartPolicyNever || p.Spec.ImagePullSecrets[0].Name != "pull" || c.Command[3] != p.Name {
		t.Errorf("%+v", p.Spec)
	}
	cfg.CopyLabels, cfg.SameNode = true, true
	p = newPod(clientPod(), cfg, "mesh-probe-helper-00000001")
	if d := cmp.Diff(map[string]string{"app": "client", LabelManagedBy: Manager}, p.Labels); d != "" || p.Spec.ServiceAccountName != "client" {
		t.Errorf("labels: %s, service account %q", d, p.Spec.ServiceAccountName)
	}
	terms := p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if terms[0].MatchFields[0].Values[0] != "node-1" || len(p.Spec.Tolerations) != 1 || p.Spec.NodeName != "" {
		t.Errorf("%+v", p.Spec)
	}
}

// TestRestricted: both kinds keep to the restricted policy of PodSecurity. The whole-binary tests ask a real API server.
func TestRestricted(t *testing.T) {
	t.Parallel()
	cfg := Config{Image: "curl", Lifetime: time.Hour}
	pod, ephemeral := newPod(clientPod(), cfg, newName()), ephemeralContainer(cfg, newName())
	for name, s := range map[string]*corev1.SecurityContext{"pod": pod.Spec.Containers[0].SecurityContext, "ephemeral": ephemeral.SecurityContext} {
		if s == nil || !*s.RunAsNonRoot || *s.RunAsUser == 0 || *s.AllowPrivilegeEscalation || *s.Privileged || len(s.Capabilities.Add) > 0 ||
			s.Capabilities.Drop[0] != "ALL" || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := ephemeral; len(s.Resources.Requests) > 0 || s.LivenessProbe != nil || len(s.Ports) > 0 {
		t.Errorf("an API server rejects this: %+v", s)
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	svc := func(selector map[string]string) Selector { s, _ := service("web", selector); return s }
	rs := func(labels map[string]string) Selector {
		s, err := controller("replicaset", "bare", &metav1.LabelSelector{MatchLabels: labels})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		all  []Selector
		want []string
	}{
		"nothing":                    {nil, nil},
		"another app":                {[]Selector{svc(map[string]string{"app": "web"})}, nil},
		"a Service":                  {[]Selector{svc(map[string]string{"app": "client"})}, []string{"service web (app=client) would send requests to it", "--client=ephemeral"}},
		"its own ReplicaSet":         {[]Selector{rs(map[string]string{"app": "client", "pod-template-hash": "abc"})}, nil},
		"another ReplicaSet":         {[]Selector{rs(map[string]string{"app": "client"})}, []string{"replicaset bare (app=client) would adopt it"}},
		"by the label of this tool":  {[]Selector{svc(map[string]string{LabelManagedBy: Manager})}, []string{"service web"}},
		"by the label of the client": {[]Selector{svc(map[string]string{LabelManagedBy: "Helm"})}, nil},
		"two of them":                {[]Selector{svc(map[string]string{"app": "client"}), rs(map[string]string{"app": "client"})}, []string{"service web", "replicaset bare"}},
	} {
		err := conflict(clientPod().Labels, c.all)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", name, err, w)
			}
		}
	}
	if _, ok := service("headless", nil); ok {
		t.Error("a Service without a selector selects nothing")
	}
}

func TestIsHelper(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{newName(): true, "mesh-probe-client": false, "mesh-probe-helper-": false, "mesh-probe-helper-0123456g": false, "mesh-probe-helper-012345678": false, "": false} {
		if isHelper(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
