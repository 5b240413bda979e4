package federate

import (
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

func TestIssuerOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kinds    []pki.OwnerKind
		cronJobs bool
		want     Issuer
	}{
		"helm":                        {[]pki.OwnerKind{pki.OwnerHelm, pki.OwnerHelm}, false, Helm},
		"certgen":                     {[]pki.OwnerKind{pki.OwnerCertgen}, false, Certgen},
		"certgen, known by a CronJob": {[]pki.OwnerKind{pki.OwnerMeshCA}, true, Certgen},
		"helm beside certgen":         {[]pki.OwnerKind{pki.OwnerHelm, pki.OwnerCertgen}, false, Mixed},
		"helm beside a CronJob":       {[]pki.OwnerKind{pki.OwnerHelm}, true, Mixed},
		"a person":                    {[]pki.OwnerKind{pki.OwnerHand, pki.OwnerUnknown, pki.OwnerMeshCA}, false, Nobody},
		"no leaf certificates":        {nil, false, Nobody},
	} {
		if got := issuerOf(c.kinds, c.cronJobs); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestChooseRecipe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuers map[string]Issuer
		files   bool
		want    Recipe
		refused bool
	}{
		"helm":                {map[string]Issuer{"us": Helm, "eu": Helm}, false, Roots, false},
		"helm and nobody":     {map[string]Issuer{"us": Helm, "eu": Nobody}, false, Roots, false},
		"certgen":             {map[string]Issuer{"us": Certgen, "eu": Certgen}, false, Cross, false},
		"certgen and nobody":  {map[string]Issuer{"us": Certgen, "eu": Nobody}, false, Cross, false},
		"nobody":              {map[string]Issuer{"us": Nobody, "eu": Nobody}, false, Cross, false},
		"helm and certgen":    {map[string]Issuer{"us": Helm, "eu": Certgen}, false, "", true},
		"both in one cluster": {map[string]Issuer{"us": Mixed, "eu": Helm}, false, "", true},
		"files only":          {map[string]Issuer{"us": Helm, "eu": Certgen}, true, Files, false},
	} {
		got, reason, err := chooseRecipe(c.issuers, c.files)
		if got != c.want || errors.Is(err, errCombine) != c.refused || (reason == "") != c.refused {
			t.Errorf("%s: %q, %q, %v", name, got, reason, err)
		}
	}
}

