package reissue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// leaves changes all leaf Secrets of a cluster: certificates are sent in addition, and the CA file contains others.
func leaves(secrets map[string]*corev1.Secret, sent, trust []pkitest.CA) {
	for _, spec := range pki.LeafSpecs() {
		s := secrets[spec.Secret]
		if s == nil {
			continue
		}
		for _, c := range sent {
			s.Data[pki.KeyTLSCert] = append(s.Data[pki.KeyTLSCert], c.CertPEM...)
		}
		s.Data[pki.KeyCACert] = files(trust...)
	}
}

func files(of ...pkitest.CA) []byte {
	var out []byte
	for _, c := range of {
		out = append(out, c.CertPEM...)
	}
	return out
}

// trusted lists the pairs of clusters that trust each other.
func (w *world) trusted() []string {
	var out []string
	for _, p := range pki.Matrix(ca.After(ca.ReadAll(w.t.Context(), w.mesh.Members, time.Minute).States, nil), w.at) {
		if p.Verdict == pki.OK {
			out = append(out, p.Client+" "+p.Server)
		}
	}
	return out
}

// TestKeepsTrust: what makes other clusters trust a leaf certificate, or be trusted, may be in its Secret alone. It survives the re-issue, or nothing is written.
func TestKeepsTrust(t *testing.T) {
	t.Parallel()
	one, two, root := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	again := pkitest.NewCA(t, pkitest.Spec{Name: "Root", Key: root.Key, NotAfter: root.Cert.NotAfter.Add(pkitest.Day)})
	x12, x21 := two.Cross(t, one), one.Cross(t, two)
	below, beside := root.Intermediate(t, pkitest.Spec{Name: "below"}), root.Intermediate(t, pkitest.Spec{Name: "beside"})
	type list = []pkitest.CA
	type side struct {
		ca          *pkitest.CA // its certificate signs
		leaf        *pkitest.CA // it signed the leaf certificates; ca by default
		with        list        // in cilium-ca
		sent, trust list
	}
	for name, c := range map[string]struct {
		us, eu  side
		refused string
		want    list // the CA file of us afterwards
		ends    bool // the trust ends, perhaps until eu has changed too
		allow   bool
		apart   bool // the clusters are not peers
	}{
		"federated by cross certificates": {us: side{ca: &one, sent: list{x12}, trust: list{one}}, eu: side{ca: &two, sent: list{x21}, trust: list{two}}, want: list{one}},
		"federated by CA files":           {us: side{ca: &one, trust: list{one, two}}, eu: side{ca: &two, trust: list{two, one}}, want: list{one, two}},
		"below a root": {us: side{ca: &below, with: list{root}, sent: list{below}, trust: list{root}}, eu: side{ca: &beside, with: list{root}, sent: list{beside}, trust: list{root}},
			want: list{below, root}},
		"below a root that is not in cilium-ca":      {us: side{ca: &below, sent: list{below}, trust: list{root}}, eu: side{ca: &beside, sent: list{beside}, trust: list{root}}, want: list{below, root}},
		"signed by the other, before federate --off": {us: side{ca: &one, leaf: &two, sent: list{x21}, trust: list{two, one}}, eu: side{ca: &two, trust: list{two, one}}, want: list{one, two}},
		"another CA than before":                     {us: side{ca: &two, leaf: &one, trust: list{one, two, root}}, eu: side{ca: &two, trust: list{two, one}}, want: list{two, root}},
		"federated, then the CA of the other":        {us: side{ca: &two, leaf: &one, sent: list{x12}, trust: list{one}}, eu: side{ca: &two, sent: list{x21}, trust: list{two}}, want: list{two}},
		"another CA than before, the same in both":   {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &one, leaf: &root, trust: list{root}}, want: list{one}, ends: true},
		"another root than before":                   {us: side{ca: &two, leaf: &below, sent: list{below}, trust: list{root, two}}, eu: side{ca: &two, trust: list{two, root}}, want: list{two}},
		"who trusts only the intermediate CA": {us: side{ca: &root, leaf: &below, sent: list{below}, trust: list{below, root}}, eu: side{ca: &below, trust: list{below}},
			refused: "this would end the trust between us and eu"},
		"certificates of another PKI, unlike every cilium-ca": {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}},
			refused: "this would end the trust between us and eu"},
		"the same, allowed":   {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}}, want: list{one}, ends: true, allow: true},
		"the same, not peers": {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}}, want: list{one}, ends: true, apart: true},
		"the same, below a root that is not sent": {us: side{ca: &below, with: list{root}, leaf: &one, trust: list{one}}, eu: side{ca: &beside, with: list{root}, leaf: &one, trust: list{one}},
			refused: "this would end the trust between us and eu"},
		"who trusts only the intermediate CA, and the root was issued again": {us: side{ca: &again, leaf: &below, sent: list{below}, trust: list{below, root}}, eu: side{ca: &below, trust: list{below}},
			refused: "this would end the trust between us and eu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(name string) catest.Install {
				s := c.us
				if name == "eu" {
					s = c.eu
				}
				return catest.Install{CA: s.ca, LeafCA: s.leaf, Method: "hand", EtcdStarted: pkitest.Now, Edit: func(secrets map[string]*corev1.Secret) {
					secrets["cilium-ca"].Data["ca.crt"] = files(append(list{*s.ca}, s.with...)...)
					leaves(secrets, s.sent, s.trust)
					for _, peers := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
						if c.apart && secrets[peers] != nil {
							secrets[peers].Data = nil
						}
					}
				}}
			}, "us", "eu")
			before := w.trusted()
			_, err := w.reissue(reissue.Config{Means: w.means(false, false), In: []string{"us"}, Which: ca.Which{All: true}, AllowDisconnect: c.allow})
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "nothing was changed") || w.mesh.Writes() > 0 {
					t.Errorf("%v; %d writes", err, w.mesh.Writes())
				}
				return
			}
			must(t, err)
			if diff := cmp.Diff(before, w.trusted()); (diff != "") != c.ends || len(before) != 2 || w.mesh.Writes() == 0 {
				t.Errorf("trust (-before +after), %d writes\n%s", w.mesh.Writes(), diff)
			}
			leaf, err := pki.ParseLeaf(w.secret("us", pki.SecretServer).Data)
			must(t, err)
			want, err := pki.ParseCertificates(files(c.want...))
			must(t, err)
			if !pki.SameCertificates(leaf.Trust, want) {
				t.Errorf("the CA file has %d certificates, want %d", len(leaf.Trust), len(want))
			}
		})
	}
}

// TestUnreadTarget: the name of a cluster that could not be read is not known. The error says why.
func TestUnreadTarget(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand"})
	w.mesh.Members[1].Err = &failure.Error{Class: failure.TLS, Err: errors.New("x509: unknown authority")}
	w.mesh.Members[1].Name = ""
	_, err := w.reissue(reissue.Config{In: []string{"eu"}, Means: w.means(false, false)})
	if err == nil || !strings.Contains(err.Error(), `no cluster "eu"`) || !strings.Contains(err.Error(), "could not be read (tls)") {
		t.Error(err)
	}
}
