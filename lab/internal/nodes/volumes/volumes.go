// Package volumes is what a kubelet does for the volumes of a pod: it makes their directories, writes Secrets, ConfigMaps and
// tokens into files, and replaces these files all at once when their source changes. It knows one pod at a time and
// starts nothing.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// Set is the volumes of one pod.
type Set struct {
	client kubernetes.Interface
	pod    *corev1.Pod
	// dir contains a directory for each volume that is not a path of the node.
	dir string
	// disk is where paths of the node are that the node's own mounts do not cover.
	disk   string
	tokens tokens
}

// New returns the volumes of a pod. dir is a directory for this pod alone, disk the node's.
func New(client kubernetes.Interface, pod *corev1.Pod, dir, disk string) *Set {
	return &Set{client: client, pod: pod, dir: dir, disk: disk, tokens: tokens{}}
}

// Prepare makes the volumes. Its error says what is missing, such as a Secret that is not optional.
func (s *Set) Prepare(ctx context.Context) error {
	for i := range s.pod.Spec.Volumes {
		v := &s.pod.Spec.Volumes[i]
		if v.HostPath != nil {
			continue
		}
		if err := os.MkdirAll(s.path(v.Name), 0o755); err != nil {
			return err
		}
	}
	return s.Refresh(ctx)
}

// Refresh writes what has changed in the sources since the last call. A source that cannot be read leaves its volume as it is.
func (s *Set) Refresh(ctx context.Context) error {
	var errs []error
	for i := range s.pod.Spec.Volumes {
		v := &s.pod.Spec.Volumes[i]
		sources := sourcesOf(v)
		if len(sources) == 0 {
			continue
		}
		files, err := s.collect(ctx, v, sources)
		if err == nil {
			err = replace(s.path(v.Name), files)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("volume %q: %w", v.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Changes reports whether the volumes follow objects of the API server.
func (s *Set) Changes() bool {
	return slices.ContainsFunc(s.pod.Spec.Volumes, func(v corev1.Volume) bool { return len(sourcesOf(&v)) > 0 })
}

// Remove removes the pod's volumes.
func (s *Set) Remove() error { return os.RemoveAll(s.dir) }

// kernelModules are not mounted: a node of the lab must not load any into the kernel of this machine.
const kernelModules = "/lib/modules"

// Binds are the mounts of a container, the outer ones first.
func (s *Set) Binds(c *corev1.Container) []podwire.Bind {
	var binds []podwire.Bind
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(s.pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			continue // the API server has refused it
		}
		v := &s.pod.Spec.Volumes[i]
		if v.HostPath != nil && filepath.Clean(v.HostPath.Path) == kernelModules {
			continue
		}
		b := podwire.Bind{Target: filepath.Clean(m.MountPath), Writable: !m.ReadOnly && len(sourcesOf(v)) == 0}
		switch {
		case v.HostPath != nil:
			b.Source, b.Within, b.Create = s.hostPath(v.HostPath)
		default:
			b.Source, b.Within = s.path(v.Name), s.path(v.Name)
		}
		b.Source = filepath.Join(b.Source, m.SubPath)
		binds = append(binds, b)
	}
	slices.SortStableFunc(binds, func(a, b podwire.Bind) int { return strings.Compare(a.Target, b.Target) })
	return binds
}

// hostPath is where a path of the node is. /run, /sys and /proc are the node's own; all else is below its disk, so that
// nothing of this machine is seen or changed.
func (s *Set) hostPath(h *corev1.HostPathVolumeSource) (path, within string, create bool) {
	path = filepath.Clean(h.Path)
	if rest, ok := strings.CutPrefix(path+"/", "/var/run/"); ok {
		path = filepath.Join("/run", rest)
	}
	file := h.Type != nil && (*h.Type == corev1.HostPathFile || *h.Type == corev1.HostPathFileOrCreate)
	for _, own := range []string{"/run", "/sys", "/proc"} {
		if path == own || strings.HasPrefix(path, own+"/") {
			return path, own, !file && own == "/run"
		}
	}
	return filepath.Join(s.disk, path), s.disk, !file
}

func (s *Set) path(volume string) string { return filepath.Join(s.dir, volume) }
