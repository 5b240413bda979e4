package policy

// Reach is the effect of the policies of one cluster on one direction of traffic between some of its pods and their peers.
type Reach struct {
	// Enforced names the policies that certainly apply to the pods, Possible the policies that may apply.
	Enforced, Possible []Policy
	// Denying names the policies that deny the other cluster, but not their own cluster, or that require labels which only their own cluster has. They may apply.
	Denying []Policy
	// Local and Other say whether a pod of the policies' own cluster, and one of the other cluster, may be admitted.
	Local, Other Answer
}

// KeepsOut reports whether pods of the other cluster are kept out while pods of the policies' own cluster are not, and whether
// that is certain or depends on unknown labels.
func (r Reach) KeepsOut() Answer {
	switch {
	case r.Local == No:
		return No
	case r.Other != No && len(r.Denying) > 0:
		return Maybe
	case r.Other != No:
		return No
	case len(r.Enforced) > 0:
		return Yes
	case len(r.Possible) > 0:
		return Maybe
	}
	return No
}

// Ingress says who reaches the subject pods on the targets: pods of their own cluster, and pods of cluster other.
func Ingress(policies []Policy, subject Pods, targets []Target, other string) Reach {
	var out Reach
	for _, p := range policies {
		for _, s := range p.Specs {
			selected := s.Subject.Matches(subject)
			if selected == No {
				continue
			}
			if s.Ingress.Enforced {
				out.note(p, selected)
			}
			out.deny(p, s.Ingress, Pods{Cluster: subject.Cluster}, Pods{Cluster: other}, targets)
			for _, r := range s.Ingress.Rules {
				out.Local = max(out.Local, r.admits(Pods{Cluster: subject.Cluster}, targets, subject.Cluster))
				out.Other = max(out.Other, r.admits(Pods{Cluster: other}, targets, subject.Cluster))
			}
		}
	}
	return out
}

// Egress says whether the subjects of a policy reach the pods of their own cluster (near) and those of another (far) on
// the targets. The policies are all that hold in the subjects' namespace: which pods those are is not known, so that
// what any of them admits counts.
func Egress(policies []Policy, near, far Pods, targets []Target) Reach {
	var out Reach
	for _, p := range policies {
		for _, s := range p.Specs {
			out.deny(p, s.Egress, near, far, targets)
			own := No
			for _, r := range s.Egress.Rules {
				// Only a rule that names the pods counts: a rule that selects all peers does not show that its subjects are clients.
				if len(r.Peers) > 0 && !r.Anybody {
					own = max(own, r.admits(near, targets, near.Cluster))
				}
				out.Other = max(out.Other, r.admits(far, targets, near.Cluster))
			}
			if s.Egress.Enforced && own == Yes {
				out.note(p, own)
			}
			out.Local = max(out.Local, own)
		}
	}
	return out
}

// deny adds a policy that keeps out the other cluster but not its own.
func (r *Reach) deny(p Policy, d Direction, own, other Pods, targets []Target) {
	if d.denies(other, targets, own.Cluster) > d.denies(own, targets, own.Cluster) {
		add(&r.Denying, p)
	}
}

// note adds a policy that is enforced.
func (r *Reach) note(p Policy, selected Answer) {
	if selected == Yes {
		add(&r.Enforced, p)
	} else {
		add(&r.Possible, p)
	}
}

// add adds a policy once.
func add(list *[]Policy, p Policy) {
	if n := len(*list); n > 0 && (*list)[n-1].String() == p.String() {
		return
	}
	*list = append(*list, p)
}
