// Package judge answers questions about global Services with the Go code of Cilium 1.19.7.
//
// Nothing of Cilium is copied: a Service and its EndpointSlices go through Cilium's conversion, the export
// of the other clusters, its JSON in etcd, the import, the choice by affinity and the reconciler that
// fills the datapath's maps, which are in memory here. What comes out is what the datapath picks from.
package judge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"

	"github.com/cilium/hive/cell"
	"github.com/cilium/statedb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/cilium/cilium/operator/watchers"
	"github.com/cilium/cilium/pkg/annotation"
	"github.com/cilium/cilium/pkg/clustermesh"
	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	"github.com/cilium/cilium/pkg/datapath/tables"
	"github.com/cilium/cilium/pkg/hive"
	"github.com/cilium/cilium/pkg/k8s"
	k8sclient "github.com/cilium/cilium/pkg/k8s/client"
	"github.com/cilium/cilium/pkg/k8s/resource"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	slim_discovery_v1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/discovery/v1"
	slim_metav1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/apis/meta/v1"
	k8sutils "github.com/cilium/cilium/pkg/k8s/utils"
	"github.com/cilium/cilium/pkg/kpr"
	"github.com/cilium/cilium/pkg/kvstore"
	kvstorestore "github.com/cilium/cilium/pkg/kvstore/store"
	"github.com/cilium/cilium/pkg/lbipamconfig"
	lb "github.com/cilium/cilium/pkg/loadbalancer"
	lbmaps "github.com/cilium/cilium/pkg/loadbalancer/maps"
	"github.com/cilium/cilium/pkg/loadbalancer/reconciler"
	"github.com/cilium/cilium/pkg/loadbalancer/writer"
	"github.com/cilium/cilium/pkg/maglev"
	"github.com/cilium/cilium/pkg/node"
	"github.com/cilium/cilium/pkg/nodeipamconfig"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/source"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

// Version is the version of Cilium that answers; go.mod names it too.
const Version = "1.19.7"

// Judge is a running instance of Cilium's load balancing control plane without a datapath.
// Its methods may be called by several goroutines; they answer one after the other.
type Judge struct {
	mu   sync.Mutex
	hive *hive.Hive
	log  *slog.Logger

	writer    *writer.Writer
	frontends statedb.Table[*lb.Frontend]
	ops       *reconciler.BPFOps
	config    lb.Config
	external  lb.ExternalConfig
	converter watchers.ClusterServiceConverter
	services  labels.Selector
	slices    labels.Selector
}

var _ body.Judge = (*Judge)(nil)

// New starts a judge. Close stops it.
func New() (*Judge, error) {
	j := &Judge{log: slog.New(slog.DiscardHandler)}
	var err error
	if j.services, err = selector(k8sutils.GetServiceAndEndpointListOptionsModifier("", true)); err != nil {
		return nil, err
	}
	if j.slices, err = selector(k8sutils.GetEndpointSliceListOptionsModifier("", true)); err != nil {
		return nil, err
	}
	j.hive = hive.New(
		lb.ConfigCell, lbipamconfig.Cell, nodeipamconfig.Cell, maglev.Cell,
		node.LocalNodeStoreTestCell,
		writer.Cell, reconciler.Cell,
		watchers.ServiceSyncCell,
		cell.Provide(
			func() cmtypes.ClusterInfo { return cmtypes.ClusterInfo{} },
			func() *option.DaemonConfig { return &option.DaemonConfig{EnableIPv4: true, EnableIPv6: true} },
			func() kpr.KPRConfig { return kpr.KPRConfig{KubeProxyReplacement: true} },
			func() lbmaps.LBMaps { return lbmaps.NewFakeLBMaps() },
			tables.NewNodeAddressTable, statedb.RWTable[tables.NodeAddress].ToTable, source.NewSources,

			// The exporter's loop does not run: only its conversion is used, so what the loop reads stays nil.
			func() watchers.ServiceSyncConfig { return watchers.ServiceSyncConfig{} },
			func() k8sclient.Clientset { return nil },
			func() kvstore.Client { return nil },
			func() kvstorestore.Factory { return nil },
			func() resource.Resource[*slim_corev1.Service] { return nil },
			func() resource.Resource[*k8s.Endpoints] { return nil },
		),
		cell.Invoke(func(w *writer.Writer, fes statedb.Table[*lb.Frontend], ops *reconciler.BPFOps, cfg lb.Config, ext lb.ExternalConfig, c watchers.ClusterServiceConverter) {
			j.writer, j.frontends, j.ops, j.config, j.external, j.converter = w, fes, ops, cfg, ext, c
		}),
	)
	if err := j.hive.Start(j.log, context.Background()); err != nil {
		return nil, fmt.Errorf("start Cilium's control plane: %w", err)
	}
	j.writer.SetSelectBackendsFunc(clustermesh.NewClusterMeshSelectBackends(j.writer, j.log).SelectBackends)
	return j, nil
}

