package labtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const log = `# one (0.1s)
> exec kubectl mesh-svc list -o json
[stdout]
{
  "kind": "ServiceList"
}
[stderr]
Warning: x
> exec kubectl mesh-svc list -o yaml
[stdout]
kind: ServiceList
# two (0.0s)
> ! exec kubectl mesh-svc check -o json
[stdout]
{}
[exit status 1]
> stdout x
`

func TestOutputs(t *testing.T) {
	t.Parallel()
	want := []string{"{\n  \"kind\": \"ServiceList\"\n}\n", "kind: ServiceList\n", "{}\n"}
	if d := cmp.Diff(want, outputs(log)); d != "" {
		t.Error(d)
	}
	if got, want := lastSection(log), log[len(log)-len("# two (0.0s)\n> ! exec kubectl mesh-svc check -o json\n[stdout]\n{}\n[exit status 1]\n> stdout x\n"):]; got != want {
		t.Errorf("got %q", got)
	}
}
