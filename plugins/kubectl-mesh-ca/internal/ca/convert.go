package ca

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// workload converts the parts of a pod template that decide which files its containers see.
func workload(spec corev1.PodSpec) *pki.Workload {
	w := &pki.Workload{}
	for _, c := range spec.InitContainers {
		w.Init = append(w.Init, container(c))
	}
	for _, c := range spec.Containers {
		w.Containers = append(w.Containers, container(c))
	}
	for _, v := range spec.Volumes {
		w.Volumes = append(w.Volumes, volume(v))
	}
	return w
}

func container(c corev1.Container) pki.Container {
	out := pki.Container{Name: c.Name, Image: c.Image, Args: append(append([]string(nil), c.Command...), c.Args...), Env: map[string]string{}}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			out.Env[e.Name] = e.Value
		}
	}
	for _, m := range c.VolumeMounts {
		out.Mounts = append(out.Mounts, pki.Mount{Volume: m.Name, Path: m.MountPath, Odd: m.SubPath != "" || m.SubPathExpr != ""})
	}
	return out
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
			default: // a trust bundle or a token: it is not followed, and may overlay other files
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
