// Package state is what the lab writes down about itself: the type behind
// lab.json and the names of the files in a lab's state directory. It is the only
// thing that the halves of the lab (control planes on one side, nodes and network
// on the other) share, so it knows nothing of Kubernetes, processes or Cilium and
// imports only the standard library.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrNoLab says that the state directory holds no lab.
var ErrNoLab = errors.New("no lab in the state directory")

// Lab is the content of lab.json. It is written before any process of the lab is
// started and does not change while the lab runs.
type Lab struct {
	// PropagationDelay is the time that a change in one cluster takes until the
	// others act on it.
	PropagationDelay Duration `json:"propagationDelay"`
	// Connected says whether the clusters were installed as peers of one another.
	Connected bool `json:"connected"`
	// Net says whether the lab has nodes and a pod network (meshlab-net).
	Net bool `json:"net"`
	// Chooser is who chooses the backends of new connections: ChooserRules or ChooserCilium.
	// With DatapathCilium nobody asks it: Cilium's agents choose.
	Chooser string `json:"chooser"`
	// Datapath is what moves the pods' packets: DatapathLab or DatapathCilium.
	Datapath string `json:"datapath,omitempty"`
	// OneCA says that the clusters were installed with one CA. Without it a mesh with DatapathCilium does not connect.
	OneCA bool `json:"oneCA,omitempty"`
	// Audit says that the API servers write audit logs.
	Audit    bool      `json:"audit,omitempty"`
	Clusters []Cluster `json:"clusters"`
}

// The datapaths of a lab.
const (
	DatapathLab    = "lab"    // the lab's own network, which imitates Cilium
	DatapathCilium = "cilium" // Cilium's agents and eBPF, clustermesh-apiserver, KVStoreMesh and etcd
)

// RunsCilium reports whether Cilium's own processes run in the lab.
func (l *Lab) RunsCilium() bool { return l.Datapath == DatapathCilium }

// The choosers of backends.
const (
	ChooserRules  = "rules"  // pkg/common/routing, by which the plugins predict
	ChooserCilium = "cilium" // Cilium's own code, in a process of its own
)

// Cluster is one member of the mesh. File names are absolute.
type Cluster struct {
	// Name is Cilium's name of the cluster, ID its cluster-id.
	Name string `json:"name"`
	ID   int    `json:"id"`
	// Context is the name of the kubeconfig context; on purpose not Name.
	Context string `json:"context"`
	// Kubeconfig holds a client certificate of group system:masters.
	Kubeconfig string `json:"kubeconfig"`
	APIServer  string `json:"apiServer"`
	// AdvertiseAddress is where pods and nodes reach the API server, at APIServer's port. It is empty
	// where they cannot reach it.
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	PodCIDR          string `json:"podCIDR"`
	ServiceCIDR      string `json:"serviceCIDR"`
	// DNSIP is the ClusterIP of Service kube-system/kube-dns.
	DNSIP         string `json:"dnsIP"`
	CiliumVersion string `json:"ciliumVersion"`
	// KubernetesVersion is the version of the control plane.
	KubernetesVersion string `json:"kubernetesVersion"`
	// Install is how Cilium was installed: helm, certgen or cert-manager.
	Install string `json:"install"`
	// KubeProxyReplacement is Cilium's setting of that name.
	KubeProxyReplacement bool   `json:"kubeProxyReplacement"`
	Nodes                []Node `json:"nodes"`
	// NodeCIDR contains the nodes' addresses with DatapathCilium.
	NodeCIDR string `json:"nodeCIDR,omitempty"`
	// KubeletClientCA signs the certificate that the API server shows to kubelets,
	// KubeletClientName is that certificate's common name. A kubelet of the lab
	// accepts nobody else, as it runs processes of this machine.
	KubeletClientCA    string `json:"kubeletClientCA"`
	KubeletClientName  string `json:"kubeletClientName"`
	KubeletServingCert string `json:"kubeletServingCert"`
	KubeletServingKey  string `json:"kubeletServingKey"`
}

