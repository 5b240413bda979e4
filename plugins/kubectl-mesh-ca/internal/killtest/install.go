//go:build unix

package killtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// newCA makes a CA that is valid now.
func (m *mesh) newCA(rsa bool) *pkitest.CA {
	now := time.Now()
	spec := pkitest.Spec{NotBefore: now.Add(-pkitest.Day), NotAfter: now.Add(1095 * pkitest.Day), RSA: rsa}
	if rsa {
		spec.Encoding = pkitest.PKCS1
	}
	ca := pkitest.NewCA(m.t, spec)
	return &ca
}

// schedulerName keeps the pods from any scheduler but the one of this package.
const schedulerName = "killtest"

// install writes what an installation of Cilium leaves, with the field managers of its owners.
func (m *mesh) install(s *site, id int, in catest.Install) {
	m.t.Helper()
	ctx := m.t.Context()
	m.makeNamespace(s)
	in.Edit = func(secrets map[string]*corev1.Secret) {
		for _, spec := range pki.LeafSpecs() {
			if secret := secrets[spec.Secret]; secret != nil { // valid now
				leaf, err := pki.ParseLeaf(secret.Data)
				must(m.t, err)
				was, now := leaf.Cert(), time.Now()
				made := in.CA.Issue(m.t, pkitest.Spec{
					Name: was.Subject.CommonName, Usages: was.ExtKeyUsage, IPs: was.IPAddresses, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * pkitest.Day),
					DNS: inNamespace(was.DNSNames, m.namespace),
				})
				secret.Data[pki.KeyTLSCert], secret.Data[pki.KeyTLSKey] = made.CertPEM, made.KeyPEM
			}
		}
		for _, peer := range m.names {
			if peer != s.Name {
				secrets["cilium-clustermesh"].Data[peer] = peerConfig("clustermesh-apiserver."+m.namespace+".svc:2379", "local-etcd-client")
				secrets["cilium-kvstoremesh"].Data[peer] = peerConfig(peer+".mesh.cilium.io:32379", "common-etcd-client")
			}
		}
	}
	_, from := catest.Member(m.t, s.Name, in)
	all := metav1.ListOptions{}
	secrets, err := from.CoreV1().Secrets(catest.Namespace).List(ctx, all)
	must(m.t, err)
	for _, o := range secrets.Items {
		manager := o.ManagedFields[0].Manager
		o.ObjectMeta = m.owned(o.ObjectMeta)
		must(m.t, patiently(func() error {
			_, err := s.client.CoreV1().Secrets(m.namespace).Create(ctx, &o, metav1.CreateOptions{FieldManager: manager})
			return err
		}))
	}
	helm := metav1.CreateOptions{FieldManager: "helm"}
	must(m.t, patiently(func() error {
		_, err := s.client.CoreV1().ConfigMaps(m.namespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "cilium-config"}, Data: map[string]string{"cluster-name": s.Name, "cluster-id": fmt.Sprint(id)},
		}, helm)
		return err
	}))
	deployments, err := from.AppsV1().Deployments(catest.Namespace).List(ctx, all)
	must(m.t, err)
	for _, o := range deployments.Items {
		o.ObjectMeta = m.owned(o.ObjectMeta)
		o.Spec.Selector = m.selector(&o.Spec.Template, o.Name)
		must(m.t, patiently(func() error {
			_, err := s.client.AppsV1().Deployments(m.namespace).Create(ctx, &o, helm)
			return err
		}))
	}
	daemonSets, err := from.AppsV1().DaemonSets(catest.Namespace).List(ctx, all)
	must(m.t, err)
	for _, o := range daemonSets.Items {
		o.ObjectMeta = m.owned(o.ObjectMeta)
		o.Spec.Selector = m.selector(&o.Spec.Template, o.Name)
		must(m.t, patiently(func() error {
			_, err := s.client.AppsV1().DaemonSets(m.namespace).Create(ctx, &o, helm)
			return err
		}))
	}
	m.cronJobs(s, in.CronJobs)
}

// inNamespace are the names of a certificate in another namespace than that of pkitest.
func inNamespace(names []string, namespace string) []string {
	var out []string
	for _, name := range names {
		out = append(out, strings.ReplaceAll(name, "."+catest.Namespace+".svc", "."+namespace+".svc"))
	}
	return out
}

// makeNamespace makes the namespace of the mesh in a cluster, until the end of the test.
func (m *mesh) makeNamespace(s *site) {
	m.t.Helper()
	api := s.client.CoreV1().Namespaces()
	must(m.t, patiently(func() error {
		_, err := api.Create(m.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: m.namespace}}, metav1.CreateOptions{})
		return err
	}))
	m.t.Cleanup(func() {
		if err := api.Delete(context.Background(), m.namespace, metav1.DeleteOptions{}); err != nil {
			m.t.Log(err)
		}
	})
}

// cronJobs never run by themselves within a test.
func (m *mesh) cronJobs(s *site, names []string) {
	m.t.Helper()
	for _, name := range names {
		job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: name}}
		job.Spec.Schedule = "0 0 29 2 *"
		job.Spec.JobTemplate.Spec.Template.Spec = corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyOnFailure, SchedulerName: schedulerName,
			Containers: []corev1.Container{{Name: "certgen", Image: "quay.io/cilium/certgen:v0.3.1"}},
		}
		must(m.t, patiently(func() error {
			_, err := s.client.BatchV1().CronJobs(m.namespace).Create(m.t.Context(), job, metav1.CreateOptions{FieldManager: "helm"})
			return err
		}))
	}
}

// owned is the metadata of an object in this mesh: what the API server sets itself is left out.
func (m *mesh) owned(from metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: from.Name, Labels: from.Labels, Annotations: from.Annotations}
	if _, ok := out.Annotations["meta.helm.sh/release-namespace"]; ok {
		out.Annotations["meta.helm.sh/release-namespace"] = m.namespace
	}
	return out
}

// selector gives a template labels, and returns their selector.
func (m *mesh) selector(template *corev1.PodTemplateSpec, name string) *metav1.LabelSelector {
	template.Labels = map[string]string{"k8s-app": name}
	template.Spec.SchedulerName = schedulerName
	template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	return &metav1.LabelSelector{MatchLabels: template.Labels}
}

func peerConfig(endpoint, stem string) []byte {
	const dir = pki.DirClusterMesh + "/"
	return fmt.Appendf(nil, "endpoints:\n- https://%s\ntrusted-ca-file: %s-ca.crt\nkey-file: %s.key\ncert-file: %s.crt\n", endpoint, dir+stem, dir+stem, dir+stem)
}
