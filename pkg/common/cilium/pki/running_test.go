package pki_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func TestWindowSince(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time {
		if minute < 0 {
			return time.Time{}
		}
		return pkitest.Now.Add(time.Duration(minute) * time.Minute)
	}
	for name, tc := range map[string]struct {
		read, content [2]int // minutes; -1 is unknown
		want          pki.Freshness
	}{
		"read later":                                     {[2]int{20, 20}, [2]int{10, 10}, pki.Fresh},
		"read at the same time":                          {[2]int{10, 10}, [2]int{10, 10}, pki.Fresh},
		"read earlier":                                   {[2]int{5, 5}, [2]int{10, 10}, pki.Stale},
		"the file may have changed before":               {[2]int{5, 5}, [2]int{2, 10}, pki.UnknownFreshness},
		"it may have read it earlier":                    {[2]int{5, 20}, [2]int{10, 10}, pki.UnknownFreshness},
		"its last read is not known, but it began later": {[2]int{20, -1}, [2]int{10, 10}, pki.Fresh},
		"began earlier, last read unknown":               {[2]int{5, -1}, [2]int{10, 10}, pki.UnknownFreshness},
		"nothing is known about the process":             {[2]int{-1, -1}, [2]int{10, 10}, pki.UnknownFreshness},
		"the write is not known":                         {[2]int{20, 20}, [2]int{5, -1}, pki.UnknownFreshness},
		"the write is not known, the CA is new":          {[2]int{20, 20}, [2]int{30, -1}, pki.Stale},
		"nothing is known":                               {[2]int{-1, -1}, [2]int{-1, -1}, pki.UnknownFreshness},
	} {
		read, content := pki.Window{From: at(tc.read[0]), To: at(tc.read[1])}, pki.Window{From: at(tc.content[0]), To: at(tc.content[1])}
		if got := read.Since(content); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestAnnouncedOthers(t *testing.T) {
	t.Parallel()
	one, same, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Other CA"})
	certs := func(cas ...pkitest.CA) []*x509.Certificate {
		var out []*x509.Certificate
		for _, ca := range cas {
			out = append(out, ca.Cert)
		}
		return out
	}
	subjects := func(cas ...pkitest.CA) [][]byte {
		var out [][]byte
		for _, ca := range cas {
			out = append(out, ca.Cert.RawSubject)
		}
		return out
	}
	for name, tc := range map[string]struct {
		announced [][]byte
		file      []*x509.Certificate
		others    bool
	}{
		"equal":                       {subjects(one), certs(one), false},
		"another CA with the subject": {subjects(one), certs(same), false},
		"another subject":             {subjects(other), certs(one), true},
		"one instead of two":          {subjects(one), certs(one, same), true},
		"two instead of one":          {subjects(one, same), certs(one), true},
		"another order":               {subjects(other, one), certs(one, other), false},
		"twice in the file":           {subjects(one), certs(one, one), false},
		"nothing announced":           {nil, certs(one), false},
	} {
		if got := pki.AnnouncedOthers(tc.announced, tc.file); (got != "") != tc.others {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestVerifyServed(t *testing.T) {
	t.Parallel()
	old, fresh := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	// X is NEW's key signed by OLD: what a rotation delivers behind each leaf certificate.
	cross := old.Intermediate(t, pkitest.Spec{Name: "Cilium CA", Key: fresh.Key})
	leaf := fresh.Issue(t, pkitest.Spec{DNS: []string{"*.mesh.cilium.io"}})
	us := pkitest.Side(t, "us", old)
	for name, tc := range map[string]struct {
		chain []*x509.Certificate
		now   time.Time
		want  pki.Verdict
		text  string
	}{
		"signed by another CA":       {[]*x509.Certificate{leaf.Cert}, pkitest.Now, pki.Broken, "it is signed by"},
		"with the cross certificate": {[]*x509.Certificate{leaf.Cert, cross.Cert}, pkitest.Now, pki.OK, ""},
		"expired":                    {[]*x509.Certificate{leaf.Cert, cross.Cert}, pkitest.Now.Add(5000 * pkitest.Day), pki.Broken, "expired"},
		"nothing":                    {nil, pkitest.Now, pki.Unknown, "no certificate"},
	} {
		got := pki.VerifyServed(tc.chain, us, "eu", tc.now)
		if got.Verdict != tc.want || !strings.Contains(got.Reason, tc.text) || got.Trust.Ref.Name != pki.SecretRemote {
			t.Errorf("%s: %+v", name, got)
		}
	}
	wrong := old.Issue(t, pkitest.Spec{DNS: []string{"clustermesh-apiserver.kube-system.svc"}})
	if got := pki.VerifyServed([]*x509.Certificate{wrong.Cert}, us, "eu", pkitest.Now); got.Verdict != pki.Broken || !strings.Contains(got.Reason, "eu.mesh.cilium.io") {
		t.Errorf("another name: %+v", got)
	}
	us.Objects[pki.Ref{Kind: pki.Secret, Name: pki.SecretRemote}] = pki.Object{Unreadable: "no permission to read it"}
	if got := pki.VerifyServed([]*x509.Certificate{leaf.Cert}, us, "eu", pkitest.Now); got.Verdict != pki.Unknown {
		t.Errorf("unreadable CA file: %+v", got)
	}
}
