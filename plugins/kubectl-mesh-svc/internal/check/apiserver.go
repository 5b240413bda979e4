package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
)

// checkAPIServer finds a global Service of the API server. It is the only check of that Service: the fix of any other one would make it global in more
// clusters, or share it.
func (c *checker) checkAPIServer() {
	if len(c.global) == 0 {
		return
	}
	names := placeNames(c.global)
	using := placeNames(slices.DeleteFunc(slices.Clone(c.global), func(p place) bool { return !slices.ContainsFunc(c.global, p.uses) }))
	effect := "if it becomes global in another cluster too, clients may reach the API servers of other clusters"
	if len(using) > 0 {
		effect = fmt.Sprintf("clients in %s may reach the API servers of other clusters", strings.Join(using, ", "))
	}
	c.add(finding.APIServer, names, c.svcFix(exempt.Unglobalize, names...), "global in %s: %s", strings.Join(names, ", "), effect)
}
