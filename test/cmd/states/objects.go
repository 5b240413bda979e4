package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

const (
	// home is the namespace of the pods.
	home = "states"
	web  = "web"
)

func namespaceObject(name string, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
}

// deployments are the web servers, which say their cluster, and the client.
func deployments() []*appsv1.Deployment {
	return []*appsv1.Deployment{
		deployment(web, pods, corev1.Container{Image: "meshlab/web", Env: []corev1.EnvVar{
			{Name: "BODY", Value: "cluster=$CLUSTER pod=$POD\n"},
		}}),
		deployment("client", 1, corev1.Container{Image: "meshlab/busybox"}),
	}
}

func deployment(name string, replicas int32, c corev1.Container) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	c.Name = name
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}},
		},
	}
}

// objects are the Service of a state in one cluster, which selects no pods, and its EndpointSlices.
func objects(s state, cluster string, addresses []string) (*corev1.Service, []*discoveryv1.EndpointSlice) {
	v := s.Clusters[cluster]
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: s.name(), Annotations: v.Annotations, Labels: v.Labels}}
	if v.Headless {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	for _, p := range v.Ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{
			Name: p.Name, Protocol: corev1.Protocol(p.Protocol), Port: p.Number, TargetPort: intstr.FromInt32(80),
		})
	}
	var out []*discoveryv1.EndpointSlice
	for i, sl := range v.Slices {
		labels := map[string]string{discoveryv1.LabelServiceName: s.name(), discoveryv1.LabelManagedBy: "states"}
		for k, val := range sl.Labels {
			labels[k] = val
		}
		o := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", s.name(), i), Labels: labels},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		for _, p := range sl.Ports {
			o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.Name), Protocol: ptr.To(corev1.Protocol(p.Protocol)), Port: ptr.To(p.Number)})
		}
		for _, e := range sl.Endpoints {
			o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{
				Addresses:  []string{addresses[e.Pod]},
				Conditions: discoveryv1.EndpointConditions{Ready: e.Ready, Serving: e.Serving, Terminating: e.Terminating},
			})
		}
		out = append(out, o)
	}
	return svc, out
}

// barrier is a Service that every cluster answers.
func barrier(clusters []string) state {
	s := state{Index: 999, Namespace: home, Clusters: map[string]*side{}}
	for _, c := range clusters {
		v := &side{Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, Ports: []port{{"http", "TCP", 80}}}
		sl := slice{Ports: v.Ports}
		for pod := range pods {
			sl.Endpoints = append(sl.Endpoints, endpoint{Pod: pod})
		}
		v.Slices = []slice{sl}
		s.Clusters[c] = v
	}
	return s
}
