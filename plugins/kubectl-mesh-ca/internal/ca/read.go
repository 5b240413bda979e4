package ca

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Reading is what was read of some members.
type Reading struct {
	// Members are all of them, in the order in which they were asked for. One that could not be read is a copy with its error.
	Members []*clusters.Member
	States  []*State // of those that could be read
}

// ReadAll reads all members in parallel.
func ReadAll(ctx context.Context, members []*clusters.Member, timeout time.Duration) Reading {
	var out Reading
	for _, r := range fanout.Each(ctx, members, timeout, Read) {
		switch {
		case r.Err == nil:
			out.States = append(out.States, r.Value)
		case r.Err != r.Member.Err:
			r.Member = r.Member.WithError(r.Err)
		}
		out.Members = append(out.Members, r.Member)
	}
	return out
}

// maxReads limits the concurrent requests to one cluster.
const maxReads = 8

// Read reads one cluster. The State records absent and forbidden objects; any other failure is an error.
func Read(ctx context.Context, m *clusters.Member) (*State, error) {
	s := &State{Member: m, Namespace: cmp.Or(m.CiliumNamespace, cilium.DefaultNamespace), Secrets: map[string]Secret{}, Written: map[pki.Source]Written{}}
	s.Side = pki.Side{Name: m.Name, Cluster: m.Config.ClusterName, Namespace: s.Namespace, Objects: map[pki.Ref]pki.Object{}}
	r := &reader{member: m, state: s}
	names := []string{pki.SecretCA, cilium.SecretClusterMesh, cilium.SecretKVStoreMesh}
	for _, leaf := range pki.LeafSpecs() {
		names = append(names, leaf.Secret)
	}
	g, one := errgroup.WithContext(ctx)
	g.SetLimit(maxReads)
	for _, name := range names {
		g.Go(func() error { return r.secret(one, name) })
	}
	g.Go(func() error { return r.deployment(one) })
	g.Go(func() error { return r.daemonSet(one) })
	g.Go(func() error { return r.relay(one) })
	g.Go(func() error { return r.etcd(one) })
	for _, name := range []string{cronJobMesh, cronJobHubble} {
		g.Go(func() error { return r.cronJob(one, name) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// Other objects that the workloads mount, usually a caBundle.
	for _, ref := range pki.MountedRefs(s.Side.MeshAPI, s.Side.Agent, s.Side.Relay) {
		if _, known := s.Side.Objects[ref]; known {
			continue
		}
		if err := r.mounted(ctx, ref); err != nil {
			return nil, err
		}
	}
	if ca := s.CA(); ca.Object == nil && ca.Unreadable == "" {
		r.oldAuthorities(ctx)
	}
	s.Side.Peers, s.Side.PeersNote = peers(s.Side)
	s.Chart = owners.ChartOf(r.marks, s.Release.Name)
	slices.Sort(s.CronJobs)
	return s, nil
}

// reader fills a State from concurrent requests.
type reader struct {
	member *clusters.Member
	state  *State
	marks  []metav1.ObjectMeta // of the objects that Cilium's chart creates
	mu     sync.Mutex
}

// outcome classifies an error: absent and forbidden objects are facts, any other error is a failure to read the cluster.
func outcome(err error) (absent bool, unreadable string, fatal error) {
	switch {
	case err == nil:
		return false, "", nil
	case apierrors.IsNotFound(err):
		return true, "", nil
	case apierrors.IsForbidden(err):
		return false, "no permission to read it", nil
	default:
		return false, "", err
	}
}

func (r *reader) secret(ctx context.Context, name string) error {
	obj, err := r.member.Client.CoreV1().Secrets(r.state.Namespace).Get(ctx, name, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read secret %s/%s: %w", r.state.Namespace, name, err)
	}
	if absent || unreadable != "" {
		obj = nil
	}
	out := pki.Object{Absent: absent, Unreadable: unreadable}
	if obj != nil {
		out.Data = obj.Data
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Secrets[name] = Secret{Object: obj, Unreadable: unreadable}
	ref := pki.Ref{Kind: pki.Secret, Name: name}
	r.state.Side.Objects[ref] = out
	if obj != nil {
		r.written(ref, obj.ObjectMeta)
		r.marks = append(r.marks, obj.ObjectMeta)
	}
	return nil
}

// oldAuthorities reads the CAs under the names that old charts used, if cilium-ca does not exist. Without permission only a hint is missing.
func (r *reader) oldAuthorities(ctx context.Context) {
	for _, name := range pki.OldCASecrets() {
		obj, err := r.member.Client.CoreV1().Secrets(r.state.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			r.state.OldCAs = append(r.state.OldCAs, obj)
		}
	}
}

// mounted reads an object that a workload mounts. Most ConfigMaps in those volumes do not contain certificates; reading them is harmless.
func (r *reader) mounted(ctx context.Context, ref pki.Ref) error {
	if ref.Kind == pki.Secret {
		return r.secret(ctx, ref.Name)
	}
	cm, err := r.member.Client.CoreV1().ConfigMaps(r.state.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read configmap %s/%s: %w", r.state.Namespace, ref.Name, err)
	}
	out := pki.Object{Absent: absent, Unreadable: unreadable}
	if !absent && unreadable == "" {
		out.Data = make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
		for k, v := range cm.BinaryData {
			out.Data[k] = v
		}
		for k, v := range cm.Data {
			out.Data[k] = []byte(v)
		}
		r.written(ref, cm.ObjectMeta)
	}
	r.state.Side.Objects[ref] = out
	return nil
}

func (r *reader) deployment(ctx context.Context) error {
	d, err := r.member.Client.AppsV1().Deployments(r.state.Namespace).Get(ctx, cilium.DeploymentMeshAPI, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read deployment %s/%s: %w", r.state.Namespace, cilium.DeploymentMeshAPI, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Side.MeshAPINote = unreadable
	if !absent && unreadable == "" {
		r.state.Side.MeshAPI = workload(d.Spec.Template.Spec)
		r.release(d.ObjectMeta)
	}
	return nil
}

func (r *reader) daemonSet(ctx context.Context) error {
	d, err := r.member.Client.AppsV1().DaemonSets(r.state.Namespace).Get(ctx, cilium.DaemonSetName, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read daemonset %s/%s: %w", r.state.Namespace, cilium.DaemonSetName, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Side.AgentNote = unreadable
	if !absent && unreadable == "" {
		r.state.Side.Agent = workload(d.Spec.Template.Spec)
		r.release(d.ObjectMeta)
	}
	return nil
}

// relay reads Hubble Relay. It is optional: a cluster without it has no such Deployment.
func (r *reader) relay(ctx context.Context) error {
	d, err := r.member.Client.AppsV1().Deployments(r.state.Namespace).Get(ctx, pki.DeploymentRelay, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read deployment %s/%s: %w", r.state.Namespace, pki.DeploymentRelay, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Side.RelayNote = unreadable
	if !absent && unreadable == "" {
		r.state.Side.Relay = workload(d.Spec.Template.Spec)
	}
	return nil
}

// etcd reads when the etcd processes of clustermesh-apiserver started. Without permission to list pods only one warning is missing.
func (r *reader) etcd(ctx context.Context) error {
	pods, err := r.member.Client.CoreV1().Pods(r.state.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=" + cilium.DeploymentMeshAPI})
	absent, unreadable, err := outcome(err)
	switch {
	case err != nil:
		return fmt.Errorf("list the pods of %s/%s: %w", r.state.Namespace, cilium.DeploymentMeshAPI, err)
	case absent || unreadable != "":
		return nil
	}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.Name != "etcd" || c.State.Running == nil || p.DeletionTimestamp != nil {
				continue
			}
			if at := c.State.Running.StartedAt.Time; r.state.EtcdStarted.IsZero() || at.Before(r.state.EtcdStarted) {
				r.state.EtcdStarted = at
			}
		}
	}
	return nil
}

// written records when the data keys of an object were last written. The caller holds the lock, or is the only goroutine.
func (r *reader) written(ref pki.Ref, m metav1.ObjectMeta) {
	for _, f := range m.ManagedFields {
		if f.Time == nil || f.FieldsV1 == nil {
			continue
		}
		var doc map[string]map[string]json.RawMessage
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &doc) != nil {
			continue // an entry that cannot be parsed has no time
		}
		data := doc["f:data"]
		delete(data, ".")
		for field := range data {
			key := pki.Source{Ref: ref, Key: strings.TrimPrefix(field, "f:")}
			if f.Time.After(r.state.Written[key].At) {
				r.state.Written[key] = Written{At: f.Time.Time, Alone: len(data) == 1}
			}
		}
	}
}

// release records the Helm release that an object names. The caller holds the lock.
func (r *reader) release(m metav1.ObjectMeta) {
	if name := m.Annotations[pki.AnnotationRelease]; name != "" {
		r.state.Release = Release{Name: name, Namespace: cmp.Or(m.Annotations[pki.AnnotationReleaseNamespace], r.state.Namespace)}
	}
	r.marks = append(r.marks, m)
}

func (r *reader) cronJob(ctx context.Context, name string) error {
	job, err := r.member.Client.BatchV1().CronJobs(r.state.Namespace).Get(ctx, name, metav1.GetOptions{})
	absent, unreadable, err := outcome(err)
	if err != nil {
		return fmt.Errorf("read cronjob %s/%s: %w", r.state.Namespace, name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if unreadable != "" {
		r.state.CertgenNote = fmt.Sprintf("cronjob/%s: %s", name, unreadable)
	}
	if absent || unreadable != "" {
		return nil
	}
	r.state.CronJobs = append(r.state.CronJobs, name)
	containers := job.Spec.JobTemplate.Spec.Template.Spec.Containers
	for _, c := range containers {
		if len(containers) > 1 && c.Name != containerCertgen { // such as a proxy that a webhook adds
			continue
		}
		config, err := pki.ParseCertgen(container(c))
		if err != nil {
			r.state.CertgenNote = fmt.Sprintf("cronjob/%s: %v", name, err)
			continue
		}
		r.state.Certgen = append(r.state.Certgen, config)
	}
	return nil
}
