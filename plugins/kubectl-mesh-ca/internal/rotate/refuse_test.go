package rotate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// refused runs a command that must write nothing, and name the reason and the way out.
func (w *world) refused(action rotate.Action, method rotate.Method, want ...string) {
	w.T.Helper()
	writes := len(w.Log)
	report, err := w.run(action, method, -1)
	if err == nil || len(w.Log) != writes+1 || len(report.Changes) > 0 {
		w.T.Errorf("%s: %v; it wrote %v", action, err, w.Log[writes+1:])
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			w.T.Errorf("%s: %v\nwant %s", action, err, text)
		}
	}
}

// TestRefused: what must not begin is refused with its reason and a way out, by the plan as well, and nothing is written.
func TestRefused(t *testing.T) {
	t.Parallel()
	// all is how all clusters are installed, with one CA of a kind, and eu how one is that differs.
	all := func(method string, spec pkitest.Spec) func(testing.TB) func(string) catest.Install {
		return func(t testing.TB) func(string) catest.Install {
			one := pkitest.NewCA(t, spec)
			return func(string) catest.Install {
				in := catest.Install{CA: &one, Method: method}
				if method == "certgen" {
					in.CronJobs = []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}
				}
				return in
			}
		}
	}
	eu := func(change func(testing.TB, *catest.Install)) func(testing.TB) func(string) catest.Install {
		return func(t testing.TB) func(string) catest.Install {
			one := pkitest.NewCA(t, pkitest.Spec{})
			return func(name string) catest.Install {
				in := catest.Install{CA: &one}
				if name == "eu" {
					change(t, &in)
				}
				return in
			}
		}
	}
	edit := func(change func(map[string]*corev1.Secret)) func(testing.TB, *catest.Install) {
		return func(_ testing.TB, in *catest.Install) { in.Edit = change }
	}
	immutable := func(name string) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			yes := true
			s[name].Immutable = &yes
		}
	}
	untracked := func(name string) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) { s[name].ManagedFields = nil }
	}
	const untrackedText = "eu: cannot determine when secret/clustermesh-apiserver-server-cert[ca.crt] was written, because its managedFields do not record it. To make the API server record it from now on, run: " +
		`echo '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"clustermesh-apiserver-server-cert"}}' | kubectl --context kind-eu -n kube-system apply --server-side -f -`
	// several is a mesh whose clusters have the same cilium-ca, with the certificates with and the key of signer. sent are sent with the leaf certificates, whose CA file
	// is trust.
	several := func(method string, file func(own, other pkitest.CA) (signer pkitest.CA, with, sent, trust []pkitest.CA)) func(testing.TB) func(string) catest.Install {
		return func(t testing.TB) func(string) catest.Install {
			own, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
			signer, with, sent, trust := file(own, other)
			return func(string) catest.Install {
				in := catest.Install{CA: &signer, Method: method, Edit: func(s map[string]*corev1.Secret) {
					s[pki.SecretCA].Data["ca.crt"] = pkitest.CA{}.With(with...).CertPEM
					for _, spec := range pki.LeafSpecs() {
						if leaf := s[spec.Secret]; leaf != nil {
							leaf.Data["tls.crt"] = append(leaf.Data["tls.crt"], pkitest.CA{}.With(sent...).CertPEM...)
							leaf.Data["ca.crt"] = pkitest.CA{}.With(trust...).CertPEM
						}
					}
				}}
				if method == "certgen" {
					in.CronJobs = []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}
				}
				return in
			}
		}
	}
	type list = []pkitest.CA
	below := func(with ...bool) func(root, _ pkitest.CA) (pkitest.CA, list, list, list) {
		return func(root, _ pkitest.CA) (pkitest.CA, list, list, list) {
			signer := root.Intermediate(t, pkitest.Spec{Name: "below"})
			if len(with) > 0 {
				return signer, list{signer, root}, list{signer}, list{root}
			}
			return signer, list{signer}, list{signer}, list{root}
		}
	}
	ended := pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)}
	for name, c := range map[string]struct {
		install func(testing.TB) func(string) catest.Install
		method  rotate.Method
		want    []string
	}{
		"expired, Helm":                    {all("helm", ended), "", []string{"the previous CA cannot sign the new one: it expired on", "--emergency"}},
		"expired, certgen":                 {all("certgen", ended), "", []string{"it expired on", "--emergency"}},
		"path length 0, certgen":           {all("certgen", pkitest.Spec{NoPath: true}), "", []string{"its path length is 0", "--emergency"}},
		"path length 0, cross certificate": {all("helm", pkitest.Spec{NoPath: true}), rotate.Cross, []string{"its path length is 0", "--method bundle"}},
		"name constraints, certgen":        {all("certgen", pkitest.Spec{Permitted: []string{"cilium.io", "svc"}}), "", []string{"it has name constraints", "--emergency"}},
		"bundle with certgen":              {all("certgen", pkitest.Spec{}), rotate.Bundle, []string{"certgen writes only one CA"}},
		"external kvstore": {eu(func(_ testing.TB, in *catest.Install) {
			in.Workloads = func(d *appsv1.Deployment, _ *appsv1.DaemonSet) {
				d.Spec.Template.Spec.Containers = d.Spec.Template.Spec.Containers[1:]
			}
		}), "", []string{"eu: clustermesh-apiserver has no etcd of its own (an external kvstore)", "Replace their CA where they are issued"}},
		"another CA": {eu(func(t testing.TB, in *catest.Install) {
			other := pkitest.NewCA(t, pkitest.Spec{})
			in.CA = &other
		}), "", []string{"another CA", "kubectl mesh-ca sync"}},
		"a trust bundle": {eu(func(_ testing.TB, in *catest.Install) { in.UseBundle, in.Bundle = true, []byte("x") }), "",
			[]string{"eu: processes trust ", "Set tls.caBundle.enabled to false"}},
		"cert-manager": {eu(func(_ testing.TB, in *catest.Install) { in.Method = "cert-manager" }), "",
			[]string{"eu: cert-manager issues the leaf certificates: rotate the CA of its issuer"}},
		"cert-manager, the CA alone": {eu(func(_ testing.TB, in *catest.Install) { in.CAOwner = "cert-manager" }), "",
			[]string{"eu: secret cilium-ca is managed by cert-manager", "delete the Certificate, keep the Secret, and use --force-conflicts"}},
		"Argo CD": {eu(func(_ testing.TB, in *catest.Install) { in.Method = "argocd" }), "",
			[]string{"eu: the leaf certificates are managed by argocd", "suspend it for the rotation and use --force-conflicts"}},
		"Argo CD, the CA alone": {eu(func(_ testing.TB, in *catest.Install) { in.CAOwner = "argocd" }), "",
			[]string{"eu: secret cilium-ca is managed by argocd", "suspend it for the rotation and use --force-conflicts"}},
		"immutable CA":                 {eu(edit(immutable(pki.SecretCA))), "", []string{"eu: secret cilium-ca is immutable", "kubectl replace --force"}},
		"immutable leaf certificate":   {eu(edit(immutable(pki.SecretServer))), "", []string{"eu: secret clustermesh-apiserver-server-cert is immutable", "kubectl replace --force"}},
		"an untracked CA file of etcd": {eu(edit(untracked(pki.SecretServer))), "", []string{untrackedText}},
		"the same, emergency":          {eu(edit(untracked(pki.SecretServer))), rotate.Emergency, []string{untrackedText}},
		"an untracked CA file of KVStoreMesh": {eu(edit(untracked(pki.SecretRemote))), rotate.Cross, []string{
			"eu: cannot determine when secret/clustermesh-apiserver-remote-cert[ca.crt] was written"}},
		"no CA in one cluster": {eu(edit(func(s map[string]*corev1.Secret) { delete(s, pki.SecretCA) })), "", []string{`cluster "eu": secret kube-system/cilium-ca does not exist`, "kubectl mesh-ca sync"}},
		"a leaf certificate of another CA": {eu(func(t testing.TB, in *catest.Install) {
			other := pkitest.NewCA(t, pkitest.Spec{})
			in.LeafCA = &other
		}), "", []string{"eu: the certificate in secret clustermesh-apiserver-server-cert is not signed by the CA", "re-issue it first"}},
		"an intermediate CA, certgen": {several("certgen", below(true)), "", []string{"eu: secret cilium-ca also contains the CA that signed its first certificate", "--emergency"}},
		"an intermediate CA, by hand": {several("hand", below(true)), rotate.Cross, []string{"us: secret cilium-ca also contains the CA that signed its first certificate", "--method bundle"}},
		"federated, certgen": {several("certgen", func(own, other pkitest.CA) (pkitest.CA, list, list, list) {
			x := other.Cross(t, own)
			return own, list{x, own}, list{x}, list{own}
		}), "", []string{"eu: secret cilium-ca contains cross certificates for other CAs", "federate --off"}},
		"federated, Helm": {several("helm", func(own, other pkitest.CA) (pkitest.CA, list, list, list) {
			return own, list{own, other}, nil, list{own, other}
		}), "", []string{"eu: secret cilium-ca also contains another CA", "federate --off"}},
		// What no check knows is refused by the guard, which sees it in the phase after the first writes.
		"an intermediate CA that is alone in cilium-ca": {several("hand", below()), rotate.Cross, []string{"this would end the trust"}},
		"a CA file with an earlier certificate of the CA, whose path length is 0": {several("certgen", func(own, _ pkitest.CA) (pkitest.CA, list, list, list) {
			return own, list{own}, nil, list{pkitest.NewCA(t, pkitest.Spec{Key: own.Key, NoPath: true})}
		}), "", []string{"this would end the trust", "path length"}},
		"lost key": {func(t testing.TB) func(string) catest.Install {
			one := pkitest.NewCA(t, pkitest.Spec{})
			return func(string) catest.Install {
				return catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) { delete(s[pki.SecretCA].Data, "ca.key") }}
			}
		}, "", []string{"the key of the CA is missing in secret cilium-ca", "--emergency"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			install := c.install(t)
			w := newWorld(t, 21, func(name string, _ *pkitest.CA) catest.Install { return install(name) }, "us", "eu")
			w.refused(rotate.Plan, c.method, c.want...)
			w.refused(rotate.Start, c.method, append(c.want, "nothing was written")...)
		})
	}
}

