package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// TestFieldDList: names, -o name, --sort-by and -o custom-columns= of list, as kubectl get has them.
func TestFieldDList(t *testing.T) {
	t.Parallel()
	global := map[string]string{"service.cilium.io/global": "true"}
	f := newFakeMesh(t, []string{"us", "eu"}, map[string]map[string]string{"web": global, "api": global, "plain": nil})
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
			var out, errOut bytes.Buffer
			e := &env{IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}, flags: clusters.NewFlags()}
			e.flags.Config.Namespace = ptr.To("shop")
			format := output.NewFlags().WithNames().WithItems("services")
			cmd := newList(e)
			if err := cmd.ParseFlags(c.flags); err != nil {
				t.Fatal(err)
			}
			format.Format, _ = cmd.Flags().GetString("output")
			format.SortBy, _ = cmd.Flags().GetString("sort-by")
			format.NoHeaders, _ = cmd.Flags().GetBool("no-headers")
			if err := format.Validate(); err != nil {
				t.Fatal(err)
			}
			o, err := (&listFlags{}).toOptions(e, format, c.args)
			if err != nil {
				t.Fatal(err)
			}
			err = o.show(t.Context(), &clusters.Selection{Members: f.members})
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if d := cmp.Diff(c.want, out.String()); d != "" {
				t.Error(d, errOut.String())
			}
		})
	}
}
