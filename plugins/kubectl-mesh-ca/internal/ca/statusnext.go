package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// next returns the steps that status prints, in order:
//
//  1. a rotation that is under way comes first and alone: renewing anything meanwhile would disturb it;
//  2. where clusters do not trust each other because of their CAs, one CA for them. It replaces the CAs of others, so nothing else is suggested there;
//  3. elsewhere: what renews leaf certificates that do not belong to the CA, or are not usable;
//  4. what other clusters keep of these: copies and bundles;
//  5. at the end, in each cluster whose etcd restarts, the agents.
func (x examination) next() []v1alpha1.NextStep {
	if steps := x.rotating(); len(steps) > 0 {
		return steps
	}
	out, replaced := x.unite()
	var last []v1alpha1.NextStep
	var renewed []*State
	for _, s := range x.states {
		if replaced[s] {
			continue
		}
		steps := x.renewal(s)
		out = append(out, steps...)
		last = append(last, s.agentsAfter(steps)...)
		if len(x.chain(s)) > 0 {
			renewed = append(renewed, s)
		}
	}
	for _, s := range x.states {
		bundles := s.bundles()
		for _, other := range renewed {
			if _, configured := s.Side.Peers[other.Side.Name]; configured || len(x.renewals[other]) > 0 {
				out = append(out, s.followed(other, x.chain(other)[0], bundles, x.Now)...)
			}
		}
	}
	out = append(out, x.uncovered(out, replaced)...)
	return append(out, last...)
}

