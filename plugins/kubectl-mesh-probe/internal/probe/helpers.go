package probe

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
)

// minLifetime is after how long a helper ends in any case, if the run is not known to take longer.
const minLifetime = time.Hour

// lifetime is after how long a helper ends in any case: twice as long as the run takes if the pod keeps the rate.
func lifetime(c Config) time.Duration {
	run := c.Send.Duration
	if c.Send.Duration == 0 && c.Send.Rate > 0 {
		run = time.Duration(float64(max(c.Send.Count, c.MaxCount)) / c.Send.Rate * float64(time.Second))
	}
	return max(minLifetime, 2*run+settleRounds*c.Settle)
}

// startHelpers starts a helper for each client pod, if the user requested it, and replaces the client pods by them. It does so once.
func (r *run) startHelpers(ctx context.Context) error {
	if r.cfg.Clients.Helper == nil || r.helpers != nil {
		return nil
	}
	cfg := *r.cfg.Clients.Helper
	cfg.Lifetime = lifetime(r.cfg)
	r.helpers = helper.NewSet(cfg, r.mesh.timeout)
	for _, s := range r.sources {
		if s.err == nil {
			s.helper = r.helpers.Add(s.member, s.pod.Namespace, s.pod.Name)
			r.ui.Note("%s: starting %s with image %s.%s", s.where(), s.helper, cfg.Image, map[helper.Kind]string{
				helper.Ephemeral: " Kubernetes cannot remove it from the pod; its process ends after the run.",
			}[cfg.Kind])
		}
	}
	if err := r.helpers.Start(ctx); err != nil {
		return err
	}
	var first error
	working := 0
	for _, s := range r.sources {
		if s.err == nil {
			s.err = r.useHelper(ctx, s)
		}
		if s.err == nil {
			working++
		} else if first == nil {
			first = s.err
		}
	}
	if working == 0 {
		return first
	}
	return nil
}

// useHelper makes the helper the place where the requests come from.
func (r *run) useHelper(ctx context.Context, s *source) error {
	h := s.helper
	if h.Err != nil {
		return fmt.Errorf("%s: %w", s.where(), h.Err)
	}
	if h.Kind == helper.Ephemeral {
		s.pod.Container = h.Container
		return nil
	}
	pod, err := fanout.Within(ctx, r.mesh.timeout, func(ctx context.Context) (podexec.Pod, error) {
		return podexec.Describe(ctx, s.member.Client, h.Object, h.Container)
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.where(), h, err)
	}
	s.pod = pod
	r.describePod(s)
	return nil
}

// removeHelpers ends and removes what startHelpers has started, also after an interrupt. It does so once.
func (r *run) removeHelpers(ctx context.Context) {
	if r.helpers == nil {
		return
	}
	for _, left := range r.helpers.Remove(ctx) {
		h := left.Helper
		switch {
		case left.Err != nil:
			r.left++
			r.ui.Warn("cluster %s: %s was not removed: %v; its process ends within a minute. To remove it, run: %s", h.Member.Name, h, left.Err,
				commandline.Plugin("kubectl mesh-probe", commandline.MeshOf(r.mesh.selection.Members), h.Namespace, "cleanup"))
		case left.State == "ended":
			r.ui.Note("Note: cluster %s: %s has ended. Kubernetes lists it until the pod is deleted.", h.Member.Name, h)
		default:
			r.ui.Warn("cluster %s: %s is %s. It ends within a minute after this command. Kubernetes lists it until the pod is deleted", h.Member.Name, h, left.State)
		}
	}
}

// describeHelper describes what sent the requests instead of the client pod.
func (s *source) describeHelper() *v1alpha1.ProbeHelper {
	h := s.helper
	if h == nil || !h.Exists() {
		return nil
	}
	return &v1alpha1.ProbeHelper{Kind: string(h.Kind), ClientPod: h.Client, LeftBehind: h.Left}
}
