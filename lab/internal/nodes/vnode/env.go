package vnode

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// place is where a pod runs, as far as its environment tells it.
type place struct {
	cluster string
	podIP   string
	hostIP  string
	// configMap reads a key of a ConfigMap; nil where containers cannot refer to one.
	configMap func(name, key string) (value string, ok bool, err error)
	// kubernetes is the host and the port of the API server, as Service default/kubernetes gives them; empty without one.
	kubernetes [2]string
}

// environment builds a container's environment: the image's, what the lab tells its own
// servers, and what the pod says. Only plain values and fieldRef are known.
func environment(pod *corev1.Pod, c *corev1.Container, image []string, at place) ([]string, error) {
	env := newVars(image)
	env.set("HOSTNAME", hostname(pod))
	env.set("MESHLAB_CLUSTER", at.cluster)
	env.set("POD", pod.Name)
	env.set("NAMESPACE", pod.Namespace)
	env.set("NODE", pod.Spec.NodeName)
	env.set("POD_IP", at.podIP)
	if at.kubernetes[0] != "" {
		env.set("KUBERNETES_SERVICE_HOST", at.kubernetes[0])
		env.set("KUBERNETES_SERVICE_PORT", at.kubernetes[1])
	}
	if len(c.EnvFrom) > 0 {
		return nil, fmt.Errorf("container %q: envFrom is not supported in the lab", c.Name)
	}
	for _, e := range c.Env {
		value := expand(e.Value, env.get)
		if e.ValueFrom != nil {
			var ok bool
			var err error
			if value, ok, err = valueFrom(pod, e.ValueFrom, at); err != nil {
				return nil, fmt.Errorf("container %q: env %s: %w", c.Name, e.Name, err)
			}
			if !ok {
				continue
			}
		}
		env.set(e.Name, value)
	}
	return env.list, nil
}

// nodeMemory is what a container without a limit sees as its limit: the node's memory in bytes.
const nodeMemory = "8589934592"

// valueFrom reads a variable from elsewhere; ok is false for one that is optional and missing.
func valueFrom(pod *corev1.Pod, from *corev1.EnvVarSource, at place) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = field(pod, from.FieldRef.FieldPath, at)
		return value, true, err
	case from.ConfigMapKeyRef != nil && at.configMap != nil:
		ref := from.ConfigMapKeyRef
		value, ok, err = at.configMap(ref.Name, ref.Key)
		if err == nil && !ok && (ref.Optional == nil || !*ref.Optional) {
			err = fmt.Errorf("ConfigMap %q has no key %q", ref.Name, ref.Key)
		}
		return value, ok, err
	case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory":
		return nodeMemory, true, nil // limits are not enforced in the lab
	}
	return "", false, fmt.Errorf("a value from this source is not supported in the lab")
}

// field reads what the downward API offers.
func field(pod *corev1.Pod, path string, at place) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return at.podIP, nil
	case "status.hostIP", "status.hostIPs":
		return at.hostIP, nil
	}
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], nil
	}
	return "", fmt.Errorf("field %q is not supported in the lab", path)
}

// subscript splits metadata.labels['KEY'].
func subscript(path, name string) (string, bool) {
	rest, ok := strings.CutPrefix(path, name+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

// command is what the container runs, as Kubernetes combines image, command and args.
func command(c *corev1.Container, image []string, env func(string) (string, bool)) []string {
	argv := image
	if len(c.Command) > 0 {
		argv = c.Command
	}
	if len(c.Args) > 0 {
		if len(c.Command) == 0 {
			// The lab's images are made so that args follow the program and its verb: `/lab web`, or replace `sleep N`.
			argv = entrypoint(image)
		}
		argv = append(slices.Clone(argv), c.Args...)
	}
	out := make([]string, 0, len(argv))
	for _, a := range argv {
		out = append(out, expand(a, env))
	}
	return out
}

// entrypoint is the part of an image's command that args do not replace.
func entrypoint(image []string) []string {
	if len(image) > 1 && image[1] == "web" {
		return image
	}
	return nil
}

// expand replaces $(NAME) as Kubernetes does: unknown names stay, $$ is a dollar sign.
func expand(s string, get func(string) (string, bool)) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				b.WriteString(s[i:])
				return b.String()
			}
			if v, ok := get(s[i+2 : i+end]); ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// vars is an environment in the order in which it was set.
type vars struct{ list []string }

func newVars(list []string) *vars { return &vars{slices.Clone(list)} }

func (v *vars) get(name string) (string, bool) {
	for _, kv := range v.list {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (v *vars) set(name, value string) {
	for i, kv := range v.list {
		if strings.HasPrefix(kv, name+"=") {
			v.list[i] = name + "=" + value
			return
		}
	}
	v.list = append(v.list, name+"="+value)
}

// hostname is the pod's host name; the kernel takes at most 64 bytes, Kubernetes 63.
func hostname(pod *corev1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	return name
}

// hosts is the pod's /etc/hosts.
func hosts(pod *corev1.Pod, ip string) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	fmt.Fprintf(&b, "%s\t%s\n", ip, hostname(pod))
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return b.String()
}
