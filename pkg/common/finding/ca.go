package finding

// The rules about certificate authorities, leaf certificates and trust between clusters. Versions are Cilium's, unless said otherwise.
var (
	CAMissing = Rule{"CA001", Warning, "no readable CA",
		"Secret cilium-ca signs the leafs with the Helm and cronJob methods (all versions). With cert-manager or certificates of one's own it may be absent.",
		"`kubectl mesh-ca sync --from CLUSTER --to CLUSTER` makes one that Helm can adopt; nothing if the certificates come from elsewhere."}
	CAKey = Rule{"CA002", Error, "the CA's key does not fit",
		"Helm and certgen sign with ca.key and publish ca.crt: leafs that are made with another key verify nowhere (all versions).",
		"Put the key that belongs to the certificate back, or `kubectl mesh-ca sync --from CLUSTER --to CLUSTER`."}
	CAExpired = Rule{"CA003", Error, "the CA is outside its validity",
		"Neither Helm nor certgen renews a CA; certgen from v0.4.0 refuses to sign with an expired one, so that leafs silently stop being renewed.",
		"`kubectl mesh-ca sync --from CLUSTER --to CLUSTER` from a cluster with a good one, then renew the leafs."}
	CAEnds = Rule{"CA004", Warning, "the CA expires soon",
		"Neither Helm nor certgen renews a CA (all versions).",
		"Plan its replacement in all clusters."}
	CANotCA = Rule{"CA005", Error, "cilium-ca is not a CA",
		"A certificate without basic constraints CA:TRUE, or whose key usage leaves certSign out, cannot sign leafs (RFC 5280).",
		"`kubectl mesh-ca sync --from CLUSTER --to CLUSTER`."}
	CAChain = Rule{"CA006", Warning, "several certificates in cilium-ca",
		"It is a chain and not a bundle: certgen from v0.3.1 signs with the first and gives the leafs only the last as ca.crt, earlier ones refuse the file; Helm's method uses the whole file.",
		"To trust two CAs at a time use tls.caBundle (chart 1.14 and later)."}
	Trust = Rule{"CA010", Error, "two clusters do not accept each other",
		"Trust is what the processes mount: the client's leaf against the ca.crt (or caBundle) of the server's etcd, and the server's leaf against the client's. A connection that stands stays up until it is made again.",
		"The message has the reason for each direction. Where the CAs differ: one CA for both (`kubectl mesh-ca sync --from CLUSTER --to CLUSTER`), then renew the leaf certificates; sync lists the commands. Where a leaf certificate does not belong to its cluster's CA: renew it. Where a cluster keeps copies of a peer's certificates: renew the copies."}
	TrustUnknown = Rule{"CA011", Warning, "it is not known whether two clusters accept each other",
		"What is not understood or cannot be read is not called good.",
		"The message says what is missing: a permission, a Secret, clustermesh-apiserver itself."}
	Inside = Rule{"CA012", Error, "processes of one cluster do not accept each other",
		"From chart 1.18 a Helm upgrade keeps the Hubble leafs and replaces their ca.crt (pull request 38355); a leaf that is renewed alone does the same to the etcd beside it.",
		"Renew the leaf together with its ca.crt; Hubble's with Helm: delete the Secret, then `helm upgrade`."}
	InsideUnknown = Rule{"CA013", Warning, "it is not known whether processes of one cluster accept each other",
		"What is not understood or cannot be read is not called good.",
		"The message says what is missing."}
	EtcdStale = Rule{"CA014", Warning, "etcd has not read its CA file since it was written",
		"etcd reads certificates at every connection but its CA file at start only (etcd issue 11555): it trusts what was there when it started. Told from the start of the pod and the time at which the CA was replaced: a renewal that writes the same ca.crt again does not count.",
		"`kubectl -n kube-system rollout restart deployment/clustermesh-apiserver`; agents keep what they know meanwhile."}
	LeafBad = Rule{"CA020", Error, "a leaf is unusable by itself",
		"Missing, expired, made for another use, or beside a key that is not its own: no CA can mend it.",
		"Renew it: a Helm upgrade, a run of certgen or `cmctl renew`, whichever makes it."}
	LeafNames = Rule{"CA021", Warning, "a leaf has unusual names",
		"Cilium's charts (1.15 to 1.20) make other names. With certificates of one's own this may be meant.",
		"Nothing if it is meant, else renew it."}
	LeafStale = Rule{"CA022", Warning, "a leaf is not signed by the present CA",
		"cilium-ca was replaced and the leaf not renewed since, or another issuer signs it. The next renewal may change it, and with it whom the cluster trusts.",
		"Renew it in all clusters; `kubectl mesh-ca sync` lists the commands."}
	LeafEnds = Rule{"CA023", Warning, "a leaf expires soon",
		"Helm's method renews leafs at an upgrade only; certgen's CronJob for the mesh has no default schedule before chart 1.20.",
		"Renew it: a Helm upgrade, a run of certgen or `cmctl renew`, whichever makes it."}
	EtcdUser = Rule{"CA024", Error, "etcd does not know the user of a certificate",
		"etcd in clustermesh-apiserver takes the user of a connection from the common name of the certificate. It has the users admin-<cluster>, local-<cluster> and remote (1.16 to 1.20); with clustermesh.apiserver.tls.authMode migration or cluster also those of ConfigMap clustermesh-remote-users. A certificate of another name verifies and cannot log in.",
		"Issue the certificate with the common name that the message names."}
	CertgenRefuses = Rule{"CA025", Warning, "certgen refuses the CA, or will soon",
		"From chart 1.20 certgen fails when the CA ends before the leaf certificates that it is to make (certgen.enforceCAValidityThroughoutLeavesDuration, on by default). Leaf certificates are then not renewed any more.",
		"Replace the CA in all clusters before that date, or set a shorter certValidityDuration."}
	HiddenPart = Rule{"CA026", Warning, "a certificate file has a part that is not read",
		"Readers of PEM (crypto/x509, etcd, Cilium) skip what does not look like a block at the start of a line, without an error: they trust and present only the rest.",
		"Write the file again as plain PEM."}
	PeerSkipped = Rule{"CA027", Warning, "Cilium skips the configuration of a peer",
		"Agents and KVStoreMesh take a key of the Secret for a peer only if the text endpoints: is in its value (isEtcdConfigFile in pkg/clustermesh/common/config.go, 1.16 to 1.20). In JSON, and in YAML with quoted keys, it is not.",
		"Write the value as YAML with the bare key endpoints:."}
)

// Authority lists the rules about certificates, by id.
func Authority() []Rule {
	return []Rule{CAMissing, CAKey, CAExpired, CAEnds, CANotCA, CAChain, Trust, TrustUnknown, Inside, InsideUnknown, EtcdStale, LeafBad, LeafNames, LeafStale, LeafEnds, EtcdUser, CertgenRefuses, HiddenPart, PeerSkipped}
}