// TestNext: each phase in turn, whatever is missing besides.
func TestNext(t *testing.T) {
	t.Parallel()
	done := Position{Cluster: "eu", Locked: true, Chains: true, Trust: true}
	us := func(edit func(*Position)) []Position {
		p := Position{Cluster: "us", Locked: true, Chains: true, Trust: true}
		edit(&p)
		return []Position{p, done}
	}
	for name, c := range map[string]struct {
		recipe Recipe
		off    bool
		at     []Position
		want   Phase
	}{
		"nothing is written without the lock": {Roots, false, us(func(p *Position) { *p = Position{Cluster: "us"} }), Phase{Kind: Lock, Clusters: []string{"us"}}},
		"cross certificates come first": {Roots, false, us(func(p *Position) { p.Chains, p.Trust, p.EtcdBehind = false, false, true }),
			Phase{Kind: Chains, Clusters: []string{"us"}}},
		"then CA files": {Roots, false, us(func(p *Position) { p.Trust, p.EtcdBehind = false, true }), Phase{Kind: Trust, Clusters: []string{"us"}}},
		"then restarts": {Roots, false, us(func(p *Position) { p.EtcdBehind, p.ClientsBehind = true, true }),
			Phase{Kind: Restart, Clusters: []string{"us"}, Gate: Gate{Files: true, Connected: true}}},
		"then clients": {Roots, false, us(func(p *Position) { p.ClientsBehind = true }), Phase{Kind: Refresh, Clusters: []string{"us"}, Gate: Gate{Files: true}}},
		"an upgrade of Helm dropped the cross certificates": {Roots, false, us(func(p *Position) { p.Chains, p.Locked = false, false }),
			Phase{Kind: Done, Gate: Gate{Connected: true}}},
		"cross certificates need no restart": {Cross, false, us(func(p *Position) { p.EtcdBehind, p.Locked = true, false }),
			Phase{Kind: Done, Gate: Gate{Presented: true, Connected: true}}},
		"the reverse does not wait for connections": {Roots, true, us(func(p *Position) { p.EtcdBehind = true }),
			Phase{Kind: Restart, Clusters: []string{"us"}, Gate: Gate{Files: true}}},
		"the reverse does not wait for clients, which cannot connect": {Roots, true, us(func(p *Position) { p.ClientsBehind = true }), Phase{Kind: Done}},
		"the reverse removes cross certificates that nobody needs":    {Roots, true, us(func(p *Position) { p.Chains = false }), Phase{Kind: Chains, Clusters: []string{"us"}}},
	} {
		if d := cmp.Diff(c.want, Next(c.recipe, c.off, c.at)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestCheckCertgen: a cross certificate ends with the CA that signed it, and certgen checks that too.
func TestCheckCertgen(t *testing.T) {
	t.Parallel()
	own, short := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
	for name, c := range map[string]struct {
		config pki.Certgen
		others []pki.CertKey
		want   int
	}{
		"both last":                 {pki.Certgen{Enforces: true, Longest: pki.OneYear}, []pki.CertKey{{Cert: own.Cert}}, 0},
		"the other ends before":     {pki.Certgen{Enforces: true, Longest: pki.OneYear}, []pki.CertKey{{Cert: own.Cert}, {Cert: short.Cert}}, 1},
		"a chart that does not ask": {pki.Certgen{Longest: pki.OneYear}, []pki.CertKey{{Cert: short.Cert}}, 0},
	} {
		one := &cluster{State: &ca.State{Member: &clusters.Member{Name: "us"}, Certgen: []pki.Certgen{c.config}}, own: pki.CertKey{Cert: own.Cert}}
		r := &refusal{}
		Config{}.checkCertgen(&mesh{authorities: c.others, at: pkitest.Now}, one, r)
		if len(r.why) != c.want {
			t.Errorf("%s: %v", name, r.why)
		}
	}
}

// TestFilesGate: a node has the content of a Secret when its file trusts each other CA until it ends: a former certificate of the CA is not enough.
func TestFilesGate(t *testing.T) {
	t.Parallel()
	own, former := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key, NotAfter: former.Cert.NotAfter.Add(pkitest.Day)})
	root := pkitest.NewCA(t, pkitest.Spec{Name: "root"})
	below := root.Intermediate(t, pkitest.Spec{Name: "below"})
	for name, c := range map[string]struct {
		file []*x509.Certificate
		now  pkitest.CA // where it is another one
		off  bool
		open bool
	}{
		"present":           {file: []*x509.Certificate{own.Cert, now.Cert}, open: true},
		"former":            {file: []*x509.Certificate{own.Cert, former.Cert}},
		"neither":           {file: []*x509.Certificate{own.Cert}},
		"off, present":      {file: []*x509.Certificate{own.Cert, now.Cert}, off: true},
		"off, former":       {file: []*x509.Certificate{own.Cert, former.Cert}, off: true},
		"its root only":     {file: []*x509.Certificate{own.Cert, root.Cert}, now: below},
		"below its root":    {file: []*x509.Certificate{own.Cert, root.Cert, below.Cert}, now: below, open: true},
		"off, only the own": {file: []*x509.Certificate{own.Cert}, off: true, open: true},
	} {
		authority := now.Cert
		if c.now.Cert != nil {
			authority = c.now.Cert
		}
		m := &mesh{off: c.off, authorities: []pki.CertKey{{Cert: own.Cert}, {Cert: authority}}}
		one := &cluster{own: pki.CertKey{Cert: own.Cert}, running: rotate.Running{Files: []rotate.Seen{{Certs: c.file}}}}
		open := true
		m.files(one, func(string, ...any) { open = false })
		if open != c.open {
			t.Errorf("%s: open %t", name, open)
		}
		if written := m.withRoots(c.file, own.Cert); !c.off && !slices.ContainsFunc(written, authority.Equal) {
			t.Errorf("%s: the file that is written does not contain the CA", name)
		}
	}
}
