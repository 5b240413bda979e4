package helper

import "github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"

// Accesses returns the permissions that helpers of a kind need, for the table of the plugin.
func Accesses(kind Kind) []permissions.Access {
	with := func(a permissions.Access, command, what, without string) permissions.Access {
		a.Place, a.Commands, a.For, a.Without = permissions.InPods, []string{command}, what, without
		return a
	}
	if kind == Ephemeral {
		return []permissions.Access{with(accessEphemeral, "`--client=ephemeral`", "an ephemeral container in the client pod", "")}
	}
	out := []permissions.Access{with(accessCreate, "`--client=pod`, `cleanup`", "the helper pod, which is deleted after the run; `create` is not needed for `cleanup`", "")}
	for _, a := range accessSelectors {
		out = append(out, with(a, "`--client=pod --copy-labels`", "whether a Service or a controller would select the helper pod", ""))
	}
	return out
}
