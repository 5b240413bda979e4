package vnode

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func fromField(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	at := place{cluster: "us", podIP: "10.1.1.2", hostIP: "127.1.0.2"}
	c := &corev1.Container{Name: "c", Env: []corev1.EnvVar{
		{Name: "PLAIN", Value: "x"}, {Name: "NODE_NAME", ValueFrom: fromField("spec.nodeName")},
		{Name: "ME", ValueFrom: fromField("status.podIP")}, {Name: "APP", ValueFrom: fromField("metadata.labels['app']")},
		{Name: "JOINED", Value: "$(PLAIN)-$(ME)"}, {Name: "POD", Value: "mine"},
	}}
	got, err := environment(newPod(), c, []string{"PATH=/bin"}, at)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PATH=/bin", "HOSTNAME=web-0", "MESHLAB_CLUSTER=us", "POD=mine", "NAMESPACE=shop", "NODE=us-worker", "POD_IP=10.1.1.2",
		"PLAIN=x", "NODE_NAME=us-worker", "ME=10.1.1.2", "APP=web", "JOINED=x-10.1.1.2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]corev1.Container{
		"field":  {Env: []corev1.EnvVar{{Name: "A", ValueFrom: fromField("status.phase")}}},
		"secret": {Env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}}},
		"from":   {EnvFrom: []corev1.EnvFromSource{{}}},
	} {
		if _, err := environment(newPod(), &bad, nil, at); err == nil || !strings.Contains(err.Error(), "not supported in the lab") && !strings.Contains(err.Error(), "are supported in the lab") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEnvironmentOnAMachine(t *testing.T) {
	t.Parallel()
	at := place{
		cluster: "us", kubernetes: [2]string{"10.200.1.1", "20001"},
		configMap: func(name, key string) (string, bool, error) {
			return "from " + name, name == "cilium-config" && key == "cluster-name", nil
		},
	}
	from := func(key string, optional bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "cilium-config"}, Key: key, Optional: &optional,
		}}
	}
	limit := func(resource string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: resource}}
	}
	c := &corev1.Container{Name: "c", Env: []corev1.EnvVar{
		{Name: "CLUSTER_NAME", ValueFrom: from("cluster-name", false)}, {Name: "MISSING", ValueFrom: from("x", true)}, {Name: "GOMEMLIMIT", ValueFrom: limit("limits.memory")},
	}}
	got, err := environment(newPod(), c, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"KUBERNETES_SERVICE_HOST=10.200.1.1", "KUBERNETES_SERVICE_PORT=20001", "CLUSTER_NAME=from cilium-config", "GOMEMLIMIT=" + nodeMemory}
	if diff := cmp.Diff(want, got[len(got)-len(want):]); diff != "" {
		t.Error(diff)
	}
	light := place{cluster: "us"}
	for name, tc := range map[string]struct {
		source *corev1.EnvVarSource
		at     place
		want   string
	}{
		"a key that must exist":      {from("x", false), at, `ConfigMap "cilium-config" has no key "x"`},
		"ConfigMaps, not a machine":  {from("cluster-name", false), light, "not supported in the lab"},
		"a limit that nobody has":    {limit("limits.cpu"), at, "not supported in the lab"},
		"a Secret, even on machines": {&corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}, at, "not supported in the lab"},
	} {
		c := &corev1.Container{Env: []corev1.EnvVar{{Name: "A", ValueFrom: tc.source}}}
		if _, err := environment(newPod(), c, nil, tc.at); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
