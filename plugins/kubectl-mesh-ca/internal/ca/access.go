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
	return permissions.Access{Resource: "secrets", Verbs: []string{"create"}, Place: permissions.InMeshNamespace, Commands: append(writes(), "reissue", "init"), Writes: true,
		For: "the backup of what is replaced, and a CA where none exists; create cannot be limited to a name"}
}

func accessDelete() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"delete"}, Place: permissions.InMeshNamespace, Commands: []string{commandPrune}, Writes: true,
		For: "a backup that nothing uses any more; `rbac` grants it with `--prune` only"}
}

func accessReadBackup() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: append(writes(), "reissue", commandPrune), Writes: true,
		For: "that backup, and whether a rotation is under way (Secret `cilium-ca-rotation`); its name contains the fingerprint of the previous CA. To grant less, name it: `--dry-run=server` prints the rule"}
}

// reissueRestarts is reissue if it also restarts.
const reissueRestarts = "reissue --restart"

// AccessRestartAgents is for a restart of the agents.
func AccessRestartAgents() permissions.Access {
	return permissions.Access{Group: "apps", Resource: "daemonsets", Names: []string{cilium.DaemonSetName}, Verbs: []string{"get", "patch"}, Place: permissions.InMeshNamespace, Commands: []string{reissueRestarts}, Writes: true,
		For: "a restart of the agents, which may keep the previous CA for 15 minutes"}
}

// AccessRunCertgen is for Jobs from certgen's CronJobs.
func AccessRunCertgen() permissions.Access {
	return permissions.Access{Group: "batch", Resource: "jobs", Verbs: []string{"create", "get"}, Place: permissions.InMeshNamespace, Commands: []string{"reissue"}, Writes: true,
		For: "a Job that runs certgen, and whether it is done; create cannot be limited to a name"}
}

// AccessDeleteHubble is for the leaf certificates that an upgrade with Helm would keep.
func AccessDeleteHubble() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{pki.SecretHubbleServer, pki.SecretHubbleRelay}, Verbs: []string{"get", "delete"}, Place: permissions.InMeshNamespace, Commands: []string{"reissue --helm"}, Writes: true,
		For: "Hubble's leaf certificates, of which Helm would only replace the CA file (chart 1.18 and later). Helm itself needs the permissions of an upgrade"}
}

// AccessDeleteJobs is for the Jobs of certgen that an upgrade with Helm would keep.
func AccessDeleteJobs() permissions.Access {
	return permissions.Access{Group: "batch", Resource: "jobs", Verbs: []string{"list", "get", "delete"}, Place: permissions.InMeshNamespace, Commands: []string{"reissue --helm"}, Writes: true,
		For: "the Job of certgen, which Helm runs again only if it is gone (chart 1.19 and later, without a CronJob)"}
}

// AccessRenewCertificates is for the renewal by cert-manager.
func AccessRenewCertificates() permissions.Access {
	return permissions.Access{Group: "cert-manager.io", Resource: "certificates/status", Verbs: []string{"patch"}, Place: permissions.InMeshNamespace, Commands: []string{"reissue"}, Writes: true,
		For: "the renewal of leaf certificates that cert-manager issues, as with cmctl renew"}
}

// AccessReadCertificates is for the same.
func AccessReadCertificates() permissions.Access {
	return permissions.Access{Group: "cert-manager.io", Resource: "certificates", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: []string{"reissue"}, Writes: true,
		For: "the renewal of leaf certificates that cert-manager issues, as with cmctl renew"}
}

// rotates are the commands that rotate the CA, and federates those that make clusters with different CAs trust each other. These write the same Secrets.
func rotates() []string { return []string{"rotate"} }

func federates() []string { return append(rotates(), "federate") }

// AccessPatchSecrets is for the certificates, the CA and the configurations of peers.
func AccessPatchSecrets() permissions.Access {
	names := []string{cilium.SecretClusterMesh, cilium.SecretKVStoreMesh, pki.SecretCA}
	for _, leaf := range pki.LeafSpecs() {
		names = append(names, leaf.Secret)
	}
	return permissions.Access{Resource: "secrets", Names: names, Verbs: []string{"get", "patch"}, Place: permissions.InMeshNamespace, Commands: append(federates(), "reissue", "restore"), Writes: true,
		For: "leaf certificates, CA files, and a comment in the configurations of peers that makes clients connect again; `reissue` writes only leaf certificates that nobody else issues"}
}

// AccessCreateSecrets is for the Secrets that keep a CA.
func AccessCreateSecrets() permissions.Access {
	return permissions.Access{Resource: "secrets", Verbs: []string{"create", "get"}, Place: permissions.InMeshNamespace, Commands: federates(), Writes: true,
		For: "Secrets that keep the previous CA, and during a rotation the new one; create cannot be limited to a name"}
}

// SecretRotation keeps the new CA while the CA is rotated.
const SecretRotation = "cilium-ca-rotation"

// AccessRemoveRotation is for the Secret that keeps the new CA during a rotation.
func AccessRemoveRotation() permissions.Access {
	return permissions.Access{Resource: "secrets", Names: []string{SecretRotation}, Verbs: []string{"get", "delete"}, Place: permissions.InMeshNamespace, Commands: rotates(), Writes: true,
		For: "the Secret that keeps the new CA during a rotation"}
}

