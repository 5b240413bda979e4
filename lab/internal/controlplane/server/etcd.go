package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd listens on unix sockets, which only the lab's user can open, and not on
// loopback ports, which every user of the machine can. The names are relative to
// the working directory: a socket's full path has a limit of 108 bytes.
const (
	etcdClientURL = "unix://etcd-client.sock"
	etcdPeerURL   = "unix://etcd-peer.sock"
	// advertised goes to other members, and there are none. etcd before 3.7 requires a port in it.
	advertised = "unix://lab:1"
)

// startEtcd runs etcd in this process until stop is called.
func startEtcd(ctx context.Context, dataDir, logFile string) (stop func(), err error) {
	config := embed.NewConfig()
	config.Name = "lab"
	config.Dir = dataDir
	config.Logger = "zap"
	config.LogLevel = "warn"
	config.LogOutputs = []string{logFile}
	// The data need not survive the machine, only the process: a written page does.
	config.UnsafeNoFsync = true
	// One member elects itself; there is nobody to wait for.
	config.TickMs = 20
	config.ElectionMs = 200
	config.ListenMetricsUrls = nil
	client, err := url.Parse(etcdClientURL)
	if err != nil {
		return nil, err
	}
	peer, err := url.Parse(etcdPeerURL)
	if err != nil {
		return nil, err
	}
	others, err := url.Parse(advertised)
	if err != nil {
		return nil, err
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*others}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*others}
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	if err := removeSockets("."); err != nil {
		return nil, err
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd.Close, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		etcd.Close()
		return nil, fmt.Errorf("start etcd: %w", ctx.Err())
	}
}

// removeSockets removes what a killed process left; etcd cannot listen otherwise.
func removeSockets(dir string) error {
	sockets, err := filepath.Glob(filepath.Join(dir, "etcd-*.sock"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range sockets {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}
