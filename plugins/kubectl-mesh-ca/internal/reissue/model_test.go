package reissue_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// world is a mesh with a model of what its processes have loaded, and of the tools that issue its certificates. Nothing happens in it but when the command
// waits, runs Helm, or writes.
type world struct {
	t    *testing.T
	mesh *testkit.Mesh
	at   time.Time
	// pools are what etcd, KVStoreMesh and the agents of each cluster have loaded; restarted is the mark of the pods.
	pools, restarted map[string]map[string]string
	log              []string
	said             []string
	declines, slow   bool // nobody agrees; the tools do nothing
	jobFails         bool
	helmFails        bool
	blind            bool // nothing can be observed
	starting         int  // for so many polls agents have read everything, and are not connected yet
	// dead are clusters in which a node is not ready, and stuck those in which the first roll-out of the agents, which this command did not begin, does not end.
	dead, stuck map[string]bool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peers are the configurations of all other clusters.
func peers(own string, names []string) map[string][]byte {
	out := map[string][]byte{}
	for _, name := range names {
		if name != own {
			out[name] = []byte("endpoints:\n- https://" + name + ".mesh.cilium.io:2379\ntrusted-ca-file: /var/lib/cilium/clustermesh/common-etcd-client-ca.crt\ncert-file: /var/lib/cilium/clustermesh/common-etcd-client.crt\nkey-file: /var/lib/cilium/clustermesh/common-etcd-client.key\n")
		}
	}
	return out
}

func newWorld(t *testing.T, install func(name string) catest.Install, names ...string) *world {
	t.Helper()
	w := &world{t: t, mesh: &testkit.Mesh{}, at: pkitest.Now, pools: map[string]map[string]string{}, restarted: map[string]map[string]string{}}
	for _, name := range names {
		in := install(name)
		edit := in.Edit
		if in.EtcdStarted.IsZero() {
			in.EtcdStarted = pkitest.Now.Add(-2 * pkitest.Day) // before the CA
		}
		in.Edit = func(s map[string]*corev1.Secret) {
			s["cilium-ca"].Labels = map[string]string{"helm.sh/chart": "cilium-1.18.11"}
			s["cilium-kvstoremesh"].Data, s["cilium-clustermesh"].Data = peers(name, names), peers(name, names)
			if edit != nil {
				edit(s)
			}
		}
		member, api := catest.Member(t, name, in)
		w.mesh.Add(member, api)
		w.restarted[name] = map[string]string{}
		w.pools[name] = map[string]string{"etcd": w.trust(name, pki.SecretServer), "kvstoremesh": w.trust(name, pki.SecretRemote), "agent": w.trust(name, pki.SecretLocal)}
	}
	return w
}

func (w *world) secret(cluster, name string) *corev1.Secret {
	s, err := w.mesh.API[cluster].CoreV1().Secrets(catest.Namespace).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return s
}

// trust is the CA file of a leaf Secret.
func (w *world) trust(cluster, secret string) string {
	if s := w.secret(cluster, secret); s != nil {
		return string(s.Data[pki.KeyCACert])
	}
	return ""
}

// accepts reports whether a pool accepts the certificate in a leaf Secret.
func (w *world) accepts(pool, cluster, secret string) bool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(pool))
	s := w.secret(cluster, secret)
	if s == nil {
		return false
	}
	leaf, err := pki.ParseLeaf(s.Data)
	if err != nil {
		return false
	}
	_, err = leaf.Cert().Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// connected: the client's pool accepts the server's certificate, and the server's etcd that of the client.
func (w *world) connected(client, server string) bool {
	return w.accepts(w.pools[client]["kvstoremesh"], server, pki.SecretServer) && w.accepts(w.pools[server]["etcd"], client, pki.SecretRemote)
}

