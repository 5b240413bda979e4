package exporter

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cilium/cilium/pkg/clustermesh/store"
	"github.com/cilium/cilium/pkg/kvstore"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

const (
	// quiet is how long nothing must be written after the marker was: what an exporter could not write at once it tries
	// again within less.
	quiet = 2 * time.Second
	// interval is how often etcd is read meanwhile.
	interval = 100 * time.Millisecond
)

// settled returns what an exporter wrote, by namespace, once it is done with all that was put.
func (e *Exporter) settled(ctx context.Context, x exporting) (map[string]body.Exported, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	prefix := path.Join(store.ServiceStorePrefix, x.name) + "/"
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last state
	since := time.Now()
	for {
		r, err := e.etcd.Get(ctx, prefix, clientv3.WithPrefix())
		if err != nil {
			return nil, fmt.Errorf("cluster %s: read from etcd: %w", x.name, err)
		}
		synced, err := e.synced(ctx, x)
		if err != nil {
			return nil, err
		}
		now := state{keys: r.Count}
		for _, kv := range r.Kvs {
			now.revision = max(now.revision, kv.ModRevision)
			now.marked = now.marked || strings.HasPrefix(string(kv.Key), prefix+marker(e.round-1)+"/")
		}
		if now != last || !now.marked || !synced {
			last, since = now, time.Now()
		}
		if time.Since(since) >= quiet {
			return decode(r, prefix, x)
		}
		if err := e.failure(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cluster %s: wait for the exporter; marker written: %t, synced: %t: %w", x.name, now.marked, synced, ctx.Err())
		case <-tick.C:
		}
	}
}

// state changes with everything that an exporter writes: a new value raises the revision, and a deletion that no new
// value accompanies changes the number of keys.
type state struct {
	keys, revision int64
	marked         bool
}

// synced tells whether an exporter says that the objects it found at its start are written.
func (e *Exporter) synced(ctx context.Context, x exporting) (bool, error) {
	r, err := e.etcd.Get(ctx, path.Join(kvstore.SyncedPrefix, x.name, store.ServiceStorePrefix))
	if err != nil {
		return false, fmt.Errorf("cluster %s: read from etcd: %w", x.name, err)
	}
	return r.Count == 1, nil
}

// decode reads keys and values with Cilium's own code, and with the checks that an importing cluster makes.
func decode(r *clientv3.GetResponse, prefix string, x exporting) (map[string]body.Exported, error) {
	out := map[string]body.Exported{}
	create := store.KeyCreator(store.ClusterNameValidator(x.name), store.NamespacedNameValidator(), store.ClusterIDValidator(&x.id))
	for _, kv := range r.Kvs {
		in, ok := create().(*store.ValidatingClusterService)
		if !ok {
			return nil, fmt.Errorf("cluster %s: Cilium's type for a Service in etcd is another one", x.name)
		}
		if err := in.Unmarshal(strings.TrimPrefix(string(kv.Key), prefix), kv.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", kv.Key, err)
		}
		if _, twice := out[in.Namespace]; twice {
			return nil, fmt.Errorf("cluster %s: two Services of namespace %s are exported", x.name, in.Namespace)
		}
		exported, err := backends(&in.ClusterService)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kv.Key, err)
		}
		out[in.Namespace] = exported
	}
	return out, nil
}

func backends(s *store.ClusterService) (body.Exported, error) {
	out := body.Exported{}
	for ip, ports := range s.Backends {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, fmt.Errorf("exported address: %w", err)
		}
		out[addr] = map[string]body.Port{}
		for name, p := range ports {
			out[addr][name] = body.Port{Protocol: p.Protocol, Port: p.Port}
		}
	}
	return out, nil
}