// rotating returns the step that goes on with a rotation that is under way.
func (x examination) rotating() []v1alpha1.NextStep {
	var names []string
	for _, s := range x.states {
		if s.Rotating {
			names = append(names, s.Member.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []v1alpha1.NextStep{{
		Clusters: names, Command: plugin(x.read(), "rotate", "status"),
		Reason: fmt.Sprintf("a rotation of the CA is under way (configmap/%s). Do not renew certificates and do not upgrade Cilium until it is finished or aborted; this shows its phase", ConfigMapRotation),
	}}
}

// chain returns the certificates of a cluster's cilium-ca, none if there is none that can be parsed.
func (x examination) chain(s *State) []*x509.Certificate { return x.facts(s).ca.Chain }

// read returns the members that could be read.
func (x examination) read() []*clusters.Member {
	out := make([]*clusters.Member, len(x.states))
	for i, s := range x.states {
		out[i] = s.Member
	}
	return out
}

// unite returns the syncs that give clusters one CA, and the clusters whose CA they replace.
func (x examination) unite() ([]v1alpha1.NextStep, map[*State]bool) {
	var out []v1alpha1.NextStep
	replaced := map[*State]bool{}
	for _, group := range x.apart() {
		source := x.bestSource(group)
		if source == nil {
			continue
		}
		var targets []string
		members := []*clusters.Member{source.Member}
		for _, s := range group {
			if s == source || x.facts(s).refused || x.sameCA(s, source) {
				continue
			}
			replaced[s] = true
			targets = append(targets, s.Member.Name)
			members = append(members, s.Member)
		}
		if len(targets) == 0 {
			continue
		}
		why := "these clusters do not trust each other's CA. Give all of them one CA"
		if unusable := x.unusable(group); len(unusable) > 0 {
			why = fmt.Sprintf("the CA of %s is not usable. Replace it with that of %s", strings.Join(unusable, ", "), source.Member.Name)
		} else if !x.facts(source).refused {
			why += fmt.Sprintf(", for example that of %s (--from names the cluster whose CA stays)", source.Member.Name)
		}
		why += "; sync then lists the steps that must follow"
		out = append(out, v1alpha1.NextStep{
			Clusters: append([]string{source.Member.Name}, targets...), Reason: why,
			Command: plugin(members, "sync", "--from", source.Member.Name, "--to", strings.Join(targets, ",")),
		})
	}
	return out, replaced
}

// unusable names the clusters that have a CA with which nobody can sign.
func (x examination) unusable(group []*State) []string {
	var out []string
	for _, s := range group {
		if ca := x.facts(s).ca; len(ca.Chain) > 0 && ca.Usable(x.Now, 0) != nil {
			out = append(out, s.Member.Name)
		}
	}
	return out
}

// apart returns the groups of clusters that need one CA: those that do not trust each other although new leaf certificates of their present CAs would not
// help, and each cluster whose CA cannot be used together with one whose CA can.
func (x examination) apart() [][]*State {
	group := map[*State]int{}
	join := func(a, b *State) {
		ga, gb := group[a], group[b]
		switch {
		case ga == 0 && gb == 0:
			group[a], group[b] = len(group)+1, len(group)+1
		case ga == 0:
			group[a] = gb
		case gb == 0:
			group[b] = ga
		default:
			for s, g := range group {
				if g == gb {
					group[s] = ga
				}
			}
		}
	}
	for _, p := range x.pairs {
		if p.Verdict != pki.Broken || p.NoMesh != "" || (p.Login.User == pki.Broken && p.Identity.Verdict == pki.OK) {
			continue
		}
		client, server := x.state(p.Client), x.state(p.Server)
		if group[client] != 0 && group[client] == group[server] || len(client.Side.Copies(p.Server)) > 0 {
			continue
		}
		if x.needsOneCA(p) && !x.sameCA(client, server) && x.sync(client, server) != "" {
			join(client, server)
		}
	}
	for _, s := range x.states {
		if len(x.unusable([]*State{s})) == 0 {
			continue
		}
		for _, from := range x.states {
			if from != s && x.facts(from).source == nil {
				join(s, from)
				break
			}
		}
	}
	var out [][]*State
	index := map[int]int{}
	for _, s := range x.states {
		g := group[s]
		if g == 0 {
			continue
		}
		i, known := index[g]
		if !known {
			i = len(out)
			index[g] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], s)
	}
	return out
}

// needsOneCA reports whether a direction is broken because of the CAs: other leaf certificates of the present CAs would not help.
func (x examination) needsOneCA(p pki.Pair) bool {
	client, server := x.state(p.Client), x.state(p.Server)
	return x.rejectsCA(p.Login, client, server) || x.rejectsCA(p.Identity, server, client)
}

// rejectsCA reports whether a cluster does not accept the leaf certificates of another one's CA. If the present leaf certificate is missing or cannot be
// parsed, cilium-ca and the other leaf certificates tell. If the CA file is, this half tells nothing.
func (x examination) rejectsCA(c pki.Check, presenter, judge *State) bool {
	switch {
	case c.Verdict != pki.Broken, c.Renewable:
		return false
	case c.Missing:
		roots := certificatesOf(judge, c.Trust)
		return len(roots) > 0 && !x.facts(presenter).ca.TrustedBy(roots) && !presenter.leavesTrustedBy(roots)
	}
	return true
}

// leavesTrustedBy reports whether a CA file verifies a leaf certificate of the cluster, whatever the clock and the usages say. The CA that signs the leaf
// certificates, or what is sent with them, is not always in cilium-ca.
func (s *State) leavesTrustedBy(roots []*x509.Certificate) bool {
	for _, leaf := range s.LeafCertificates() {
		if slices.ContainsFunc(roots, leaf.SignedBy) {
			return true
		}
	}
	return false
}

// sameCA reports whether two clusters sign with the same CA.
func (x examination) sameCA(a, b *State) bool {
	one, two := x.facts(a).ca, x.facts(b).ca
	return len(one.Chain) > 0 && one.Key == pki.KeyMatches && two.Key == pki.KeyMatches && slices.EqualFunc(one.Chain, two.Chain, pki.SameCertificate)
}

// bestSource chooses the cluster whose CA stays: one whose CA cannot be replaced if there is one, else the CA that most clusters have, else the first.
func (x examination) bestSource(group []*State) *State {
	var best *State
	most := -1
	for _, s := range group {
		if x.facts(s).source != nil {
			continue
		}
		score := 0
		if x.facts(s).refused {
			score = len(group) + 1
		}
		for _, other := range group {
			if x.sameCA(s, other) {
				score++
			}
		}
		if score > most {
			best, most = s, score
		}
	}
	return best
}

// uncovered returns a step for each direction between connected clusters that is broken and that no other step covers: copies of a peer's
// certificates, and users that etcd does not know.
func (x examination) uncovered(steps []v1alpha1.NextStep, replaced map[*State]bool) []v1alpha1.NextStep {
	covered := map[string]bool{}
	for _, s := range steps {
		for _, object := range s.Objects {
			name, _, _ := strings.Cut(object, "[")
			covered[s.Cluster+" "+name] = true
		}
	}
	var out []v1alpha1.NextStep
	for _, p := range x.pairs {
		client, server := x.state(p.Client), x.state(p.Server)
		if p.Verdict != pki.Broken || !p.Configured || replaced[client] || replaced[server] ||
			covered[client.Member.Name+" "+p.Login.Presented.Ref.String()] || covered[server.Member.Name+" "+p.Identity.Presented.Ref.String()] && p.Login.Verdict == pki.OK {
			continue
		}
		why, objects := reasonOf(p), []string(nil)
		fix := x.trustFix(p, nil)
		if strings.HasPrefix(fix, "kubectl ") {
			if slices.ContainsFunc(out, func(s v1alpha1.NextStep) bool { return s.Command == fix }) {
				continue // the same command fixes both directions
			}
			out = append(out, v1alpha1.NextStep{Cluster: client.Member.Name, Reason: why, Command: fix})
			continue
		}
		if fix != "" {
			why += ": " + fix
		}
		for _, c := range client.Side.Copies(p.Server) {
			objects = append(objects, c.Source.String())
		}
		out = append(out, v1alpha1.NextStep{Cluster: client.Member.Name, Reason: why, Objects: objects})
	}
	return out
}
