package finding

// The rules about global services and the clusters that serve them. Versions are Cilium's.
var (
	GlobalPartly = Rule{"SVC001", Error, "global in some clusters only",
		"Clients use remote endpoints only if the Service is global in their own cluster. They use only the endpoints of clusters where it is global too (1.14 and later). A Service that is global in one cluster only gets no remote endpoints at all.",
		"Run `kubectl mesh-svc globalize NAME --in CLUSTER`. If the Service is not meant to be global, run `kubectl mesh-svc unglobalize NAME`."}
	ServiceMissing = Rule{"SVC002", Warning, "the Service does not exist in a cluster",
		"Cilium matches Services by namespace and name, and clients resolve the name in their own cluster. In a cluster without the Service the name does not resolve.",
		"Create the Service in that cluster. Its selector does not have to match any pod: Cilium then uses the remote endpoints."}
	GlobalJunk = Rule{"SVC003", Error, "invalid value of the global annotation",
		"Only the value \"true\", in upper or lower case, makes a Service global. Values such as \"yes\", \"1\", an empty value or a value with blanks count as \"false\" (all versions).",
		"Run `kubectl mesh-svc globalize NAME --in CLUSTER`."}
	NotShared = Rule{"SVC004", Info, "a cluster does not share its endpoints",
		"With shared: \"false\" other clusters do not use the endpoints of this cluster. The clients in this cluster still use the endpoints of all clusters.",
		"If this is intended, do nothing (`--ignore SVC004`). Otherwise run `kubectl mesh-svc share NAME --in CLUSTER`."}
	SharedJunk = Rule{"SVC005", Error, "invalid value of the shared annotation",
		"A global Service without the shared annotation is shared. Any value other than \"true\", in upper or lower case, means that it is not shared (all versions).",
		"Run `kubectl mesh-svc share NAME --in CLUSTER`. If the endpoints are not meant to be shared, run `kubectl mesh-svc unshare NAME --in CLUSTER`."}
	AffinityDrops = Rule{"SVC006", Error, "the affinity drops all remote endpoints",
		"1.18.0 to 1.19.5 drop every remote endpoint if the affinity is \"none\" or a value that they do not know. They do so even if no local endpoint is left (cilium issue 46623).",
		"Run `kubectl mesh-svc affinity none NAME --in CLUSTER`, which removes the annotation."}
	AffinityJunk = Rule{"SVC007", Warning, "invalid value of the affinity annotation",
		"The affinity must be one of: local, remote, none. Other values count as none, except in 1.18.0 to 1.19.5, which drop all remote endpoints.",
		"Run `kubectl mesh-svc affinity local|remote|none NAME --in CLUSTER`."}
	AffinityPair = Rule{"SVC008", Warning, "affinity local in one cluster, remote in another",
		"The affinity in the client's cluster decides. If one cluster prefers its own endpoints and the other cluster prefers remote endpoints, the first cluster gets the clients of both.",
		"If this is intended, do nothing. Otherwise set the same affinity in all clusters: `kubectl mesh-svc affinity none NAME`."}
	AliasLeft = Rule{"SVC009", Warning, "a deprecated annotation is left over",
		"The key service.cilium.io/... takes precedence over its alias io.cilium/..., whatever its value. When that key is removed, the alias decides again. EndpointSlice synchronization reads the new key only (1.16 and later).",
		"Remove the alias with `kubectl annotate service NAME KEY-`. If the alias decides now, write its value under the new key in the same command."}
	PortName = Rule{"SVC010", Error, "port names differ",
		"A remote endpoint serves a port only if both sides use the same port name. From 1.18 on, a side without a port name matches any name; up to 1.17 it does not. Port numbers may differ. Cilium silently drops endpoints that do not match.",
		"Give the port the same name in every cluster."}
	PortProtocol = Rule{"SVC011", Error, "port protocols differ",
		"A remote endpoint serves a port only with the same protocol (all versions).",
		"Give the port the same protocol in every cluster."}
	IPFamily = Rule{"SVC012", Warning, "IP families differ",
		"A remote endpoint serves only frontends of its own IP family (all versions).",
		"Give the Service the same ipFamilies in every cluster."}
	Headless = Rule{"SVC013", Warning, "headless in some clusters only",
		"Cilium does not load-balance a headless Service. Remote pods appear in DNS only with EndpointSlice synchronization (1.16 and later, off by default).",
		"Make the Service headless in every cluster or in none. spec.clusterIP is immutable, so the Service must be recreated."}
	NoEndpoints = Rule{"SVC014", Warning, "a selector without ready endpoints",
		"A global Service whose selector matches no ready pod has no backends in this cluster.",
		"Check the pods that the selector matches: `kubectl --context CONTEXT get endpointslices -l kubernetes.io/service-name=NAME`."}
	SessionAffinity = Rule{"SVC015", Info, "session affinity pins clients",
		"The sessionAffinity of the Service in the client's cluster applies. With ClientIP each client stays with one endpoint, local or remote. The predicted shares therefore hold only over many clients.",
		"If this is intended, do nothing. A probe sees one endpoint for each client pod."}
	TrafficPolicy = Rule{"SVC016", Warning, "traffic policy Local does not exclude remote endpoints",
		"This is not documented; it was read in the code of 1.18 to 1.20. Remote endpoints have no node name and pass the filter, so clients use the endpoints of their node and all remote endpoints.",
		"Use affinity local to prefer the client's own cluster. Cilium cannot exclude remote endpoints for each node."}
	ProxyName = Rule{"SVC017", Error, "Cilium ignores the Service",
		"Cilium leaves a Service with the label service.kubernetes.io/service-proxy-name to another proxy, whatever the value. If k8s-service-proxy-name is set, the agents serve only Services whose label has that value (all versions). The cluster IP of a Service with the label service.kubernetes.io/headless is served neither by Cilium nor by kube-proxy. If the annotation service.cilium.io/type is NodePort or LoadBalancer, the agents do not serve the cluster IP (1.17 and later); other clusters still use the endpoints.",
		"Set or remove the label or the annotation as the message says. Or leave the Service to the other proxy and remove it from the mesh."}
	DerivedService = Rule{"SVC018", Info, "a Service that the MCS-API controller derives",
		"The controller derives a Service from each ServiceImport. Its name is derived- and ten characters of a hash, and its label multicluster.kubernetes.io/service-name names the ServiceImport. The controller overwrites its annotations at every reconciliation, from the ServiceExports of all clusters (MCS-API, 1.17 and later).",
		"Change the ServiceExport (spec.exportedAnnotations) or the Service that it exports, never the derived Service."}
	NamespaceGate = Rule{"SVC019", Error, "the namespace is not global",
		"From 1.20 on, a cluster exports Services only from global namespaces. The annotation clustermesh.cilium.io/global decides. Without it, clustermesh-default-global-namespace decides (default true).",
		"Run `kubectl annotate namespace NAME clustermesh.cilium.io/global=true` in that cluster."}
	NeedsKPR = Rule{"SVC020", Warning, "NodePort and load balancer traffic stays local",
		"Traffic that enters through a node port or a load balancer uses remote endpoints with kubeProxyReplacement. Without it kube-proxy handles that traffic (all versions). kube-proxy knows remote endpoints only if EndpointSlice synchronization is in effect for the Service (1.16 and later), and does not use them with externalTrafficPolicy Local.",
		"Set kubeProxyReplacement=true, or let clients enter through pods. Or synchronize the EndpointSlices of the Service: see SVC027."}
	ExternalName = Rule{"SVC021", Warning, "a global ExternalName Service",
		"An ExternalName Service has no endpoints. DNS returns another name, and the global annotation has no effect.",
		"Run `kubectl mesh-svc unglobalize NAME --in CLUSTER --include-system`."}
	NamespaceMissing = Rule{"SVC022", Warning, "the namespace does not exist in a cluster",
		"Cilium matches Services by namespace and name, and clients resolve the name in their own cluster. Without the namespace, none of its Services exist there.",
		"Run `kubectl --context CONTEXT create namespace NAME`, then create the Services in it."}
	TypeDiffers = Rule{"SVC023", Info, "Service types differ",
		"Cilium exports the endpoints of ClusterIP, NodePort and LoadBalancer Services in the same way. Clients use the Service in their own cluster (all versions): node ports and load balancers exist only where the type provides them.",
		"If this is intended, do nothing (`--ignore SVC023`). Otherwise use the same type in every cluster."}
	ExternalNamePartly = Rule{"SVC024", Error, "an ExternalName Service in some clusters only",
		"An ExternalName Service is a DNS alias without endpoints (Kubernetes). Clients in that cluster are sent to another name and never reach the mesh. Other clusters get no endpoints from it.",
		"Give that cluster a Service of the same type as the others, or remove the other Services from the mesh."}
	SharedTargetPort = Rule{"SVC025", Warning, "several ports share one target port",
		"1.18.0 to 1.18.9 and 1.19.0 to 1.19.3 keep one port name for each remote address and target port. The remote endpoints therefore serve only one of the ports (cilium issue 45109, fixed by 45179 in 1.18.10 and 1.19.4).",
		"Upgrade the cluster of the affected clients, or give every port its own target port."}
	HeadlessAlone = Rule{"SVC026", Warning, "remote endpoints of a headless Service do not appear",
		"Cilium does not load-balance a headless Service. Remote pods appear in DNS only through EndpointSlices, which clustermesh.enableEndpointSliceSynchronization creates (1.16 and later, off by default). It reads only the key service.cilium.io/global, never its alias. The annotation global-sync-endpoint-slices can disable it.",
		"Set clustermesh.enableEndpointSliceSynchronization=true in the cluster of the clients. If only other clusters need to see its pods, annotate the Service with global-sync-endpoint-slices=false."}
	SyncUnheard = Rule{"SVC027", Warning, "EndpointSlice synchronization is requested but not in effect",
		"The annotation service.cilium.io/global-sync-endpoint-slices has an effect only if its value is \"true\", if the Service is global by the key service.cilium.io/global (the alias does not count), and if clustermesh.enableEndpointSliceSynchronization is set (1.16 and later, off by default).",
		"Set what the message names as missing, or remove the annotation."}
	PolicyIngress = Rule{"SVC028", Warning, "policies keep the clients of other clusters out",
		"If a policy selects a pod for ingress, the pod accepts only peers that a rule allows. With policy-default-local-cluster (chart default from 1.19, off before) a peer without a cluster label means pods of the policy's own cluster. The entities cluster and world never mean pods of another cluster.",
		"Name the clusters in the policy: use a CiliumNetworkPolicy with a peer that has the label io.cilium.k8s.policy.cluster."}
	PolicyEgress = Rule{"SVC029", Warning, "policies keep clients from the endpoints of other clusters",
		"If a policy selects a pod for egress, the pod reaches only peers that a rule allows. With policy-default-local-cluster (chart default from 1.19, off before) a peer without a cluster label means pods of the policy's own cluster.",
		"Name the clusters in the policy: use a CiliumNetworkPolicy with a peer that has the label io.cilium.k8s.policy.cluster."}
	ClusterID = Rule{"SVC030", Error, "cluster ids are not distinct",
		"Every identity contains the cluster id, from 1 to 255 (or 511). The id 0 excludes a cluster from the mesh. Agents reject a peer whose id is already in use.",
		"Give each cluster its own id. Changing it requires restarting every workload of that cluster."}
	ClusterName = Rule{"SVC031", Error, "cluster names are not distinct",
		"Peers, certificates and etcd keys are named after cluster-name. A cluster without a configured name is called \"default\".",
		"Give each cluster its own name. Changing it requires restarting every workload of that cluster."}
	MaxClusters = Rule{"SVC032", Error, "max-connected-clusters differs",
		"This value decides how many bits of an identity encode the cluster. It is set at installation and must be equal in the whole mesh. Only the side with 511 rejects the connection.",
		"Install all clusters with the same value. It cannot be changed in a running cluster."}
	VersionSkew = Rule{"SVC033", Warning, "versions are more than one minor apart",
		"Cilium supports a skew of one minor version within a mesh.",
		"Upgrade the older cluster, one minor version at a time."}
	OneSided = Rule{"SVC034", Warning, "a peer does not peer back",
		"Clients in the connected cluster use the endpoints of its peer. Clients in the peer do not use the endpoints of the connected cluster.",
		"Connect it from the other side too: `cilium clustermesh connect`."}
	HostsLocal = Rule{"SVC035", Info, "hosts and hostNetwork pods do not use remote endpoints",
		"Clients in the host's network namespace use remote endpoints of global Services with kubeProxyReplacement or socketLB.enabled (all versions, cilium issue 31718). socketLB.hostNamespaceOnly excludes pods and has no effect on hosts. Without both values, kube-proxy serves these clients. It knows remote endpoints only if EndpointSlice synchronization is in effect for the Service (1.16 and later), and does not use them with internalTrafficPolicy Local.",
		"If all clients are ordinary pods, do nothing (`--ignore SVC035`). Otherwise set kubeProxyReplacement=true or socketLB.enabled=true."}
	PodCIDR = Rule{"SVC036", Error, "pod CIDRs overlap",
		"The pod CIDRs of all nodes must be distinct in the whole mesh (documented requirement). If two pods have the same address, packets reach only one of them, and policies take one pod for the other.",
		"Give one cluster different pod CIDRs. This requires recreating every pod of that cluster."}
	PodPool = Rule{"SVC037", Info, "clusters allocate their pod CIDRs from the same pool",
		"The chart's default pool is 10.0.0.0/8 in every installation. The CIDRs of the present nodes are distinct, but the next node may get a CIDR that another cluster uses.",
		"Give each cluster its own pool before you add nodes."}
	NodeAddress = Rule{"SVC038", Error, "node addresses are not distinct",
		"The addresses of all nodes must be distinct in the whole mesh (documented requirement). Tunnels and node identities depend on them.",
		"Give the nodes of one cluster different addresses."}
	Datapath = Rule{"SVC039", Error, "datapath modes differ",
		"All clusters of a mesh must have the same datapath mode (documented requirement): tunnel or native routing, and the same tunnel protocol and port.",
		"Install all clusters with the same routingMode, tunnelProtocol and tunnelPort."}
	NameRule = Rule{"SVC040", Error, "invalid cluster name",
		"A name has at most 32 lower case letters, digits and hyphens, and begins and ends with a letter or digit. From 1.17 on, agents reject any other name; 1.15 and 1.16 log an error. If cluster-id is set, agents of all versions reject the name \"default\".",
		"Give the cluster another name. Changing it requires restarting every workload of that cluster."}
	IDRule = Rule{"SVC041", Error, "cluster id out of range",
		"An id must not exceed max-connected-clusters. With ENI or Alibaba IPAM and with AWS VPC CNI chaining, agents also reject ids from 128 to 255 and from 384 to 511, unless allow-unsafe-policy-skb-usage is set (cilium issue 21330).",
		"Give the cluster another id. Changing it requires restarting every workload of that cluster."}
	MaxRule = Rule{"SVC042", Error, "invalid value of max-connected-clusters",
		"It must be one of: 255, 511. Agents do not start with another value (1.15 and later).",
		"Install the cluster with one of the two values, the same in all clusters."}
	NativeCIDR = Rule{"SVC043", Warning, "the native routing CIDR does not cover the pods of another cluster",
		"With native routing the agent masquerades traffic to addresses outside ipv4-native-routing-cidr. The other cluster then sees the node's address instead of the pod's. The CIDR must cover the pods of all clusters (documented requirement). An ip-masq-agent may exempt these addresses in another way.",
		"Set ipv4NativeRoutingCIDR to a range that covers the pods of all clusters."}
	PolicyDefault = Rule{"SVC044", Info, "policy-default-local-cluster differs",
		"It decides whether a policy peer without a cluster label means pods of the policy's own cluster or of all clusters (chart default true from 1.19, false before). The same policy therefore means different pods in different clusters.",
		"Set clustermesh.policyDefaultLocalCluster to the same value in all clusters."}
	Drained = Rule{"SVC045", Info, "the Service is drained",
		"`kubectl mesh-svc drain` set shared: \"false\" and stored the previous value in the annotation mesh.kubectl.io/drained. Other clusters do not use the endpoints of this cluster until `undrain` restores the value. The clients in this cluster still use the endpoints of all clusters.",
		"While the cluster is out of service, do nothing (`--ignore SVC045`). Then run `kubectl mesh-svc undrain CLUSTER`."}
	Proxied = Rule{"SVC046", Info, "the L7 proxy answers a global Service",
		"Cilium creates a Service for each Gateway or Ingress and redirects it to the Envoy of the client's node. Its only endpoint is the placeholder 192.192.192.192:9999, where nothing listens. Cilium does not use remote endpoints of such a Service. It exports the placeholder like any endpoint (read in the code of 1.20).",
		"Make the Services behind the routes global instead: `kubectl mesh-svc globalize NAME`. Then remove the annotation of this Service. For a Gateway it comes from spec.infrastructure.annotations."}
	WrongKey = Rule{"SVC047", Warning, "a key that Cilium does not read",
		"Cilium reads its annotations only under their exact keys and on one kind of object. A key has no effect if it is misspelt, has another prefix, or is a label. Nothing reports it (all versions).",
		"Write the value under the right key and remove the wrong one, as the suggested fix does. If a key on a Namespace is meant for its Services, run `kubectl mesh-svc globalize NAME` for each of them."}
	Cancelled = Rule{"SVC048", Warning, "the settings of the clusters cancel each other",
		"A Service that is global but not shared in any cluster has local endpoints only. With affinity remote in every cluster, clients use their own endpoints only while no other cluster has any (all versions).",
		"Share the endpoints of at least one cluster, or prefer remote endpoints in some clusters only."}
	SkippedPeer = Rule{"SVC049", Warning, "Cilium skips the configuration of a peer",
		"Agents and KVStoreMesh use an entry of the Secret as a peer's configuration only if it contains the text `endpoints:`. JSON and Terraform quote the key, so what they write does not contain this text. From 1.17 on, the name of the entry must also be a valid cluster name. Cilium skips other entries silently (all versions).",
		"Write the entry as YAML with the bare key `endpoints:`, under the name of the cluster. If a tool cannot write a bare key, add a comment with that text: `# endpoints: see below`."}
	APIServer = Rule{"SVC050", Error, "the Service of the API server is global",
		"The endpoints of default/kubernetes are the API servers of its own cluster. Cilium makes no exception for it (read in the code of the exporter and of the agent, not run). If the Service is global in two clusters, clients in one of them may reach the API servers of the other. Those servers have another certificate and do not accept the clients' tokens.",
		"Run `kubectl mesh-svc unglobalize kubernetes -n default`."}
)

// Service lists the rules about global services, by id.
func Service() []Rule {
	return []Rule{GlobalPartly, ServiceMissing, GlobalJunk, NotShared, SharedJunk, AffinityDrops, AffinityJunk, AffinityPair, AliasLeft,
		PortName, PortProtocol, IPFamily, Headless, NoEndpoints, SessionAffinity, TrafficPolicy, ProxyName, DerivedService, NamespaceGate, NeedsKPR, ExternalName,
		NamespaceMissing, TypeDiffers, ExternalNamePartly, SharedTargetPort, HeadlessAlone, SyncUnheard, PolicyIngress, PolicyEgress,
		ClusterID, ClusterName, MaxClusters, VersionSkew, OneSided,
		HostsLocal, PodCIDR, PodPool, NodeAddress, Datapath, NameRule, IDRule, MaxRule, NativeCIDR, PolicyDefault, Drained,
		Proxied, WrongKey, Cancelled, SkippedPeer, APIServer}
}
