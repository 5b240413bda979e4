package ca

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// trustFindings returns one finding for each direction that is not ok: each has its own reason and fix.
func (x examination) trustFindings() []v1alpha1.Finding {
	var out []v1alpha1.Finding
	one := x.oneCA()
	for _, p := range x.pairs {
		rule, fix := finding.Trust, ""
		switch {
		case p.Verdict == pki.OK, p.NoMesh != "":
			continue
		case p.Verdict == pki.Unknown:
			rule = finding.TrustUnknown
		default:
			fix = x.trustFix(p, one)
		}
		names := []string{p.Client, p.Server}
		slices.Sort(names)
		out = append(out, rule.New(p.Client+" to "+p.Server, names, reasonOf(p), fix))
	}
	return out
}

// reasonOf says why one direction is not ok. A wrong etcd user is reported in addition to problems of the certificates. If both sides have the same reason
// (two CAs), only the client's is reported.
func reasonOf(p pki.Pair) string {
	switch {
	case p.Login.Reason == "" || (p.Login.Verdict == pki.Unknown && p.Identity.Verdict == pki.Broken):
		return p.Identity.Reason
	case p.Login.User == pki.Broken && p.Identity.Verdict == pki.Broken:
		return join(p.Login.Reason, p.Identity.Reason)
	}
	return p.Login.Reason
}

// oneCA returns by cluster the command that gives it and others one CA. All findings have the same command: a sync for each pair would copy CAs in a circle.
func (x examination) oneCA() map[string]v1alpha1.NextStep {
	out := map[string]v1alpha1.NextStep{}
	steps, _ := x.unite()
	for _, step := range steps {
		for _, cluster := range step.Clusters {
			out[cluster] = step
		}
	}
	return out
}

func (x examination) state(cluster string) *State { return x.byName[cluster] }

// trustFix returns the fix for one direction, "" if only the reason helps. It suggests a sync only if that would write something and the CAs are
// the cause: two clusters with the same cilium-ca, or whose CAs are trusted, need new leaf certificates, and a cluster with copies of its peer's
// certificates needs new copies.
func (x examination) trustFix(p pki.Pair, one map[string]v1alpha1.NextStep) string {
	client, server := x.state(p.Client), x.state(p.Server)
	if client == nil || server == nil {
		return ""
	}
	if p.Login.User == pki.Broken && p.Identity.Verdict == pki.OK {
		return fmt.Sprintf("issue %s of %s with a common name that is a user of etcd in %s", p.Login.Presented, p.Client, p.Server)
	}
	if copies := client.Side.Copies(p.Server); len(copies) > 0 {
		var names []string
		for _, c := range copies {
			names = append(names, c.Source.String())
		}
		fix := fmt.Sprintf("renew the copies %s in %s from secret %s of %s", strings.Join(names, " and "), p.Client, pki.SecretRemote, p.Server)
		if x.sync(client, server) == "" { // the same CA also signed the cluster's own certificates
			fix += fmt.Sprintf(", or remove them so that %s uses its own certificates", p.Client)
		}
		return fix
	}
	if sync := x.sync(client, server); sync != "" {
		step := one[p.Client]
		together := slices.Contains(step.Clusters, p.Server)
		if !together && !x.needsOneCA(p) {
			return x.renewTrust(p, client, server)
		}
		if together {
			sync = step.Command
		}
		return sync + "; then renew the leaf certificates (sync lists the commands)"
	}
	return x.renewTrust(p, client, server)
}

// renewTrust returns the fix for one direction if new leaf certificates or present CA files are enough.
func (x examination) renewTrust(p pki.Pair, client, server *State) string {
	return cmp.Or(x.renew(client, server), x.federate(server, certificatesOf(server, p.Login.Trust)), x.federate(client, certificatesOf(client, p.Identity.Trust)))
}

// caFacts holds whether a CA can be copied from a cluster, or to it. They are cached, because a mesh of 255 clusters has 65,000 pairs.
type caFacts struct {
	source  error // why it must not be copied
	ca      pki.CA
	refused bool // it cannot be replaced, or its owner would overwrite it
}

func (x examination) facts(s *State) caFacts {
	if known, ok := x.known[s]; ok {
		return known
	}
	var f caFacts
	src, err := sourceOf(s, x.Now)
	f.source, f.ca = err, src.ca
	secret := s.CA()
	f.refused = secret.Unreadable != ""
	if secret.Object != nil {
		f.ca, _ = pki.ParseCA(secret.Object.Data)
		item, have := newItem(s, pki.SecretCA, Facts{}, Options{})
		item.refuse(have, Options{})
		f.refused = f.refused || item.Result == v1alpha1.ResultRefused
	}
	x.known[s] = f
	return f
}

// sync returns the command that gives two clusters the same CA, in the direction that is possible; "" if it would change nothing.
func (x examination) sync(a, b *State) string {
	for _, ends := range [][2]*State{{a, b}, {b, a}} {
		from, to := x.facts(ends[0]), x.facts(ends[1])
		if from.source != nil || to.refused {
			continue
		}
		if to.ca.Key == pki.KeyMatches && slices.EqualFunc(from.ca.Chain, to.ca.Chain, pki.SameCertificate) {
			return ""
		}
		return plugin([]*clusters.Member{ends[0].Member, ends[1].Member}, "sync", "--from", ends[0].Member.Name, "--to", ends[1].Member.Name)
	}
	return ""
}

// replace returns the command that gives a cluster a valid CA of another cluster; "" if no other cluster has one.
func (x examination) replace(s *State) string {
	if x.facts(s).refused {
		return ""
	}
	for _, from := range x.states {
		if from != s && x.facts(from).source == nil {
			return plugin([]*clusters.Member{from.Member, s.Member}, "sync", "--from", from.Member.Name, "--to", s.Member.Name)
		}
	}
	return ""
}

// renewPrefix begins a fix that renews leaf certificates.
const renewPrefix = "renew the leaf certificates: "

// renew lists the steps after which the leaf certificates of two clusters belong to their CAs.
func (x examination) renew(states ...*State) string {
	var out []string
	for _, s := range states {
		for _, step := range x.renewal(s) {
			if step.Command != "" {
				out = append(out, step.Command)
			} else {
				out = append(out, s.Member.Name+": "+step.Reason)
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return renewPrefix + strings.Join(out, "; ")
}

// renewal returns the steps after which the leaf certificates of a cluster belong to its own CA, and are usable.
func (x examination) renewal(s *State) []v1alpha1.NextStep {
	steps, known := x.renewals[s]
	if !known {
		if chain := x.facts(s).ca.Chain; len(chain) > 0 {
			steps = plain(s.renew(chain[0], x.due(s, chain[0]), x.Now))
		}
		x.renewals[s] = steps
	}
	return steps
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
