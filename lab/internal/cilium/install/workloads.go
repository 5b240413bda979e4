package install

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const meshAPIServer = "clustermesh-apiserver"

// secretMode is that of mounted keys in the charts.
const secretMode = 0o400

// workloads are Cilium's Service, Deployments and DaemonSet. Volumes are there in
// full where they say who trusts whom; the rest of the pods is shortened.
func workloads(s site) []Object {
	return []Object{meshService(), meshDeployment(s), agents(s), operator(s)}
}

func meshService() Object {
	return object(managerHelm, &corev1.Service{
		ObjectMeta: helmMeta(meshAPIServer, component(meshAPIServer, meshAPIServer)),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"k8s-app": meshAPIServer},
			Ports: []corev1.ServicePort{{Port: 2379, TargetPort: intstr.FromInt32(2379), NodePort: meshNodePort, Protocol: corev1.ProtocolTCP}},
		},
	})
}

func meshDeployment(s site) Object {
	image := s.image(meshAPIServer)
	volumes := []corev1.Volume{
		projected("etcd-server-secrets", secretItems(secretServer, "tls.crt", "tls.crt", "tls.key", "tls.key", "ca.crt", "ca.crt")),
		projected("etcd-admin-client", secretItems(secretAdmin, "tls.crt", "tls.crt", "tls.key", "tls.key", "ca.crt", "ca.crt")),
		{Name: "etcd-data-dir", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		projected("kvstoremesh-secrets", optional(secretItems("cilium-kvstoremesh")),
			optional(secretItems(secretRemote, "tls.key", "common-etcd-client.key", "tls.crt", "common-etcd-client.crt", "ca.crt", "common-etcd-client-ca.crt"))),
	}
	if s.minor >= minorMultipleUsers {
		volumes = append(volumes, corev1.Volume{Name: "etcd-users-config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: remoteUsers}},
		}})
	}
	labels := component(meshAPIServer, meshAPIServer)
	return object(managerHelm, &appsv1.Deployment{
		ObjectMeta: helmMeta(meshAPIServer, labels),
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](1),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": meshAPIServer}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"kubectl.kubernetes.io/default-container": "apiserver"}},
				Spec: corev1.PodSpec{
					ServiceAccountName: meshAPIServer,
					HostAliases:        hostAliases(s),
					Containers: []corev1.Container{
						{Name: "etcd", Image: image, Command: []string{"/usr/bin/etcd"}, VolumeMounts: mounts("etcd-server-secrets", "/var/lib/etcd-secrets", "etcd-data-dir", "/var/run/etcd"),
							Ports: []corev1.ContainerPort{{Name: "etcd", ContainerPort: 2379, Protocol: corev1.ProtocolTCP}}},
						{Name: "apiserver", Image: image, Command: []string{"/usr/bin/clustermesh-apiserver"}, Args: []string{"clustermesh"},
							VolumeMounts: mounts("etcd-admin-client", "/var/lib/cilium/etcd-secrets")},
						{Name: "kvstoremesh", Image: image, Command: []string{"/usr/bin/clustermesh-apiserver"}, Args: []string{"kvstoremesh"},
							VolumeMounts: mounts("etcd-admin-client", "/var/lib/cilium/etcd-secrets", "kvstoremesh-secrets", "/var/lib/cilium/clustermesh")},
					},
					Volumes: volumes,
				},
			},
		},
	})
}

// hostAliases resolve the peers' names in KVStoreMesh, since NodePort Services have
// no name: `cilium clustermesh connect` takes the address of one node.
func hostAliases(s site) []corev1.HostAlias {
	aliases := make([]corev1.HostAlias, 0, len(s.peers))
	for _, peer := range s.peers {
		aliases = append(aliases, corev1.HostAlias{IP: peer.Nodes[0].Address, Hostnames: []string{meshHost(peer.Name)}})
	}
	return aliases
}

func agents(s site) Object {
	labels := component("cilium", "cilium-agent")
	return object(managerHelm, &appsv1.DaemonSet{
		ObjectMeta: helmMeta("cilium", labels),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "cilium"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"kubectl.kubernetes.io/default-container": "cilium-agent"}},
				Spec: corev1.PodSpec{
					HostNetwork: true, ServiceAccountName: "cilium", PriorityClassName: "system-node-critical",
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{
						Name: "cilium-agent", Image: s.image("cilium"), Command: []string{"cilium-agent"}, Args: []string{"--config-dir=/tmp/cilium/config-map"},
						VolumeMounts: mounts("clustermesh-secrets", "/var/lib/cilium/clustermesh", "hubble-tls", "/var/lib/cilium/tls/hubble"),
					}},
					Volumes: []corev1.Volume{
						projected("clustermesh-secrets", optional(secretItems("cilium-clustermesh")),
							optional(secretItems(secretRemote, "tls.key", "common-etcd-client.key", "tls.crt", "common-etcd-client.crt", "ca.crt", "common-etcd-client-ca.crt")),
							optional(secretItems(secretLocal, "tls.key", "local-etcd-client.key", "tls.crt", "local-etcd-client.crt", "ca.crt", "local-etcd-client-ca.crt"))),
						projected("hubble-tls", optional(secretItems(secretHubble, "tls.crt", "server.crt", "tls.key", "server.key", "ca.crt", "client-ca.crt"))),
					},
				},
			},
		},
	})
}

func operator(s site) Object {
	const operatorReplicas = 2
	labels := component("cilium-operator", "cilium-operator")
	delete(labels, "k8s-app")
	labels["io.cilium/app"], labels["name"] = "operator", "cilium-operator"
	return object(managerHelm, &appsv1.Deployment{
		ObjectMeta: helmMeta("cilium-operator", labels),
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](operatorReplicas),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"io.cilium/app": "operator", "name": "cilium-operator"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					HostNetwork: true, ServiceAccountName: "cilium-operator", PriorityClassName: "system-cluster-critical",
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{
						Name: "cilium-operator", Image: s.image("operator-generic"), Command: []string{"cilium-operator-generic"},
						Args: []string{"--config-dir=/tmp/cilium/config-map"},
					}},
				},
			},
		},
	})
}

func projected(name string, sources ...corev1.VolumeProjection) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: ptr.To[int32](secretMode)},
	}}
}

// secretItems projects keys of a Secret; keysAndPaths alternate. None means all.
func secretItems(name string, keysAndPaths ...string) corev1.VolumeProjection {
	projection := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}}
	for pair := range slices.Chunk(keysAndPaths, 2) {
		projection.Items = append(projection.Items, corev1.KeyToPath{Key: pair[0], Path: pair[1]})
	}
	return corev1.VolumeProjection{Secret: projection}
}

func optional(projection corev1.VolumeProjection) corev1.VolumeProjection {
	projection.Secret.Optional = ptr.To(true)
	return projection
}

// mounts mounts volumes read-only; names and paths alternate.
func mounts(namesAndPaths ...string) []corev1.VolumeMount {
	var result []corev1.VolumeMount
	for pair := range slices.Chunk(namesAndPaths, 2) {
		result = append(result, corev1.VolumeMount{Name: pair[0], MountPath: pair[1], ReadOnly: pair[0] != "etcd-data-dir"})
	}
	return result
}
