package install

import (
	_ "embed" // for cilium-config.yaml
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

//go:embed cilium-config.yaml
var ciliumConfig []byte

// config is ConfigMap cilium-config. What differs between the versions and is read
// by nobody but the agent is left as in 1.18.
func config(s site) []Object {
	data := map[string]string{}
	if err := yaml.UnmarshalStrict(ciliumConfig, &data); err != nil {
		panic(fmt.Sprintf("install: cilium-config.yaml: %v", err))
	}
	data["cluster-name"] = s.Name
	data["cluster-id"] = strconv.Itoa(s.ID)
	data["max-connected-clusters"] = "255"
	data["kube-proxy-replacement"] = strconv.FormatBool(s.KubeProxyReplacement)
	data["clustermesh-enable-endpoint-sync"] = "false"
	data["clustermesh-enable-mcs-api"] = "false"
	if s.minor >= minorPolicyDefault {
		data["policy-default-local-cluster"] = strconv.FormatBool(s.minor > minorPolicyDefault)
	}
	if s.minor >= minorMultipleUsers {
		data["clustermesh-cache-ttl"] = "0s"
	}
	if s.minor >= minorGlobalNamespace {
		data["clustermesh-default-global-namespace"] = "true"
	}
	return []Object{object(managerHelm, &corev1.ConfigMap{ObjectMeta: helmMeta("cilium-config", nil), Data: data})}
}

// The port of the NodePort Service clustermesh-apiserver, as in the charts.
const meshNodePort = 32379

// peerConfig is what `cilium clustermesh connect` adds: by name of the peer, how the
// agents reach it (KVStoreMesh in their own cluster) and how KVStoreMesh does.
func peerConfig(s site) []Object {
	var objects []Object
	if len(s.peers) > 0 {
		agents, meshes := map[string][]byte{}, map[string][]byte{}
		for _, peer := range s.peers {
			agents[peer.Name] = etcdConfig("https://"+meshAPIServer+"."+Namespace+".svc:2379", "local-etcd-client")
			meshes[peer.Name] = etcdConfig(fmt.Sprintf("https://%s:%d", meshHost(peer.Name), meshNodePort), "common-etcd-client")
		}
		for _, secret := range []struct {
			name string
			data map[string][]byte
		}{{"cilium-clustermesh", agents}, {"cilium-kvstoremesh", meshes}} {
			objects = append(objects, object(managerCiliumCLI, &corev1.Secret{
				ObjectMeta: helmMeta(secret.name, nil), Data: secret.data, Type: corev1.SecretTypeOpaque,
			}))
		}
	}
	if s.minor >= minorMultipleUsers {
		objects = append(objects, object(managerHelm, &corev1.ConfigMap{
			ObjectMeta: helmMeta(remoteUsers, nil), Data: map[string]string{"users.yaml": users(s)},
		}))
	}
	return objects
}

func meshHost(cluster string) string { return cluster + ".mesh.cilium.io" }

func etcdConfig(endpoint, client string) []byte {
	const dir = "/var/lib/cilium/clustermesh/"
	return []byte(strings.Join([]string{
		"endpoints:", "- " + endpoint,
		"trusted-ca-file: " + dir + client + "-ca.crt",
		"key-file: " + dir + client + ".key",
		"cert-file: " + dir + client + ".crt",
	}, "\n"))
}

const remoteUsers = "clustermesh-remote-users"

func users(s site) string {
	var b strings.Builder
	b.WriteString("users:\n")
	for _, peer := range s.peers {
		fmt.Fprintf(&b, "- name: remote-%s\n  role: remote\n", peer.Name)
	}
	return b.String()
}

// clusterDNS is not Cilium's: every cluster has a Service for its DNS, and kubeadm
// gives it the tenth address. The lab answers at this address without endpoints.
func clusterDNS(s site) Object {
	return object(managerKubeadm, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kube-dns", Namespace: Namespace,
			Labels:      map[string]string{"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
			Annotations: map[string]string{"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: s.DNSIP, Selector: map[string]string{"k8s-app": "kube-dns"},
			Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
				{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
			},
		},
	})
}
