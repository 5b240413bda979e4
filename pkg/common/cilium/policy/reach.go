package policy

// Reach is what the policies of one cluster say about one direction between some of its pods and those at the other end.
type Reach struct {
	// Enforced names the policies that certainly hold for the pods, Possible those that may.
	Enforced, Possible []Policy
	// Own and Other say whether a pod of the own cluster, and one of the other, may be admitted.
	Own, Other Answer
}

// KeepsOut reports whether pods of the other cluster are kept out while such of the own cluster are not, and whether
// that is certain or hangs on labels that are not known.
func (r Reach) KeepsOut() Answer {
	switch {
	case r.Other != No || r.Own == No:
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

// note adds a policy once.
func (r *Reach) note(p Policy, selected Answer) {
	list := &r.Enforced
	if selected != Yes {
		list = &r.Possible
	}
	if n := len(*list); n > 0 && (*list)[n-1].String() == p.String() {
		return
	}
	*list = append(*list, p)
}
