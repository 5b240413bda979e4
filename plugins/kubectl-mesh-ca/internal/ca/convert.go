package ca

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// workload converts the parts of a pod template that say which files its containers see.
func workload(spec corev1.PodSpec) *pki.Workload {
	w := &pki.Workload{}
	for _, c := range spec.Containers {
		out := pki.Container{Name: c.Name, Args: append(append([]string(nil), c.Command...), c.Args...)}
		for _, m := range c.VolumeMounts {
			out.Mounts = append(out.Mounts, pki.Mount{Volume: m.Name, Path: m.MountPath, Odd: m.SubPath != "" || m.SubPathExpr != ""})
		}
		w.Containers = append(w.Containers, out)
	}
	for _, v := range spec.Volumes {
		w.Volumes = append(w.Volumes, volume(v))
	}
	return w
}

func volume(v corev1.Volume) pki.Volume {
	out := pki.Volume{Name: v.Name}
	switch {
	case v.Secret != nil:
		out.Sources = []pki.Projection{projection(pki.Secret, v.Secret.SecretName, v.Secret.Items)}
	case v.ConfigMap != nil:
		out.Sources = []pki.Projection{projection(pki.ConfigMap, v.ConfigMap.Name, v.ConfigMap.Items)}
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			switch {
			case s.Secret != nil:
				out.Sources = append(out.Sources, projection(pki.Secret, s.Secret.Name, s.Secret.Items))
			case s.ConfigMap != nil:
				out.Sources = append(out.Sources, projection(pki.ConfigMap, s.ConfigMap.Name, s.ConfigMap.Items))
			default: // a trust bundle, a token: not followed, and it may overlay what is
				out.Other = "projected with a source other than Secret or ConfigMap"
			}
		}
	default:
		out.Other = "other than secret, configMap or projected"
	}
	return out
}

func projection(kind pki.ObjectKind, name string, items []corev1.KeyToPath) pki.Projection {
	p := pki.Projection{Ref: pki.Ref{Kind: kind, Name: name}}
	for _, i := range items {
		p.Items = append(p.Items, pki.Item{Key: i.Key, Path: i.Path})
	}
	return p
}

// peers reads the etcd client configurations out of the Secret that the connecting process reads.
// A key is one if its value has "endpoints:" (cilium pkg/clustermesh/common/config.go).
func peers(side pki.Side) (map[string]pki.PeerConfig, string) {
	obj := side.Objects[side.ConfigSecret()]
	if obj.Unreadable != "" {
		return nil, obj.Unreadable
	}
	out := map[string]pki.PeerConfig{}
	for name, value := range obj.Data {
		if !bytes.Contains(value, []byte("endpoints:")) {
			continue
		}
		var doc struct {
			Endpoints []string `json:"endpoints"`
			CA        string   `json:"trusted-ca-file"`
			Cert      string   `json:"cert-file"`
			Key       string   `json:"key-file"`
		}
		if err := yaml.Unmarshal(value, &doc); err != nil {
			return nil, fmt.Sprintf("the configuration of peer %q does not parse", name)
		}
		out[name] = pki.PeerConfig{Endpoints: doc.Endpoints, PeerFiles: pki.PeerFiles{TrustedCAFile: doc.CA, CertFile: doc.Cert, KeyFile: doc.Key}}
	}
	return out, ""
}
