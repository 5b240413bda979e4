package modeltest

import (
	"bytes"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

const (
	syncChance  = 3 // one in so many ticks
	rolloutTime = 3 // ticks
)

const restartedAt = "kubectl.kubernetes.io/restartedAt"

// Wrote notes a write, and checks the mesh after it.
func (w *World) Wrote(p *Process, resource, name string) {
	line := p.Name + " " + resource + "/" + name
	w.Log = append(w.Log, line)
	if w.Stop != nil && w.Stop(line) {
		w.left.Store(0)
	}
	w.Check("a write to " + p.Name + " " + resource + "/" + name)
}

// project is one sync of the kubelet: all files at once.
func (w *World) project(p *Process) {
	for _, spec := range pki.LeafSpecs() {
		secret := p.Source.Secret(spec.Secret)
		if secret == nil || maps.EqualFunc(p.Files[spec.Secret], secret.Data, bytes.Equal) {
			continue
		}
		p.Files[spec.Secret], p.Written[spec.Secret] = secret.Data, w.At
	}
}

func (w *World) tick(p *Process) {
	w.Sync(p)
	w.roll(p)
	w.runJobs(p)
}

// Sync is one tick of a kubelet and of the clients that read what it has written.
func (w *World) Sync(p *Process) {
	if w.R.IntN(syncChance) > 0 {
		return
	}
	w.project(p)
	for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
		secret := p.Source.Secret(config)
		if secret == nil {
			continue
		}
		text := ""
		for _, peer := range slices.Sorted(maps.Keys(secret.Data)) {
			text += string(secret.Data[peer])
		}
		if p.config[config] != "" && p.config[config] != text { // trigger 2: the text of the configuration changed
			for _, peer := range slices.Sorted(maps.Keys(p.Clients)) {
				w.Connect(p, peer)
			}
		}
		p.config[config] = text
	}
}

// rollout is the restart of a workload that is done or under way.
type rollout struct {
	restart string
	ticks   int
}

// due reports whether the new pods are ready now.
func (r *rollout) due(restartedAt string) bool {
	switch {
	case restartedAt != r.restart:
		r.restart, r.ticks = restartedAt, rolloutTime
		return false
	case r.ticks == 0:
		return false
	}
	r.ticks--
	return r.ticks == 0
}

// roll starts the new pods of clustermesh-apiserver and of the agents after a while. clustermesh-apiserver has another etcd then, so that the clients of other
// clusters connect again, if they still can.
func (w *World) roll(p *Process) {
	p.mu.Lock()
	d := catest.As[*appsv1.Deployment](p.Objects["deployments/clustermesh-apiserver"]).DeepCopy()
	ds := catest.As[*appsv1.DaemonSet](p.Objects["daemonsets/cilium"]).DeepCopy()
	p.mu.Unlock()
	if p.meshAPI.due(d.Spec.Template.Annotations[restartedAt]) {
		w.Evict(p)
		d.Status.ObservedGeneration = d.Generation
		p.mu.Lock()
		p.Put("deployments", d)
		p.mu.Unlock()
	}
	if p.agents.due(ds.Spec.Template.Annotations[restartedAt]) {
		w.AgentStarted(p)
		ds.Status.ObservedGeneration = ds.Generation
		p.mu.Lock()
		p.Put("daemonsets", ds)
		p.mu.Unlock()
	}
}

// Evict replaces the pod of clustermesh-apiserver, as a node does that is drained.
func (w *World) Evict(p *Process) {
	w.Started(p)
	p.mu.Lock()
	p.etcdStarted = w.At
	p.mu.Unlock()
}

// Started is what a new pod of clustermesh-apiserver does: it gets the Secrets as they are, and clients find another etcd.
func (w *World) Started(p *Process) {
	w.project(p)
	p.Etcd = p.Files[serverCert]["ca.crt"]
	for _, peer := range slices.Sorted(maps.Keys(p.Clients)) { // KVStoreMesh runs in the same pod
		if peer != p.Name {
			w.Connect(p, peer)
		}
	}
	for _, other := range w.Mesh {
		if w.Handshake(other, p) == "" && w.R.IntN(4) > 0 { // trigger 1, where it is not late
			w.Connect(other, p.Name)
		}
	}
}

// AgentStarted is what a new agent does: it gets the Secrets as they are, and connects to the etcd of its own cluster.
func (w *World) AgentStarted(p *Process) {
	w.project(p)
	w.Connect(p, p.Name)
}
