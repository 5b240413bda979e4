package exporter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

// workers is how many questions are written at once.
const workers = 8

// place is the namespace of a question.
func place(i int) string { return fmt.Sprintf("case-%d", i) }

// marker is the namespace of the Service that is written last in a round.
func marker(round int) string { return fmt.Sprintf("marker-%d", round) }

// addServiceRange makes room: the lab's range has 250 addresses.
func (e *Exporter) addServiceRange(ctx context.Context) error {
	cidr := &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "conformance"},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{"172.21.0.0/16"}},
	}
	_, err := e.kube.NetworkingV1().ServiceCIDRs().Create(ctx, cidr, metav1.CreateOptions{})
	return err
}

// put makes the API server hold the questions. What stays the same as in the last round is left alone: an exporter
// must notice that a namespace changed though its Service did not.
func (e *Exporter) put(ctx context.Context, questions []body.Cluster) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, q := range questions {
		group.Go(func() error {
			var err error
			if e.asked == nil {
				err = e.create(gctx, place(i), q)
			} else {
				err = e.change(gctx, place(i), e.asked[i], q)
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", place(i), err)
			}
			return nil
		})
	}
	err := group.Wait()
	e.asked = questions
	return err
}

func (e *Exporter) create(ctx context.Context, namespace string, q body.Cluster) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Annotations: q.Namespace}}
	if _, err := e.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := e.createService(ctx, namespace, q.Service); err != nil {
		return err
	}
	return e.createSlices(ctx, namespace, q.Slices)
}

func (e *Exporter) change(ctx context.Context, namespace string, from, to body.Cluster) error {
	if !reflect.DeepEqual(from.Namespace, to.Namespace) {
		if err := e.annotate(ctx, namespace, from.Namespace, to.Namespace); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(from.Service, to.Service) {
		if err := e.changeService(ctx, namespace, from.Service, to.Service); err != nil {
			return err
		}
	}
	if reflect.DeepEqual(from.Slices, to.Slices) {
		return nil
	}
	for _, s := range from.Slices {
		if err := e.kube.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return e.createSlices(ctx, namespace, to.Slices)
}

func (e *Exporter) annotate(ctx context.Context, namespace string, from, to map[string]string) error {
	annotations := map[string]*string{}
	for k := range from {
		annotations[k] = nil
	}
	for k, v := range to {
		annotations[k] = &v
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = e.kube.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// changeService updates a Service. A headless one cannot become one with an address, and must be recreated.
func (e *Exporter) changeService(ctx context.Context, namespace string, from, to *corev1.Service) error {
	services := e.kube.CoreV1().Services(namespace)
	if from != nil && (to == nil || headless(from) != headless(to)) {
		if err := services.Delete(ctx, from.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		from = nil
	}
	if from == nil {
		return e.createService(ctx, namespace, to)
	}
	current, err := services.Get(ctx, from.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	to = fit(namespace, to)
	current.Annotations, current.Labels = to.Annotations, to.Labels
	current.Spec.Type, current.Spec.Ports = to.Spec.Type, to.Spec.Ports
	_, err = services.Update(ctx, current, metav1.UpdateOptions{})
	return err
}

// createService makes a Service, if there is to be one. The API server uses a new range of addresses a moment after it
// was made.
func (e *Exporter) createService(ctx context.Context, namespace string, svc *corev1.Service) error {
	if svc == nil {
		return nil
	}
	for {
		_, err := e.kube.CoreV1().Services(namespace).Create(ctx, fit(namespace, svc), metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "range is full") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(interval):
		}
	}
}

func (e *Exporter) createSlices(ctx context.Context, namespace string, slices []*discoveryv1.EndpointSlice) error {
	for _, s := range slices {
		s = s.DeepCopy()
		s.Namespace = namespace
		for _, e := range s.Endpoints {
			for i, a := range e.Addresses {
				e.Addresses[i] = canonical(a)
			}
		}
		if _, err := e.kube.DiscoveryV1().EndpointSlices(namespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// canonical is an address in the form that the API server requires; it has no such rule for names.
func canonical(address string) string {
	if a, err := netip.ParseAddr(address); err == nil {
		return a.String()
	}
	return address
}

// fit makes a Service of a question one that the lab's API server takes: addresses are the API server's to give, and a
// Service without one has no port on the nodes. A selector would have a controller of the lab write the EndpointSlices.
func fit(namespace string, svc *corev1.Service) *corev1.Service {
	svc = svc.DeepCopy()
	svc.Namespace = namespace
	svc.Spec.Selector = nil
	svc.Spec.ClusterIPs = nil
	if headless(svc) {
		svc.Spec.Type = corev1.ServiceTypeClusterIP
	} else {
		svc.Spec.ClusterIP = ""
	}
	return svc
}

func headless(svc *corev1.Service) bool { return svc.Spec.ClusterIP == corev1.ClusterIPNone }

// mark makes a namespace, a Service and an EndpointSlice after all others. Every watch yields them in this order: an
// exporter that wrote the Service has seen all that came before.
func (e *Exporter) mark(ctx context.Context, round int) error {
	const name = "marker"
	return e.create(ctx, marker(round), body.Cluster{
		Namespace: map[string]string{cilium.AnnotationNamespaceGlobal: "true"},
		Service: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{cilium.AnnotationGlobal: "true"}},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		},
		Slices: []*discoveryv1.EndpointSlice{{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.255.0.1"}}},
		}},
	})
}

// stored returns the questions as the API server stores them, as our commands read them.
func (e *Exporter) stored(ctx context.Context, questions []body.Cluster) ([]body.Cluster, error) {
	namespaces, err := e.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	services, err := e.kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices, err := e.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]body.Cluster, len(questions))
	at := map[string]*body.Cluster{}
	for i, q := range questions {
		out[i] = body.Cluster{Name: q.Name, ID: q.ID, GlobalByDefault: q.GlobalByDefault}
		at[place(i)] = &out[i]
	}
	for i := range namespaces.Items {
		if c := at[namespaces.Items[i].Name]; c != nil {
			c.Namespace = namespaces.Items[i].Annotations
		}
	}
	for i := range services.Items {
		s := &services.Items[i]
		s.ManagedFields = nil
		if c := at[s.Namespace]; c != nil {
			c.Service = s
		}
	}
	for i := range slices.Items {
		s := &slices.Items[i]
		s.ManagedFields = nil
		if c := at[s.Namespace]; c != nil {
			c.Slices = append(c.Slices, s)
		}
	}
	return out, nil
}
