package finding

// The rules about global services and the clusters that serve them. Versions are Cilium's.
var (
	GlobalPartly = Rule{"SVC001", Error, "global in some clusters only",
		"Clients of a cluster use remote endpoints only if the Service is global there, and only those of clusters where it is global too (1.14 and later). Global in one cluster alone has no effect at all.",
		"`kubectl mesh-svc globalize NAME --in CLUSTER`, or `unglobalize` where it was not meant."}
	ServiceMissing = Rule{"SVC002", Warning, "a cluster has no such Service",
		"A Service is matched by namespace and name, and clients resolve it in their own cluster. Where the object is missing the name does not resolve; a Service whose selector matches nothing is enough.",
		"Create the Service there; a selector that matches nothing is enough, Cilium then uses the remote endpoints."}
	GlobalJunk = Rule{"SVC003", Error, "the value of the global annotation is not understood",
		"Only the word true, in any case, makes a Service global; yes, 1, blanks around it or an empty value count as false (all versions).",
		"`kubectl mesh-svc globalize NAME --in CLUSTER`."}
	NotShared = Rule{"SVC004", Info, "a cluster does not share its endpoints",
		"With shared: \"false\" other clusters do not use the endpoints of this one. Its own clients still use all clusters.",
		"Nothing if it is meant (`--ignore SVC004`), else `kubectl mesh-svc share NAME --in CLUSTER`."}
	SharedJunk = Rule{"SVC005", Error, "the value of the shared annotation is not understood",
		"A global Service is shared unless the annotation is there; any value but true, in any case, means not shared (all versions).",
		"`kubectl mesh-svc share NAME --in CLUSTER` or `unshare`, whichever was meant."}
	AffinityDrops = Rule{"SVC006", Error, "the affinity drops all remote endpoints",
		"1.18.0 to 1.19.5 drop every remote endpoint for the value none and for any word that they do not know, even when no local one is left (cilium issue 46623).",
		"`kubectl mesh-svc affinity none NAME --in CLUSTER`, which removes the annotation."}
	AffinityJunk = Rule{"SVC007", Warning, "the affinity is not understood",
		"Affinity is local, remote or none. Other words count as none, except in 1.18.0 to 1.19.5, which drop all remote endpoints.",
		"`kubectl mesh-svc affinity local|remote|none NAME --in CLUSTER`."}
	AffinityPair = Rule{"SVC008", Warning, "local here, remote there",
		"Affinity is that of the client's cluster. Where one cluster prefers itself and the other one prefers remote endpoints, the first gets the clients of both.",
		"Nothing if it is meant, else the same affinity in all clusters: `kubectl mesh-svc affinity none NAME`."}
	AliasLeft = Rule{"SVC009", Warning, "a deprecated annotation is left over",
		"The key service.cilium.io/... wins over its io.cilium/... alias whatever its value; once it is removed the alias decides again. EndpointSlice synchronisation reads the new key only (1.16 and later).",
		"Remove the alias with `kubectl annotate service NAME KEY-`; where it is what decides, write its value under the new key in the same command."}
	PortName = Rule{"SVC010", Error, "port names differ",
		"A remote endpoint serves a port only under the same name; from 1.18 a side without a name matches any, up to 1.17 it does not. Numbers need not be equal. Endpoints that do not match are left out without a word.",
		"Give the port the same name in every cluster."}
	PortProtocol = Rule{"SVC011", Error, "port protocols differ",
		"A remote endpoint serves a port only with the same protocol (all versions).",
		"Give the port the same protocol in every cluster."}
	IPFamily = Rule{"SVC012", Warning, "IP families differ",
		"A remote endpoint serves a frontend only of its own IP family (all versions).",
		"Give the Service the same ipFamilies in every cluster."}
	Headless = Rule{"SVC013", Warning, "headless in some clusters only",
		"Cilium balances nothing for a headless Service; remote pods appear in DNS only with EndpointSlice synchronisation (1.16 and later, off by default).",
		"Make it headless everywhere or nowhere; spec.clusterIP cannot be changed, so the Service has to be made anew."}
	NoEndpoints = Rule{"SVC014", Warning, "a selector without ready endpoints",
		"A global Service whose selector matches no ready pod serves nobody from this cluster.",
		"Look at the pods behind the selector: `kubectl --context CONTEXT get endpointslices -l kubernetes.io/service-name=NAME`."}
	SessionAffinity = Rule{"SVC015", Info, "session affinity pins clients",
		"sessionAffinity is a property of the client cluster's Service. With ClientIP each client stays with one endpoint, local or remote, so shares hold for many clients only.",
		"Nothing if it is meant. Probes see one endpoint for each client pod."}
	TrafficPolicy = Rule{"SVC016", Warning, "a Local traffic policy does not keep remote endpoints out",
		"Read in the code of 1.18 to 1.20, not documented: remote endpoints carry no node name and pass the filter, so clients get their node's endpoints and all remote ones.",
		"Use affinity local to prefer the own cluster; there is no way to keep remote endpoints out node by node."}
	ProxyName = Rule{"SVC017", Error, "Cilium ignores the Service",
		"A Service with the label service.kubernetes.io/service-proxy-name is left to another proxy, whatever the value. Where k8s-service-proxy-name is set the agents serve only Services whose label has that value (all versions).",
		"Set the label as the message says, or leave the Service to the other proxy and take it out of the mesh."}
	DerivedService = Rule{"SVC018", Info, "a Service that the MCS-API controller derives",
		"Services named derived-... belong to a ServiceImport: the controller writes their annotations anew at every reconciliation, from what the ServiceExports of all clusters say (MCS-API, 1.17 and later).",
		"Change the ServiceExport (spec.exportedAnnotations) or the Service that it exports, never the derived Service."}
	NamespaceGate = Rule{"SVC019", Error, "the namespace is not global",
		"From 1.20 a cluster exports Services only from namespaces that are global: annotation clustermesh.cilium.io/global, else clustermesh-default-global-namespace (default true).",
		"`kubectl annotate namespace NAME clustermesh.cilium.io/global=true` in that cluster."}
	NeedsKPR = Rule{"SVC020", Warning, "NodePort and load balancer traffic stays local",
		"Traffic that enters through a node port or a load balancer uses remote endpoints only with kubeProxyReplacement: else kube-proxy, which knows local endpoints only, answers it (all versions).",
		"Set kubeProxyReplacement=true, or let clients enter through pods."}
	ExternalName = Rule{"SVC021", Warning, "a global ExternalName Service",
		"An ExternalName Service has no endpoints; DNS gives another name, and Cilium does nothing.",
		"`kubectl mesh-svc unglobalize NAME --in CLUSTER --include-system`."}
	NamespaceMissing = Rule{"SVC022", Warning, "a cluster has no such namespace",
		"A Service is matched by namespace and name, and clients resolve it in their own cluster. Without the namespace no Service of it is there.",
		"`kubectl --context CONTEXT create namespace NAME`, then the Services in it."}
	TypeDiffers = Rule{"SVC023", Info, "Service types differ",
		"Cilium exports the endpoints of ClusterIP, NodePort and LoadBalancer Services alike, and each cluster's clients get what the Service of their own cluster offers (all versions): node ports and load balancers are there only where the type says so.",
		"Nothing if it is meant (`--ignore SVC023`), else the same type in every cluster."}
	ExternalNamePartly = Rule{"SVC024", Error, "an ExternalName Service in some clusters only",
		"An ExternalName Service is a DNS alias without endpoints (Kubernetes): clients of that cluster are sent to another name and never reach the mesh, and nobody gets endpoints from there.",
		"Give that cluster a Service of the same type as the others, or take the others out of the mesh."}
	SharedTargetPort = Rule{"SVC025", Warning, "several ports share one target port",
		"1.18.0 to 1.18.9 and 1.19.0 to 1.19.3 keep one port name for each remote address and target port, so that the remote endpoints serve only one of the ports (cilium issue 45109, fixed by 45179 in 1.18.10 and 1.19.4).",
		"Upgrade the cluster whose clients are hit, or give every port a target port of its own."}
	HeadlessAlone = Rule{"SVC026", Warning, "remote endpoints of a headless Service do not appear",
		"Cilium balances nothing for a headless Service. Remote pods appear in DNS only as EndpointSlices, which clustermesh.enableEndpointSliceSynchronization makes (1.16 and later, off by default); it reads the key service.cilium.io/global only, never its alias, and the annotation global-sync-endpoint-slices may forbid it.",
		"Set clustermesh.enableEndpointSliceSynchronization=true in the cluster of the clients, or annotate the Service with global-sync-endpoint-slices=false if only other clusters are to see its pods."}
	SyncUnheard = Rule{"SVC027", Warning, "EndpointSlice synchronisation is asked for in vain",
		"The annotation service.cilium.io/global-sync-endpoint-slices has an effect only with the word true, under the key service.cilium.io/global (the alias does not count), and where clustermesh.enableEndpointSliceSynchronization is set (1.16 and later, off by default).",
		"Set what the message says is missing, or remove the annotation."}
	PolicyIngress = Rule{"SVC028", Warning, "policies keep the clients of other clusters out",
		"A pod that a policy selects for ingress admits only whom some rule admits. With policy-default-local-cluster (chart default from 1.19, off before) a peer that names no cluster means pods of the policy's own cluster; entities cluster and world never mean pods of another cluster.",
		"Name the clusters in the policy: a peer with the label io.cilium.k8s.policy.cluster, in a CiliumNetworkPolicy."}
	PolicyEgress = Rule{"SVC029", Warning, "policies keep clients from the endpoints of other clusters",
		"A pod that a policy selects for egress reaches only what some rule admits. With policy-default-local-cluster (chart default from 1.19, off before) a peer that names no cluster means pods of the policy's own cluster.",
		"Name the clusters in the policy: a peer with the label io.cilium.k8s.policy.cluster, in a CiliumNetworkPolicy."}
	ClusterID = Rule{"SVC030", Error, "cluster ids are not distinct",
		"Ids from 1 to 255 (or 511) tell clusters apart in every identity; 0 takes a cluster out of the mesh, and a peer with an id that is taken is refused.",
		"Give each cluster an id of its own. A change wants every workload of that cluster restarted."}
	ClusterName = Rule{"SVC031", Error, "cluster names are not distinct",
		"Peers, certificates and etcd keys are named by cluster-name; \"default\" is what a cluster without a name is called.",
		"Give each cluster a name of its own. A change wants every workload of that cluster restarted."}
	MaxClusters = Rule{"SVC032", Error, "max-connected-clusters differs",
		"It decides how many bits of an identity name the cluster and must be equal in the whole mesh, set at installation. Only the side with 511 refuses the connection.",
		"Install all clusters with the same value; it cannot be changed in a running cluster."}
	VersionSkew = Rule{"SVC033", Warning, "versions are more than one minor apart",
		"Cilium supports a skew of one minor version within a mesh.",
		"Upgrade the older cluster, one minor version at a time."}
	OneSided = Rule{"SVC034", Warning, "a peer does not peer back",
		"Clients of the cluster that is connected use the other one's endpoints; those of the other do not use this one's.",
		"Connect it from the other side too: `cilium clustermesh connect`."}
	HostsLocal = Rule{"SVC035", Info, "hosts and hostNetwork pods do not use remote endpoints",
		"Clients in the host's network namespace use remote endpoints of global Services only with kubeProxyReplacement, or with socketLB.enabled and socketLB.hostNamespaceOnly (all versions, cilium issue 31718).",
		"Nothing if only ordinary pods are clients (`--ignore SVC035`), else set kubeProxyReplacement=true or both socketLB values."}
	PodCIDR = Rule{"SVC036", Error, "pod CIDRs overlap",
		"The pod CIDRs of all nodes must be distinct in the whole mesh (documented requirement): an address that stands for two pods is routed to one of them, and policies take one for the other.",
		"Give one cluster other pod CIDRs; this wants every pod of that cluster made anew."}
	PodPool = Rule{"SVC037", Info, "clusters draw their pod CIDRs from the same pool",
		"The chart's default pool is 10.0.0.0/8 in every installation. As long as the CIDRs of the nodes are distinct all is well, but the next node may get one that another cluster has.",
		"Give each cluster a pool of its own before it gets more nodes."}
	NodeAddress = Rule{"SVC038", Error, "node addresses are not distinct",
		"The addresses of all nodes must be distinct in the whole mesh (documented requirement): tunnels and node identities go by them.",
		"Give the nodes of one cluster other addresses."}
	Datapath = Rule{"SVC039", Error, "datapath modes differ",
		"All clusters of a mesh must have the same datapath mode (documented requirement): tunnel or native routing, and the same tunnel protocol and port.",
		"Install all clusters with the same routingMode, tunnelProtocol and tunnelPort."}
	NameRule = Rule{"SVC040", Error, "a cluster name breaks the rule",
		"A name has at most 32 lower case letters, digits and hyphens, and begins and ends with a letter or digit. From 1.17 agents refuse another one, 1.15 and 1.16 log an error. With a cluster-id agents of all versions refuse the name default.",
		"Give the cluster another name. A change wants every workload of that cluster restarted."}
	IDRule = Rule{"SVC041", Error, "a cluster id is out of range",
		"Ids go up to max-connected-clusters; with ENI or Alibaba IPAM and with AWS VPC CNI chaining ids from 128 to 255 and from 384 to 511 are refused as well, unless allow-unsafe-policy-skb-usage is set (cilium issue 21330).",
		"Give the cluster another id. A change wants every workload of that cluster restarted."}
	MaxRule = Rule{"SVC042", Error, "max-connected-clusters has an impossible value",
		"It is 255 or 511; agents do not start with another value (1.15 and later).",
		"Install the cluster with one of the two, the same in all clusters."}
	NativeCIDR = Rule{"SVC043", Warning, "the native routing CIDR leaves pods of another cluster out",
		"With native routing the agent masquerades what goes to addresses outside ipv4-native-routing-cidr, so that the other cluster sees a node and not a pod; it must cover the pods of all clusters (documented requirement). An ip-masq-agent may do the same in another way.",
		"Set ipv4NativeRoutingCIDR to a range that covers the pods of all clusters."}
	PolicyDefault = Rule{"SVC044", Info, "policy-default-local-cluster differs",
		"It decides whether a policy's peer without a cluster label means pods of the own cluster or of all (chart default true from 1.19, false before): the same policy then means different pods in different clusters.",
		"Set clustermesh.policyDefaultLocalCluster alike in all clusters."}
	Drained = Rule{"SVC045", Info, "a drain took the Service out of service",
		"`kubectl mesh-svc drain` sets shared: \"false\" and keeps the former value in the annotation mesh.kubectl.io/drained: other clusters do not use the endpoints of this one until it is put back. Its own clients still use all clusters.",
		"Nothing while the cluster is to be out of service (`--ignore SVC045`), then `kubectl mesh-svc undrain CLUSTER`."}
	Proxied = Rule{"SVC046", Info, "the L7 proxy answers a global Service",
		"Cilium redirects the Services that it makes for a Gateway or an Ingress to the Envoy of the client's node; their only endpoint is the placeholder 192.192.192.192:9999, where nobody answers. Remote endpoints of such a Service are not used. Cilium exports the placeholder like any endpoint (read in the code of 1.20).",
		"Make the Services behind the routes global in place of this one: `kubectl mesh-svc globalize NAME`. The annotation of this Service can go; that of a Gateway comes from spec.infrastructure.annotations."}
	WrongKey = Rule{"SVC047", Warning, "a key that Cilium does not read",
		"Cilium reads its annotations only under their exact keys and on one kind of object: a key that is misspelt, has another prefix or is a label has no effect, and nothing reports it (all versions).",
		"Write the value under the right key and remove the wrong one, as the command of the finding does. A key on a Namespace that is meant for Services: `kubectl mesh-svc globalize NAME` for each of them."}
	Cancelled = Rule{"SVC048", Warning, "the settings of the clusters cancel each other",
		"A Service that is global and shared in no cluster has local endpoints only. With affinity remote in every cluster clients use their own endpoints only while no other cluster has any (all versions).",
		"Share the endpoints of at least one cluster, or prefer remote endpoints in some clusters only."}
	SkippedPeer = Rule{"SVC049", Warning, "Cilium skips a peer's configuration",
		"Agents and KVStoreMesh take an entry of the Secret for the configuration of a peer only if the text endpoints: is anywhere in it; a quoted key, as JSON and Terraform write it, has another text. From 1.17 on the name must be one that a cluster can have. They skip other entries silently (all versions).",
		"Write the entry as YAML with the bare key `endpoints:`, under the name of the cluster. Where a tool cannot write a bare key, a comment with that text is enough: `# endpoints: see below`."}
)

// Service lists the rules about global services, by id.
func Service() []Rule {
	return []Rule{GlobalPartly, ServiceMissing, GlobalJunk, NotShared, SharedJunk, AffinityDrops, AffinityJunk, AffinityPair, AliasLeft,
		PortName, PortProtocol, IPFamily, Headless, NoEndpoints, SessionAffinity, TrafficPolicy, ProxyName, DerivedService, NamespaceGate, NeedsKPR, ExternalName,
		NamespaceMissing, TypeDiffers, ExternalNamePartly, SharedTargetPort, HeadlessAlone, SyncUnheard, PolicyIngress, PolicyEgress,
		ClusterID, ClusterName, MaxClusters, VersionSkew, OneSided,
		HostsLocal, PodCIDR, PodPool, NodeAddress, Datapath, NameRule, IDRule, MaxRule, NativeCIDR, PolicyDefault, Drained,
		Proxied, WrongKey, Cancelled, SkippedPeer}
}
