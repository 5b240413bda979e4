// Package exporter runs Cilium's own clustermesh-apiserver beside the API server of a lab and reads what it writes.
//
// Unlike the judges it proves the whole chain: what the API server makes of an object, the watches with their selectors,
// the namespace gate, and the keys and values in etcd. It knows nothing of our rules; package body compares.
package exporter

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

const (
	program = "clustermesh-apiserver"
	// labCluster is the cluster whose API server and etcd are used.
	labCluster = "us"
	// etcdSocket is relative to the cluster's directory: a socket's full path has a limit of 108 bytes.
	etcdSocket = "unix://etcd-client.sock"
	// patience ends a wait for an exporter that never writes what it must.
	patience = 3 * time.Minute
)

// The setting clustermesh-default-global-namespace is the process's: there is one process for each value, and each
// exports the same objects under a name of its own.
func settings() map[bool]exporting {
	return map[bool]exporting{
		true:  {name: "eu", id: 2, globalByDefault: true},
		false: {name: "eu-gated", id: 3, globalByDefault: false},
	}
}

// exporting is under which name, and how, one process exports.
type exporting struct {
	name            string
	id              uint32
	globalByDefault bool
}

// Exporter are the running exporters.
type Exporter struct {
	version, binary, kubeconfig string

	kube      kubernetes.Interface
	etcd      *clientv3.Client
	exporting map[bool]exporting
	processes []*process
	// asked are the questions of the last round, and round is how many there were.
	asked []body.Cluster
	round int
}

var _ body.Exporter = (*Exporter)(nil)

// New connects to the lab in a state directory. The working directory must be that of Directory, as etcd's socket is
// there. Close ends what Ask starts.
func New(ctx context.Context, state string) (*Exporter, error) {
	binary, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	e := &Exporter{binary: binary, kubeconfig: filepath.Join(state, "kubeconfig-"+labCluster+".yaml"), exporting: settings()}
	if e.version, err = version(binary); err != nil {
		return nil, err
	}
	if e.kube, err = connect(e.kubeconfig); err != nil {
		return nil, err
	}
	if err := e.addServiceRange(ctx); err != nil {
		return nil, err
	}
	if e.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{etcdSocket}, DialTimeout: patience}); err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return e, nil
}

// startAll starts the exporters, which takes place in the first round: what they find at their start they list, and
// what changes afterwards they watch.
func (e *Exporter) startAll() error {
	for _, x := range e.exporting {
		p, err := start(e.binary, x, e.kubeconfig)
		if err != nil {
			return err
		}
		e.processes = append(e.processes, p)
	}
	return nil
}

// Directory is where etcd's socket lies.
func Directory(state string) string { return filepath.Join(state, labCluster) }

// Version implements body.Exporter.
func (e *Exporter) Version() string { return e.version }

// Ask implements body.Exporter.
func (e *Exporter) Ask(ctx context.Context, questions []body.Cluster) ([]body.Answer, error) {
	if err := e.put(ctx, questions); err != nil {
		return nil, err
	}
	if err := e.mark(ctx, e.round); err != nil {
		return nil, err
	}
	e.round++
	if e.processes == nil {
		if err := e.startAll(); err != nil {
			return nil, err
		}
	}
	stored, err := e.stored(ctx, questions)
	if err != nil {
		return nil, err
	}
	answers := make([]body.Answer, len(questions))
	for byDefault, x := range e.exporting {
		written, err := e.settled(ctx, x)
		if err != nil {
			return nil, err
		}
		for round := range e.round {
			delete(written, marker(round))
		}
		for i, q := range stored {
			if exported, ok := written[place(i)]; q.GlobalByDefault == byDefault {
				answers[i] = body.Answer{Question: q, Exported: exported, OK: ok}
			}
			delete(written, place(i))
		}
		for namespace := range written {
			return nil, fmt.Errorf("cluster %s: a Service of namespace %s is exported, which nobody asked about", x.name, namespace)
		}
	}
	return answers, nil
}

// failure tells of exporters that ended by themselves.
func (e *Exporter) failure() error {
	var errs []error
	for _, p := range e.processes {
		errs = append(errs, p.failure())
	}
	return errors.Join(errs...)
}

// Close ends the exporters.
func (e *Exporter) Close() error {
	var errs []error
	for _, p := range e.processes {
		errs = append(errs, p.stop())
	}
	return errors.Join(append(errs, e.etcd.Close())...)
}

// version is Cilium's, as the program says that it was built.
func version(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(info.Main.Version, "v"), nil
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	// The defaults, made for a controller, would take minutes for some thousand objects.
	config.QPS, config.Burst = 1000, 1000
	// The API server has something to say about EndpointSlices with names for addresses, which are meant.
	config.WarningHandler = rest.NoWarnings{}
	return kubernetes.NewForConfig(config)
}
