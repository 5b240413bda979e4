package meshtest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Cart is Service shop/cart in one cluster.
type Cart struct {
	Annotations map[string]string
	Ready       int
	Terminating int // endpoints that are terminating and still serve
	Edit        func(*corev1.Service)
}

// Global is the annotation of a global Service.
var Global = map[string]string{cilium.AnnotationGlobal: "true"}

// Annotations returns annotations with more: "key=value".
func Annotations(ann map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range ann {
		out[k] = v
	}
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		out[k] = v
	}
	return out
}

// Carts builds the state of Service shop/cart in us, eu and ap, which are all peers of one another; a cluster that is not named lacks it.
func Carts(version string, in map[string]Cart) (*meshstate.State, *clusters.Member) {
	st := &meshstate.State{Errors: map[string]*failure.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	var us *clusters.Member
	names := []string{"us", "eu", "ap"}
	for n, name := range names {
		m := &clusters.Member{Name: name, Context: "kind-" + name, UID: "uid-" + name, PeersKnown: true}
		if name == "us" {
			us = m
		}
		c := routing.Cluster{Name: name, Version: cilium.ParseVersion(version), DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{},
			PeersKnown: true, Peers: slices.DeleteFunc(slices.Clone(names), func(o string) bool { return o == name })}
		st.Services[name] = map[routing.Key]*corev1.Service{}
		if o, ok := in[name]; ok {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "u1", Annotations: o.Annotations},
				Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
			if o.Edit != nil {
				o.Edit(svc)
			}
			key := routing.Key{Namespace: svc.Namespace, Name: svc.Name}
			plain := routing.FromService(svc, nil)
			for i := range o.Ready + o.Terminating {
				plain.Endpoints = append(plain.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", n+1, i+1)),
					Ports: []routing.Port{{Name: "http", Protocol: "TCP", Port: 80}}, Ready: i < o.Ready, Serving: true, Terminating: i >= o.Ready})
			}
			st.Services[name][key], c.Services[key] = svc, plain
		}
		st.Clusters = append(st.Clusters, c)
	}
	return st, us
}

// CartKey is the Service of each Cart.
var CartKey = routing.Key{Namespace: "shop", Name: "cart"}

// CartMark is the mark that a drain of us left on the Service, as "key=value". former is the previous value of shared.
func CartMark(former *string) string {
	return drainrecord.AnnotationDrained + "=" + *drainrecord.Mark{Drain: "d", Cluster: "us", Record: "eu", Shared: former}.Text()
}
