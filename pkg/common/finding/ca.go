package finding

// The rules about certificate authorities, leaf certificates and trust between clusters. Versions are Cilium's, unless a rule names another program.
var (
	CAMissing = Rule{"CA001", Warning, "no readable CA",
		"With the Helm and cronJob methods, Secret cilium-ca signs the leaf certificates (all versions). With cert-manager or your own certificates it may be absent.",
		"Run `kubectl mesh-ca sync --from CLUSTER --to CLUSTER`, which creates a CA that Helm can adopt. If the certificates come from elsewhere, do nothing."}
	CAKey = Rule{"CA002", Error, "the CA's key does not match its certificate",
		"Helm and certgen sign with ca.key and publish ca.crt. Leaf certificates that another key signed do not verify anywhere (all versions).",
		"Restore the key that belongs to the certificate, or run `kubectl mesh-ca sync --from CLUSTER --to CLUSTER`."}
	CAExpired = Rule{"CA003", Error, "the CA is expired or not yet valid",
		"Neither Helm nor certgen renews a CA. certgen from v0.4.0 on refuses to sign with an expired CA, so leaf certificates silently stop being renewed.",
		"Run `kubectl mesh-ca sync --from CLUSTER --to CLUSTER` from a cluster with a valid CA, then renew the leaf certificates."}
	CAEnds = Rule{"CA004", Warning, "the CA expires soon",
		"Neither Helm nor certgen renews a CA (all versions). `kubectl mesh-ca check` raises it to an error within --fail-before.",
		"Plan its replacement in all clusters."}
	CANotCA = Rule{"CA005", Error, "cilium-ca is not a CA",
		"A certificate without basic constraints CA:TRUE, or whose key usage does not include certSign, cannot sign leaf certificates (RFC 5280).",
		"Run `kubectl mesh-ca sync --from CLUSTER --to CLUSTER`."}
	CAChain = Rule{"CA006", Warning, "several certificates in cilium-ca",
		"Several certificates in cilium-ca are a chain, not a trust bundle. certgen from v0.3.1 on signs with the first and puts only the last into the ca.crt of the leaf certificates; earlier versions reject the file. Helm's method uses the whole file.",
		"To trust two CAs at a time, use tls.caBundle (chart 1.14 and later), or order the certificates for the tool that issues the leaf certificates (docs/rotation.md). If each certificate has a known role, as in a federation or during a rotation, do nothing."}
	FormerTrusted = Rule{"CA007", Warning, "a former CA is still trusted",
		"No cluster that was read signs with this CA, but processes accept its leaf certificates: it is in a ca.crt or in a trust bundle. Whoever has its key can log in (all versions).",
		"Remove it from the files that the message names, then restart deployment/clustermesh-apiserver, which reads them only at start. If it is the CA of a cluster that was not read, do nothing."}
	FormerKey = Rule{"CA008", Info, "the key of a former CA still exists",
		"Backups keep the key of a CA that was replaced, so that it can be restored. The values of a Helm release stay in its earlier revisions, and helm rollback writes that CA again.",
		"If you do not need it any more, delete the backup, and limit Helm's history (--history-max)."}
	CADue = Rule{"CA009", Warning, "the CA is due",
		"The CA expires before leaf certificates that are issued now would. Neither Helm nor certgen shortens their validity: they stop being accepted when the CA expires, and nothing renews them then (all versions). If cert-manager keeps the CA, the CA is due when cert-manager issues it again: unless the key stays the same, the other clusters do not trust the new CA.",
		"Plan the replacement of the CA in all clusters before the next renewal of the leaf certificates."}
	Trust = Rule{"CA010", Error, "two clusters do not accept each other",
		"Trust depends on the files that the processes mount. The server's etcd verifies the client's leaf certificate against its ca.crt (or caBundle). The client verifies the server's leaf certificate against its own. An established connection stays up until it is re-established.",
		"The message has the reason for each direction. If a cluster does not trust the CA of the other one, use one CA for both (`kubectl mesh-ca sync --from CLUSTER --to CLUSTER`), then renew the leaf certificates; sync lists the commands. If a leaf certificate does not belong to its cluster's CA, has expired or has the wrong names or usages, renew it. If a cluster keeps copies of a peer's certificates, renew the copies."}
	TrustUnknown = Rule{"CA011", Warning, "cannot determine whether two clusters accept each other",
		"Values that the plugin cannot read or parse are reported as unknown, never as good.",
		"The message says what is missing: a permission, a Secret, or clustermesh-apiserver itself."}
	Inside = Rule{"CA012", Error, "processes of one cluster do not accept each other",
		"From chart 1.18 on, a Helm upgrade keeps the Hubble leaf certificates and replaces their ca.crt (pull request 38355). Renewing a single leaf certificate can do the same to the etcd of its cluster.",
		"Renew the leaf certificate together with its ca.crt. For Hubble with Helm: delete the Secret, then run `helm upgrade`."}
	InsideUnknown = Rule{"CA013", Warning, "cannot determine whether processes of one cluster accept each other",
		"Values that the plugin cannot read or parse are reported as unknown, never as good.",
		"The message says what is missing."}
	EtcdStale = Rule{"CA014", Warning, "etcd has not read its CA file since it was written",
		"etcd reads certificates at every connection, but its CA file only at start (etcd issue 11555). It trusts the CA that the file had when etcd started. The rule compares the start of the pod with the time at which the CA was replaced. A renewal that writes the same ca.crt does not count.",
		"Run `kubectl -n kube-system rollout restart deployment/clustermesh-apiserver`. Agents keep their state meanwhile."}
	RelayTrust = Rule{"CA015", Warning, "Hubble Relay cannot connect to the agents of another cluster",
		"Hubble Relay connects to the nodes of all connected clusters. It presents the certificate and trusts the CA file that its own Deployment mounts; the agents trust the ca.crt of their Hubble Secret, or the caBundle (all versions). Service traffic does not depend on it.",
		"Give the clusters one CA, or let them trust each other, and renew the Hubble leaf certificates too."}
	NoMeshAPI = Rule{"CA016", Warning, "Cluster Mesh is not enabled",
		"Other clusters connect to deployment/clustermesh-apiserver. Without it there is no etcd to log in to, and the chart makes no certificates for it (all versions).",
		"Run `cilium clustermesh enable`, or set clustermesh.useAPIServer=true. If the cluster is not meant to be in the mesh, leave its context out."}
	LeafBad = Rule{"CA020", Error, "unusable leaf certificate",
		"The leaf certificate is missing, expired, issued for another use, or does not match its key. Replacing the CA will not help.",
		"Renew it with the tool that issues it: a Helm upgrade, a run of certgen or `cmctl renew`."}
	LeafNames = Rule{"CA021", Warning, "unusual names in a leaf certificate",
		"Cilium's charts (1.15 to 1.20) issue certificates with other names. With your own certificates this may be intended.",
		"If this is intended, do nothing. Otherwise renew the certificate."}
	LeafStale = Rule{"CA022", Warning, "the current CA did not sign a leaf certificate",
		"A certificate in the chain of the leaf certificate counts too: one that is cross-signed by the CA belongs to it. cilium-ca was replaced and the leaf certificate was not renewed since, or another issuer signs it. The next renewal may change the issuer, and with it which clusters this cluster trusts.",
		"Renew it in all clusters; `kubectl mesh-ca sync` lists the commands."}
	LeafEnds = Rule{"CA023", Warning, "a leaf certificate expires soon",
		"Helm's method renews leaf certificates only at an upgrade. certgen's CronJob for the mesh has no default schedule before chart 1.20. `kubectl mesh-ca check` raises it to an error within --fail-before.",
		"Renew it with the tool that issues it: a Helm upgrade, a run of certgen or `cmctl renew`."}
	EtcdUser = Rule{"CA024", Error, "etcd does not know the user of a certificate",
		"etcd in clustermesh-apiserver takes the user of a connection from the common name of the certificate. It has the users admin-<cluster>, local-<cluster> and remote (1.16 to 1.20). With clustermesh.apiserver.tls.authMode migration or cluster it also has the users of ConfigMap clustermesh-remote-users. A certificate with another common name verifies, but etcd rejects the login.",
		"Issue the certificate with the common name that the message names."}
	CertgenRefuses = Rule{"CA025", Warning, "certgen refuses the CA, or will soon",
		"From chart 1.20 on, certgen fails if the CA expires before the leaf certificates that it issues (certgen.enforceCAValidityThroughoutLeavesDuration, on by default). Leaf certificates are then no longer renewed.",
		"Replace the CA in all clusters before that date, or set a shorter certValidityDuration."}
	HiddenPart = Rule{"CA026", Warning, "a certificate file has a part that is not read",
		"PEM readers (crypto/x509, etcd, Cilium) skip text that does not look like a block at the start of a line, without an error. They trust and present only the rest.",
		"Write the file again as plain PEM."}
	PeerSkipped = Rule{"CA027", Warning, "Cilium skips the configuration of a peer",
		"Agents and KVStoreMesh use a key of the Secret as a peer's configuration only if its value contains the text `endpoints:` (isEtcdConfigFile in pkg/clustermesh/common/config.go, 1.16 to 1.20). JSON, and YAML with quoted keys, do not contain it.",
		"Write the value as YAML with the bare key `endpoints:`."}
	TrustEnds = Rule{"CA028", Warning, "a CA file expires soon",
		"A verifier stops accepting a leaf certificate when the CA certificate in its CA file expires, even if the leaf certificate and cilium-ca are valid for longer. If a CA is issued again under its key and its name, as cert-manager does with rotationPolicy Never, its former certificate stays in ca.crt of the leaf certificates and in trust bundles until somebody writes these files again (all versions). `kubectl mesh-ca check` raises it to an error within --fail-before.",
		"Update the files that the message names. For a ca.crt, renew the leaf certificate. If the CA is that of another cluster, run `kubectl mesh-ca federate`, which writes its present certificate. For a bundle, change its source. Then restart deployment/clustermesh-apiserver, which reads them only at start."}
	ChartOneYear = Rule{"CA030", Warning, "with chart 1.20, leaf certificates live for one year",
		"From chart 1.20 on, the leaf certificates of Cluster Mesh are valid for 365 days by default. With the method helm only a Helm upgrade renews them, so Cilium must be upgraded at least once a year (upgrade notes of 1.20).",
		"Upgrade at least once a year, set clustermesh.apiserver.tls.auto.certValidityDuration, or let certgen or cert-manager issue the certificates (clustermesh.apiserver.tls.auto.method)."}
	ChartNames = Rule{"CA031", Error, "with chart 1.20, the server certificate loses a name that a client uses",
		"From chart 1.20 on, the server certificate of clustermesh-apiserver has the names clustermesh-apiserver.NAMESPACE.svc and *.mesh.cilium.io, and no longer clustermesh-apiserver.cilium.io. A client that connects by another name refuses it.",
		"Add the name to clustermesh.apiserver.tls.auto.server.extraDnsNames, or change the endpoint of the peer."}
	ChartValues = Rule{"CA032", Error, "chart 1.20 rejects certificates in Helm values",
		"Chart 1.20 no longer accepts certificates of clustermesh-apiserver as Helm values: with tls.auto.enabled=false the upgrade fails (templates/validate.yaml).",
		"Create the Secrets clustermesh-apiserver-{server,admin,remote,local}-cert before the upgrade and remove the values, or set clustermesh.apiserver.tls.auto.enabled=true."}
	LiveStale = Rule{"CA040", Error, "a running process does not trust the present CA",
		"etcd reads its CA file only when it starts (etcd issue 11555). Agents, KVStoreMesh and the operator read theirs again only if the etcd behind the connection is replaced, if the text of the peer's configuration changes, or if the heartbeat fails, which takes up to 130 seconds (1.16 to 1.20, measured with 1.20.2). A changed file alone has no effect.",
		"For agents and the operator, change the text of the peer's configuration in Secret cilium-clustermesh; for KVStoreMesh, in cilium-kvstoremesh. A comment as its first line is enough (the last line may not end with a newline), and the connections do not fail. Do not restart an agent while KVStoreMesh is not connected."}
	LiveUnknown = Rule{"CA041", Warning, "cannot determine whether a running process trusts the present CA",
		"A process counts as fresh only if it provably read its CA file after the last change of the file. Every renewal of a leaf certificate writes the Secret of the CA file too, and then nothing tells whether the CA was the same before. Readiness and the number of connected clusters prove nothing: both stay good for minutes beside a process that trusts only the former CA.",
		"Grant the permission that the message names (`kubectl mesh-ca rbac --live`). If the message names times, a process that reads its file again is fresh: change the text of the peer's configuration in Secret cilium-clustermesh or cilium-kvstoremesh. A comment as its first line is enough."}
	LiveServed = Rule{"CA042", Error, "a running etcd serves a certificate that other clusters do not accept",
		"The chain that a replica serves in a TLS handshake is verified against the CA file that the clients of the other cluster mount. etcd reads its certificate at every handshake, so it serves what its file contains (etcd 3.5 to 3.7).",
		"The message has the reason. If the files of the two clusters accept each other (CA010 is not reported), wait until the kubelet has updated the files, which takes up to two minutes."}
	LiveRejected = Rule{"CA043", Warning, "TLS handshakes with etcd fail because of a certificate",
		"etcd logs `rejected connection on client endpoint` for each. clustermesh-apiserver and KVStoreMesh dial their own etcd every 30 seconds, agents and other clusters only when they connect again (1.20.2, measured). It is an early warning: established connections continue.",
		"Look for other findings about the same cluster. `bad certificate` comes from a client that does not trust etcd's certificate; `unknown authority` from an etcd that does not trust the client's."}
)

// Authority lists the rules about certificates, by id.
func Authority() []Rule {
	return []Rule{CAMissing, CAKey, CAExpired, CAEnds, CANotCA, CAChain, FormerTrusted, FormerKey, CADue, Trust, TrustUnknown, Inside, InsideUnknown, EtcdStale, RelayTrust, NoMeshAPI, LeafBad, LeafNames, LeafStale, LeafEnds, EtcdUser, CertgenRefuses, HiddenPart, PeerSkipped, TrustEnds,
		ChartOneYear, ChartNames, ChartValues, LiveStale, LiveUnknown, LiveServed, LiveRejected}
}
