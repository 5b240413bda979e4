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
		"One CA for both (`kubectl mesh-ca sync --from CLUSTER --to CLUSTER`), then renew the leafs; sync lists the commands."}
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
		"etcd reads certificates at every connection but its CA file at start only (etcd issue 11555): it trusts what was there when it started. Told from the times of pod and managedFields.",
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
)

// Authority lists the rules about certificates, by id.
func Authority() []Rule {
	return []Rule{CAMissing, CAKey, CAExpired, CAEnds, CANotCA, CAChain, Trust, TrustUnknown, Inside, InsideUnknown, EtcdStale, LeafBad, LeafNames, LeafStale, LeafEnds}
}
