package ca

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// trustFindings makes one finding for each direction that is not ok: each has its own reason and its own fix.
func (x examination) trustFindings() []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, p := range x.pairs {
		rule, fix := finding.Trust, ""
		switch p.Verdict {
		case pki.OK:
			continue
		case pki.Unknown:
			rule = finding.TrustUnknown
		default:
			fix = x.trustFix(p)
		}
		names := []string{p.Client, p.Server}
		slices.Sort(names)
		out = append(out, rule.New(p.Client+" to "+p.Server, names, reasonOf(p), fix))
	}
	return out
}

// reasonOf is why one direction is not ok. A wrong user of etcd stands beside what is wrong with the certificates; of two reasons that are one (two CAs) the
// client's is enough.
func reasonOf(p pki.Pair) string {
	switch {
	case p.Login.Reason == "" || (p.Login.Verdict == pki.Unknown && p.Identity.Verdict == pki.Broken):
		return p.Identity.Reason
	case p.Login.User == pki.Broken && p.Identity.Verdict == pki.Broken:
		return join(p.Login.Reason, p.Identity.Reason)
	}
	return p.Login.Reason
}

func (x examination) state(cluster string) *State {
	for _, s := range x.states {
		if s.Side.Name == cluster {
			return s
		}
	}
	return nil
}

// trustFix is what makes one direction work, "" where only the reason tells. A sync is suggested only where it would write something: two clusters whose
// cilium-ca is the same need other leaf certificates, and one that keeps copies of its peer's certificates needs other copies.
func (x examination) trustFix(p pki.Pair) string {
	client, server := x.state(p.Client), x.state(p.Server)
	if client == nil || server == nil {
		return ""
	}
	if p.Login.User == pki.Broken && p.Identity.Verdict == pki.OK {
		return fmt.Sprintf("issue %s of %s with a common name that etcd in %s knows", p.Login.Presented, p.Client, p.Server)
	}
	if copies := client.Side.Copies(p.Server); len(copies) > 0 {
		var names []string
		for _, c := range copies {
			names = append(names, c.Source.String())
		}
		fix := fmt.Sprintf("renew the copies %s in %s from secret %s of %s", strings.Join(names, " and "), p.Client, pki.SecretRemote, p.Server)
		if x.sync(client, server) == "" { // one CA, which signed the cluster's own certificates too
			fix += fmt.Sprintf(", or remove them so that %s uses its own certificates", p.Client)
		}
		return fix
	}
	if sync := x.sync(client, server); sync != "" {
		return sync + "; then renew the leaf certificates, it lists the commands"
	}
	return x.renew(client, server)
}

// sync is the command that gives two clusters one CA, in the direction in which it can be carried out; "" where it would change nothing.
func (x examination) sync(a, b *State) string {
	for _, ends := range [][2]*State{{a, b}, {b, a}} {
		from, to := ends[0], ends[1]
		src, err := sourceOf(from, x.now)
		if err != nil || to.CA().Unreadable != "" {
			continue
		}
		item := syncItem(src, to, Options{})
		switch item.Result {
		case v1alpha1.ResultUnchanged:
			return ""
		case v1alpha1.ResultPlanned:
			return plugin([]*clusters.Member{from.Member, to.Member}, "sync", "--from", from.Member.Name, "--to", to.Member.Name)
		}
	}
	return ""
}

// replace is the command that gives a cluster the CA of another one that was read and whose CA is good; "" where there is none.
func (x examination) replace(s *State) string {
	for _, from := range x.states {
		if from == s {
			continue
		}
		if _, err := sourceOf(from, x.now); err != nil {
			continue
		}
		if sync := x.sync(from, s); sync != "" {
			return sync
		}
	}
	return ""
}

// renew names what makes the leaf certificates of two clusters belong to their CAs.
func (x examination) renew(states ...*State) string {
	var out []string
	for _, s := range states {
		secret := s.CA().Object
		if secret == nil {
			continue
		}
		ca, err := pki.ParseCA(secret.Data)
		if err != nil {
			continue
		}
		for _, step := range Next(s, ca.Signer(), x.now) {
			if step.Command != "" {
				out = append(out, step.Command)
			} else {
				out = append(out, s.Member.Name+": "+step.Why)
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "renew the leaf certificates: " + strings.Join(out, "; ")
}