// TestAnotherCA: that a cluster has another CA is the only reason, and not also what follows from it. Without a rotation, no CA is the previous one.
func TestAnotherCA(t *testing.T) {
	t.Parallel()
	one, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	w := newWorld(t, 21, func(name string, _ *pkitest.CA) catest.Install {
		if name == "eu" {
			return catest.Install{CA: &other}
		}
		return catest.Install{CA: &one}
	}, "us", "eu")
	plan, err := w.run(rotate.Plan, "", -1)
	if plan.OldCA == nil {
		t.Error("the plan has no previous CA")
	}
	var why *failure.ReasonsError
	if !errors.As(err, &why) || len(why.Each) != 1 || !strings.HasPrefix(why.Each[0], "us has another CA (SHA-256 ") {
		t.Errorf("error %v", err)
	}
	report, err := w.run(rotate.Status, "", -1)
	if err != nil || report.UnderWay || report.OldCA != nil {
		t.Errorf("under way: %v, previous CA %v, error %v", report.UnderWay, report.OldCA, err)
	}
}

// TestRefusedInTheMiddle: from the first write to the end of a rotation, nothing goes on that does not know all clusters, or that another command does.
func TestRefusedInTheMiddle(t *testing.T) {
	t.Parallel()
	goOn := []rotate.Action{rotate.Continue, rotate.Finish, rotate.Abort}
	begun := func(t *testing.T, seed uint64) *world {
		t.Helper()
		w := newWorld(t, seed, byHelm, "us", "eu", "ap")
		if _, err := w.run(rotate.Start, "", -1); err != nil {
			t.Fatal(err)
		}
		return w
	}
	t.Run("a second rotation", func(t *testing.T) {
		t.Parallel()
		w := begun(t, 22)
		w.refused(rotate.Start, "", "a rotation is under way already", "begun by test", "rotate continue")
		w.refused(rotate.Start, rotate.Emergency, "a rotation with the method bundle is under way already", "rotate continue", "rotate abort")
		w.refused(rotate.Start, rotate.Cross, "a rotation with the method bundle is under way already")
	})
	t.Run("a command that still runs", func(t *testing.T) {
		t.Parallel()
		w := started(t, 23)
		if _, err := w.run(rotate.Continue, "", 200); err == nil {
			t.Fatal("it was not killed")
		}
		for _, action := range []rotate.Action{rotate.Continue, rotate.Abort} {
			w.refused(action, "", "runs a command of this rotation, and counts as alive until", "wait for it")
		}
		w.At = w.At.Add(5 * time.Minute)
		if _, err := w.run(rotate.Abort, "", -1); err != nil {
			t.Error(err)
		}
	})
	t.Run("a member that cannot be read", func(t *testing.T) {
		t.Parallel()
		w := begun(t, 24)
		eu := w.Mesh[1].Member
		reachable := eu.Client
		dead := &fake.Clientset{}
		dead.AddReactor("*", "*", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		eu.Client = dead
		for _, action := range append(goOn, rotate.Start) {
			w.refused(action, "", "eu", "connection refused")
		}
		eu.Client = reachable
		if report, err := w.run(rotate.Abort, "", -1); err != nil {
			t.Errorf("%v (%v)", err, report.Waiting)
		}
	})
	t.Run("a cluster that was rebuilt", func(t *testing.T) {
		t.Parallel()
		w := begun(t, 25)
		first := firstCA(t, w).Signer()
		other := pkitest.NewCA(t, pkitest.Spec{Name: "of the new eu"})
		rebuilt := newWorld(t, 25, func(name string, _ *pkitest.CA) catest.Install { return byHelm(name, &other) }, "eu", "us", "ap").Mesh[0]
		us, ap := w.Mesh[0], w.Mesh[2]
		w.Mesh, w.Kept = []*modeltest.Process{us, ap}, map[string]bool{}
		w.Adopt(rebuilt)
		w.Keep()
		for _, action := range goOn {
			w.refused(action, "", `cluster "eu" has a CA`, "was rebuilt during the rotation", "--ignore-cluster")
		}
		w.ignore.Clusters = []string{"eu"}
		w.refused(rotate.Continue, "", "--ignore-cluster eu: the command reads this cluster")
		w.ignore.Clusters = nil
		w.Mesh = []*modeltest.Process{us, ap}
		for _, action := range goOn { // it is a peer of the others, whatever the flags say
			w.ignore.Clusters = []string{"eu"}
			w.refused(action, "", "eu is a peer of ap", "name all clusters of the mesh with --contexts")
		}
		w.Forget("eu")
		w.ignore.Clusters = nil
		for _, action := range goOn {
			w.refused(action, "", "eu takes part in the rotation, and was not read", "If eu is gone for good or was rebuilt (only then), take it out of the mesh and use --ignore-cluster")
		}
		w.ignore.Clusters = []string{"eu"}
		for _, action := range []rotate.Action{rotate.Continue, rotate.Finish} {
			report, err := w.run(action, "", -1)
			if err != nil {
				t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
			}
			if len(report.Ignored) != 1 || !strings.Contains(report.Ignored[0], "eu: it took part in the rotation, and is left out") || report.Complete {
				t.Errorf("%s: ignored %v, complete %t", action, report.Ignored, report.Complete)
			}
		}
		w.ignore.Clusters = nil
		w.ends(false, first)
		if signer, err := pki.ParseSigner(rebuilt.Secret(pki.SecretCA).Data); err != nil || !signer.Cert.Equal(other.Cert) {
			t.Errorf("the CA of the rebuilt cluster was changed: %v", err)
		}
	})
}