// Close stops the judge.
func (j *Judge) Close() error { return j.hive.Stop(j.log, context.Background()) }

// Version implements body.Judge.
func (j *Judge) Version() string { return Version }

// Annotations implements body.Judge.
func (j *Judge) Annotations(ann map[string]string) body.Parsed {
	obj := &slim_corev1.Service{ObjectMeta: slim_metav1.ObjectMeta{Annotations: ann}}
	// The error only says that the word is unknown; Cilium logs it and goes on.
	affinity, _ := annotation.GetAnnotationServiceAffinity(obj)
	return body.Parsed{Global: annotation.GetAnnotationIncludeExternal(obj), Shared: annotation.GetAnnotationShared(obj), Affinity: affinity}
}

// Select tells what new connections of the client cluster's pods are balanced over, for each frontend of
// its Service. It has no frontends if the client has no Service, or one that Cilium does not balance.
func (j *Judge) Select(client body.Cluster, remotes []body.Cluster) ([]body.Choice, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	svc, slices, err := j.seen(client)
	if svc == nil || err != nil {
		return nil, err
	}
	// Each question is a transaction that is aborted: there is nothing to clean up.
	tx := j.writer.WriteTxn()
	defer tx.Abort()

	service, params := convertService(j.config, j.external, j.log, nil, svc, source.Kubernetes)
	if service == nil {
		return nil, nil
	}
	if err := j.writer.UpsertServiceAndFrontends(tx, service, params...); err != nil {
		return nil, fmt.Errorf("cluster %s: insert the Service: %w", client.Name, err)
	}
	for _, s := range slices {
		eps := k8s.ParseEndpointSliceV1(j.log, s)
		if err := j.writer.UpsertBackends(tx, service.Name, source.Kubernetes, convertEndpoints(j.log, j.external, service.Name, maps.All(eps.Backends))); err != nil {
			return nil, fmt.Errorf("cluster %s: insert the backends: %w", client.Name, err)
		}
	}
	names := map[uint32]string{writer.LocalClusterID: client.Name}
	for _, r := range remotes {
		names[r.ID] = r.Name
		offer, err := j.export(r)
		if err != nil || offer == nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		if err := j.writer.SetBackendsOfCluster(tx, service.Name, source.ClusterMesh, r.ID, clustermesh.ClusterServiceToBackendParams(offer)...); err != nil {
			return nil, fmt.Errorf("cluster %s: import the backends: %w", r.Name, err)
		}
	}
	var out []body.Choice
	for fe := range j.frontends.List(tx, lb.FrontendByServiceName(service.Name)) {
		c, err := j.choice(tx, fe, names)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	body.SortChoices(out)
	return out, nil
}

// choice reconciles one frontend into the maps and reads what the datapath would pick from: its number of
// backends and that many slots.
func (j *Judge) choice(tx statedb.ReadTxn, fe *lb.Frontend, names map[uint32]string) (body.Choice, error) {
	out := body.Choice{Frontend: body.Frontend{
		Addr: netip.AddrPortFrom(fe.Address.Addr(), fe.Address.Port()), Protocol: string(fe.Address.Protocol()), Name: string(fe.PortName),
	}}
	clusters := map[netip.AddrPort]string{}
	for be := range fe.Backends {
		clusters[netip.AddrPortFrom(be.Address.Addr(), be.Address.Port())] = names[be.ClusterID]
	}
	fe = fe.Clone()
	if err := j.ops.Update(context.Background(), tx, 0, fe); err != nil {
		return out, fmt.Errorf("reconcile frontend %s: %w", out.Frontend, err)
	}
	count, slots := 0, map[int]lb.BackendID{}
	addrs := map[lb.BackendID]netip.AddrPort{}
	err := errors.Join(
		j.ops.LBMaps.DumpService(func(k lbmaps.ServiceKey, v lbmaps.ServiceValue) {
			if k.ToHost().GetPort() != out.Addr.Port() {
				return // a wildcard entry for the address
			}
			if slot := k.GetBackendSlot(); slot == 0 {
				count = v.GetCount()
			} else {
				slots[slot] = v.GetBackendID()
			}
		}),
		j.ops.LBMaps.DumpBackend(func(k lbmaps.BackendKey, v lbmaps.BackendValue) {
			v = v.ToHost()
			addrs[k.GetID()] = netip.AddrPortFrom(v.GetAddress().Addr(), v.GetPort())
		}),
		j.ops.Delete(context.Background(), tx, 0, fe),
	)
	if err != nil {
		return out, fmt.Errorf("read frontend %s from the maps: %w", out.Frontend, err)
	}
	for slot := 1; slot <= count; slot++ {
		addr, ok := addrs[slots[slot]]
		if !ok {
			return out, fmt.Errorf("frontend %s: slot %d of %d names no backend", out.Frontend, slot, count)
		}
		out.Backends = append(out.Backends, body.Backend{Cluster: clusters[addr], Addr: addr})
	}
	return out, nil
}

// seen returns what Cilium's watches of a cluster see of the Service, in Cilium's types.
func (j *Judge) seen(c body.Cluster) (*slim_corev1.Service, []*slim_discovery_v1.EndpointSlice, error) {
	if c.Service == nil || !j.services.Matches(labels.Set(c.Service.Labels)) {
		return nil, nil, nil
	}
	svc := &slim_corev1.Service{}
	if err := convert(c.Service, svc); err != nil {
		return nil, nil, fmt.Errorf("cluster %s: Service %s: %w", c.Name, c.Service.Name, err)
	}
	var out []*slim_discovery_v1.EndpointSlice
	for _, s := range c.Slices {
		if s.Namespace != svc.Namespace || s.Labels[slim_discovery_v1.LabelServiceName] != svc.Name || !j.slices.Matches(labels.Set(s.Labels)) {
			continue
		}
		slim := &slim_discovery_v1.EndpointSlice{}
		if err := convert(s, slim); err != nil {
			return nil, nil, fmt.Errorf("cluster %s: EndpointSlice %s: %w", c.Name, s.Name, err)
		}
		out = append(out, slim)
	}
	return svc, out, nil
}

// convert hands an object over as the API server does: in the protocol's bytes.
func convert(from interface{ Marshal() ([]byte, error) }, to interface{ Unmarshal([]byte) error }) error {
	b, err := from.Marshal()
	if err != nil {
		return err
	}
	return to.Unmarshal(b)
}

// selector returns the labels by which Cilium's watch chooses.
func selector(modify func(*metav1.ListOptions), err error) (labels.Selector, error) {
	if err != nil {
		return nil, err
	}
	var o metav1.ListOptions
	modify(&o)
	return labels.Parse(o.LabelSelector)
}
