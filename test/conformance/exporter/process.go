package exporter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// stopping is how long an exporter may take to end before it is killed.
	stopping = 10 * time.Second
	// shown is how much is shown of the log of an exporter that failed, in bytes.
	shown = 4000
)

// process is a running clustermesh-apiserver.
type process struct {
	exporting
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start starts an exporter of the lab's API server. Its files are in the working directory.
func start(binary string, x exporting, kubeconfig string) (*process, error) {
	p := &process{exporting: x, log: "exporter-" + x.name + ".log", done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// It ends by stop, in its own time, and not when the context of the test ends.
	p.cmd = exec.CommandContext(context.Background(), binary, arguments(x, kubeconfig)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

func arguments(x exporting, kubeconfig string) []string {
	return []string{
		"clustermesh",
		"--cluster-name=" + x.name,
		fmt.Sprintf("--cluster-id=%d", x.id),
		fmt.Sprintf("--clustermesh-default-global-namespace=%t", x.globalByDefault),
		"--k8s-kubeconfig-path=" + kubeconfig,
		"--k8s-client-qps=1000",
		"--k8s-client-burst=1000",
		"--kvstore-opt=etcd.address=" + etcdSocket,
		// Its 20 writes a second would be half a minute for each round.
		"--kvstore-opt=etcd.qps=1000",
		"--kvstore-opt=etcd.bootstrapQps=1000",
		"--shell-sock-path=shell-" + x.name + ".sock",
		// Any free port: it listens on all addresses, and no flag says otherwise.
		"--health-port=0",
		"--enable-gops=false",
	}
}

// failure is how an exporter ended that should still run, nil if it runs.
func (p *process) failure() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	log, err := os.ReadFile(p.log)
	if len(log) > shown {
		log = log[len(log)-shown:]
	}
	return errors.Join(fmt.Errorf("%s of cluster %s ended by itself: %w; the end of its log:\n%s", program, p.name, p.err, strings.TrimSpace(string(log))), err)
}

// stop ends the exporter.
func (p *process) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopping):
		return errors.Join(fmt.Errorf("%s of cluster %s did not end within %s", program, p.name, stopping), p.cmd.Process.Kill())
	}
}
