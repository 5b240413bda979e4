package ca_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// TestSyncInto copies a CA into targets of every shape and looks at what is there afterwards.
func TestSyncInto(t *testing.T) {
	t.Parallel()
	src := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	old := pkitest.NewCA(t, pkitest.Spec{})
	sameInPKCS8 := pkitest.CA{CertPEM: append([]byte("# text before\n"), src.CertPEM...), KeyPEM: pkitest.NewCA(t, pkitest.Spec{Key: src.Key, Encoding: pkitest.PKCS8}).KeyPEM}
	for name, tc := range map[string]struct {
		source, target catest.Install
		force          bool
		result         string
		message        string // part of the message or of a note
		keys           map[string]string
		kind           corev1.SecretType
		helm           bool // whether it carries Helm's marks afterwards
	}{
		"Helm's into Helm's": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old},
			result: "changed", message: "release cilium stays its owner", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"Helm's into certgen's": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, Method: "certgen"},
			result: "changed", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque,
		},
		"cert-manager's into Helm's": {
			source: catest.Install{CA: &src, CAOwner: "cert-manager"}, target: catest.Install{CA: &old},
			result: "changed", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"into cert-manager's": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, CAOwner: "cert-manager"},
			result: "refused", message: "it is managed by cert-manager/cilium-ca (annotation cert-manager.io/certificate-name), which would write its own CA again; put the CA into a Secret of its own", keys: map[string]string{"tls.crt": "old cert", "tls.key": "old key"}, kind: corev1.SecretTypeTLS,
		},
		"into cert-manager's by force": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, CAOwner: "cert-manager", Edit: func(s map[string]*corev1.Secret) { s["cilium-ca"].Data["ca.crt"] = old.CertPEM }},
			force: true, result: "changed", keys: map[string]string{"tls.crt": "new cert", "tls.key": "new key", "ca.crt": "new cert"}, kind: corev1.SecretTypeTLS,
		},
		"into a cluster without one": {
			source: catest.Install{CA: &src}, target: catest.Install{LeafCA: &old},
			result: "changed", message: "Helm release cilium in namespace kube-system can adopt it", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"the same in another encoding": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &sameInPKCS8, LeafCA: &src},
			result: "unchanged", keys: map[string]string{"ca.key": "other"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"the same certificate, the key lost": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &src, Edit: func(s map[string]*corev1.Secret) { delete(s["cilium-ca"].Data, "ca.key") }},
			result: "changed", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"over one that does not parse": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, Edit: func(s map[string]*corev1.Secret) { s["cilium-ca"].Data["ca.crt"] = []byte("junk") }},
			result: "changed", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"foreign keys stay": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, Edit: func(s map[string]*corev1.Secret) { s["cilium-ca"].Data["note"] = []byte("ours") }},
			result: "changed", keys: map[string]string{"ca.crt": "new cert", "ca.key": "new key", "note": "other"}, kind: corev1.SecretTypeOpaque, helm: true,
		},
		"into Argo CD's": {
			source: catest.Install{CA: &src}, target: catest.Install{CA: &old, CAOwner: "argocd"},
			result: "refused", message: "put the CA into what it deploys", keys: map[string]string{"ca.crt": "old cert"}, kind: corev1.SecretTypeOpaque,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, _ := catest.Member(t, "us", tc.source)
			eu, client := catest.Member(t, "eu", tc.target)
			states := ca.ReadAll(t.Context(), []*clusters.Member{us, eu}, time.Minute).States
			o := ca.Options{Timeout: time.Minute, ForceConflicts: tc.force}
			p, err := ca.Sync(states[0], states[1:], o, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			if said := p.Items[0].Message + strings.Join(p.Items[0].Notes, ";"); !strings.Contains(said, tc.message) {
				t.Errorf("message %q, want %q", said, tc.message)
			}
			if err := p.Change().Preflight(t.Context(), engine); err != nil && tc.result != "refused" {
				t.Fatal(err)
			}
			if err := p.Change().Apply(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
			if p.Items[0].Result != tc.result {
				t.Errorf("result %s (%s), want %s", p.Items[0].Result, p.Items[0].Message, tc.result)
			}
			obj, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), catest.Namespace, "cilium-ca")
			if err != nil {
				t.Fatal(err)
			}
			now := catest.As[*corev1.Secret](obj)
			for key, want := range tc.keys {
				if got := whose(now.Data[key], src, old); got != want {
					t.Errorf("%s holds %s, want %s", key, got, want)
				}
			}
			if now.Type != tc.kind || (now.Annotations["meta.helm.sh/release-name"] == "cilium") != tc.helm {
				t.Errorf("type %s, annotations %v", now.Type, now.Annotations)
			}
			if _, leaked := now.Annotations["kubectl.kubernetes.io/last-applied-configuration"]; leaked {
				t.Error("last-applied-configuration came along")
			}
		})
	}
}

