package clusters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// identify asks a member who it is: its UID, Cilium's namespace and configuration,
// its version and its peers. Only the configuration is needed; what else may not be read stays unknown.
//
// The first question is asked alone, so that there is one connection to share when the others are asked at once:
// far away, each round trip counts, and so does each TLS handshake where there are hundreds of members.
func (m *Member) identify(ctx context.Context, ciliumNamespace string) error {
	if err := m.readConfig(ctx, ciliumNamespace); err != nil {
		// Two contexts of one cluster are one, even if it has no Cilium.
		if class := failure.Classify(err).Class; class == failure.NoCilium || class == failure.Forbidden || class == failure.Other {
			_ = m.readUID(ctx) // the first error is the one that tells
		}
		return err
	}
	var errs [4]error
	var wg sync.WaitGroup
	for i, read := range []func(context.Context) error{m.readUID, m.readVersion, m.readKVStoreMesh, m.readPeers} {
		wg.Go(func() { errs[i] = read(ctx) })
	}
	wg.Wait()
	m.tellChart()
	m.Peers, m.SkippedPeers = cilium.ApplyVersion(m.Peers, m.SkippedPeers, m.Version)
	// Always the same one of several errors, whichever came first.
	return cmp.Or(errs[:]...)
}

func (m *Member) readConfig(ctx context.Context, ciliumNamespace string) error {
	cm, err := m.findConfig(ctx, ciliumNamespace)
	if err != nil {
		return err
	}
	if m.Config, err = cilium.ParseConfig(cm.Data); err != nil {
		return err
	}
	m.CiliumNamespace, m.Name = cm.Namespace, m.Config.ClusterName
	m.Keeper = keeperOf(cm.ObjectMeta)
	m.installed.config = cm.ObjectMeta
	return nil
}

// keeperOf tells which controller would write Cilium's configuration again. A plain Helm release is none: an upgrade is how it is changed.
func keeperOf(config metav1.ObjectMeta) *owners.Keeper {
	marked := owners.Marks(config)
	keepers := owners.Named(owners.Parse(config.ManagedFields).Of(owners.Field{"data"}), marked)
	for _, k := range append(keepers, marked...) {
		if k.Tool != owners.ToolHelm {
			return &k
		}
	}
	return nil
}

// installed is the metadata of the objects that Cilium's chart makes. The objects are read at the same time, so each has a field of its own.
type installed struct{ config, daemonSet, deployment metav1.ObjectMeta }

// tellChart tells which Helm release and which chart made the objects that were read.
func (m *Member) tellChart() {
	m.Release = Release{}
	objects := []metav1.ObjectMeta{m.installed.config, m.installed.daemonSet, m.installed.deployment}
	for _, o := range objects {
		if name, namespace := owners.Release(o); name != "" && m.Release.Name == "" {
			m.Release = Release{Name: name, Namespace: cmp.Or(namespace, m.CiliumNamespace)}
		}
	}
	m.Chart = owners.ChartOf(objects, m.Release.Name)
}

func (m *Member) readUID(ctx context.Context) error {
	ns, err := m.Client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return m.tolerate("cannot determine whether another context is the same cluster", err)
	}
	m.UID = string(ns.UID)
	return nil
}

