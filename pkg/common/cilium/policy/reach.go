package policy

// Reach is what the policies of one cluster say about one direction between some of its pods and those at the other end.
type Reach struct {
	// Enforced names the policies that certainly hold for the pods, Possible those that may.
	Enforced, Possible []Policy
	// Denying are those that deny the other cluster what they do not deny the own one, or require what only the own one has. They may hold.
	Denying []Policy
	// Own and Other say whether a pod of the own cluster, and one of the other, may be admitted.
	Own, Other Answer
}

// KeepsOut reports whether pods of the other cluster are kept out while such of the own cluster are not, and whether
// that is certain or hangs on labels that are not known.
func (r Reach) KeepsOut() Answer {
	switch {
	case r.Own == No:
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
				out.Own = max(out.Own, r.admits(Pods{Cluster: subject.Cluster}, targets, subject.Cluster))
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
				// Only who names the pods means them: a rule for everything else is no sign that its subjects are clients.
				if len(r.Peers) > 0 && !r.Anybody {
					own = max(own, r.admits(near, targets, near.Cluster))
				}
				out.Other = max(out.Other, r.admits(far, targets, near.Cluster))
			}
			if s.Egress.Enforced && own == Yes {
				out.note(p, own)
			}
			out.Own = max(out.Own, own)
		}
	}
	return out
}

// deny notes a policy that keeps the other cluster out rather than the own one.
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
