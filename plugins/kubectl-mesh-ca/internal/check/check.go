// Package check judges the CAs and certificates of all clusters for CI and for the calendar: what ends when, what is wrong, and what breaks with another
// chart.
package check

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Config says what is checked.
type Config struct {
	// Select finds the members.
	Select  func(context.Context) (*clusters.Selection, error)
	Timeout time.Duration // for each cluster
	// At is the moment as of which certificates are judged.
	At time.Time
	// Warn and Fail are how long before its end a certificate causes a warning and an error.
	Warn, Fail time.Duration
	// Chart is the chart version for which the clusters are checked too; empty for none. The only one is Chart120.
	Chart string
	// Ignore are ids of findings to leave out.
	Ignore []string
}

// Chart120 is the chart version of --for.
const Chart120 = "1.20"

// kind is the kind of the document.
const kind = "CACheckReport"

// Run returns the report, and its members; a member that could not be read has an error.
func Run(ctx context.Context, c Config) (v1alpha1.CACheckReport, []*clusters.Member, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return v1alpha1.CACheckReport{}, nil, err
	}
	read := ca.ReadAll(ctx, sel.Members, c.Timeout)
	ca.ReadKept(ctx, read.States, c.Timeout)
	ca.ReadIssuances(ctx, read.States, c.Timeout)
	return c.report(read), read.Members, nil
}

func (c Config) report(read ca.Reading) v1alpha1.CACheckReport {
	j := ca.Judgement{Now: c.At, Warn: c.Warn, Fail: c.Fail}
	all := ca.Examine(read.Members, read.States, j)
	doc := v1alpha1.CACheckReport{Document: all.Document, AsOf: c.At.UTC(), ForChart: c.Chart, Certificates: certificates(all, read.States), TrustFiles: trustFiles(all, read.States), Trust: all.Trust}
	doc.Kind = kind
	if c.Chart != "" {
		found, gaps := ca.Chart120(read.States, j)
		doc.Findings = append(found, doc.Findings...)
		doc.NotExamined = gaps
	}
	ignored := func(id string) bool { return slices.Contains(c.Ignore, id) }
	doc.Findings = slices.DeleteFunc(doc.Findings, func(f v1alpha1.Finding) bool { return ignored(f.ID) })
	for i := range doc.NotExamined {
		doc.NotExamined[i].Findings = slices.DeleteFunc(doc.NotExamined[i].Findings, ignored)
	}
	doc.NotExamined = slices.DeleteFunc(doc.NotExamined, func(n v1alpha1.NotExamined) bool { return len(n.Findings) == 0 })
	if len(doc.NotExamined) > 0 {
		doc.Complete = false
	}
	return doc
}

// certificates lists the dates of all certificates, by cluster.
func certificates(r v1alpha1.CAReport, states []*ca.State) []v1alpha1.CheckedCertificate {
	out := []v1alpha1.CheckedCertificate{}
	for i, c := range r.Clusters {
		add := func(kind, name string, cert v1alpha1.Certificate, due *time.Time, owner *v1alpha1.Owner) {
			out = append(out, v1alpha1.CheckedCertificate{
				Cluster: c.Cluster, Kind: kind, Name: name, Fingerprint: cert.Fingerprint, Subject: cert.Subject, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
				DueFrom: due, DueFromMessage: states[i].RenewalUnknown(name), Owner: owner, RenewedBy: states[i].RenewedBy(kind, name, owner),
			})
		}
		if c.CA != nil {
			add(ca.KindCA, "cilium-ca", c.CA.Certificate, c.CA.DueFrom, &c.CA.Owner)
		}
		for _, l := range c.LeafCertificates {
			if l.Certificate == nil {
				continue
			}
			var due *time.Time
			if at, ok := states[i].Renewal(l.Secret, l.NotBefore, l.NotAfter); ok {
				due = &at
			}
			add(cmp.Or(copyKind(l), ca.KindLeaf), l.Secret, *l.Certificate, due, l.Owner)
		}
	}
	return out
}

// trustFiles lists the CA files that end before leaf certificates, each once, by cluster.
func trustFiles(r v1alpha1.CAReport, states []*ca.State) []v1alpha1.CheckedTrustFile {
	var out []v1alpha1.CheckedTrustFile
	for i, c := range r.Clusters {
		listed := map[string]bool{}
		for _, e := range c.TrustEnds { // the first to end comes first
			for _, file := range e.Files {
				if listed[file] {
					continue
				}
				listed[file] = true
				out = append(out, v1alpha1.CheckedTrustFile{
					Cluster: c.Cluster, File: file, Fingerprint: e.Fingerprint, Subject: e.Subject, NotBefore: e.NotBefore, NotAfter: e.NotAfter,
					RenewedBy: states[i].RenewedBy(ca.KindLeaf, file, ownerOf(c, file)),
				})
			}
		}
	}
	return out
}

// ownerOf returns who keeps the leaf Secret of a CA file, nil for another object.
func ownerOf(c v1alpha1.CACluster, file string) *v1alpha1.Owner {
	for _, l := range c.LeafCertificates {
		if strings.HasPrefix(file, "secret/"+l.Secret+"[") {
			return l.Owner
		}
	}
	return nil
}

// copyKind is the kind of a copy of a peer's certificate, "" for a leaf Secret: only those have an owner.
func copyKind(l v1alpha1.LeafCertificate) string {
	if l.Owner == nil {
		return ca.KindCopy
	}
	return ""
}
