package annotate

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// TestField09TheOwnerOfTheSpecKeepsTheService: a controller that owns no key that would change, and no mark that every tool knows.
func TestField09TheOwnerOfTheSpecKeepsTheService(t *testing.T) {
	t.Parallel()
	const spec = `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{}}}}`
	for name, c := range map[string]struct {
		manager, fields string
		annotations     []string
		owned, others   string
	}{
		"Keess": {"keess", spec, []string{"keess.powerhrg.com/source-cluster", "us"}, "",
			`service default/nginx in eu: kept by another controller, field manager "keess" (Keess cluster us), which can revert the change; to make it last, change the Service in cluster us, which it is copied from`},
		"a name that nobody knows": {"service-copier", spec, nil, "",
			`service default/nginx in eu: kept by another controller, field manager "service-copier", which can revert the change; to make it last, change it where "service-copier" takes it from`},
		"it owns the key too": {"keess", `{"f:metadata":{"f:annotations":{"f:x/global":{}}},"f:spec":{"f:ports":{}}}`, []string{"keess.powerhrg.com/source-cluster", "us"},
			`service default/nginx in eu: x/global is owned by "keess" (Keess cluster us), which would write it again; to make it last, change the Service in cluster us, which it is copied from`, ""},
		"a person":        {"kubectl-client-side-apply", spec, nil, "", ""},
		"a load balancer": {"lb-controller", `{"f:spec":{"f:loadBalancerIP":{}},"f:status":{"f:loadBalancer":{}}}`, nil, "", ""},
		"ourselves":       {"ci-bot", spec, nil, "", ""},
	} {
		svc := nginx(map[string]string{"x/global": "false"})
		for i := 0; i < len(c.annotations); i += 2 {
			svc.Annotations[c.annotations[i]] = c.annotations[i+1]
			svc.Labels = map[string]string{"keess.powerhrg.com/managed": "true"}
		}
		svc.ManagedFields = []metav1.ManagedFieldsEntry{wrote(c.manager, c.fields)}
		p := &Plan{Manager: "ci-bot"}
		p.Items = []*Item{NewItem(&clusters.Member{Name: "eu"}, svc, Values{"x/global": ptr.To("true")})}
		owned, others := p.Notes()
		if strings.Join(owned, "\n") != c.owned || strings.Join(others, "\n") != c.others {
			t.Errorf("%s: %q %q", name, owned, others)
		}
		if (p.Items[0].conflict(p.exempt()) != "") != (c.owned != "") {
			t.Errorf("%s: conflict %q", name, p.Items[0].conflict(p.exempt()))
		}
	}
}
