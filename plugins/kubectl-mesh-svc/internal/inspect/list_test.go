package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
)

// TestFieldDList: names, -o name, --sort-by and -o custom-columns= of list, as kubectl get has them.
func TestFieldDList(t *testing.T) {
	t.Parallel()
	global := map[string]string{"service.cilium.io/global": "true"}
	f := testkit.NewMesh(t, []string{"us", "eu"}, map[string]map[string]string{"web": global, "api": global, "plain": nil})
	for name, c := range map[string]struct {
		args, flags []string
		want        string
		fails       string
	}{
		"all":           {nil, []string{"-o", "name"}, "service/api\nservice/web\n", ""},
		"named":         {[]string{"svc/web"}, []string{"-o", "name"}, "service/web\n", ""},
		"named, local":  {[]string{"plain", "web"}, []string{"-o", "name"}, "service/plain\nservice/web\n", ""},
		"not there":     {[]string{"web", "gone"}, nil, "", "service shop/gone not found in any cluster"},
		"sorted":        {nil, []string{"--sort-by=.name", "-o", "jsonpath={.services[*].name}"}, "api web", ""},
		"sorted by":     {nil, []string{"--sort-by", "{.metadata.name}", "--no-headers", "-o", "custom-columns=N:.name"}, "api\nweb\n", ""},
		"no such field": {nil, []string{"--sort-by=.spec.type"}, "", "--sort-by: couldn't find any field"},
		"columns":       {[]string{"web"}, []string{"-o", "custom-columns=NAME:.metadata.name,READY:.clusters[*].readyEndpoints,G:.clusters[0].global.value"}, "NAME   READY   G\nweb    1,1     true\n", ""},
		"a table":       {[]string{"plain"}, nil, "NAME    GLOBAL   SHARED   AFFINITY   READY       FINDINGS\nplain   0/2      0/2      none       us:1 eu:1   <none>\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.Command{New: cmd.New, Members: f.Members}.Run(t.Context(), t, slices.Concat([]string{"list", "-n", "shop"}, c.args, c.flags)...)
			err, out, errOut := r.Err, r.Out, r.ErrOut
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if d := cmp.Diff(c.want, out); d != "" {
				t.Error(d, errOut)
			}
		})
	}
}
