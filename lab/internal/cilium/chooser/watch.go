package chooser

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Source is one cluster that is watched. Name and version come from the lab, as
// its Cilium pods are only pictures.
type Source struct {
	Name    string
	Context string
	Version cilium.Version

	namespaces corelisters.NamespaceLister
	services   corelisters.ServiceLister
	slices     discoverylisters.EndpointSliceLister
	secrets    corelisters.SecretLister
	configs    corelisters.ConfigMapLister

	informers []cache.SharedIndexInformer
	factories []informers.SharedInformerFactory
}

// NewSource prepares the watches of a cluster; changed is called, from any goroutine, when
// something that matters may have changed.
func NewSource(name, context string, version cilium.Version, client kubernetes.Interface, changed func()) (*Source, error) {
	// managedFields are not needed here, and are the largest part of an object.
	slim := informers.WithTransform(withoutOwners)
	all := informers.NewSharedInformerFactoryWithOptions(client, 0, slim)
	named := func(name string) informers.SharedInformerFactory {
		return informers.NewSharedInformerFactoryWithOptions(client, 0, slim, informers.WithNamespace(cilium.DefaultNamespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) {
				o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
			}))
	}
	peers, config := named(cilium.SecretClusterMesh), named(cilium.ConfigMapName)
	s := &Source{
		Name: name, Context: context, Version: version,
		namespaces: all.Core().V1().Namespaces().Lister(),
		services:   all.Core().V1().Services().Lister(),
		slices:     all.Discovery().V1().EndpointSlices().Lister(),
		secrets:    peers.Core().V1().Secrets().Lister(),
		configs:    config.Core().V1().ConfigMaps().Lister(),
		factories:  []informers.SharedInformerFactory{all, peers, config},
		informers: []cache.SharedIndexInformer{
			all.Core().V1().Namespaces().Informer(), all.Core().V1().Services().Informer(), all.Discovery().V1().EndpointSlices().Informer(),
			peers.Core().V1().Secrets().Informer(), config.Core().V1().ConfigMaps().Informer(),
		},
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(old, obj any) { notifyIfNew(old, obj, changed) },
		DeleteFunc: func(any) { changed() },
	}
	for _, inf := range s.informers {
		if _, err := inf.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
	}
	return s, nil
}

// notifyIfNew leaves out what a relist repeats.
func notifyIfNew(old, obj any, changed func()) {
	a, aerr := meta.Accessor(old)
	b, berr := meta.Accessor(obj)
	if aerr != nil || berr != nil || a.GetResourceVersion() != b.GetResourceVersion() {
		changed()
	}
}

// withoutOwners drops the field owners of an object that was just read.
func withoutOwners(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// start begins to watch.
func (s *Source) start(stop <-chan struct{}) {
	for _, f := range s.factories {
		f.Start(stop)
	}
}

// synced reports whether the cluster has been read once.
func (s *Source) synced() bool {
	for _, inf := range s.informers {
		if !inf.HasSynced() {
			return false
		}
	}
	return true
}

// read converts what the watches hold.
func (s *Source) read() (Cluster, error) {
	c := Cluster{
		Cluster: routing.Cluster{
			Name: s.Name, Context: s.Context, Version: s.Version,
			DefaultGlobalNamespace: true,
			Namespaces:             map[string]map[string]string{},
			Services:               map[routing.Key]*routing.Service{},
		},
		Objects: map[routing.Key]Objects{},
	}
	if !s.synced() {
		c.Gap = "not read yet"
		return c, nil
	}
	if cm, err := s.configs.ConfigMaps(cilium.DefaultNamespace).Get(cilium.ConfigMapName); err == nil {
		cfg, err := cilium.ParseConfig(cm.Data)
		if err != nil {
			return c, fmt.Errorf("cluster %q: %w", s.Name, err)
		}
		c.DefaultGlobalNamespace, c.EndpointSliceSync = cfg.DefaultGlobalNamespace, cfg.EndpointSliceSync
		c.ServiceProxyName = cfg.ServiceProxyName
		c.ID, c.MaxClusters, c.IDKnown = cfg.ClusterID, cfg.MaxConnectedClusters, true
	}
	// Without the Secret a cluster has no peers: it is not connected yet.
	c.PeersKnown = true
	if secret, err := s.secrets.Secrets(cilium.DefaultNamespace).Get(cilium.SecretClusterMesh); err == nil {
		c.Peers, _ = cilium.PeersFromSecret(secret.Data, s.Name, c.Version)
	}
	namespaces, err := s.namespaces.List(labels.Everything())
	if err != nil {
		return c, err
	}
	for _, ns := range namespaces {
		c.Namespaces[ns.Name] = ns.Annotations
	}
	slices, err := s.slices.List(labels.Everything())
	if err != nil {
		return c, err
	}
	byService := map[routing.Key][]*discoveryv1.EndpointSlice{}
	for _, sl := range slices {
		key := routing.Key{Namespace: sl.Namespace, Name: sl.Labels[discoveryv1.LabelServiceName]}
		byService[key] = append(byService[key], sl)
	}
	services, err := s.services.List(labels.Everything())
	if err != nil {
		return c, err
	}
	for _, svc := range services {
		key := routing.Key{Namespace: svc.Namespace, Name: svc.Name}
		c.Services[key] = routing.FromService(svc, byService[key])
		c.Objects[key] = Objects{Service: svc, Slices: byService[key]}
	}
	return c, nil
}

// external returns the name behind a Service of type ExternalName.
func (s *Source) external(key routing.Key) string {
	svc, err := s.services.Services(key.Namespace).Get(key.Name)
	if err != nil || svc.Spec.Type != corev1.ServiceTypeExternalName {
		return ""
	}
	return svc.Spec.ExternalName
}
