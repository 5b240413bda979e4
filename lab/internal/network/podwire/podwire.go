// Package podwire is the language between meshlab-net and the node process in
// its namespaces: JSON messages over a SOCK_SEQPACKET socket, one message per
// packet, with open files beside them. It knows neither Kubernetes nor how
// the node does what it is asked; both ends import it, so it stays small and
// takes only the standard library and x/sys.
package podwire

// Op names what a Request asks for.
type Op string

// The operations of the node process.
const (
	OpSetup  Op = "setup"  // Setup: bring the network up; the first request
	OpListen Op = "listen" // Address: open a socket among the pods; the reply carries it
	OpDial   Op = "dial"   // Address: connect to a pod; the reply carries the connection
	OpAddPod Op = "addPod" // Pod: make a pod's network namespace
	OpDelPod Op = "delPod" // Pod.Name: kill what runs in it and remove it
	OpStart  Op = "start"  // Start: start a container; files are stdout and stderr
	OpExec   Op = "exec"   // Exec: start a command in a container; files are stdin, stdout, stderr, or with a tty none
	OpSignal Op = "signal" // Signal: send a signal to a process
	OpVIPs   Op = "vips"   // VIPs: change the backends behind service addresses
	OpFaults Op = "faults" // Faults: replace what is cut and dead
	OpStats  Op = "stats"  // count what the node holds, for tests of leaks
	OpLink   Op = "link"   // Link: connect a network namespace to the switch; the file is the namespace
)

// Request is one message to the node. Exactly the field that Op names is set.
type Request struct {
	ID      uint64   `json:"id"`
	Op      Op       `json:"op"`
	Setup   *Setup   `json:"setup,omitempty"`
	Address *Address `json:"address,omitempty"`
	Pod     *Pod     `json:"pod,omitempty"`
	Link    *Cable   `json:"link,omitempty"`
	Start   *Start   `json:"start,omitempty"`
	Exec    *Exec    `json:"exec,omitempty"`
	Signal  *Signal  `json:"signal,omitempty"`
	VIPs    []VIP    `json:"vips,omitempty"`
	Faults  *Faults  `json:"faults,omitempty"`
}