func whose(data []byte, src, old pkitest.CA) string {
	for name, want := range map[string][]byte{"new cert": src.CertPEM, "new key": src.KeyPEM, "old cert": old.CertPEM, "old key": old.KeyPEM} {
		if bytes.Equal(data, want) {
			return name
		}
	}
	return "other"
}

func TestNext(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	const (
		k       = "kubectl --context kind-eu -n kube-system "
		restart = k + "rollout restart deployment/clustermesh-apiserver"
		drop    = k + "delete secret hubble-server-certs hubble-relay-client-certs"
		h       = "helm --kube-context kind-eu -n kube-system upgrade cilium CHART"
		reuse   = " --reuse-values --set tls.ca.cert= --set tls.ca.key="
	)
	job := func(family string) string {
		name := map[string]string{"clustermesh": "clustermesh-apiserver-generate-certs", "hubble": "hubble-generate-certs"}[family]
		return k + "create job --from=cronjob/" + name + " mesh-ca-" + family + "-" + pki.Short(pki.Fingerprint(now.Cert)) + "-" + strconv.FormatInt(pkitest.Now.UnixMilli(), 36)
	}
	// A Job is waited for: a process that restarts before it is done reads the former certificates.
	wait := func(family string) string {
		return k + "wait --for=condition=complete job/mesh-ca-" + family + "-" + pki.Short(pki.Fingerprint(now.Cert)) + "-" + strconv.FormatInt(pkitest.Now.UnixMilli(), 36) + " --timeout=5m"
	}
	for name, tc := range map[string]struct {
		in   catest.Install
		want []string
	}{
		"helm 1.18":         {catest.Install{LeafCA: &old}, []string{drop, h + " --version 1.18.11" + reuse, restart}},
		"helm 1.17":         {catest.Install{LeafCA: &old, Version: "1.17.17"}, []string{h + " --version 1.17.17" + reuse, restart}},
		"helm, no version":  {catest.Install{LeafCA: &old, Version: "latest"}, []string{drop, h + reuse, restart}},
		"certgen with jobs": {catest.Install{LeafCA: &old, Method: "certgen", CronJobs: []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}}, []string{job("clustermesh"), wait("clustermesh"), job("hubble"), wait("hubble"), restart}},
		"certgen 1.18, no schedule for the mesh": {
			catest.Install{LeafCA: &old, Method: "certgen", CronJobs: []string{"hubble-generate-certs"}},
			[]string{h + " --version 1.18.11" + reuse, job("hubble"), wait("hubble"), restart},
		},
		"certgen 1.19, no schedule for the mesh": {
			catest.Install{LeafCA: &old, Method: "certgen", Version: "1.19.5", CronJobs: []string{"hubble-generate-certs"}},
			[]string{k + "delete job -l k8s-app=clustermesh-apiserver-generate-certs", h + " --version 1.19.5" + reuse, job("hubble"), wait("hubble"), restart},
		},
		"cert-manager": {
			catest.Install{LeafCA: &old, Method: "cert-manager"},
			[]string{"cmctl --context kind-eu -n kube-system renew clustermesh-apiserver-server-cert clustermesh-apiserver-admin-cert clustermesh-apiserver-remote-cert clustermesh-apiserver-local-cert hubble-server-certs hubble-relay-client-certs", restart},
		},
		"by hand": {catest.Install{LeafCA: &old, Method: "hand"}, []string{"", restart}},
		"renewed": {catest.Install{LeafCA: &now}, nil},
		"hubble only": {
			catest.Install{LeafCA: &now, Edit: func(s map[string]*corev1.Secret) {
				s["hubble-server-certs"].Data = old.LeafSecrets(t, "eu")["hubble-server-certs"]
			}},
			[]string{k + "delete secret hubble-server-certs", h + " --version 1.18.11" + reuse},
		},
		// What a Helm upgrade leaves from 1.18 on when nobody deleted the Hubble Secrets.
		"hubble's leaf kept, its ca.crt new": {
			catest.Install{LeafCA: &now, Edit: func(s map[string]*corev1.Secret) {
				s["hubble-server-certs"].Data = pkitest.LeafSecret(old.Issue(t, pkitest.Spec{Name: "x"}), now.CertPEM)
			}},
			[]string{k + "delete secret hubble-server-certs", h + " --version 1.18.11" + reuse},
		},
		"leaf of the new CA, old ca.crt": {
			catest.Install{LeafCA: &now, Edit: func(s map[string]*corev1.Secret) {
				s["clustermesh-apiserver-remote-cert"].Data["ca.crt"] = old.CertPEM
			}},
			[]string{h + " --version 1.18.11" + reuse, restart},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.in.CA = &now
			m, _ := catest.Member(t, "eu", tc.in)
			var got []string
			for _, s := range ca.Next(ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0], now.Cert, pkitest.Now) {
				got = append(got, s.Command)
				if s.Reason == "" || s.Cluster != "eu" {
					t.Errorf("step %+v", s)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestNextWithBundle: where processes mount a bundle, renewing leaf certificates is not enough.
func TestNextWithBundle(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	for name, tc := range map[string]struct {
		bundle []byte
		want   bool
	}{
		"without the new CA": {old.CertPEM, true},
		"with both":          {append(bytes.Clone(old.CertPEM), now.CertPEM...), false},
		"missing":            {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := catest.Member(t, "eu", catest.Install{CA: &now, LeafCA: &old, Bundle: tc.bundle, UseBundle: true})
			s := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0]
			steps := ca.Next(s, now.Cert, pkitest.Now)
			if got := strings.Contains(steps[0].Reason, "configmap/cilium-root-ca.crt[ca.crt]"); got != tc.want {
				t.Errorf("first step %+v", steps[0])
			}
		})
	}
}

// TestEtcdStartedBefore: what is mounted is right, and etcd has not read it yet.
func TestEtcdStartedBefore(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	for name, tc := range map[string]struct {
		started time.Duration // after ca.crt was written
		want    bool
	}{"before": {-time.Hour, true}, "after": {time.Hour, false}, "in the same second": {0, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := catest.Member(t, "eu", catest.Install{CA: &one, EtcdStarted: catest.Written.Add(tc.started)})
			states := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States
			got := ids(ca.Report([]*clusters.Member{m}, states, pkitest.Now).Findings)
			next := ca.Next(states[0], one.Cert, pkitest.Now)
			if stale := slices.Contains(got, "CA014 deployment/clustermesh-apiserver"); stale != tc.want || (len(next) == 1) != tc.want {
				t.Errorf("findings %v, next %v", got, next)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	soon := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(30 * pkitest.Day)})
	expired := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	chain := pkitest.CA{CertPEM: append(bytes.Clone(one.CertPEM), two.CertPEM...), KeyPEM: one.KeyPEM}
	for name, tc := range map[string]struct {
		us, eu     catest.Install
		forbid     string // a Secret of eu that may not be read
		want       []string
		incomplete bool
	}{
		"one CA":                            {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one}},
		"two CAs":                           {us: catest.Install{CA: &one}, eu: catest.Install{CA: &two}, want: []string{"CA010 eu to us", "CA010 us to eu"}},
		"copied, leaf certificates not yet": {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one, LeafCA: &two}, want: []string{"CA010 eu to us", "CA010 us to eu", "CA022 6 leaf certificates"}},
		"CA about to expire":                {us: catest.Install{CA: &one}, eu: catest.Install{CA: &soon, LeafCA: &one}, want: []string{"CA004 secret/cilium-ca", "CA022 6 leaf certificates"}},
		"CA expired":                        {us: catest.Install{CA: &one}, eu: catest.Install{CA: &expired, LeafCA: &one}, want: []string{"CA003 secret/cilium-ca", "CA022 6 leaf certificates"}},
		"two certificates in it":            {us: catest.Install{CA: &one}, eu: catest.Install{CA: &chain, LeafCA: &one}, want: []string{"CA006 secret/cilium-ca"}},
		"no CA":                             {us: catest.Install{CA: &one}, eu: catest.Install{LeafCA: &one}, want: []string{"CA001 secret/cilium-ca"}},
		"key of another":                    {us: catest.Install{CA: &one}, eu: catest.Install{CA: &pkitest.CA{CertPEM: one.CertPEM, KeyPEM: two.KeyPEM}, LeafCA: &one}, want: []string{"CA002 secret/cilium-ca"}},
		"hubble's leaf kept": {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) {
			s["hubble-server-certs"].Data = pkitest.LeafSecret(two.Issue(t, pkitest.Spec{Name: "*.eu.hubble-grpc.cilium.io", DNS: []string{"*.eu.hubble-grpc.cilium.io"}}), one.CertPEM)
		}}, want: []string{"CA012 hubble agents", "CA012 hubble relay to agents", "CA022 secret/hubble-server-certs"}},
		"a leaf may not be read":   {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one}, forbid: "clustermesh-apiserver-server-cert", incomplete: true, want: []string{"CA020 secret/clustermesh-apiserver-server-cert", "CA011 us to eu", "CA013 agents to etcd", "CA013 clustermesh-apiserver to etcd", "CA013 kvstoremesh to etcd"}},
		"the CA may not be read":   {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one}, forbid: "cilium-ca", incomplete: true, want: []string{"CA001 secret/cilium-ca"}},
		"peers may not be read":    {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one}, forbid: "cilium-kvstoremesh", incomplete: true, want: []string{"CA011 eu to us"}},
		"a needed leaf is missing": {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) { delete(s, "clustermesh-apiserver-remote-cert") }}, want: []string{"CA010 eu to us", "CA020 secret/clustermesh-apiserver-remote-cert"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, _ := catest.Member(t, "us", tc.us)
			eu, client := catest.Member(t, "eu", tc.eu)
			client.PrependReactor("get", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
				if name := catest.As[ktesting.GetAction](a).GetName(); name == tc.forbid {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, nil)
				}
				return false, nil, nil
			})
			members := []*clusters.Member{us, eu}
			r := ca.Report(members, ca.ReadAll(t.Context(), members, time.Minute).States, pkitest.Now)
			if r.Complete == tc.incomplete {
				t.Errorf("complete is %v", r.Complete)
			}
			if diff := cmp.Diff(tc.want, ids(r.Findings)); diff != "" {
				t.Errorf("findings (-want +got)\n%s", diff)
			}
		})
	}
}

// ids are the findings as "ID object".
func ids(fs []v1alpha1.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.ID+" "+f.Object)
	}
	return out
}
