package ca

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// bundleName is the chart's default name of the tls.caBundle object.
const bundleName = "cilium-root-ca.crt"

// The permissions that the steps of a change need; the access review asks for them, and the table lists them.

// commandPrune is the only command that deletes anything that it did not make.
const commandPrune = "backups prune"

func writes() []string { return []string{"sync", "restore"} }

func accessReadCA() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{pki.SecretCA}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace}
}

func accessPatchCA() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{pki.SecretCA}, Verbs: []string{"patch"}, Place: permissions.InMeshNamespace, Commands: writes(), Writes: true,
		For: "the new CA"}
}

func accessCreate() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"create"}, Place: permissions.InMeshNamespace, Commands: append(writes(), "init"), Writes: true,
		For: "the backup of the previous CA, and a CA where none exists; create cannot be limited to a name"}
}

func accessDelete() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"delete"}, Place: permissions.InMeshNamespace, Commands: []string{commandPrune}, Writes: true,
		For: "a backup that nothing uses any more; `rbac` grants it with `--prune` only"}
}

func accessReadBackup() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: append(writes(), commandPrune), Writes: true,
		For: "that backup, and whether a rotation is under way (Secret `cilium-ca-rotation`); its name contains the fingerprint of the previous CA. To grant less, name it: `--dry-run=server` prints the rule"}
}

// Accesses returns the table of the permissions that mesh-ca needs. rbac prints it as manifests, docs/rbac.md contains it, and a test runs the commands with only these permissions.
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
			For: "a trust bundle (`tls.caBundle`) with the chart's name; a bundle with another name needs its own rule", Without: unknown},
		{Resource: "secrets", Names: []string{bundleName}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "the same with `tls.caBundle.useSecret`", Without: unknown},
		{Resource: "pods", Verbs: []string{"list"}, Place: permissions.InMeshNamespace,
			For: "whether etcd has read its CA file again", Without: "that warning is not reported"},
		{Group: "apps", Resource: "deployments", Names: []string{pki.DeploymentRelay}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "what Hubble Relay trusts", Without: unknown},
		{Resource: "secrets", Names: pki.OldCASecrets(), Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "a CA under the name that old versions used", Without: "it is not reported"},
		{Group: "batch", Resource: "cronjobs", Names: []string{cronJobMesh, cronJobHubble}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "the command that renews certificates with certgen", Without: "the commands do not use certgen"},
		accessPatchCA(), accessCreate(), accessReadBackup(),
		{Resource: "secrets", Verbs: []string{"list"}, Place: permissions.InMeshNamespace, Commands: append(writes(), "backups", commandPrune), Writes: true,
			For:     "the record of Cilium's Helm release: its chart, and whether its values contain a CA; the backups, by their label. Whoever may list Secrets can read keys, so that only `--write` grants it",
			Without: "the release is reported as unknown; `backups` fails, and prints the rule"},
		accessDelete(),
		{Resource: "configmaps", Names: []string{configMapRotation}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: []string{commandPrune}, Writes: true,
			For: "whether a rotation is under way: its backups are not deleted"},
	}...)
}

// WithoutPrune leaves out what only backups prune needs: whoever may delete Secrets in Cilium's namespace can end the mesh.
func WithoutPrune(accesses []permissions.Access) []permissions.Access {
	return slices.DeleteFunc(slices.Clone(accesses), func(a permissions.Access) bool { return slices.Equal(a.Commands, []string{commandPrune}) })
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