// Running is what the model's processes do.
func (w *world) Running(_ context.Context, s *ca.State) reissue.Running {
	name := s.Member.Name
	out := reissue.Running{}
	if w.blind {
		out.Unobserved = "pods/exec is forbidden"
		return out
	}
	if w.pools[name]["etcd"] != w.trust(name, pki.SecretServer) {
		out.EtcdBehind = []string{"etcd has not read its CA file"}
	}
	for peer := range s.Side.Peers {
		fresh := w.pools[name]["agent"] == w.trust(name, pki.SecretLocal)
		local := w.accepts(w.pools[name]["agent"], name, pki.SecretServer)
		out.Connections = append(out.Connections,
			reissue.Connection{Kind: live.KindKVStoreMesh, Pod: "clustermesh-apiserver-0", Peer: peer, Connected: w.connected(name, peer), Read: w.pools[name]["kvstoremesh"] == w.trust(name, pki.SecretRemote)},
			reissue.Connection{Kind: live.KindAgent, Pod: "cilium-0", Peer: peer, Connected: local && w.starting <= 0, Read: fresh})
	}
	if w.dead[name] && w.restarted[name]["agents"] == "" { // an agent that ends is not asked
		out.Connections = append(out.Connections, reissue.Connection{Kind: live.KindAgent, Pod: "cilium-dead", Unknown: true})
	}
	return out
}

func (w *world) Now() time.Time { return w.at }

// Sleep lets the world go on.
func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.at = w.at.Add(d)
	w.starting--
	for _, m := range w.mesh.Members {
		w.kubelet(m.Name)
		if !w.slow {
			w.certgen(m.Name)
		}
	}
	return ctx.Err()
}

const mark = "kubectl.kubernetes.io/restartedAt"

// kubelet replaces the pods of workloads that were restarted.
func (w *world) kubelet(cluster string) {
	apps := w.mesh.API[cluster].AppsV1()
	d, err := apps.Deployments(catest.Namespace).Get(context.Background(), "clustermesh-apiserver", metav1.GetOptions{})
	must(w.t, err)
	if at := d.Spec.Template.Annotations[mark]; at != w.restarted[cluster]["mesh"] {
		w.restarted[cluster]["mesh"] = at
		w.pools[cluster]["etcd"], w.pools[cluster]["kvstoremesh"] = w.trust(cluster, pki.SecretServer), w.trust(cluster, pki.SecretRemote)
		w.log = append(w.log, "restart "+cluster)
		pods := w.mesh.API[cluster].CoreV1().Pods(catest.Namespace)
		pod, err := pods.Get(context.Background(), "clustermesh-apiserver-0", metav1.GetOptions{})
		must(w.t, err)
		pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(w.at)
		_, err = pods.UpdateStatus(context.Background(), pod, metav1.UpdateOptions{})
		must(w.t, err)
	}
	d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 1, 1, 1
	_, err = apps.Deployments(catest.Namespace).UpdateStatus(context.Background(), d, metav1.UpdateOptions{})
	must(w.t, err)
	ds, err := apps.DaemonSets(catest.Namespace).Get(context.Background(), "cilium", metav1.GetOptions{})
	must(w.t, err)
	if at := ds.Spec.Template.Annotations[mark]; at != w.restarted[cluster]["agents"] {
		w.restarted[cluster]["agents"] = at
		w.pools[cluster]["agent"] = w.trust(cluster, pki.SecretLocal)
		w.log = append(w.log, "agents "+cluster)
		for _, a := range w.mesh.Members {
			for _, b := range w.mesh.Members {
				if a != b && !w.connected(a.Name, b.Name) {
					w.t.Errorf("the agents of %s restart while KVStoreMesh of %s is not connected to %s", cluster, a.Name, b.Name)
				}
			}
		}
	}
	ds.Status.DesiredNumberScheduled, ds.Status.UpdatedNumberScheduled, ds.Status.NumberAvailable = 3, 3, 3
	if w.dead[cluster] {
		ds.Status.NumberAvailable = 2
		if w.deadAgent(cluster, w.restarted[cluster]["agents"] != "") {
			ds.Status.UpdatedNumberScheduled = 2
		}
	}
	if w.stuck[cluster] {
		ds.Status.UpdatedNumberScheduled = 1
	}
	_, err = apps.DaemonSets(catest.Namespace).UpdateStatus(context.Background(), ds, metav1.UpdateOptions{})
	must(w.t, err)
}

