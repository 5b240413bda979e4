package volumes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

func pod(volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Spec: corev1.PodSpec{Volumes: volumes}}
}

func secretSource(name string, optional bool, items ...corev1.KeyToPath) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: items, Optional: ptr.To(optional),
	}}
}

func projectedVolume(sources ...corev1.VolumeProjection) corev1.Volume {
	return corev1.Volume{Name: "certs", VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: ptr.To[int32](0o400)},
	}}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(data)
	}
	return got
}

func TestRefreshReplacesFilesTogether(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "leaf", Namespace: "ns"}, Data: map[string][]byte{
		"tls.crt": []byte("cert 1"), "tls.key": []byte("key 1"), "other": []byte("x"),
	}}
	client := fake.NewClientset(secret)
	dir := t.TempDir()
	set := New(client, pod(projectedVolume(
		secretSource("peers", true),
		secretSource("leaf", true, corev1.KeyToPath{Key: "tls.crt", Path: "client.crt"}, corev1.KeyToPath{Key: "tls.key", Path: "client.key"}),
	)), dir, "")
	if err := set.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	certs := filepath.Join(dir, "certs")
	if diff := cmp.Diff(map[string]string{"client.crt": "cert 1", "client.key": "key 1"}, contents(t, certs)); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(certs, "client.key"))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
	before, err := os.Readlink(filepath.Join(certs, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Readlink(filepath.Join(certs, dataLink)); after != before {
		t.Error("nothing changed, but the files were replaced")
	}

	secret.Data["tls.crt"] = []byte("cert 2")
	if _, err := client.CoreV1().Secrets("ns").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	peers := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "peers", Namespace: "ns"}, Data: map[string][]byte{"eu": []byte("endpoints")}}
	if _, err := client.CoreV1().Secrets("ns").Create(t.Context(), peers, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"client.crt": "cert 2", "client.key": "key 1", "eu": "endpoints"}, contents(t, certs)); diff != "" {
		t.Errorf("after the changes (-want +got):\n%s", diff)
	}
	if err := client.CoreV1().Secrets("ns").Delete(t.Context(), "peers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"client.crt": "cert 2", "client.key": "key 1"}, contents(t, certs)); diff != "" {
		t.Errorf("after a Secret is gone (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(certs)
	if err != nil || len(entries) != 4 { // two files, ..data and the directory behind it
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestMissingSources(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "leaf", Namespace: "ns"}})
	for name, tc := range map[string]struct {
		source corev1.VolumeProjection
		fails  bool
	}{
		"a Secret that must be there": {secretSource("none", false), true},
		"a Secret that may be there":  {secretSource("none", true), false},
		"a key that must be there":    {secretSource("leaf", false, corev1.KeyToPath{Key: "k", Path: "k"}), true},
		"a key that may be there":     {secretSource("leaf", true, corev1.KeyToPath{Key: "k", Path: "k"}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New(client, pod(projectedVolume(tc.source)), t.TempDir(), "").Prepare(t.Context())
			if (err != nil) != tc.fails {
				t.Errorf("want an error: %v; got %v", tc.fails, err)
			}
		})
	}
}

func TestBinds(t *testing.T) {
	t.Parallel()
	hostPath := func(name, path string, kind corev1.HostPathType) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}}
	}
	set := New(nil, pod(
		hostPath("run", "/var/run/cilium", corev1.HostPathDirectoryOrCreate),
		hostPath("bpf", "/sys/fs/bpf", corev1.HostPathDirectoryOrCreate),
		hostPath("cni", "/etc/cni/net.d", corev1.HostPathDirectoryOrCreate),
		hostPath("all", "/var/run", corev1.HostPathDirectory),
		hostPath("lock", "/run/xtables.lock", corev1.HostPathFileOrCreate),
		corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		projectedVolume(secretSource("leaf", true)),
	), "/volumes/p", "/disks/node")
	got := set.Binds(&corev1.Container{VolumeMounts: []corev1.VolumeMount{
		{Name: "certs", MountPath: "/var/lib/certs"}, {Name: "run", MountPath: "/var/run/cilium"}, {Name: "bpf", MountPath: "/sys/fs/bpf"},
		{Name: "cni", MountPath: "/host/etc/cni/net.d"}, {Name: "all", MountPath: "/host/run"}, {Name: "lock", MountPath: "/run/xtables.lock"},
		{Name: "data", MountPath: "/data", ReadOnly: true},
	}})
	want := []podwire.Bind{
		{Source: "/volumes/p/data", Within: "/volumes/p/data", Target: "/data"},
		{Source: "/disks/node/etc/cni/net.d", Within: "/disks/node", Target: "/host/etc/cni/net.d", Writable: true, Create: true},
		{Source: "/run", Within: "/run", Target: "/host/run", Writable: true, Create: true},
		{Source: "/run/xtables.lock", Within: "/run", Target: "/run/xtables.lock", Writable: true},
		{Source: "/sys/fs/bpf", Within: "/sys", Target: "/sys/fs/bpf", Writable: true},
		{Source: "/volumes/p/certs", Within: "/volumes/p/certs", Target: "/var/lib/certs"}, // Secrets are never written to
		{Source: "/run/cilium", Within: "/run", Target: "/var/run/cilium", Writable: true, Create: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFailedReplaceLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := replace(dir, map[string]file{"a": {[]byte("1"), 0o400}}); err != nil {
		t.Fatal(err)
	}
	// A name that is both a file and a directory cannot be written.
	if err := replace(dir, map[string]file{"a": {[]byte("2"), 0o400}, "a/b": {[]byte("3"), 0o400}}); err == nil {
		t.Fatal("no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 { // the file, ..data and the directory behind it
		t.Errorf("left over: %v, %v", entries, err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1"}, contents(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A link that an interrupted attempt left is not in the way.
	if err := os.Symlink("gone", filepath.Join(dir, newDataLink)); err != nil {
		t.Fatal(err)
	}
	if err := replace(dir, map[string]file{"a": {[]byte("4"), 0o400}}); err != nil {
		t.Error(err)
	}
}
