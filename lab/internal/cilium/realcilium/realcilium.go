// Package realcilium says how Cilium's own programs run on the lab's nodes: which program a container of Cilium's images
// starts and what it finds in its file system, what the CNI plugin is told, and which values Cilium's chart is installed
// with. It starts nothing, and imports nothing of Cilium: the programs are built from a module of their own
// (test/realcilium), and what they need besides is read from Cilium's module directory.
package realcilium

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/compiler"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
)

// Files are where Cilium's programs are on this machine.
type Files struct {
	// Programs is the directory with cilium-agent, cilium-dbg, cilium-cni and clustermesh-apiserver.
	Programs string
	// Etcd is the etcd that runs beside clustermesh-apiserver.
	Etcd string
	// Helpers is the directory with meshlab-certgen, the imitation of certgen, and meshlab-clang, which keeps what clang makes.
	Helpers string
	// Objects is a directory for what clang makes.
	Objects string
	// Module is the directory of Cilium's module: its datapath in C, its chart and its CRDs.
	Module string
	// Clang is the compiler of the datapath.
	Clang string
}

// Chart is the directory of Cilium's Helm chart.
func (f Files) Chart() string { return filepath.Join(f.Module, "install/kubernetes/cilium") }

// CRDs is the directory of the definitions that Cilium's operator registers, one directory for each version.
func (f Files) CRDs() string { return filepath.Join(f.Module, "pkg/k8s/apis/cilium.io/client/crds") }

// Plugin is the CNI plugin.
func (f Files) Plugin() string { return filepath.Join(f.Programs, "cilium-cni") }

// Network is the configuration of the CNI plugin.
func Network() string {
	data, err := json.Marshal(map[string]any{
		"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni", "log-file": "/run/cilium/cilium-cni.log",
	})
	if err != nil {
		panic(err) // constants
	}
	return string(data)
}

// The directories of programs in a container of the agent's image.
const (
	programDir  = "/opt/cilium/bin"
	compilerDir = "/opt/clang"
	objectDir   = "/opt/objects"
)

// Image returns what a container of one of Cilium's images runs. ok is false for other images, and for containers whose
// command is a shell script of the image: they prepare a machine, which the lab has done.
func (f Files) Image(c *corev1.Container) (img images.Image, ok bool) {
	reference, _, _ := strings.Cut(c.Image, "@")
	name, _, _ := strings.Cut(path.Base(reference), ":")
	if len(c.Command) == 0 {
		return images.Image{}, false
	}
	program := path.Base(c.Command[0])
	switch name {
	case "cilium":
		return f.agent(), program == "cilium-agent" || program == "cilium-dbg"
	case "clustermesh-apiserver":
		return f.meshAPIServer(), program == "clustermesh-apiserver" || program == "etcd"
	case "certgen":
		return f.certgen(), program == certgenProgram
	}
	return images.Image{}, false
}

// agent is the image quay.io/cilium/cilium. Beside Cilium's programs the agent runs clang, iptables, ipset and ip.
func (f Files) agent() images.Image {
	root := podwire.Root{
		Binds: []podwire.Bind{
			{Source: f.Programs, Target: programDir},
			{Source: filepath.Join(f.Helpers, "meshlab-clang"), Target: compilerDir + "/clang"},
			{Source: f.Objects, Target: objectDir, Writable: true},
			{Source: "/run/cilium", Target: "/run/cilium", Writable: true},
		},
		// The agent writes a header among the sources.
		Copies: []podwire.Copy{{Source: filepath.Join(f.Module, "bpf"), Target: "/var/lib/cilium/bpf"}},
	}
	for _, dir := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"} {
		if _, err := os.Stat(dir); err == nil { // /lib64 does not exist on every architecture
			root.Binds = append(root.Binds, podwire.Bind{Source: dir, Target: dir})
		}
	}
	return images.Image{
		Root: root, Privileged: true,
		Env: []string{
			"PATH=" + compilerDir + ":" + programDir + ":" + images.Path, "HOME=/root",
			compiler.ClangVariable + "=" + f.Clang, compiler.DirVariable + "=" + objectDir,
		},
	}
}

const certgenProgram = "cilium-certgen"

// certgen is the image quay.io/cilium/certgen, with the lab's imitation in it.
func (f Files) certgen() images.Image {
	return images.Image{Root: podwire.Root{Binds: []podwire.Bind{{Source: filepath.Join(f.Helpers, "meshlab-certgen"), Target: "/usr/bin/" + certgenProgram}}}}
}

// meshAPIServer is the image quay.io/cilium/clustermesh-apiserver.
func (f Files) meshAPIServer() images.Image {
	return images.Image{
		Root: podwire.Root{Binds: []podwire.Bind{
			{Source: filepath.Join(f.Programs, "clustermesh-apiserver"), Target: "/usr/bin/clustermesh-apiserver"},
			{Source: f.Etcd, Target: "/usr/bin/etcd"},
			{Source: filepath.Join(f.Module, "clustermesh-apiserver/etcd-config.yaml"), Target: "/var/lib/cilium/etcd-config.yaml"},
		}},
		Env: []string{"PATH=" + images.Path, "HOME=/root"},
	}
}