// Reply is one message from the node: the answer to request ID, or, with ID 0, the
// news that a process has ended.
type Reply struct {
	ID    uint64 `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
	// NotFound is set beside Error when the command does not exist in the container.
	NotFound bool   `json:"notFound,omitempty"`
	Exit     *Exit  `json:"exit,omitempty"`
	Stats    *Stats `json:"stats,omitempty"`
	// IP is the address of a pod that a CNI plugin chose.
	IP string `json:"ip,omitempty"`
}

// Exit says how a process ended: its code, or 128 plus the signal, as in a shell.
type Exit struct {
	Proc string `json:"proc"`
	Code int    `json:"code"`
}

// Kind is what a node process is for.
type Kind string

// The kinds of node processes.
const (
	KindRouter  Kind = ""        // the pods of all clusters, and the only router between them
	KindMachine Kind = "machine" // one node of one cluster; a CNI plugin makes the networks of its pods
	KindSwitch  Kind = "switch"  // no pods: the network between machines
)

// Setup describes the network of all clusters.
type Setup struct {
	Kind Kind `json:"kind,omitempty"`
	// Machine is set with KindMachine.
	Machine *Machine `json:"machine,omitempty"`
	// WorkDir is an existing directory; the node mounts over it in its own mount namespace.
	WorkDir string `json:"workDir"`
	// State is the lab's state directory, by which its processes are found.
	State    string       `json:"state,omitempty"`
	Clusters []ClusterNet `json:"clusters"`
}

// Machine is a node that looks like a machine to what runs in it.
type Machine struct {
	Name string `json:"name"`
	// Cgroup is the node's own directory of the cgroup2 hierarchy; the node process is already in it.
	Cgroup string `json:"cgroup"`
	// Disk is an existing directory for what would be on the machine's disk: hostPath volumes outside /run, /sys and /proc.
	Disk string `json:"disk"`
	// Plugin is the CNI plugin, an absolute name; Network is its configuration (JSON).
	Plugin  string `json:"plugin"`
	Network string `json:"network"`
}

// Cable connects a machine to the switch.
type Cable struct {
	// Name is the name of the switch's end. The machine's end is eth0.
	Name string `json:"name"`
	// Address is the machine's address with the length of its prefix.
	Address string `json:"address"`
}

// ClusterNet is what the network must know of a cluster.
type ClusterNet struct {
	Name        string `json:"name"`
	PodCIDR     string `json:"podCIDR"`
	ServiceCIDR string `json:"serviceCIDR"`
	DNSIP       string `json:"dnsIP"`
}

// Address is a socket address as in package net.
type Address struct {
	Network   string `json:"network"`
	Address   string `json:"address"`
	TimeoutMS int    `json:"timeoutMs,omitempty"`
}

// Pod is a network namespace with one address.
type Pod struct {
	Name string `json:"name"`
	// IP is empty where a CNI plugin chooses the address; Args are what it is told of the pod.
	IP   string      `json:"ip,omitempty"`
	Args [][2]string `json:"args,omitempty"`
}

// Start is a container to start.
type Start struct {
	// Proc names the process; the sender chooses it and it must be new.
	Proc string `json:"proc"`
	// Pod is the pod whose network it has, or empty for the node's own.
	Pod string `json:"pod"`
	// Privileged leaves it all capabilities and all settings of the kernel that belong to its network.
	Privileged bool     `json:"privileged,omitempty"`
	Hostname   string   `json:"hostname"`
	Root       Root     `json:"root"`
	Argv       []string `json:"argv"`
	Env        []string `json:"env"`
	Dir        string   `json:"dir,omitempty"`
}

// Root is a root file system: an empty tmpfs, then these things in this order.
type Root struct {
	Dirs     []string `json:"dirs,omitempty"`
	Binds    []Bind   `json:"binds,omitempty"`
	Copies   []Copy   `json:"copies,omitempty"`
	Links    []Link   `json:"links,omitempty"`
	Files    []File   `json:"files,omitempty"`
	ReadOnly bool     `json:"readOnly,omitempty"`
}

// Bind shows a file or directory of the node process's mount namespace.
type Bind struct {
	Source string `json:"source"`
	// Within is a directory above Source that containers can write into. Symbolic links below it lead to nothing outside it: for what is bound, it
	// is the root of the file system. Empty where no container can make links.
	Within string `json:"within,omitempty"`
	Target string `json:"target"`
	// Writable binds may be written to; all others are read-only.
	Writable bool `json:"writable,omitempty"`
	// Create makes a missing source a directory.
	Create bool `json:"create,omitempty"`
}

// Copy is a directory whose content the container has for itself and may change.
type Copy struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// Link is a symbolic link.
type Link struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

// File is a small file.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Mode    uint32 `json:"mode"`
}

// Exec is a command to start in a running container.
type Exec struct {
	Proc string `json:"proc"`
	// Container is the Proc of a started container.
	Container string   `json:"container"`
	Argv      []string `json:"argv"`
	Env       []string `json:"env"`
	Dir       string   `json:"dir,omitempty"`
	// TTY asks for a terminal of the container's own devpts; the reply carries its master.
	TTY  bool   `json:"tty,omitempty"`
	Rows uint16 `json:"rows,omitempty"`
	Cols uint16 `json:"cols,omitempty"`
}

// Signal is a signal to a process.
type Signal struct {
	Proc   string `json:"proc"`
	Signal int    `json:"signal"`
	// IfHandled turns the signal into SIGKILL when the process would ignore it: the kernel
	// drops signals without a handler for the first process of a PID namespace.
	IfHandled bool `json:"ifHandled,omitempty"`
}

// VIP is a service address as the clients of one cluster see it. No backends: refused.
type VIP struct {
	Cluster string `json:"cluster"`
	// Addr is IP:port, Protocol tcp or udp.
	Addr     string   `json:"addr"`
	Protocol string   `json:"protocol"`
	Backends []string `json:"backends,omitempty"`
}

// Faults is what is broken in the network.
type Faults struct {
	// Cuts are pairs of address ranges that cannot reach each other, in neither direction.
	Cuts [][2]string `json:"cuts,omitempty"`
	// Dead are address ranges that nobody reaches and that reach nobody.
	Dead []string `json:"dead,omitempty"`
}

// Stats counts what the node holds.
type Stats struct {
	Pods      int `json:"pods"`
	Processes int `json:"processes"`
	Links     int `json:"links"`
	Chains    int `json:"chains"`
	// Zombies are children of the node that ended and that nobody waited for.
	Zombies int `json:"zombies"`
}