// deadAgent is the agent's pod on a node that is not ready. The DaemonSet deletes an old one at once, and the API server keeps it until the node is back.
func (w *world) deadAgent(cluster string, old bool) bool {
	pods := w.mesh.API[cluster].CoreV1().Pods(catest.Namespace)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cilium-dead", Namespace: catest.Namespace, Labels: map[string]string{"k8s-app": "cilium"}}, Spec: corev1.PodSpec{NodeName: "node-3"}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
	if _, err := pods.Get(context.Background(), pod.Name, metav1.GetOptions{}); err != nil {
		_, err := pods.Create(context.Background(), pod, metav1.CreateOptions{})
		must(w.t, err)
	}
	if old {
		now := metav1.NewTime(w.at)
		pod.DeletionTimestamp = &now
		_, err := pods.Update(context.Background(), pod, metav1.UpdateOptions{})
		must(w.t, err)
	}
	return old
}

// certgen runs the Jobs that were created.
func (w *world) certgen(cluster string) {
	jobs := w.mesh.API[cluster].BatchV1().Jobs(catest.Namespace)
	list, err := jobs.List(context.Background(), metav1.ListOptions{})
	must(w.t, err)
	for _, j := range list.Items {
		if len(j.Status.Conditions) > 0 {
			continue
		}
		condition := batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}
		if w.jobFails {
			condition = batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}
		} else {
			w.sign(cluster, func(name string) bool {
				return strings.Contains(j.Name, "-hubble-") == strings.HasPrefix(name, "hubble")
			})
		}
		j.Status.Conditions = append(j.Status.Conditions, condition)
		_, err := jobs.UpdateStatus(context.Background(), &j, metav1.UpdateOptions{})
		must(w.t, err)
		w.log = append(w.log, "certgen "+cluster)
	}
}

// helmKeeps are the Secrets that Helm keeps, from chart 1.18 on.
var helmKeeps = []string{pki.SecretHubbleServer, pki.SecretHubbleRelay}

// sign issues leaf certificates from cilium-ca.
func (w *world) sign(cluster string, which func(string) bool) {
	signer, err := pki.ParseSigner(w.secret(cluster, pki.SecretCA).Data)
	must(w.t, err)
	for _, spec := range pki.LeafSpecs() {
		have := w.secret(cluster, spec.Secret)
		if have == nil || !which(spec.Secret) {
			continue
		}
		leaf, err := pki.ParseLeaf(have.Data)
		must(w.t, err)
		made, err := signer.Reissue(leaf.Cert(), w.at)
		must(w.t, err)
		have.Data = map[string][]byte{pki.KeyTLSCert: made.CertPEM(), pki.KeyTLSKey: made.KeyPEM(), pki.KeyCACert: signer.CertPEM()}
		_, err = w.mesh.API[cluster].CoreV1().Secrets(catest.Namespace).Update(context.Background(), have, metav1.UpdateOptions{})
		must(w.t, err)
	}
}

// Find finds helm.
func (w *world) Find() error { return nil }

// Run is helm upgrade: it signs everything again, and makes what was deleted, but keeps what it finds of Hubble's two Secrets.
func (w *world) Run(_ context.Context, args, _ []string) error {
	cluster := strings.TrimPrefix(args[slices.Index(args, "--kube-context")+1], "kind-")
	w.log = append(w.log, "helm "+cluster)
	if !slices.Contains(args, "--reuse-values") || !slices.Contains(args, "upgrade") {
		return fmt.Errorf("helm %v", args)
	}
	if w.helmFails {
		return errors.New("exit status 1")
	}
	kept := w.kept(cluster)
	for _, name := range helmKeeps {
		if w.secret(cluster, name) != nil {
			return errors.New("helm would keep secret " + name)
		}
		former := kept[name]
		if former == nil {
			return errors.New("secret " + name + " was not kept")
		}
		former.ObjectMeta = metav1.ObjectMeta{Name: name, Namespace: catest.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}}
		former.Immutable = nil
		_, err := w.mesh.API[cluster].CoreV1().Secrets(catest.Namespace).Create(context.Background(), former, metav1.CreateOptions{})
		must(w.t, err)
	}
	w.sign(cluster, func(string) bool { return true })
	return nil
}

