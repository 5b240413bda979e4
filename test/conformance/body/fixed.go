package body

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// fixed asks what was once found out by hand, with the answer written down here: our rules and the judge
// must both give it. Two local and two remote backends; sick is one that terminates and no longer serves.
func fixed(t *testing.T, j Judge) {
	drops := dropsUnknownAffinity(j.Version())
	older := func(now, before string) string {
		if drops {
			return before
		}
		return now
	}
	for _, c := range []struct {
		name               string
		global, affinity   string // "-" is absent
		local, remote      string // conditions of the two endpoints of each side
		want               string
		clientPort         string
		localName, farName string
	}{
		{name: "absent", global: "true", affinity: "-", want: "l l r r"},
		{name: "empty", global: "true", affinity: "", want: "l l r r"},
		{name: "absent, local sick", global: "true", affinity: "-", local: "sick", want: "r r"},
		{name: "absent, remote sick", global: "true", affinity: "-", remote: "sick", want: "l l"},
		{name: "none", global: "true", affinity: "none", want: older("l l r r", "l l")},
		{name: "none, local sick", global: "true", affinity: "none", local: "sick", want: older("r r", "")},
		{name: "junk", global: "true", affinity: "cluster-a", want: older("l l r r", "l l")},
		{name: "junk, local sick", global: "true", affinity: "cluster-a", local: "sick", want: older("r r", "")},
		{name: "local with a blank", global: "true", affinity: "local ", want: older("l l r r", "l l")},
		{name: "local", global: "true", affinity: "local", want: "l l"},
		{name: "LOCAL", global: "true", affinity: "LOCAL", want: "l l"},
		{name: "local, local sick", global: "true", affinity: "local", local: "sick", want: "r r"},
		{name: "local, local terminating", global: "true", affinity: "local", local: "terminating", want: "r r"},
		{name: "local, remote sick", global: "true", affinity: "local", remote: "sick", want: "l l"},
		{name: "remote", global: "true", affinity: "remote", want: "r r"},
		{name: "remote, local sick", global: "true", affinity: "remote", local: "sick", want: "r r"},
		{name: "remote, remote sick", global: "true", affinity: "remote", remote: "sick", want: "l l"},
		{name: "remote, remote terminating", global: "true", affinity: "remote", remote: "terminating", want: "r r"},
		{name: "both terminating", global: "true", affinity: "-", local: "terminating", remote: "sick", want: "l l"},
		{name: "local terminating", global: "true", affinity: "-", local: "terminating", want: "r r"},
		{name: "not global", global: "false", affinity: "-", want: "l l"},
		{name: "not global, local", global: "false", affinity: "remote", want: "l l"},
		{name: "no annotation", global: "-", affinity: "-", want: "l l"},
		{name: "one is not true", global: "1", affinity: "-", want: "l l"},
		{name: "port names differ", global: "true", affinity: "-", clientPort: "http", localName: "http", farName: "web", want: "l l"},
		{name: "remote port unnamed", global: "true", affinity: "-", clientPort: "http", localName: "http", farName: "", want: "l l r r"},
		{name: "client's port unnamed", global: "true", affinity: "-", clientPort: "", localName: "", farName: "web", want: "l l r r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := simple("us", 1, c.clientPort, c.localName, c.local)
			client.Service.Annotations = annotated(c.global, c.affinity)
			far := simple("eu", 2, "", c.farName, c.remote)
			far.Service.Annotations = annotated("true", "-")
			cs := []Cluster{client, far}
			judged, err := j.Select(cs[0], cs[1:])
			if err != nil {
				t.Fatal(err)
			}
			if got := letters(judged); got != c.want {
				t.Errorf("Cilium %s chooses from %q, want %q", j.Version(), got, c.want)
			}
			ours, err := predict(j.Version(), cs)
			if err != nil {
				t.Fatal(err)
			}
			if got := letters(ours); got != c.want {
				t.Errorf("our rules choose from %q, want %q", got, c.want)
			}
		})
	}
	t.Run("shared target port", func(t *testing.T) { sharedTargetPort(t, j) })
	t.Run("internalTrafficPolicy", func(t *testing.T) { internalTrafficPolicy(t, j) })
}

// sharedTargetPort: two Service ports with one target port keep their remote backends (cilium issue 45109,
// fixed in 1.18.10, 1.19.4 and 1.20.0).
func sharedTargetPort(t *testing.T, j Judge) {
	cs := []Cluster{simple("us", 1, "", "", ""), simple("eu", 2, "", "", "")}
	for i := range cs {
		cs[i].Service.Annotations = annotated("true", "-")
		cs[i].Service.Spec.Ports = []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}, {Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 81}}
		cs[i].Slices[0].Ports = []discoveryv1.EndpointPort{
			{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)},
			{Name: ptr.To("metrics"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)},
		}
	}
	got, err := j.Select(cs[0], cs[1:])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d frontends, want 2", len(got))
	}
	for _, c := range got {
		if l := letters([]Choice{c}); l != "l l r r" {
			t.Errorf("%s: Cilium %s chooses from %q, want both of each side", c.Frontend, j.Version(), l)
		}
	}
}

// internalTrafficPolicy: Local takes the client's own backends of other nodes away, and no remote one.
// It depends on the client's node, so that our rules name it as a caveat and predict nothing.
func internalTrafficPolicy(t *testing.T, j Judge) {
	cs := []Cluster{simple("us", 1, "", "", ""), simple("eu", 2, "", "", "")}
	for i := range cs {
		cs[i].Service.Annotations = annotated("true", "-")
	}
	cs[0].Service.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	got, err := j.Select(cs[0], cs[1:])
	if err != nil {
		t.Fatal(err)
	}
	if l := letters(got); l != "r r" {
		t.Errorf("Cilium %s chooses from %q, want the remote ones only", j.Version(), l)
	}
}

func annotated(global, affinity string) map[string]string {
	ann := map[string]string{}
	if global != "-" {
		ann[cilium.AnnotationGlobal] = global
	}
	if affinity != "-" {
		ann[cilium.AnnotationAffinity] = affinity
	}
	return ann
}

// simple is a cluster with a Service of one TCP port and two endpoints.
func simple(name string, id int, port, target, conditions string) Cluster {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service},
		Spec:       corev1.ServiceSpec{ClusterIP: fmt.Sprintf("172.20.%d.7", id), ClusterIPs: []string{fmt.Sprintf("172.20.%d.7", id)}, Ports: []corev1.ServicePort{{Name: port, Protocol: corev1.ProtocolTCP, Port: 80}}},
	}
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &target, Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for n := range 2 {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{netip.AddrFrom4([4]byte{10, byte(id), 0, byte(n + 1)}).String()}, NodeName: ptr.To("elsewhere"),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(conditions == ""), Serving: ptr.To(conditions != "sick"), Terminating: ptr.To(conditions != "")},
		})
	}
	return Cluster{Name: name, ID: uint32(id), GlobalByDefault: true, Service: svc, Slices: []*discoveryv1.EndpointSlice{s}}
}

// letters says of each backend whether it is local or remote.
func letters(choices []Choice) string {
	var out []string
	for _, c := range choices {
		for _, b := range c.Backends {
			out = append(out, map[bool]string{true: "l", false: "r"}[b.Cluster == "us"])
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// dropsUnknownAffinity is the one rule of the table that differs by version, kept apart from our rules on purpose.
func dropsUnknownAffinity(version string) bool {
	switch version {
	case "1.18.11", "1.19.5":
		return true
	}
	return false
}