// AccessRotationLock is for the ConfigMap that says who rotates.
func AccessRotationLock() permissions.Access {
	return permissions.Access{Resource: "configmaps", Names: []string{ConfigMapRotation}, Verbs: []string{"get", "patch", "delete"}, Place: permissions.InMeshNamespace, Commands: rotates(), Writes: true,
		For: "the lock of a rotation"}
}

// AccessCreateLock is for the same ConfigMap.
func AccessCreateLock() permissions.Access {
	return permissions.Access{Resource: "configmaps", Verbs: []string{"create"}, Place: permissions.InMeshNamespace, Commands: federates(), Writes: true,
		For: "the lock of a rotation or of a federation; create cannot be limited to a name"}
}

// AccessFederationLock is for the ConfigMap that says who federates clusters.
func AccessFederationLock() permissions.Access {
	return permissions.Access{Resource: "configmaps", Names: []string{ConfigMapFederation}, Verbs: []string{"get", "patch", "delete"}, Place: permissions.InMeshNamespace, Commands: federates(), Writes: true,
		For: "the lock of a federation"}
}

// AccessRestart is for a restart of clustermesh-apiserver.
func AccessRestart() permissions.Access {
	return permissions.Access{Group: "apps", Resource: "deployments", Names: []string{cilium.DeploymentMeshAPI}, Verbs: []string{"get", "patch"}, Place: permissions.InMeshNamespace, Commands: append(federates(), reissueRestarts), Writes: true,
		For: "a restart of clustermesh-apiserver: etcd reads its CA file only at start"}
}

// AccessPatchCronJobs is for certgen's CronJobs.
func AccessPatchCronJobs() permissions.Access {
	return permissions.Access{Group: "batch", Resource: "cronjobs", Names: []string{cronJobMesh, cronJobHubble}, Verbs: []string{"get", "patch"}, Place: permissions.InMeshNamespace, Commands: rotates(), Writes: true,
		For: "certgen's CronJobs, which are suspended during a rotation"}
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
		{Group: "cert-manager.io", Resource: "certificates", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: []string{"check"},
			For: "when cert-manager issues a certificate again", Without: "the date is reported as unknown"},
		{Resource: "configmaps", Names: []string{ConfigMapRotation}, Verbs: []string{"get"}, Place: permissions.InMeshNamespace,
			For: "whether a rotation of the CA is under way", Without: "the next steps do not say so"},
		accessPatchCA(), accessCreate(), accessReadBackup(),
		{Resource: "secrets", Verbs: []string{"list"}, Place: permissions.InMeshNamespace, Commands: append([]string{"status", "check", "backups", commandPrune, "rotate", "federate", "reissue"}, writes()...), Writes: true,
			For:     "the records of Cilium's Helm release, that is its chart and whether its values contain certificates, and backups. Whoever may list Secrets can read keys, so that only `--write` grants it",
			Without: "both are reported as unknown, and former CAs whose keys still exist are not found; `check --for` is not complete; `backups` fails, and prints the rule"},
		accessDelete(),
	}...)
}

// WithoutPrune leaves out what only backups prune needs: whoever may delete Secrets in Cilium's namespace can end the mesh.
func WithoutPrune(accesses []permissions.Access) []permissions.Access {
	return slices.DeleteFunc(slices.Clone(accesses), func(a permissions.Access) bool { return slices.Equal(a.Commands, []string{commandPrune}) })
}

// RotateAccesses returns the permissions that rotate, federate and reissue need, besides Accesses and LiveAccesses. rbac prints them only if it is asked for them.
func RotateAccesses() []permissions.Access {
	return []permissions.Access{
		AccessPatchSecrets(), AccessCreateSecrets(), AccessRemoveRotation(), AccessRotationLock(), AccessFederationLock(), AccessCreateLock(), AccessRestart(), AccessPatchCronJobs(),
		AccessRestartAgents(), AccessRunCertgen(), AccessDeleteHubble(), AccessDeleteJobs(), AccessReadCertificates(), AccessRenewCertificates(),
	}
}

// liveCommands are those that observe running processes.
func liveCommands() []string { return []string{"status --live", "rotate", "federate", reissueRestarts} }

// LiveAccesses returns the permissions that observing running processes needs, besides Accesses. Whoever may execute commands in Cilium's pods has power over their
// nodes, so that rbac prints these only if it is asked for them.
func LiveAccesses() []permissions.Access {
	unknown := "the trust of the processes is unknown, and the exit code is 2"
	return []permissions.Access{
		{Resource: "pods/exec", Verbs: []string{"create", "get"}, Place: permissions.InMeshNamespace, Commands: liveCommands(),
			For: "the status of agents and of KVStoreMesh, and the CA files that agents see. It gives power over the nodes; grant it only to administrators", Without: unknown},
		{Resource: "pods/portforward", Verbs: []string{"create", "get"}, Place: permissions.InMeshNamespace, Commands: liveCommands(),
			For: "what each etcd replica serves", Without: unknown},
		{Resource: "pods/log", Verbs: []string{"get"}, Place: permissions.InMeshNamespace, Commands: liveCommands(),
			For: "when processes connected, and which handshakes etcd rejected", Without: unknown},
	}
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
