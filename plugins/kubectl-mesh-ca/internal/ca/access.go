package ca

import (
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// bundleName is what the chart calls the object of tls.caBundle unless the values say otherwise.
const bundleName = "cilium-root-ca.crt"

// The permissions that the steps of a change need; the access review asks for them, and the table lists them.

func writes() []string { return []string{"sync", "restore"} }

func accessReadCA() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{pki.SecretCA}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace}
}

func accessPatchCA() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{pki.SecretCA}, Verbs: []string{"patch"}, Place: permissions.InMeshNamespace, Commands: writes(), Writes: true,
		For: "the new CA"}
}

func accessCreate() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"create"}, Place: permissions.InMeshNamespace, Commands: writes(), Writes: true,
		For: "the copy of the former CA, and a CA where there is none; create cannot be limited to a name"}
}

func accessReadBackup() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: writes(), Writes: true,
		For: "that copy, whose name holds the fingerprint of the former CA. To grant less, name it: `--dry-run=server` prints the rule"}
}

// Accesses is the table of what mesh-ca needs. rbac prints manifests of it, docs/rbac.md holds it, and a test runs the commands with nothing else.
func Accesses() []permissions.Access {
	secrets := []string{pki.SecretCA, cilium.SecretKVStoreMesh}
	for _, leaf := range pki.LeafSpecs() {
		secrets = append(secrets, leaf.Secret)
	}
	unknown := "it is shown as unknown, and the exit code is 2"
	return append(permissions.Mesh(), []permissions.Access{
		{Resource: "secrets", Names: secrets, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "the CA and the certificates, by name", Without: unknown},
		{Resource: "configmaps", Names: []string{bundleName}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "a trust bundle (`tls.caBundle`) with the chart's name; one with another name needs a rule of its own", Without: unknown},
		{Resource: "secrets", Names: []string{bundleName}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "the same with `tls.caBundle.useSecret`", Without: unknown},
		{Resource: "pods", Verbs: []string{"list"}, Place: permissions.InMeshNamespace,
			For: "whether etcd has read its CA file again", Without: "that warning is left out"},
		{Group: "apps", Resource: "deployments", Names: []string{pki.DeploymentRelay}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "what Hubble Relay trusts", Without: unknown},
		{Resource: "secrets", Names: pki.OldCASecrets(), Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "a CA under the name that old versions gave it", Without: "it is not named"},
		{Group: "batch", Resource: "cronjobs", Names: []string{cronJobMesh, cronJobHubble}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "the command that renews certificates with certgen", Without: "the commands are those without certgen"},
		accessPatchCA(), accessCreate(), accessReadBackup(),
		{Resource: "secrets", Verbs: []string{"list"}, Place: permissions.InMeshNamespace, Commands: writes(), Writes: true,
			For: "the record of Cilium's Helm release: its chart, and whether its values hold a CA", Without: "both are reported as unknown"},
	}...)
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable(accesses []permissions.Access) string {
	return permissions.Table(accesses, func(a permissions.Access) string {
		if len(a.Commands) == 0 {
			return "every command"
		}
		return "`" + strings.Join(a.Commands, "`, `") + "`"
	})
}