// findConfig finds ConfigMap cilium-config: where the user says, in kube-system, else anywhere.
func (m *Member) findConfig(ctx context.Context, namespace string) (*corev1.ConfigMap, error) {
	get := func(ns string) (*corev1.ConfigMap, error) {
		return m.Client.CoreV1().ConfigMaps(ns).Get(ctx, cilium.ConfigMapName, metav1.GetOptions{})
	}
	if namespace != "" {
		cm, err := get(namespace)
		if apierrors.IsNotFound(err) {
			return nil, noCilium("ConfigMap %s/%s not found (--cilium-namespace)", namespace, cilium.ConfigMapName)
		}
		return cm, err
	}
	cm, err := get(cilium.DefaultNamespace)
	if err == nil || !apierrors.IsNotFound(err) {
		return cm, err
	}
	list, err := m.Client.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + cilium.ConfigMapName})
	switch {
	case apierrors.IsForbidden(err):
		return nil, problem(failure.Forbidden, "ConfigMap %s is not in namespace %s, and other namespaces may not be searched; name it with --cilium-namespace", cilium.ConfigMapName, cilium.DefaultNamespace)
	case err != nil:
		return nil, err
	case len(list.Items) == 0:
		return nil, noCilium("no ConfigMap %s in any namespace", cilium.ConfigMapName)
	case len(list.Items) > 1:
		return nil, problem(failure.Other, "ConfigMap %s exists in %d namespaces; name one with --cilium-namespace", cilium.ConfigMapName, len(list.Items))
	}
	return &list.Items[0], nil
}

// noCilium says that there is none for certain: what may only be hidden has another class.
func noCilium(format string, args ...any) error { return problem(failure.NoCilium, format, args...) }

func problem(class failure.Class, format string, args ...any) *failure.Error {
	return &failure.Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// readVersion reads the version from DaemonSet cilium's image. What may not be read stays unknown.
func (m *Member) readVersion(ctx context.Context) error {
	ds, err := m.Client.AppsV1().DaemonSets(m.CiliumNamespace).Get(ctx, cilium.DaemonSetName, metav1.GetOptions{})
	if err != nil {
		return m.tolerate("Cilium's version is not known", err)
	}
	m.installed.daemonSet = ds.ObjectMeta
	for _, c := range ds.Spec.Template.Spec.Containers {
		if c.Name == cilium.ContainerAgent {
			m.Version = cilium.VersionFromImage(c.Image)
		}
	}
	return nil
}

// readKVStoreMesh looks for the container by which cilium-cli, too, tells whether KVStoreMesh is on.
func (m *Member) readKVStoreMesh(ctx context.Context) error {
	d, err := m.Client.AppsV1().Deployments(m.CiliumNamespace).Get(ctx, cilium.DeploymentMeshAPI, metav1.GetOptions{})
	if err != nil {
		return m.tolerate("cannot determine whether KVStoreMesh is on", err)
	}
	m.installed.deployment = d.ObjectMeta
	on := slices.ContainsFunc(d.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == cilium.ContainerKVStoreMesh })
	m.KVStoreMesh = &on
	return nil
}

// readPeers reads whom the member connects to: from Secret cilium-clustermesh or,
// where that may not be read, from ConfigMap clustermesh-remote-users.
func (m *Member) readPeers(ctx context.Context) error {
	secret, err := m.Client.CoreV1().Secrets(m.CiliumNamespace).Get(ctx, cilium.SecretClusterMesh, metav1.GetOptions{})
	switch {
	case err == nil:
		m.Peers, m.SkippedPeers = cilium.PeersFromSecret(secret.Data, m.Name, cilium.Version{})
		m.PeersKnown = true
		return nil
	case apierrors.IsNotFound(err):
		m.PeersKnown = true // no Secret, no peers
		return nil
	case !tolerable(err):
		return err
	}
	refusal := err
	cm, err := m.Client.CoreV1().ConfigMaps(m.CiliumNamespace).Get(ctx, cilium.ConfigMapRemoteUsers, metav1.GetOptions{})
	if err != nil {
		// Either would do; the Secret is what the agents read.
		_ = m.tolerate("its peers are not known", refusal)
		return m.tolerate("its peers are not known by the ConfigMap either", err)
	}
	m.Peers, err = cilium.PeersFromRemoteUsers(cm.Data, m.Name)
	m.PeersKnown = err == nil
	return err
}

// tolerable reports whether an error says only that we may not know.
func tolerable(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// tolerate goes on without what may not be read or is not there, and notes what may not be read.
func (m *Member) tolerate(what string, err error) error {
	if !tolerable(err) {
		return err
	}
	if apierrors.IsForbidden(err) {
		m.Unseen(what, err)
	}
	return nil
}
