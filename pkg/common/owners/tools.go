package owners

import "strings"

// The tools that both plugins treat in a way of their own.
const (
	ToolArgo            = "Argo CD"
	ToolFlux            = "Flux"
	ToolHelm            = "Helm"
	ToolOperator        = "operator" // a controller that only its owner reference names
	ToolCertManager     = "cert-manager"
	ToolCertgen         = "certgen"
	ToolExternalSecrets = "External Secrets"
	ToolKeess           = "Keess"
)

// managers maps whole names of field managers, in lower case, to the tool behind them. A name that is not here reconciles too, without a name of its own.
var managers = map[string]string{
	// argo-cd common/common.go ArgoCDSSAManager, and the names of its binaries.
	"argocd-controller": ToolArgo, "argocd-application-controller": ToolArgo, "argocd-server": ToolArgo, "argocd-applicationset-controller": ToolArgo,
	// The controllerName constants in main.go of fluxcd's controllers, which are the field owners of their server-side apply.
	"kustomize-controller": ToolFlux, "helm-controller": ToolFlux,
	// helm pkg/kube/client.go getManagedFieldsManager: the base name of the binary. k3s and RKE2 (rancher/klipper-helm) call it helm_v3.
	"helm": ToolHelm, "helm3": ToolHelm, "helm_v3": ToolHelm,
	// external-secrets: the name of its binary, where an old version sets no field owner.
	"external-secrets": ToolExternalSecrets,
	// vault-secrets-operator and kubernetes-reflector: the names of their binaries.
	"vault-secrets-operator": "Vault Secrets Operator", "kubernetes-reflector": "Reflector", "reflector": "Reflector",
	// carvel-dev/kapp pkg/kapp/cmd/tools/ssa_flags.go, else the names of the binaries.
	"kapp-server-side-apply": "kapp", "kapp": "kapp", "kapp-controller": "kapp",
	// rancher/fleet: the name of the agent's binary, as in managedFields of Rancher's charts.
	"fleetagent": "Fleet", "fleet-agent": "Fleet", "rancher": "Rancher",
	// powerhrg/keess: the name of its binary.
	"keess": ToolKeess,
	// terraform-provider-kubernetes: field_manager.name defaults to Terraform; its user agent is HashiCorp/1.0 Terraform/VERSION.
	"terraform": "Terraform", "hashicorp": "Terraform",
	// pulumi-kubernetes: the name of the provider's binary.
	"pulumi-kubernetes": "Pulumi", "pulumi-resource-kubernetes": "Pulumi",
	// Cilium: the names of the binaries of its images.
	"cilium-certgen": ToolCertgen, "cilium-operator": "Cilium operator", "cilium-operator-generic": "Cilium operator",
	"crossplane": "Crossplane",
	// operator-framework/operator-lifecycle-manager: the names of its binaries.
	"olm": "OLM", "catalog": "OLM",
}

// prefixes map the beginning of a field manager to its tool, for those that append a name.
var prefixes = []struct{ prefix, tool string }{
	// external-secrets runtime/templating/parser.go: fieldOwnerTemplate and fieldOwnerTemplateSha, which hashes names of more than 63 characters.
	{externalSecrets, ToolExternalSecrets},
	// cert-manager pkg/util/useragent.go: cert-manager-NAME-OF-THE-CONTROLLER, such as cert-manager-certificates-issuing.
	{"cert-manager-", ToolCertManager},
	// crossplane internal/controller/apiextensions: FieldOwnerComposedPrefix and FieldOwnerXR.
	{"apiextensions.crossplane.io/", "Crossplane"},
	// terraform-provider-helm_vX.Y.Z_x5: Helm's rule above, in Terraform's plugin.
	{"terraform-provider-helm", ToolHelm},
	// k3s pkg/deploy/controller.go: deploy@NODE, for what is in the directory of manifests.
	{"deploy@", "k3s"},
}

const (
	externalSecrets       = "externalsecrets.external-secrets.io/"
	externalSecretsHashed = "sha3/"
)

// ToolOf returns the tool behind a field manager, "" for one that is not known.
func ToolOf(manager string) string {
	name := strings.ToLower(manager)
	if tool := managers[name]; tool != "" {
		return tool
	}
	for _, p := range prefixes {
		if strings.HasPrefix(name, p.prefix) {
			return p.tool
		}
	}
	return ""
}

// sourceOf returns the source that the name of a field manager tells, "" for most.
func sourceOf(manager string) (kind, name string) {
	rest, ok := strings.CutPrefix(manager, externalSecrets)
	if !ok || rest == "" || strings.HasPrefix(rest, externalSecretsHashed) {
		return "", ""
	}
	return "ExternalSecret", rest
}
