package judge

import (
	"iter"
	"log/slog"
	_ "unsafe" // for go:linkname

	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	"github.com/cilium/cilium/pkg/k8s"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	lb "github.com/cilium/cilium/pkg/loadbalancer"
	_ "github.com/cilium/cilium/pkg/loadbalancer/reflectors" // linked below
	"github.com/cilium/cilium/pkg/node"
	"github.com/cilium/cilium/pkg/source"
)

// Two functions of Cilium are not exported, and behind them is an event loop that takes objects from a
// watch only. They are linked by name rather than rewritten here: what is judged must be Cilium's own code.
// The signatures must be those of the version in go.mod; the linker does not check them.

//go:linkname convertService github.com/cilium/cilium/pkg/loadbalancer/reflectors.convertService
func convertService(cfg lb.Config, extCfg lb.ExternalConfig, log *slog.Logger, localNode *node.LocalNode, svc *slim_corev1.Service, src source.Source) (*lb.Service, []lb.FrontendParams)

//go:linkname convertEndpoints github.com/cilium/cilium/pkg/loadbalancer/reflectors.convertEndpoints
func convertEndpoints(log *slog.Logger, cfg lb.ExternalConfig, name lb.ServiceName, bes iter.Seq2[cmtypes.AddrCluster, *k8s.Backend]) iter.Seq[lb.Backend]
