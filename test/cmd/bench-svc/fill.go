//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

const (
	// namespaces is over how many namespaces the Services are spread.
	namespaces = 20
	// endpointsEach is how many endpoints an EndpointSlice holds.
	endpointsEach = 3
	// addresses is how many Services get a cluster IP. For each one, kube-apiserver counts all of them twice, so that 50,000 would take it more than
	// an hour. Further ones are headless.
	addresses = 10000
	// writers is how many objects are created at once in one cluster.
	writers = 24
)

// fill creates Services number from to to-1 in the clusters of a kubeconfig, each with an EndpointSlice made by hand: without a
// selector no controller touches them. All are global in every cluster, which is the most that list -A can have to show.
func fill(ctx context.Context, kubeconfig string, contexts []string, from, to int) error {
	g, ctx := errgroup.WithContext(ctx)
	for n, name := range contexts {
		client, _, err := connect(kubeconfig, name)
		if err != nil {
			return err
		}
		g.Go(func() error {
			if err := fillCluster(ctx, client, n+1, from, to); err != nil {
				return fmt.Errorf("cluster of context %q: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// connect returns a client without a limit on requests, and its configuration.
func connect(kubeconfig, name string) (kubernetes.Interface, *rest.Config, error) {
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		return nil, nil, err
	}
	cfg.QPS, cfg.Burst = -1, -1
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = cfg.ContentType + ",application/json"
	client, err := kubernetes.NewForConfig(cfg)
	return client, cfg, err
}

func fillCluster(ctx context.Context, client kubernetes.Interface, id, from, to int) error {
	if err := prepare(ctx, client, id); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for n := from; n < to && ctx.Err() == nil; n++ {
		g.Go(func() error {
			svc, slice := service(n), slice(id, n)
			if _, err := client.CoreV1().Services(svc.Namespace).Create(ctx, svc, metav1.CreateOptions{}); err != nil {
				return err
			}
			_, err := client.DiscoveryV1().EndpointSlices(slice.Namespace).Create(ctx, slice, metav1.CreateOptions{})
			return err
		})
	}
	return g.Wait()
}

// prepare creates the namespaces, and addresses for the Services: the lab's own range has 254.
func prepare(ctx context.Context, client kubernetes.Interface, id int) error {
	for n := range namespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(n)}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	cidrs := client.NetworkingV1().ServiceCIDRs()
	cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "bench"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{fmt.Sprintf("10.%d.0.0/16", 200+id)}}}
	if _, err := cidrs.Create(ctx, cidr, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		c, err := cidrs.Get(ctx, cidr.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, cond := range c.Status.Conditions {
			if cond.Type == networkingv1.ServiceCIDRConditionReady && cond.Status == metav1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

func namespace(n int) string { return fmt.Sprintf("bench-%02d", n%namespaces) }

func meta(n int) metav1.ObjectMeta {
	name := fmt.Sprintf("service-%05d", n)
	return metav1.ObjectMeta{Namespace: namespace(n), Name: name, Labels: map[string]string{
		"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "bench", "app.kubernetes.io/managed-by": "bench-svc"}}
}

func service(n int) *corev1.Service {
	m := meta(n)
	m.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	svc := &corev1.Service{ObjectMeta: m, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "metrics", Port: 9090}}}}
	if n >= addresses {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	return svc
}

func slice(id, n int) *discoveryv1.EndpointSlice {
	m := meta(n)
	m.Labels[discoveryv1.LabelServiceName] = m.Name
	s := &discoveryv1.EndpointSlice{ObjectMeta: m, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{
		{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}, {Name: ptr.To("metrics"), Port: ptr.To[int32](9090), Protocol: ptr.To(corev1.ProtocolTCP)}}}
	for e := range endpointsEach {
		host := n*endpointsEach + e + 1
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", 100+id+host>>16, host>>8&255, host&255)},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false)},
			NodeName:   ptr.To(fmt.Sprintf("node-%03d", host%100)), Zone: ptr.To(fmt.Sprintf("zone-%d", host%3)),
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: m.Namespace, Name: fmt.Sprintf("%s-6b7f9c5d8-%05x", m.Name, host), UID: m.UID},
		})
	}
	return s
}

// fillCommand is the program of the filling process.
func fillCommand(ctx context.Context, out io.Writer, args []string) error {
	var from, to int
	if len(args) < 4 {
		return errors.New("fill takes KUBECONFIG FROM TO CONTEXT, and more contexts")
	}
	if _, err := fmt.Sscan(args[1]+" "+args[2], &from, &to); err != nil {
		return err
	}
	start := time.Now()
	if err := fill(ctx, args[0], args[3:], from, to); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "created Services %d to %d in %d clusters, each with an EndpointSlice, in %.0f s\n", from, to, len(args[3:]), time.Since(start).Seconds())
	return err
}
