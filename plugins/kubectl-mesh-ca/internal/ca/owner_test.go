package ca_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// TestField09SyncRefusesACAThatAControllerKeeps: by the owner of ca.crt alone, with no write and no backup, unless it is forced or its own field manager.
func TestField09SyncRefusesACAThatAControllerKeeps(t *testing.T) {
	t.Parallel()
	src, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	for name, tc := range map[string]struct {
		manager   string
		immutable bool
		options   ca.Options
		message   string // "" for a change
	}{
		"External Secrets":         {manager: "externalsecrets.external-secrets.io/cilium-ca", message: "it is managed by ExternalSecret cilium-ca, which would write its own CA again (external-secrets, field manager externalsecrets.external-secrets.io/cilium-ca); change it at its source, as ExternalSecret cilium-ca names it, or use --force-conflicts"},
		"External Secrets, hashed": {manager: "externalsecrets.external-secrets.io/sha3/6b86b273ff34fce1", message: "it is managed by external-secrets (field manager externalsecrets.external-secrets.io/sha3/6b86b273ff34fce1), which would write its own CA again; change it at its source, or use --force-conflicts"},
		"one that nobody knows":    {manager: "pki-copier", message: "it is managed by controller/pki-copier (field manager pki-copier), which would write its own CA again; change it at its source, or use --force-conflicts"},
		"immutable and kept":       {manager: "pki-copier", immutable: true, message: "it is managed by controller/pki-copier (field manager pki-copier), which would write its own CA again; change it at its source, or use --force-conflicts"},
		"immutable":                {manager: "kubectl-create", immutable: true, message: "secret kube-system/cilium-ca is immutable and can only be deleted. Keep a copy of it in the cluster, delete it, and run this again: "},
		"immutable, by force":      {manager: "pki-copier", immutable: true, options: ca.Options{ForceConflicts: true}, message: "secret kube-system/cilium-ca is immutable and can only be deleted. Keep a copy of it in the cluster, delete it, and run this again: "},
		"by force":                 {manager: "pki-copier", options: ca.Options{ForceConflicts: true}},
		"its own name":             {manager: "pki-copier", options: ca.Options{Manager: "pki-copier"}},
		"a person":                 {manager: "kubectl-create"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, _ := catest.Member(t, "us", catest.Install{CA: &src})
			eu, client := catest.Member(t, "eu", catest.Install{CA: &old, Edit: func(s map[string]*corev1.Secret) {
				owned := metav1.ManagedFieldsEntry{Manager: tc.manager, FieldsV1: &metav1.FieldsV1{}}
				owned.FieldsV1.SetRawBytes([]byte(`{"f:data":{"f:ca.crt":{},"f:ca.key":{}}}`))
				s["cilium-ca"].ObjectMeta = metav1.ObjectMeta{Namespace: catest.Namespace, Name: "cilium-ca", ManagedFields: []metav1.ManagedFieldsEntry{owned}}
				s["cilium-ca"].Immutable = &tc.immutable
			}})
			states := ca.ReadAll(t.Context(), []*clusters.Member{us, eu}, time.Minute).States
			tc.options.Timeout = time.Minute
			client.ClearActions()
			p, err := ca.Sync(states[0], states[1:], tc.options, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Change().Preflight(t.Context(), engine); (err != nil) != (tc.message != "") {
				t.Errorf("preflight: %v", err)
			}
			if err := p.Change().Apply(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
			if got := p.Items[0]; !strings.HasPrefix(got.Message, tc.message) || (got.Message == "") != (tc.message == "") || (got.Result == "refused") != (tc.message != "") {
				t.Errorf("%s: %q", got.Result, got.Message)
			}
			var wrote []string
			for _, a := range client.Actions() {
				if slices.Contains([]string{"create", "update", "patch", "delete"}, a.GetVerb()) && a.GetResource().Resource == "secrets" {
					wrote = append(wrote, a.GetVerb())
				}
			}
			if (len(wrote) > 0) != (tc.message == "") {
				t.Errorf("wrote %s", strings.Join(wrote, ", "))
			}
		})
	}
}

// TestField09NextStepsNameTheKeeper: an upgrade with helm does not last where a controller deploys Cilium, so the step names the controller instead.
func TestField09NextStepsNameTheKeeper(t *testing.T) {
	t.Parallel()
	now, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	us, _ := catest.Member(t, "us", catest.Install{CA: &now})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &old, LeafCA: &old})
	eu.Keeper = &owners.Keeper{Tool: owners.ToolArgo, Kind: "application", Name: "cilium"}
	members := []*clusters.Member{us, eu}
	states := ca.ReadAll(t.Context(), members, time.Minute).States
	p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	upgrades := 0
	for _, s := range p.Report(members, "none").NextSteps {
		if strings.HasPrefix(s.Command, "helm") {
			t.Errorf("%s: %s", s.Reason, s.Command)
		}
		if s.Reason == "the upgrade signs the leaf certificates again: run it from the manifest in the Git repository of application cilium. A separate upgrade with helm would not last: "+eu.Keeper.Because() {
			upgrades++
		}
	}
	if upgrades != 1 {
		t.Errorf("%d steps name the application: %+v", upgrades, p.Report(members, "none").NextSteps)
	}
}
