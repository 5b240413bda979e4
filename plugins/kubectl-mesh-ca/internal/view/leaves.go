package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// endsSoon is how long before its end a leaf certificate needs attention.
const endsSoon = 60 * 24 * time.Hour

// summary counts the leaf certificates of a cluster: "7 ok", or "2 of 7: wrong CA" with what is wrong, the worst first.
func summary(c v1alpha1.CACluster, now time.Time) string {
	if len(c.LeafCertificates) == 0 {
		if c.NoClusterMesh {
			return "none (no Cluster Mesh)"
		}
		return "none"
	}
	count := map[string]int{}
	bad := 0
	for _, l := range c.LeafCertificates {
		if what := trouble(l, now); what != "" {
			count[what]++
			bad++
		}
	}
	if bad == 0 {
		return fmt.Sprintf("%d ok", len(c.LeafCertificates))
	}
	var what []string
	for _, kind := range troubles() {
		switch n := count[kind]; n {
		case 0:
		case bad:
			what = append(what, kind)
		default:
			what = append(what, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return fmt.Sprintf("%d of %d: %s", bad, len(c.LeafCertificates), strings.Join(what, ", "))
}

// What is wrong with a leaf certificate, in one or two words.
const (
	troubleUnread = "unreadable"
	troubleKey    = "wrong key"
	troubleClock  = "expired"
	troubleUsage  = "wrong usage"
	troubleUser   = "unknown user"
	troubleCA     = "wrong CA"
	troubleEnds   = "ends soon"
	troubleNames  = "unusual names"
)

// troubles lists what may be wrong, the worst first.
func troubles() []string {
	return []string{troubleUnread, troubleKey, troubleClock, troubleUsage, troubleUser, troubleCA, troubleEnds, troubleNames}
}

// trouble returns the worst thing that is wrong with a leaf certificate, "" if nothing is.
func trouble(l v1alpha1.LeafCertificate, now time.Time) string {
	if l.Certificate == nil {
		return troubleUnread
	}
	found := map[string]bool{
		troubleCA:   l.SignedByCA != nil && !*l.SignedByCA,
		troubleEnds: now.Add(endsSoon).After(l.NotAfter),
	}
	for _, p := range l.Problems {
		kind := map[string]string{
			string(pki.ProblemKey): troubleKey, string(pki.ProblemClock): troubleClock, string(pki.ProblemUsage): troubleUsage, string(pki.ProblemUser): troubleUser,
		}[p.Kind]
		switch {
		case kind != "":
		case p.Severity == string(finding.Error): // a copy of a peer's certificate
			kind = troubleKey
		default:
			kind = troubleNames
		}
		found[kind] = true
	}
	for _, t := range troubles() {
		if found[t] {
			return t
		}
	}
	return ""
}

// leaves returns the leaf certificates with something wrong, those of which the same is wrong in one row; with all, each in a row of its own.
func leaves(doc v1alpha1.CAReport, now time.Time, all bool) *metav1.Table {
	t := output.NewTable("CLUSTER", "SECRET", "EXPIRES", "SIGNED-BY", "OWNER", "STATUS", "+KEY", "+SUBJECT", "+CHAIN", "+FINGERPRINT", "+NAMES")
	type row struct {
		cells   []string
		secrets []string
	}
	for _, c := range doc.Clusters {
		var rows []row
		for _, l := range c.LeafCertificates {
			if !all && trouble(l, now) == "" {
				continue
			}
			cells := leafCells(c.Cluster, l, now)
			same := func(r row) bool { return !all && slices.Equal(r.cells[2:6], cells[2:6]) }
			if i := slices.IndexFunc(rows, same); i >= 0 {
				rows[i].secrets = append(rows[i].secrets, l.Secret)
				continue
			}
			rows = append(rows, row{cells: cells, secrets: []string{l.Secret}})
		}
		for _, r := range rows {
			r.cells[1] = r.secrets[0]
			if more := len(r.secrets) - 1; more > 0 {
				r.cells[1] += fmt.Sprintf(" and %d more", more)
			}
			output.AddRow(t, r.cells...)
		}
	}
	return t
}

func leafCells(cluster string, l v1alpha1.LeafCertificate, now time.Time) []string {
	if l.Certificate == nil {
		return []string{cluster, l.Secret, "-", "-", owner(l.Owner), l.Message, "-", "-", "-", "-", "-"}
	}
	return []string{
		cluster, l.Secret, expires(l.NotAfter, now), signedBy(l), owner(l.Owner), leafStatus(l, now),
		l.Key, l.Subject, fmt.Sprint(max(1, l.Certificates)), pki.Short(l.Fingerprint), strings.Join(slices.Concat(l.DNSNames, l.IPAddresses), ","),
	}
}

func signedBy(l v1alpha1.LeafCertificate) string {
	switch {
	case l.SignedByCA == nil:
		return "?"
	case l.Relation == string(pki.Cross):
		return pki.SecretCA + " (cross)"
	case *l.SignedByCA:
		return pki.SecretCA
	case l.Relation == string(pki.Renamed):
		return pki.SecretCA + " (other subject)"
	}
	return "another CA"
}

func leafStatus(l v1alpha1.LeafCertificate, now time.Time) string {
	if len(l.Problems) == 0 {
		return cmp.Or(trouble(l, now), "ok")
	}
	s := l.Problems[0].Message
	if more := len(l.Problems) - 1; more > 0 {
		s += fmt.Sprintf(" (+%d)", more)
	}
	return s
}