// kept are the Secrets that keep leaf certificates, by what they keep.
func (w *world) kept(cluster string) map[string]*corev1.Secret {
	list, err := w.mesh.API[cluster].CoreV1().Secrets(catest.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "mesh.kubectl.io/backup-of"})
	must(w.t, err)
	out := map[string]*corev1.Secret{}
	for n := range list.Items {
		out[list.Items[n].Labels["mesh.kubectl.io/backup-of"]] = &list.Items[n]
	}
	return out
}

// ends checks that every leaf certificate is from the cluster's CA, and that all are connected.
func (w *world) ends(connected bool) {
	w.t.Helper()
	for _, m := range w.mesh.Members {
		authority, err := pki.ParseCA(w.secret(m.Name, pki.SecretCA).Data)
		must(w.t, err)
		for _, spec := range pki.LeafSpecs() {
			s := w.secret(m.Name, spec.Secret)
			if s == nil {
				continue
			}
			leaf, err := pki.ParseLeaf(s.Data)
			must(w.t, err)
			if leaf.Key != pki.KeyMatches || !leaf.SignedBy(authority.Signer()) || !pki.Trusts(leaf.Trust, authority.Signer()) {
				w.t.Errorf("%s: secret %s is not from the CA", m.Name, spec.Secret)
			}
		}
		for _, other := range w.mesh.Members {
			if connected && other != m && !w.connected(m.Name, other.Name) {
				w.t.Errorf("%s is not connected to %s", m.Name, other.Name)
			}
		}
		if connected && !w.accepts(w.pools[m.Name]["agent"], m.Name, pki.SecretServer) {
			w.t.Errorf("the agents of %s do not accept their own etcd", m.Name)
		}
	}
}

// means are those of a command in this world.
func (w *world) means(restart, helm bool) reissue.Means {
	m := reissue.Means{Restart: restart, Observer: w, Clock: w, Wait: time.Minute, Poll: 2 * time.Second, GoOn: []string{"reissue"}}
	if helm {
		m.Helm = w
	}
	return m
}

func (w *world) write() kernel.Write {
	return kernel.Write{DryRun: "none", Manager: pki.FieldManager, Change: change.Options{Timeout: time.Minute}}
}

func (w *world) selection(context.Context) (*clusters.Selection, error) {
	return &clusters.Selection{Members: w.mesh.Members}, nil
}

// ui notes every line, and agrees.
type ui struct{ w *world }

func (u ui) Say(format string, args ...any) {
	u.w.said = append(u.w.said, fmt.Sprintf(format, args...))
}
func (u ui) Note(format string, args ...any) { u.Say(format, args...) }
func (u ui) Warn(format string, args ...any) { u.Say(format, args...) }
func (u ui) Unread(members ...*clusters.Member) []string {
	var out []string
	for _, m := range members {
		if m.Err != nil {
			out = append(out, m.Name)
		}
	}
	return out
}
func (u ui) Unseen([]*clusters.Member)                           {}
func (u ui) Show(plan func(bool) []output.Section, _ bool) error { plan(false); return nil }
func (u ui) Confirm(_ context.Context, question string) error {
	u.Say("%s", question)
	if u.w.declines {
		return errors.New("declined")
	}
	return nil
}
func (u ui) Progress() (events func(change.Event), end func()) {
	return func(change.Event) {}, func() {}
}
