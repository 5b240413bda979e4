package helper

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// user is nobody. It is set because many images run as root, or name their user, which a kubelet cannot compare with runAsNonRoot.
const user = 65534

// container returns the container in which requests are sent. It satisfies the restricted policy of PodSecurity.
func container(cfg Config, name, marker string) corev1.Container {
	return corev1.Container{
		Name: name, Image: cfg.Image, Command: command(marker, cfg.Lifetime),
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(user)), RunAsGroup: ptr.To(int64(user)),
			Privileged: ptr.To(false), AllowPrivilegeEscalation: ptr.To(false),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// ephemeralContainer returns the container that is added to a client pod. It has no resources, because Kubernetes allows none.
func ephemeralContainer(cfg Config, name string) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(container(cfg, name, name))}
}

// newPod returns the helper pod for a client pod. The pull secrets are the client pod's; it has no service account token.
func newPod(client *corev1.Pod, cfg Config, name string) *corev1.Pod {
	c := container(cfg, containerName, name)
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: client.Namespace, Labels: map[string]string{}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: ptr.To(seconds(cfg.Lifetime)), TerminationGracePeriodSeconds: ptr.To(int64(1)),
			AutomountServiceAccountToken: ptr.To(false), EnableServiceLinks: ptr.To(false), ImagePullSecrets: client.Spec.ImagePullSecrets,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(user)), RunAsGroup: ptr.To(int64(user)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{c},
		},
	}
	if cfg.CopyLabels {
		p.Labels = copiedLabels(client.Labels)
		// The service account is a part of the identity that Cilium's policies see.
		p.Spec.ServiceAccountName = client.Spec.ServiceAccountName
	}
	p.Labels[LabelManagedBy] = Manager
	if cfg.SameNode {
		placeOn(p, client)
	}
	return p
}

// placeOn lets the scheduler choose the node of the client pod, as the DaemonSet controller does, so that the node's resources are checked.
func placeOn(p, client *corev1.Pod) {
	p.Spec.Tolerations = client.Spec.Tolerations
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{client.Spec.NodeName}},
		}}},
	}}}
}

func seconds(d time.Duration) int64 { return int64(max(1, d/time.Second)) }

const (
	// beatEvery is how often the plugin gives a sign of life.
	beatEvery = 5 * time.Second
	// quietBeats is how many of them may be missing, and startBeats how many before the first one.
	quietBeats = 6
	startBeats = 12
)

// keepAlive is the process of the container. It ends after TERM, after a time without USR1, and at the latest after the lifetime. A sleep that a
// signal interrupts goes on. It has no line break, so that its command line can be read as one line.
const keepAlive = `trap 'n=0' USR1;trap 'exit 0' TERM INT;n=%d;t=0;while [ $n -lt %d ]&&[ $t -lt %d ];do ` +
	`sleep %d& p=$!;while wait $p;[ $? -gt 128 ]&&kill -0 $p 2>/dev/null;do :;done;n=$((n+1));t=$((t+%d));done`

// command returns the command of the container. Its last word is the marker by which the keeper finds the process.
func command(marker string, lifetime time.Duration) []string {
	every := seconds(beatEvery)
	return []string{"sh", "-c", fmt.Sprintf(keepAlive, quietBeats-startBeats, quietBeats, seconds(lifetime), every, every), marker}
}