// Node is one virtual node of a cluster.
type Node struct {
	Name    string `json:"name"`
	PodCIDR string `json:"podCIDR"`
	// Address is the node's InternalIP, which no other node of the lab has, since node addresses
	// are unique in a mesh: a loopback address, or with DatapathCilium the address of a network
	// namespace that is the node.
	Address string `json:"address"`
	// KubeletAddress is the loopback address where the API server calls the kubelet, at KubeletPort.
	KubeletAddress string `json:"kubeletAddress"`
	KubeletPort    int    `json:"kubeletPort"`
}

// Cluster returns the cluster called name.
func (l *Lab) Cluster(name string) (*Cluster, bool) {
	for i := range l.Clusters {
		if l.Clusters[i].Name == name {
			return &l.Clusters[i], true
		}
	}
	return nil, false
}

// Duration is a time.Duration that is written as text ("1s") in JSON.
type Duration time.Duration

// MarshalText writes the duration as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// Dir is a lab's state directory. All that a lab leaves on disk is below it.
type Dir string

// LabFile is lab.json.
func (d Dir) LabFile() string { return d.path("lab.json") }

// Kubeconfig is the kubeconfig with the contexts of all clusters.
func (d Dir) Kubeconfig() string { return d.path("kubeconfig") }

// ClusterKubeconfig is the kubeconfig file of one cluster alone.
func (d Dir) ClusterKubeconfig(name string) string { return d.path("kubeconfig-" + name + ".yaml") }

// ClusterDir holds everything of one cluster: its PKI, its etcd, its log.
func (d Dir) ClusterDir(name string) string { return d.path(name) }

// ClusterLog is the log of a cluster's process.
func (d Dir) ClusterLog(name string) string { return d.path(name, "cluster.log") }

// ClusterPID records a cluster's process.
func (d Dir) ClusterPID(name string) string { return d.path(name, "cluster.pid") }

// ClusterStopped marks a cluster that was stopped on purpose: its process is
// missing, but the lab has not died.
func (d Dir) ClusterStopped(name string) string { return d.path(name, "stopped") }

// NetLog is the log of meshlab-net.
func (d Dir) NetLog() string { return d.path("net.log") }

// NetPID records the process of meshlab-net.
func (d Dir) NetPID() string { return d.path("net.pid") }

// BinDir is for programs that a shell finds while it uses the lab.
func (d Dir) BinDir() string { return d.path("bin") }

// NetReady is the file that meshlab-net makes when all nodes are Ready; `meshlab
// up` removes it before it starts meshlab-net.
func (d Dir) NetReady() string { return d.path("net.ready") }

// NetDir is for the files of meshlab-net.
func (d Dir) NetDir() string { return d.path("net") }

// ChooserDir holds the socket of the chooser's process.
func (d Dir) ChooserDir() string { return d.path("chooser") }

// ChooserLog is the log of the chooser's process.
func (d Dir) ChooserLog() string { return d.path("chooser.log") }

// ChooserPID records the process of the chooser.
func (d Dir) ChooserPID() string { return d.path("chooser.pid") }

// Marker says that the directory is a lab's. Nothing is removed from a directory
// without it.
func (d Dir) Marker() string { return d.path(".meshlab") }

// LockFile keeps two commands from changing the lab at once.
func (d Dir) LockFile() string { return d.path("lock") }

func (d Dir) path(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// Read reads lab.json; the error is ErrNoLab if there is none.
func (d Dir) Read() (*Lab, error) {
	data, err := os.ReadFile(d.LabFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w %s", ErrNoLab, d)
	}
	if err != nil {
		return nil, err
	}
	var lab Lab
	if err := json.Unmarshal(data, &lab); err != nil {
		return nil, fmt.Errorf("read %s: %w", d.LabFile(), err)
	}
	return &lab, nil
}

// Write replaces lab.json at once, so that a reader never sees half of it.
func (d Dir) Write(lab *Lab) error {
	data, err := json.MarshalIndent(lab, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(d.LabFile(), append(data, '\n'), 0o600)
}

// WriteFile replaces a file at once: it writes a temporary one beside it and
// renames that.
func WriteFile(name string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), mode)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
