// Package verb is what each writing verb of mesh-svc writes (globalize, unglobalize, share, unshare, affinity), and to which Services. It is pure:
// the packages write and local apply it to clusters and to manifests.
package verb

import (
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
)

// Edit is what a verb writes.
type Edit struct {
	// Action is the verb, such as "globalize".
	Action string
	Values annotate.Values
	// Note is printed after the change, unless it is "".
	Note string
	// NeedsIn is what of the command line requires --in, because without it the verb would change clusters that the user did not name; "" if nothing does.
	NeedsIn string
}

// Globalize makes a Service global. It removes a leftover alias, so that only one key
// decides. It also sets affinity and shared if they are given. Where the separate verb for such a value requires --in, so does this one:
// in all clusters, a Service would be shared nowhere or prefer remote endpoints everywhere.
func Globalize(affinity, shared string) (Edit, error) {
	e := Edit{Action: "globalize", Values: annotate.Values{
		cilium.AnnotationGlobal: ptr.To("true"), cilium.AnnotationGlobalAlias: nil,
	}}
	if affinity != "" {
		a, err := Affinity(affinity)
		if err != nil {
			return e, fmt.Errorf("--affinity: %w", err)
		}
		merge(e.Values, a.Values)
		if a.NeedsIn != "" {
			e.NeedsIn = "globalize --affinity " + affinity
		}
	}
	switch shared {
	case "":
	case "true":
		merge(e.Values, Share().Values)
	case "false":
		merge(e.Values, Unshare().Values)
		e.NeedsIn = "globalize --shared=false"
	default:
		return e, fmt.Errorf("--shared %q: must be one of: true, false", shared)
	}
	return e, nil
}

// Unglobalize removes both keys: the new key alone would let a leftover alias take over again.
func Unglobalize() Edit {
	return Edit{Action: exempt.Unglobalize, Values: annotate.Values{cilium.AnnotationGlobal: nil, cilium.AnnotationGlobalAlias: nil},
		Note: "shared and affinity annotations are kept; without global they have no effect"}
}

// Share removes both shared keys: a global Service is shared by default.
func Share() Edit {
	return Edit{Action: "share", NeedsIn: "share", Values: annotate.Values{cilium.AnnotationShared: nil, cilium.AnnotationSharedAlias: nil}}
}

// Unshare keeps a global Service's endpoints for its own cluster.
func Unshare() Edit {
	return Edit{Action: "unshare", NeedsIn: "unshare", Values: annotate.Values{cilium.AnnotationShared: ptr.To("false"), cilium.AnnotationSharedAlias: nil}}
}

// Affinity sets which endpoints a cluster's clients prefer. "none" removes both
// keys. It is never written, because Cilium 1.18 and 1.19 then drop all remote backends (cilium issue 46623).
func Affinity(value string) (Edit, error) {
	e := Edit{Action: "affinity " + value, Values: annotate.Values{cilium.AnnotationAffinity: nil, cilium.AnnotationAffinityAlias: nil}}
	switch value {
	case string(cilium.AffinityNone):
	case string(cilium.AffinityLocal):
		e.Values[cilium.AnnotationAffinity] = ptr.To(value)
	case string(cilium.AffinityRemote):
		e.Values[cilium.AnnotationAffinity] = ptr.To(value)
		e.NeedsIn = e.Action
	default:
		hint := ""
		if lower := strings.ToLower(strings.TrimSpace(value)); lower != value && (lower == "local" || lower == "remote" || lower == "none") {
			hint = fmt.Sprintf("; did you mean %s?", lower)
		}
		return e, fmt.Errorf("invalid affinity %q: must be one of: local, remote, none%s", value, hint)
	}
	return e, nil
}

func merge(into, from annotate.Values) {
	for k, v := range from {
		into[k] = v
	}
}
